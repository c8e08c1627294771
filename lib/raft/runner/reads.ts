import { deferred } from '../../base/deferred.js'
import type { ReadState } from '../core/index.js'

interface Waiter {
  /** The round that confirms it; 0 while it is not part of one. */
  round: number
  /** Index to be applied; known once confirmed. */
  index: number | undefined
  readonly deadlineAtMs: number
  settle(error?: unknown): void
}

/**
 * Linearizable reads: who waits for a quorum to confirm the leader, then for the confirmed index to be applied
 * (thesis §6.4). All that come while a round is under way share the next one.
 */
export class Reads {
  /** Tells our rounds from those of an earlier life of this peer. */
  readonly #prefix: Uint8Array
  #waiting: Waiter[] = []
  #round = 0
  #roundOpen = false
  #ticksOpen = 0

  /** @param prefix Eight bytes, drawn when the peer starts */
  constructor(prefix: Uint8Array) {
    this.#prefix = prefix
  }

  get size(): number {
    return this.#waiting.length
  }

  /** @param index To be applied, if it is known already */
  wait(deadlineAtMs: number, signal: AbortSignal | undefined, aborted: () => unknown, index?: number): Promise<void> {
    const { promise, resolve, reject } = deferred()
    const waiter: Waiter = {
      round: 0,
      index,
      deadlineAtMs,
      settle: (error) => {
        signal?.removeEventListener('abort', leave)
        if (error === undefined) resolve()
        else reject(error)
      },
    }
    const leave = () => {
      this.#waiting = this.#waiting.filter((one) => one !== waiter)
      waiter.settle(aborted())
    }
    signal?.addEventListener('abort', leave, { once: true })
    this.#waiting.push(waiter)
    return promise
  }

  /** The context to ask the core with, if it is time to ask. */
  nextRound(): Uint8Array | undefined {
    if (this.#roundOpen || !this.#waiting.some(({ round, index }) => round === 0 && index === undefined)) return undefined
    return this.#open()
  }

  /** A tick passed; the context to ask again with, when the round was not answered for `patienceTicks`. */
  tick(patienceTicks: number): Uint8Array | undefined {
    if (!this.#roundOpen || ++this.#ticksOpen < patienceTicks) return undefined
    return this.askAgain()
  }

  /** The leader changed: whoever was asked may never answer. */
  askAgain(): Uint8Array | undefined {
    if (this.#waiting.some(({ index }) => index === undefined)) return this.#open()
    this.#roundOpen = false
    return undefined
  }

  confirmed({ index, requestCtx }: ReadState): void {
    const round = this.#roundOf(requestCtx)
    if (round === undefined) return
    for (const waiter of this.#waiting) {
      if (waiter.round > 0 && waiter.round <= round && waiter.index === undefined) waiter.index = index
    }
    if (round === this.#round) this.#roundOpen = false
  }

  applied(appliedIndex: number): void {
    if (this.#waiting.length === 0) return
    const isDone = ({ index }: Waiter) => index !== undefined && index <= appliedIndex
    const done = this.#waiting.filter(isDone)
    if (done.length === 0) return
    this.#waiting = this.#waiting.filter((waiter) => !isDone(waiter))
    for (const waiter of done) waiter.settle()
  }

  expire(nowMs: number, error: () => unknown): void {
    this.#fail(
      this.#waiting.filter(({ deadlineAtMs }) => deadlineAtMs <= nowMs),
      error,
    )
  }

  failAll(error: () => unknown): void {
    this.#fail(this.#waiting, error)
  }

  #fail(waiters: readonly Waiter[], error: () => unknown): void {
    if (waiters.length === 0) return
    const gone = new Set(waiters)
    this.#waiting = this.#waiting.filter((waiter) => !gone.has(waiter))
    for (const waiter of gone) waiter.settle(error())
  }

  #open(): Uint8Array {
    this.#round++
    this.#roundOpen = true
    this.#ticksOpen = 0
    // Those of an earlier round keep it: its late answer serves them too, and so does this round's.
    for (const waiter of this.#waiting) if (waiter.round === 0) waiter.round = this.#round
    const context = Buffer.alloc(16)
    context.set(this.#prefix)
    context.writeDoubleBE(this.#round, 8)
    return context
  }

  #roundOf(context: Uint8Array): number | undefined {
    const bytes = Buffer.from(context.buffer, context.byteOffset, context.byteLength)
    if (bytes.length !== 16 || !bytes.subarray(0, 8).equals(this.#prefix)) return undefined
    const round = bytes.readDoubleBE(8)
    return round <= this.#round ? round : undefined
  }
}
