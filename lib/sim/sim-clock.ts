import type { Moment } from '../raft/core/lease.js'

/** The clocks of one machine: equally fast, which need not be right; the monotonic one stands still while the machine is suspended. */
export class SimClock {
  #speed: number
  #seenAt: number
  #suspendedUntil = 0
  #monotonicMs = 0
  #wallMs: number

  constructor(speed: number, now: number) {
    this.#speed = speed
    this.#seenAt = now
    this.#wallMs = now
  }

  at(now: number): Moment {
    const since = Math.max(this.#seenAt, Math.min(now, this.#suspendedUntil))
    this.#monotonicMs += (now - since) * this.#speed
    this.#wallMs += (now - this.#seenAt) * this.#speed
    this.#seenAt = now
    return { monotonicMs: this.#monotonicMs, wallMs: this.#wallMs }
  }

  suspend(now: number, until: number): void {
    this.at(now)
    this.#suspendedUntil = until
  }

  /** From now on it goes at this speed, awake. */
  go(now: number, speed: number): void {
    this.at(now)
    this.#suspendedUntil = 0
    this.#speed = speed
  }
}
