import type { Clock } from '../../base/clock.js'
import { type Summary, Tally } from './summary.js'

/**
 * The clock as the core knows it. After a stall one tick passes, not all that were missed, and it passes only once
 * what had arrived meanwhile was read: a process that slept must not take its own sleep for another's death.
 *
 * A timer never comes early, but its tick may come late, and the next one in time: n ticks last at least n - 2 periods.
 */
export class Ticker {
  readonly #clock: Clock
  readonly #tickMs: number
  readonly #tick: () => void
  #cancel: (() => void) | undefined
  #lastMs = 0
  #immediate: NodeJS.Immediate | undefined
  /** Ticks that never passed because the process was busy or asleep. */
  missed = 0
  readonly #lagSeconds = new Tally()

  constructor(clock: Clock, tickMs: number, tick: () => void) {
    this.#clock = clock
    this.#tickMs = tickMs
    this.#tick = tick
  }

  /** By how much ticks came later than they were due. */
  get lagSeconds(): Summary {
    return this.#lagSeconds.summary
  }

  start(): void {
    this.#lastMs = this.#clock.now()
    this.#cancel = this.#clock.every(this.#tickMs, () => this.#timer())
  }

  stop(): void {
    this.#cancel?.()
    clearImmediate(this.#immediate)
    this.#immediate = undefined
  }

  #timer(): void {
    const nowMs = this.#clock.now()
    const dueMs = this.#lastMs + this.#tickMs
    const elapsed = Math.floor((nowMs - this.#lastMs) / this.#tickMs)
    this.#lastMs = nowMs
    this.missed += Math.max(0, elapsed - 1)
    if (this.#immediate !== undefined) return
    // Immediates run after the poll phase: what is in the sockets is stepped first.
    this.#immediate = setImmediate(() => {
      this.#immediate = undefined
      this.#lagSeconds.add(Math.max(0, this.#clock.now() - dueMs) / 1_000)
      this.#tick()
    })
  }
}
