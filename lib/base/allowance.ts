/** So much at once and so much a second, of something that others can cause without end. */
export class Allowance {
  readonly #atOnce: number
  readonly #perMs: number
  #left: number
  #filledMs = 0

  constructor(atOnce: number, perSecond: number) {
    this.#atOnce = atOnce
    this.#perMs = perSecond / 1000
    this.#left = atOnce
  }

  /** Takes one; false when there is none. */
  take(nowMs: number): boolean {
    this.#left = Math.min(this.#atOnce, this.#left + (nowMs - this.#filledMs) * this.#perMs)
    this.#filledMs = nowMs
    if (this.#left < 1) return false
    this.#left--
    return true
  }
}
