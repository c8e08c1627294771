import type { Clock } from '../../lib/base/clock.js'
import { systemClock } from '../../lib/peer/system-world.js'

/** A clock on which time passes several times as fast, timers included: hours of patience in minutes, and all patiences in proportion. */
export class HurriedClock implements Clock {
  readonly #times: number
  readonly #from = { nowMs: systemClock.now(), wallMs: systemClock.wallMs() }

  /** @param times milliseconds of this clock to one of the machine's */
  constructor(times: number) {
    this.#times = times
  }

  now(): number {
    return this.#from.nowMs + this.#passedMs()
  }

  wallMs(): number {
    return Math.floor(this.#from.wallMs + this.#passedMs())
  }

  after(delayMs: number, act: () => void): () => void {
    return systemClock.after(delayMs / this.#times, act)
  }

  every(periodMs: number, act: () => void): () => void {
    return systemClock.every(periodMs / this.#times, act)
  }

  #passedMs(): number {
    return (systemClock.now() - this.#from.nowMs) * this.#times
  }
}
