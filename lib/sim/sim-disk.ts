import { assert } from '../base/assert.js'
import type { Random } from '../base/random.js'
import { below } from '../base/random.js'
import { MemoryStorage, type MemoryStorageStart } from '../raft/core/memory-storage.js'
import type { Message } from '../raft/core/messages.js'
import type { Entry, HardState, Snapshot } from '../raft/core/state.js'
import type { DiskPlan } from './sim-plan.js'

/** One record for the log. `mark` is a snapshot that the node itself took, `snapshot` one that the leader sent. */
export interface DiskWrite {
  readonly hardState?: HardState | undefined
  readonly snapshot?: Snapshot | undefined
  readonly mark?: Snapshot | undefined
  readonly entries: readonly Entry[]
  /** To be delivered when the record is durable. */
  readonly responses: readonly Message[]
}

/** Time units that a stalled sync takes: from a whole election to several. */
const STALL_MIN = 80
const STALL_SPAN = 400

/** What the scan of a log at a restart finds: a sector it cannot read, or a record where another belongs. */
export type Damage =
  | { readonly type: 'latent'; readonly index: number }
  /** The record of `index` lies where that of `place` was written before, and its own place is empty. */
  | { readonly type: 'misdirected'; readonly index: number; readonly place: number }

const nothingYet: HardState = { term: 0, vote: 0, commit: 0 }

/**
 * A disk with one sync under way at a time. Everything written meanwhile is the next batch (group commit). `storage` holds what
 * is durable; a crash loses the rest, or keeps a prefix of the batch that was being synced.
 *
 * What a torn record may leave: first term, vote and snapshot as one atom, then the entries one by one, and last the commit
 * index, which would otherwise speak of entries that are not there, or of others in their places.
 */
export class SimDisk {
  #plan: DiskPlan
  readonly #random: Random
  readonly #faults: Random
  #storage = new MemoryStorage()
  #waiting: DiskWrite[] = []
  #syncing: DiskWrite[] = []

  constructor(plan: DiskPlan, random: Random, faults: Random) {
    this.#plan = plan
    this.#random = random
    this.#faults = faults
  }

  /** What would survive a crash now; another object after every crash. */
  get storage(): MemoryStorage {
    return this.#storage
  }

  get hardState(): HardState {
    return this.#storage.initialState().hardState ?? nothingYet
  }

  calm(plan: DiskPlan): void {
    this.#plan = plan
  }

  /** True when (index, term) would survive a crash, in the log or inside the snapshot. */
  covers(index: number, term: number): boolean {
    if (index > this.#storage.lastIndex()) return false
    return index < this.#storage.firstIndex() || this.#storage.term(index) === term
  }

  /** Queues a record. Returns the delay after which `finish` is due, or undefined when a sync is already under way. */
  write(record: DiskWrite): number | undefined {
    this.#waiting.push(record)
    return this.#begin()
  }

  /** Ends the sync under way: its records are durable. `nextDelay` is that of the following sync, if one begins. */
  finish(): { readonly durable: readonly DiskWrite[]; readonly nextDelay: number | undefined } {
    const durable = this.#syncing
    assert(durable.length > 0, 'a sync ends only after it began')
    this.#syncing = []
    for (const record of durable) this.writeNow(record)
    return { durable, nextDelay: this.#begin() }
  }

  /** Draws whether the sync that is about to end fails. */
  isSyncFailing(): boolean {
    const { syncFailRate } = this.#plan
    return syncFailRate > 0 && this.#faults() < syncFailRate
  }

  /** Ends a sync that failed as if it had not: nothing of it is durable, and nobody is told. */
  finishInVain(): { readonly durable: readonly DiskWrite[]; readonly nextDelay: number | undefined } {
    const lost = this.#syncing
    this.#syncing = []
    return { durable: lost, nextDelay: this.#begin() }
  }

  /** Draws what time has done to the log. */
  damage(): Damage | undefined {
    const { latentRate, misdirectRate } = this.#plan
    const first = this.#storage.firstIndex()
    const size = this.#storage.lastIndex() - first + 1
    if (latentRate > 0 && size > 0 && this.#faults() < latentRate) {
      return { type: 'latent', index: first + below(this.#faults, size) }
    }
    if (misdirectRate > 0 && size > 1 && this.#faults() < misdirectRate) {
      const place = first + below(this.#faults, size - 1)
      return { type: 'misdirected', place, index: place + 1 + below(this.#faults, first + size - 1 - place) }
    }
    return undefined
  }

  /** Writes and syncs in one step, as a node with synchronous storage does. */
  writeNow(record: DiskWrite): void {
    this.#writeHead(record)
    if (record.entries.length > 0) this.#storage.append(record.entries)
  }

  /** Drops durable entries up to `index`; a snapshot must have them. */
  compact(index: number): void {
    if (index >= this.#storage.firstIndex()) this.#storage.compact(index)
  }

  /** The power goes: what is not durable is lost, but for a prefix of the batch under way if the disk tore it. */
  crash(found: (start: MemoryStorageStart) => MemoryStorageStart): void {
    if (this.#syncing.length > 0) this.tear(this.#syncing)
    this.#syncing = []
    this.#waiting = []
    this.rewrite(found)
  }

  /** Replaces what is durable by what is made of it. */
  rewrite(found: (start: MemoryStorageStart) => MemoryStorageStart): void {
    const snapshot = this.#storage.snapshot()
    const first = snapshot.index + 1
    const last = this.#storage.lastIndex()
    const entries = last < first ? [] : this.#storage.entries(first, last + 1, Number.POSITIVE_INFINITY)
    this.#storage = new MemoryStorage(found({ hardState: this.hardState, snapshot, entries }))
  }

  /** Keeps a random prefix of the atoms of `records`, or nothing where the disk does not tear. */
  tear(records: readonly DiskWrite[]): void {
    if (this.#random() >= this.#plan.tornRate) return
    let atoms = 0
    for (const record of records) atoms += record.entries.length + 2
    let kept = below(this.#random, atoms + 1)
    for (const record of records) {
      if (kept === 0) return
      const { commit } = this.hardState
      this.#writeHead({ ...record, hardState: record.hardState && { ...record.hardState, commit } })
      const entries = record.entries.slice(0, kept - 1)
      this.#storage.append(entries)
      kept -= 1 + entries.length
      if (kept === 0) return
      if (record.hardState !== undefined) this.#storage.setHardState(record.hardState)
      kept--
    }
  }

  #begin(): number | undefined {
    if (this.#syncing.length > 0 || this.#waiting.length === 0) return undefined
    this.#syncing = this.#waiting
    this.#waiting = []
    const { syncMin, syncMean, stallRate } = this.#plan
    const delay = syncMin - Math.log(1 - this.#random()) * syncMean
    return stallRate > 0 && this.#faults() < stallRate ? delay + STALL_MIN + this.#faults() * STALL_SPAN : delay
  }

  #writeHead({ hardState, snapshot, mark }: DiskWrite): void {
    if (hardState !== undefined) this.#storage.setHardState(hardState)
    const held = this.#storage.snapshot().index
    if (snapshot !== undefined && snapshot.index > held) {
      this.#storage.applySnapshot(snapshot)
      this.#commitAtLeast(snapshot.index)
    }
    if (mark !== undefined && mark.index > held) {
      this.#storage.setSnapshot(mark)
      this.#commitAtLeast(mark.index)
    }
  }

  /** A durable snapshot with a lower durable commit could not be started from. */
  #commitAtLeast(index: number): void {
    const { term, vote, commit } = this.hardState
    if (commit < index) this.#storage.setHardState({ term, vote, commit: index })
  }
}
