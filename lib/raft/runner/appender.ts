import { assert } from '../../base/assert.js'
import type { Clock } from '../../base/clock.js'
import type { HardState, MemoryStorage, Message, Snapshot } from '../core/index.js'
import type { RaftDisk, SnapshotMeta, WalBatch } from '../wal/index.js'
import { latestAcknowledgements } from './coalesce.js'
import { type Summary, Tally } from './summary.js'

export interface AppenderHooks {
  /** To be delivered: everything they promise is durable. */
  respond(responses: readonly Message[]): void
  /** A snapshot of the leader is durable: replaces the state machine's contents. */
  restore(snapshot: Snapshot): Promise<void>
  /** This peer's own snapshot counts from now on, or a newer one came before it. */
  marked(meta: SnapshotMeta, outcome: 'counts' | 'stale'): void
  /** A write ended: what was delivered leads to more, and the next write may begin. */
  turn(): void
  /** Something was delivered that needed no write. */
  wake(): void
  failed(error: unknown): void
}

type Job = { readonly type: 'append'; readonly message: Message } | { readonly type: 'mark'; readonly meta: SnapshotMeta }

/**
 * The log writer: at most one write under way, and the next one takes everything that queued meanwhile (group commit
 * without a timer). Entries reach the core's memory, and promises leave, only behind the sync (thesis §3.8).
 */
export class Appender {
  readonly #disk: RaftDisk
  readonly #storage: MemoryStorage
  readonly #clock: Clock
  readonly #hooks: AppenderHooks
  readonly #fsyncSeconds = new Tally()
  #queue: Job[] = []
  #busy = false
  #running: Promise<void> | undefined
  #stopped = false
  #failed = false
  /** The newest that was asked for; ahead of the disk only in its commit index, which a restart finds again. */
  #hardState: HardState
  #durable: HardState

  constructor(disk: RaftDisk, storage: MemoryStorage, hardState: HardState, clock: Clock, hooks: AppenderHooks) {
    this.#disk = disk
    this.#storage = storage
    this.#clock = clock
    this.#hooks = hooks
    this.#hardState = hardState
    this.#durable = hardState
  }

  /** Of each write with its sync, from when it was asked for. */
  get fsyncSeconds(): Summary {
    return this.#fsyncSeconds.summary
  }

  get queued(): number {
    return this.#queue.length
  }

  push(message: Message): void {
    this.#queue.push({ type: 'append', message })
  }

  /** Marks this peer's own snapshot in the log, unless a newer one was installed meanwhile. */
  mark(meta: SnapshotMeta): void {
    this.#queue.push({ type: 'mark', meta })
    this.kick()
  }

  /** Starts on what is queued, if no write is under way. What needs no write is done before this returns. */
  kick(): void {
    if (this.#busy || this.#stopped || this.#queue.length === 0) return
    this.#busy = true
    this.#running = this.#run().then(
      (outcome) => {
        this.#busy = false
        if (outcome === 'written') this.#hooks.turn()
        this.kick()
      },
      (error: unknown) => {
        this.#stopped = true
        this.#failed = true
        this.#hooks.failed(error)
      },
    )
  }

  /** Waits for the write under way; what is queued behind it stays undone and promised nothing. */
  async stop(): Promise<void> {
    this.#stopped = true
    await this.#running
    this.#queue = []
    if (this.#failed) return
    if (this.#hardState.commit > this.#durable.commit) await this.#disk.append([{ hardState: this.#hardState }])
  }

  async #run(): Promise<'written' | 'nothing-to-write'> {
    const jobs = this.#take()
    const batches = this.#plan(jobs)
    if (batches.length > 0) {
      const askedAtMs = this.#clock.now()
      await this.#disk.append(batches)
      this.#fsyncSeconds.add((this.#clock.now() - askedAtMs) / 1_000)
      this.#durable = this.#hardState
      if (this.#stopped) return 'written' // the runner is gone: nobody is told, nothing was promised
    }
    const promises: Message[] = []
    const deliver = (): void => this.#hooks.respond(latestAcknowledgements(promises.splice(0)))
    for (const job of jobs) {
      if (job.type === 'append' && job.message.snapshot === null) {
        this.#remember(job.message)
        for (const promise of job.message.responses) promises.push(promise)
        continue
      }
      deliver()
      if (job.type === 'mark') this.#finishMark(job.meta)
      else await this.#finishInstall(job.message, job.message.snapshot as Snapshot)
    }
    deliver()
    if (batches.length > 0) return 'written'
    this.#hooks.wake()
    return 'nothing-to-write'
  }

  /** Everything queued, but nothing behind an install: the state machine must be replaced first. */
  #take(): readonly Job[] {
    const install = this.#queue.findIndex((job) => job.type === 'append' && job.message.snapshot !== null)
    return this.#queue.splice(0, install < 0 ? this.#queue.length : install + 1)
  }

  /** What must be written. A commit index alone is not: it rides with the next batch (thesis §3.8: it may be lost). */
  #plan(jobs: readonly Job[]): readonly WalBatch[] {
    const batches: WalBatch[] = []
    for (const job of jobs) {
      if (job.type === 'mark') {
        if (job.meta.index <= this.#disk.snapshotIndex) continue
        batches.push({ snapshot: { kind: 'taken', ...job.meta }, hardState: this.#hardState })
        continue
      }
      const { term, vote, commit, entries, snapshot } = job.message
      if (term > 0) this.#hardState = { term, vote, commit: Math.max(commit, this.#hardState.commit) }
      const { term: oldTerm, vote: oldVote } = batches.at(-1)?.hardState ?? this.#durable
      const isVote = this.#hardState.term !== oldTerm || this.#hardState.vote !== oldVote
      if (!isVote && entries.length === 0 && snapshot === null) continue
      batches.push({
        hardState: this.#hardState,
        ...(entries.length > 0 && { entries }),
        ...(snapshot !== null && {
          snapshot: { kind: 'installed', index: snapshot.index, term: snapshot.term, confState: snapshot.confState },
        }),
      })
    }
    return batches
  }

  async #finishInstall(message: Message, snapshot: Snapshot): Promise<void> {
    assert(this.#disk.snapshotIndex === snapshot.index, 'an installed snapshot is marked in the log')
    await this.#hooks.restore(snapshot)
    if (this.#stopped) return
    this.#storage.applySnapshot(snapshot)
    this.#remember(message)
    await this.#disk.release()
    this.#hooks.respond(message.responses)
  }

  #remember({ term, vote, commit, entries }: Message): void {
    if (term > 0) this.#storage.setHardState({ term, vote, commit })
    if (entries.length > 0) this.#storage.append(entries)
  }

  #finishMark(meta: SnapshotMeta): void {
    const counts = meta.index === this.#disk.snapshotIndex && meta.index > this.#storage.snapshot().index
    this.#hooks.marked(meta, counts ? 'counts' : 'stale')
  }
}
