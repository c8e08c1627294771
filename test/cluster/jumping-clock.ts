import type { Clock } from '../../lib/base/clock.js'
import { systemClock } from '../../lib/peer/system-world.js'

/** This machine's clock, but it can be set ahead: as after a night, for who only looks at the time. Timers keep their pace. */
export class JumpingClock implements Clock {
  #aheadMs = 0
  #passedMs = 0

  /** Of the wall clock alone. */
  jump(byMs: number): void {
    this.#aheadMs += byMs
  }

  /** Of both. */
  pass(byMs: number): void {
    this.#aheadMs += byMs
    this.#passedMs += byMs
  }

  now(): number {
    return systemClock.now() + this.#passedMs
  }

  wallMs(): number {
    return systemClock.wallMs() + this.#aheadMs
  }

  after(delayMs: number, act: () => void): () => void {
    return systemClock.after(delayMs, act)
  }

  every(periodMs: number, act: () => void): () => void {
    return systemClock.every(periodMs, act)
  }
}
