import { assert } from '../../base/assert.js'
import type { Clock } from '../../base/clock.js'
import { SkeinError } from '../../base/errors.js'
import { type Summary, Tally } from './summary.js'

export interface WaitOptions {
  /** Milliseconds from now. Past it the outcome is unknown, not failed. */
  readonly deadlineMs?: number
  readonly signal?: AbortSignal
}

export interface ProposeOptions extends WaitOptions {
  /** Given back in ERR_SKEIN_OUTCOME_UNKNOWN; whoever applies can tell a retry by it. Default: term and index. */
  readonly requestId?: string
}

/** Who proposed, from the call to the answer. One object and one promise each: there are tens of thousands a second. */
export class Proposal {
  readonly promise: Promise<unknown>
  readonly #options: ProposeOptions
  readonly madeAtMs: number
  readonly deadlineAtMs: number
  #resolve!: (value: unknown) => void
  #reject!: (error: unknown) => void
  #onAbort: (() => void) | undefined
  isSettled = false

  constructor(nowMs: number, timeoutMs: number, options: ProposeOptions) {
    this.madeAtMs = nowMs
    this.deadlineAtMs = nowMs + timeoutMs
    this.#options = options
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  get isAbortable(): boolean {
    return this.#options.signal !== undefined
  }

  get requestId(): string | undefined {
    return this.#options.requestId
  }

  /** What the caller's signal does from now on. */
  onAbort(act: () => void): void {
    const { signal } = this.#options
    if (signal === undefined) return
    if (this.#onAbort !== undefined) signal.removeEventListener('abort', this.#onAbort)
    this.#onAbort = act
    signal.addEventListener('abort', act, { once: true })
  }

  resolve(value: unknown): void {
    this.#end()
    this.#resolve(value)
  }

  reject(error: unknown): void {
    this.#end()
    this.#reject(error)
  }

  #end(): void {
    this.isSettled = true
    if (this.#onAbort !== undefined) this.#options.signal?.removeEventListener('abort', this.#onAbort)
  }
}

interface Waiter {
  readonly term: number
  readonly proposal: Proposal
}

/** Who waits for which index. An entry that entered the log may happen as long as nobody has seen it not to: the outcome is unknown. */
export class Proposals {
  readonly #clock: Clock
  readonly #waiting = new Map<number, Waiter>()
  readonly #commitSeconds = new Tally()
  committed = 0
  /** Definitely not done, whoever found out. */
  refused = 0
  unknown = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** From the call to the result, of those that were committed. */
  get commitSeconds(): Summary {
    return this.#commitSeconds.summary
  }

  get size(): number {
    return this.#waiting.size
  }

  /** Waits for the entry at `index`, which this leader has just taken into its log. */
  wait(index: number, term: number, proposal: Proposal): void {
    assert(!this.#waiting.has(index), 'one proposal has one index')
    this.#waiting.set(index, { term, proposal })
    if (proposal.isAbortable) proposal.onAbort(() => this.#unknown(index, 'the caller no longer waits'))
  }

  /** The entry at this index was applied with this result. */
  resolve(index: number, term: number, value: unknown): void {
    const waiter = this.#waiting.get(index)
    if (waiter === undefined) return
    assert(waiter.term === term, 'waiters of an older term were told when leadership was lost')
    this.#waiting.delete(index)
    this.committed++
    this.#commitSeconds.add((this.#clock.now() - waiter.proposal.madeAtMs) / 1_000)
    waiter.proposal.resolve(value)
  }

  /** The entry at this index was applied, and changed nothing. */
  refuse(index: number, error: unknown): void {
    const waiter = this.#waiting.get(index)
    if (waiter === undefined) return
    this.#waiting.delete(index)
    this.refused++
    waiter.proposal.reject(error)
  }

  /** Leadership or the runner is gone: what is in the log may be committed by others, or never. */
  failAll(why: string, cause?: unknown): void {
    for (const index of [...this.#waiting.keys()]) this.#unknown(index, why, cause)
  }

  expire(nowMs: number): void {
    for (const [index, { proposal }] of this.#waiting) {
      if (proposal.deadlineAtMs <= nowMs) this.#unknown(index, 'the deadline passed before it was applied')
    }
  }

  #unknown(index: number, why: string, cause?: unknown): void {
    const waiter = this.#waiting.get(index)
    if (waiter === undefined) return
    this.#waiting.delete(index)
    this.unknown++
    waiter.proposal.reject(outcomeUnknown(waiter.proposal.requestId ?? `${waiter.term}/${index}`, why, cause))
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
