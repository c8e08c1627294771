/** Worst score: everything takes nine times as long. */
const scoreMax = 8

/**
 * Am I the slow one? 0 is healthy; every sign that our own probes cannot be trusted raises the score, every probe that
 * succeeds lowers it, and all waiting is multiplied by one more than it.
 * @see Lifeguard (arXiv 1707.00788) §IV-A
 */
export class Awareness {
  #score = 0

  get score(): number {
    return this.#score
  }

  add(change: number): void {
    this.#score = Math.min(scoreMax, Math.max(0, this.#score + change))
  }

  scale(durationMs: number): number {
    return durationMs * (this.#score + 1)
  }

  /** What anybody may make of it, however slow. */
  longest(durationMs: number): number {
    return durationMs * (scoreMax + 1)
  }
}
