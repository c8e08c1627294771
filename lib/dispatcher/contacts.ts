/** Since when this leader has certainly not answered a node: from then on the node counts, should it be cut off. */
import type { Clock } from '../base/clock.js'

/** One leadership's. A number a node, those that were removed too: one that was may still run what it ran. */
export class Contacts {
  readonly #clock: Pick<Clock, 'now'>
  /** Whom an earlier leader answered, and when, is not known: it was before this. */
  readonly #sinceMs: number
  readonly #answeredMs = new Map<string, number>()

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock
    this.#sinceMs = clock.now()
  }

  /** It is about to be answered. */
  answer(node: string): void {
    this.#answeredMs.set(node, this.#clock.now())
  }

  /** Milliseconds for which the node heard nothing from any leader that it may count from. */
  silentMs(node: string): number {
    return this.#clock.now() - (this.#answeredMs.get(node) ?? this.#sinceMs)
  }
}
