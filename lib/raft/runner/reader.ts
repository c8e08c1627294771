import type { Moment, RawNode, ReadState } from '../core/index.js'
import type { Applier } from './applier.js'
import type { ResolvedRunnerOptions } from './options.js'
import type { WaitOptions } from './proposals.js'
import { Reads } from './reads.js'
import { aborted, busy, noQuorum, withoutLease } from './refusals.js'
import type { QuorumStatus } from './status.js'

/** Who may look at the state machine, and when: after a round that confirmed the leader, or by its lease. */
export class Reader {
  readonly #node: RawNode
  readonly #options: ResolvedRunnerOptions
  readonly #applier: Applier
  readonly #wake: () => void
  readonly #reads: Reads
  /** Reads that the leader answered without asking anybody. */
  byLease = 0
  /** Reads that a majority confirmed. */
  confirmedCount = 0

  /** @param wake What waits shall be asked for soon */
  constructor(node: RawNode, options: ResolvedRunnerOptions, applier: Applier, wake: () => void) {
    this.#node = node
    this.#options = options
    this.#applier = applier
    this.#wake = wake
    const { random } = options
    this.#reads = new Reads(Buffer.from(Array.from({ length: 8 }, () => Math.floor(random() * 256))))
  }

  get pending(): number {
    return this.#reads.size
  }

  /** Resolves when the state machine holds everything that was committed before the call. */
  async confirmed(o: WaitOptions): Promise<void> {
    await this.#wait(this.#deadlineOf(o), o.signal)
    this.confirmedCount++
  }

  /** Looks in the same turn in which the lease is known to hold, or else after a round. */
  async lookByLease<T>(look: () => T, o: WaitOptions): Promise<T> {
    if (!this.#options.leaseReads) throw withoutLease()
    const deadlineAtMs = this.#deadlineOf(o)
    const index = this.#node.leaseIndex(this.#moment())
    if (index !== undefined) {
      if (index > this.#applier.appliedIndex) await this.#wait(deadlineAtMs, o.signal, index)
      // Applying took its time, and the process may have been stopped: the clock decides now, and nothing comes before the look.
      if (this.#node.leaseIndex(this.#moment()) !== undefined) {
        this.byLease++
        return look()
      }
    }
    await this.#wait(deadlineAtMs, o.signal)
    this.confirmedCount++
    return look()
  }

  /** What the core made is about to leave. */
  leaves(): void {
    if (this.#options.leaseReads) this.#node.heartbeatsLeave(this.#moment())
  }

  /** Asks for those that came since the last round began. */
  ask(): void {
    this.#ask(this.#reads.nextRound())
  }

  /** Whoever was asked may lead no more. */
  askAgain(): void {
    this.#ask(this.#reads.askAgain())
  }

  answered(readStates: readonly ReadState[]): void {
    for (const readState of readStates) this.#reads.confirmed(readState)
  }

  applied(): void {
    this.#reads.applied(this.#applier.appliedIndex)
  }

  tick(nowMs: number, quorum: () => QuorumStatus): void {
    this.#reads.expire(nowMs, () => noQuorum(quorum()))
    this.#ask(this.#reads.tick(Math.ceil(this.#options.electionTicks / 2)))
  }

  failAll(error: () => unknown): void {
    this.#reads.failAll(error)
  }

  /** @param index To be applied, if it is known already */
  #wait(deadlineAtMs: number, signal: AbortSignal | undefined, index?: number): Promise<void> {
    if (signal?.aborted) throw aborted('read')
    if (this.#reads.size >= this.#options.maxPendingReads) throw busy('maxPendingReads')
    const done = this.#reads.wait(deadlineAtMs, signal, () => aborted('read'), index)
    this.#wake()
    return done
  }

  #ask(context: Uint8Array | undefined): void {
    if (context !== undefined) this.#node.readIndex(context)
  }

  #deadlineOf({ deadlineMs }: WaitOptions): number {
    const { clock, electionTicks, tickMs } = this.#options
    return clock.now() + (deadlineMs ?? electionTicks * tickMs * 3)
  }

  #moment(): Moment {
    const { clock } = this.#options
    return { monotonicMs: clock.now(), wallMs: clock.wallMs() }
  }
}
