import { assert } from '../../base/assert.js'
import { deferred } from '../../base/deferred.js'
import { SkeinError } from '../../base/errors.js'

export interface WaitOptions {
  /** Milliseconds from now. Past it the outcome is unknown, not failed. */
  readonly deadlineMs?: number
  readonly signal?: AbortSignal
}

export interface ProposeOptions extends WaitOptions {
  /** Given back in ERR_SKEIN_OUTCOME_UNKNOWN; whoever applies can tell a retry by it. Default: term and index. */
  readonly requestId?: string
}

interface Waiter {
  readonly term: number
  readonly requestId: string
  readonly deadlineAtMs: number
  settle(outcome: { readonly value: unknown } | { readonly error: unknown }): void
}

/** Who waits for which index. An entry that entered the log may happen as long as nobody has seen it not to: the outcome is unknown. */
export class Proposals {
  readonly #waiting = new Map<number, Waiter>()

  get size(): number {
    return this.#waiting.size
  }

  /** Waits for the entry at `index`, which this leader has just taken into its log. */
  wait(index: number, term: number, nowMs: number, o: ProposeOptions & { readonly deadlineMs: number }): Promise<unknown> {
    assert(!this.#waiting.has(index), 'one proposal has one index')
    const requestId = o.requestId ?? `${term}/${index}`
    const { promise, resolve, reject } = deferred<unknown>()
    const aborted = () => this.#reject(index, outcomeUnknown(requestId, 'the caller no longer waits'))
    o.signal?.addEventListener('abort', aborted, { once: true })
    this.#waiting.set(index, {
      term,
      requestId,
      deadlineAtMs: nowMs + o.deadlineMs,
      settle: (outcome) => {
        o.signal?.removeEventListener('abort', aborted)
        if ('error' in outcome) reject(outcome.error)
        else resolve(outcome.value)
      },
    })
    return promise
  }

  /** The entry at this index was applied with this result. */
  resolve(index: number, term: number, value: unknown): void {
    const waiter = this.#waiting.get(index)
    if (waiter === undefined) return
    assert(waiter.term === term, 'waiters of an older term were told when leadership was lost')
    this.#waiting.delete(index)
    waiter.settle({ value })
  }

  /** The entry at this index was applied, and this is what came of it. */
  fail(index: number, error: unknown): void {
    this.#reject(index, error)
  }

  /** Leadership or the runner is gone: what is in the log may be committed by others, or never. */
  failAll(why: string, cause?: unknown): void {
    for (const [index, { requestId }] of [...this.#waiting]) this.#reject(index, outcomeUnknown(requestId, why, cause))
  }

  expire(nowMs: number): void {
    for (const [index, { requestId, deadlineAtMs }] of this.#waiting) {
      if (deadlineAtMs <= nowMs) this.#reject(index, outcomeUnknown(requestId, 'the deadline passed before it was applied'))
    }
  }

  #reject(index: number, error: unknown): void {
    const waiter = this.#waiting.get(index)
    this.#waiting.delete(index)
    waiter?.settle({ error })
  }
}

function outcomeUnknown(requestId: string, why: string, cause?: unknown): SkeinError<'ERR_SKEIN_OUTCOME_UNKNOWN'> {
  return new SkeinError(
    'ERR_SKEIN_OUTCOME_UNKNOWN',
    `${why}: the write may or may not have happened. Retry with the same request id`,
    { requestId },
    cause === undefined ? undefined : { cause },
  )
}
