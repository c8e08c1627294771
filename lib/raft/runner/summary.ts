/** How many there were, what they come to, and the largest; of seconds, entries or bytes, as the name of the metric says. */
export type Summary = Readonly<Record<'count' | 'sum' | 'max', number>>

/** Collects a summary since the runner was opened. */
export class Tally {
  #count = 0
  #sum = 0
  #max = 0

  add(value: number): void {
    this.#count++
    this.#sum += value
    if (value > this.#max) this.#max = value
  }

  get summary(): Summary {
    return { count: this.#count, sum: this.#sum, max: this.#max }
  }
}
