import { below, type Random } from '../../base/random.js'

/**
 * Every place once per round, in a fresh random order each round: no member waits longer than two rounds for a probe. The
 * shuffle is done as far as it is used, so that a round of 10,000 costs only what was drawn; a place that is added meanwhile
 * is as likely next as any other that is left.
 * @see SWIM §4.3
 */
export class ProbeOrder {
  readonly #random: Random
  /** What stands in a drawn one's stead (Fisher–Yates, only the places that differ). */
  readonly #moved = new Map<number, number>()
  #drawn = 0

  constructor(random: Random) {
    this.#random = random
  }

  /** The next of `size` places; undefined when there are none. */
  next(size: number): number | undefined {
    if (size === 0) return undefined
    if (this.#drawn >= size) {
      this.#drawn = 0
      this.#moved.clear()
    }
    const at = this.#drawn++
    const other = at + below(this.#random, size - at)
    const place = this.#moved.get(other) ?? other
    this.#moved.set(other, this.#moved.get(at) ?? at)
    this.#moved.delete(at)
    return place
  }
}
