/** Many reports become few proposals: the latest per key, gathered for some milliseconds while nothing is urgent. */
import type { Clock } from '../base/clock.js'
import { type Deferred, deferred } from '../base/deferred.js'
import { SkeinError } from '../base/errors.js'

export interface StatusBatchOptions<Status> {
  readonly clock: Clock
  /** Which of two statuses under one key goes on, or what they are together. */
  merge(was: Status, next: Status): Status
  /** Resolves when the statuses are recorded. */
  propose(statuses: readonly Status[]): Promise<unknown>
  /** Milliseconds between the beginnings of two proposals; the first after a pause goes at once. Default 50. */
  readonly flushMs?: number
  /** Statuses in one proposal; when so many wait they go without further delay. Default 1,000. */
  readonly itemsMax?: number
  /** Statuses that may wait; past it `add` is refused with ERR_SKEIN_BUSY. Default 10,000. */
  readonly waitingMax?: number
}

export class StatusBatch<Key, Status> {
  readonly #o: Required<Pick<StatusBatchOptions<Status>, 'flushMs' | 'itemsMax' | 'waitingMax'>> & StatusBatchOptions<Status>
  readonly #waiting = new Map<Key, Status>()
  /** Settles with the flush that takes what waits now. */
  #recorded: Deferred<void> | undefined
  #flushing: Promise<void> | undefined
  #lastFlushMs = Number.NEGATIVE_INFINITY
  #cancelTimer: (() => void) | undefined
  #closed: unknown

  constructor(options: StatusBatchOptions<Status>) {
    this.#o = { flushMs: 50, itemsMax: 1_000, waitingMax: 10_000, ...options }
  }

  /**
   * Resolves once the statuses, or later ones under their keys, are recorded.
   * @throws {SkeinError} ERR_SKEIN_BUSY, what `propose` rejects with, what `close` was given; a repeated report is safe
   */
  add(statuses: readonly (readonly [Key, Status])[]): Promise<void> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed)
    if (statuses.length === 0) return Promise.resolve()
    if (this.#waiting.size + statuses.length > this.#o.waitingMax) {
      const words = `${this.#waiting.size} statuses wait already, at most ${this.#o.waitingMax}; report again later`
      return Promise.reject(new SkeinError('ERR_SKEIN_BUSY', words, { limit: 'waitingMax' }))
    }
    for (const [key, next] of statuses) {
      const was = this.#waiting.get(key)
      this.#waiting.set(key, was === undefined ? next : this.#o.merge(was, next))
    }
    this.#recorded ??= deferred()
    const { promise } = this.#recorded
    this.#schedule()
    return promise
  }

  /** Refuses what waits and what comes; resolves when the proposal under way has settled. */
  async close(reason: unknown): Promise<void> {
    this.#closed ??= reason
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    this.#waiting.clear()
    this.#recorded?.reject(reason)
    this.#recorded = undefined
    await this.#flushing
  }

  #schedule(): void {
    // One proposal at a time: the order of two statuses of a node must not depend on which commits first.
    if (this.#flushing !== undefined || this.#waiting.size === 0) return
    const waitMs = this.#lastFlushMs + this.#o.flushMs - this.#o.clock.now()
    if (waitMs <= 0 || this.#waiting.size >= this.#o.itemsMax) {
      this.#cancelTimer?.()
      this.#cancelTimer = undefined
      this.#flush()
      return
    }
    this.#cancelTimer ??= this.#o.clock.after(waitMs, () => {
      this.#cancelTimer = undefined
      this.#schedule()
    })
  }

  #flush(): void {
    const statuses = [...this.#waiting.values()]
    const recorded = this.#recorded
    this.#waiting.clear()
    this.#recorded = undefined
    this.#lastFlushMs = this.#o.clock.now()
    this.#flushing = this.#proposeAll(statuses).then(
      () => recorded?.resolve(),
      (error: unknown) => recorded?.reject(error),
    )
    void this.#flushing.then(() => {
      this.#flushing = undefined
      this.#schedule()
    })
  }

  async #proposeAll(statuses: readonly Status[]): Promise<void> {
    for (let at = 0; at < statuses.length; at += this.#o.itemsMax)
      await this.#o.propose(statuses.slice(at, at + this.#o.itemsMax))
  }
}
