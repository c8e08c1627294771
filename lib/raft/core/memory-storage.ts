import { assert } from '../../base/assert.js'
import { EntryPages } from './entry-pages.js'
import { ErrCompacted, ErrSnapOutOfDate, ErrUnavailable } from './errors.js'
import { EMPTY_CONF } from './membership.js'
import type { ConfState, Entry, HardState, Snapshot, Storage } from './state.js'

/** What a peer finds at its start. */
export interface MemoryStorageStart {
  readonly hardState?: HardState
  /** The newest snapshot; the entries follow it, or overlap it. */
  readonly snapshot?: Snapshot
  readonly entries?: readonly Entry[]
}

/**
 * The trailing window of the log in memory: every entry since the last compaction, and the newest snapshot.
 * The runner keeps it in step with the write-ahead log: an entry appears here once it is durable there.
 */
export class MemoryStorage implements Storage {
  #hardState: HardState | null
  #snapshot: Snapshot
  /** Term of the entry before the window. */
  #baseTerm: number
  #entries: EntryPages

  constructor({ hardState, snapshot, entries = [] }: MemoryStorageStart = {}) {
    this.#hardState = hardState ?? null
    this.#snapshot = snapshot ?? { index: 0, term: 0, confState: EMPTY_CONF, data: new Uint8Array(0) }
    this.#baseTerm = this.#snapshot.term
    this.#entries = new EntryPages(this.#snapshot.index + 1)
    this.append(entries)
  }

  initialState(): { readonly hardState: HardState | null; readonly confState: ConfState } {
    return { hardState: this.#hardState, confState: this.#snapshot.confState }
  }

  firstIndex(): number {
    return this.#entries.firstIndex
  }

  lastIndex(): number {
    return this.#entries.lastIndex
  }

  term(index: number): number {
    const term = this.#entries.term(index)
    if (term !== undefined) return term
    if (index === this.firstIndex() - 1) return this.#baseTerm
    throw index < this.firstIndex() ? ErrCompacted : ErrUnavailable
  }

  entries(lo: number, hi: number, maxBytes: number): readonly Entry[] {
    if (lo < this.firstIndex()) throw ErrCompacted
    if (hi > this.lastIndex() + 1) throw ErrUnavailable
    return this.#entries.slice(lo, hi, maxBytes)
  }

  snapshot(): Snapshot {
    return this.#snapshot
  }

  /** Takes over term, vote and commit; an older record that was queued behind a newer one never lowers the commit index. */
  setHardState(hardState: HardState): void {
    const commit = Math.max(hardState.commit, this.#hardState?.commit ?? 0)
    this.#hardState = { term: hardState.term, vote: hardState.vote, commit }
  }

  /** Appends, replacing what the new entries overlap; those before the window are left out. */
  append(entries: readonly Entry[]): void {
    const skipped = entries.length === 0 ? 0 : Math.max(0, this.firstIndex() - entries[0]!.index)
    if (skipped >= entries.length) return
    const { index } = entries[skipped]!
    assert(index <= this.lastIndex() + 1, 'entries follow the log without a gap')
    this.#entries.truncateFrom(index)
    this.#entries.append(entries, skipped)
  }

  /** Replaces everything by a snapshot received from a leader. @throws {RaftError} ERR_SNAP_OUT_OF_DATE */
  applySnapshot(snapshot: Snapshot): void {
    if (snapshot.index <= this.#snapshot.index) throw ErrSnapOutOfDate
    this.#snapshot = snapshot
    this.#baseTerm = snapshot.term
    this.#entries = new EntryPages(snapshot.index + 1)
  }

  /** Notes a snapshot this peer took of itself; the entries stay until `compact`. @throws {RaftError} ERR_SNAP_OUT_OF_DATE, ERR_UNAVAILABLE */
  setSnapshot(snapshot: Snapshot): void {
    if (snapshot.index <= this.#snapshot.index) throw ErrSnapOutOfDate
    if (snapshot.index > this.lastIndex()) throw ErrUnavailable
    this.#snapshot = snapshot
  }

  /** Drops entries up to `index`, of which the newest snapshot must know. @throws {RaftError} ERR_COMPACTED, ERR_UNAVAILABLE */
  compact(index: number): void {
    if (index < this.firstIndex()) throw ErrCompacted
    if (index > this.lastIndex()) throw ErrUnavailable
    assert(index <= this.#snapshot.index, 'entries are dropped only once a snapshot has them')
    this.#baseTerm = this.term(index)
    this.#entries.dropTo(index)
  }
}
