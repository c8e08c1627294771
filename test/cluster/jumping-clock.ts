import type { Clock } from '../../lib/base/clock.js'
import { systemClock } from '../../lib/peer/system-world.js'

/** This machine's clock, but its wall clock can be set ahead: as after a night, for who only looks at the time. */
export class JumpingClock implements Clock {
  #aheadMs = 0

  jump(byMs: number): void {
    this.#aheadMs += byMs
  }

  now(): number {
    return systemClock.now()
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
