/**
 * How lately it was certain that this manager leads. One that was deposed may not know it yet, and answer workers that another one
 * has long given up: workers that stop tasks by themselves count from this, not from answers alone.
 */
import type { Clock } from '../base/clock.js'
import { type Moment, momentOf, sinceMs } from '../base/moment.js'

export interface StandingWorld {
  readonly clock: Clock
  /** Resolves when a majority has confirmed, since the call, that this manager leads; rejects otherwise. */
  confirm(): Promise<void>
}

export class Standing {
  readonly #world: StandingWorld
  #confirmed: Moment | undefined
  #isAsking = false
  #cancel: (() => void) | undefined

  constructor(world: StandingWorld) {
    this.#world = world
  }

  begin(periodMs: number): void {
    this.#cancel = this.#world.clock.every(periodMs, () => void this.#ask())
    void this.#ask()
  }

  end(): void {
    this.#cancel?.()
  }

  /** Milliseconds since it was last certain; undefined: it never was. */
  agoMs(): number | undefined {
    return this.#confirmed && sinceMs(this.#confirmed, momentOf(this.#world.clock))
  }

  /** One round at a time. */
  async #ask(): Promise<void> {
    if (this.#isAsking) return
    this.#isAsking = true
    // Of the beginning of the round: what was confirmed on the way was true then, and perhaps no longer when the answers came.
    const began = momentOf(this.#world.clock)
    try {
      await this.#world.confirm()
      this.#confirmed = began
    } catch {
      // No quorum, or the term is over: the last round counts, and grows old.
    } finally {
      this.#isAsking = false
    }
  }
}
