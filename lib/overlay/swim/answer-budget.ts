import type { NodeId } from '../../base/ids.js'

/**
 * What answers may weigh: so much at once, and so much a millisecond. At once that is all of 10,000 members twenty times over; of a hundred,
 * more often than there are members to ask. Thousands that come in together are answered one after another: who was not asks again
 * with one of the next pings.
 */
const burstBytes = 4 * 1024 * 1024
const bytesPerMs = 8 * 1024
/** Who was not answered and does not ask again within one to two of these waits no more. */
const windowMs = 1_000
/** So many askers are kept count of; of more it is as if they had had nothing. */
const askersMax = 16 * 1024

/**
 * Who is answered when too many ask. While half of the purse is left, everybody is; the other half is for those whose turn it is among
 * all that wait. So no asker, nor any number of them, keeps the others from being answered; and since the purse fills up again
 * meanwhile, nothing of it is lost.
 *
 * Turns are by start-time fair queueing (Goyal 1997): the clock of bytes stands where the last answer began; what an asker was given
 * counts from there on, and the next answer begins where that ends.
 */
export class AnswerBudget {
  #leftBytes = burstBytes
  #filledMs = 0
  #windowEndMs = Number.NEGATIVE_INFINITY
  #clockBytes = 0
  /** Where each asker's last answer ends, if that is ahead of the clock. */
  readonly #ends = new Map<NodeId, number>()
  /** Where the answer of each begins that was not answered, in this window and in the one before. */
  #waiting = new Map<NodeId, number>()
  #waitingBefore = new Map<NodeId, number>()
  /** The least of those; undefined: to be looked up. Answers are what makes it unknown, and those are limited. */
  #first: number | undefined
  /** Questions that were left for later because too much was asked. */
  leftOpen = 0

  /** One answer may go over what is left, however large it is: else a large group would never be told. */
  mayAnswer(asker: NodeId, nowMs: number): boolean {
    const hasPlenty = this.hasPlenty(nowMs)
    // Whoever waits keeps its place, before all that come to the same one later.
    const begins = this.#waiting.get(asker) ?? this.#waitingBefore.get(asker) ?? this.#beginOf(asker)
    if (hasPlenty || (this.#leftBytes > 0 && begins <= this.#firstWaiting())) {
      const [waited, waitedBefore] = [this.#waiting.delete(asker), this.#waitingBefore.delete(asker)]
      if (waited || waitedBefore) this.#first = undefined
      return true
    }
    if (this.#waiting.size < askersMax) {
      this.#waiting.set(asker, begins)
      this.#first = Math.min(this.#firstWaiting(), begins)
    }
    this.leftOpen++
    return false
  }

  /** An answer that might be given was given. */
  spend(asker: NodeId, sizeBytes: number): void {
    this.#leftBytes = Math.max(-burstBytes, this.#leftBytes - sizeBytes)
    const begins = this.#beginOf(asker)
    this.#clockBytes = begins
    if (this.#ends.size < askersMax || this.#ends.has(asker)) this.#ends.set(asker, begins + sizeBytes)
  }

  /** True while everybody is answered. */
  hasPlenty(nowMs: number): boolean {
    this.#fill(nowMs)
    return this.#leftBytes > burstBytes / 2
  }

  /** One so small that it is given without asking: whoever asks for them without end takes nothing of the half kept for others. */
  spendLittle(sizeBytes: number): void {
    this.#leftBytes = Math.max(Math.min(this.#leftBytes, burstBytes / 2), this.#leftBytes - sizeBytes)
  }

  #fill(nowMs: number): void {
    this.#leftBytes = Math.min(burstBytes, this.#leftBytes + (nowMs - this.#filledMs) * bytesPerMs)
    this.#filledMs = nowMs
    if (nowMs < this.#windowEndMs) return
    this.#waitingBefore = nowMs < this.#windowEndMs + windowMs ? this.#waiting : new Map()
    this.#waiting = new Map()
    this.#first = undefined
    this.#windowEndMs = nowMs + windowMs
    for (const [asker, end] of this.#ends) if (end <= this.#clockBytes) this.#ends.delete(asker)
  }

  #beginOf(asker: NodeId): number {
    return Math.max(this.#clockBytes, this.#ends.get(asker) ?? 0)
  }

  #firstWaiting(): number {
    if (this.#first !== undefined) return this.#first
    let first = Number.POSITIVE_INFINITY
    for (const waiting of [this.#waiting, this.#waitingBefore])
      for (const begins of waiting.values()) first = Math.min(first, begins)
    this.#first = first
    return first
  }
}
