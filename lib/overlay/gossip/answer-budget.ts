/** How much others may have this process say and look for by asking. A few bytes ask for many, and for a walk through all owners. Pure. */

/** Bytes of answers to one node in a second: of the largest tables there are, more than a link takes. */
export const answersMaxBytes = 16 * 1024 * 1024
/** What a question counts for, whatever comes of it: so a second has some hundreds of them. */
const questionBytes = 64 * 1024
const periodMs = 1_000

export class AnswerBudget {
  /** By node, in this period. */
  readonly #spentBytes = new Map<string, number>()
  #periodEndsMs = Number.NEGATIVE_INFINITY

  /** Whether this node has had its part of this period. */
  isSpent(node: string, nowMs: number): boolean {
    if (nowMs >= this.#periodEndsMs) {
      this.#spentBytes.clear()
      this.#periodEndsMs = nowMs + periodMs
    }
    return (this.#spentBytes.get(node) ?? 0) >= answersMaxBytes
  }

  /** A question of this node was answered in so many bytes. */
  spend(node: string, bytes: number): void {
    this.#spentBytes.set(node, (this.#spentBytes.get(node) ?? 0) + questionBytes + bytes)
  }
}
