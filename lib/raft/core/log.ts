import { assert } from '../../base/assert.js'
import { entriesSizeBytes, limitSize } from './entries.js'
import type { Entry, Snapshot, Storage } from './state.js'
import { Unstable } from './unstable.js'

/** The part of an append message that concerns the log. */
export interface AppendSlice {
  readonly prevIndex: number
  readonly prevTerm: number
  readonly entries: readonly Entry[]
}

export interface LogOptions {
  /** Bytes of committed entries that may be handed out and not yet be applied. */
  readonly maxApplyingBytes: number
  /** Whether committed entries may be applied before this peer itself has them on disk (only with synchronous storage). */
  readonly applyUnstable: boolean
}

/**
 * The log of one peer: what storage has, then what it has not confirmed yet.
 * Always applied <= applying <= committed <= lastIndex.
 */
export class RaftLog {
  readonly storage: Storage
  readonly unstable: Unstable
  readonly #options: LogOptions
  /** Highest index known to be on a quorum. */
  committed: number
  /** Highest index handed out to be applied. */
  applying: number
  /** Highest index known to be applied. */
  applied: number
  #applyingBytes = 0
  #applyingPaused = false

  constructor(storage: Storage, options: LogOptions) {
    this.storage = storage
    this.#options = options
    const compacted = storage.firstIndex() - 1
    this.unstable = new Unstable(storage.lastIndex() + 1)
    this.committed = compacted
    this.applying = compacted
    this.applied = compacted
  }

  firstIndex(): number {
    return this.unstable.snapshot === null ? this.storage.firstIndex() : this.unstable.snapshot.index + 1
  }

  lastIndex(): number {
    return this.unstable.lastIndex() ?? this.storage.lastIndex()
  }

  lastTerm(): number {
    const term = this.term(this.lastIndex())
    assert(term !== undefined, 'the term of the last entry is known')
    return term
  }

  /** Term of the entry at `index`; undefined if it is compacted away or not there yet. Known from firstIndex-1 to lastIndex. */
  term(index: number): number | undefined {
    const term = this.unstable.term(index)
    if (term !== undefined) return term
    if (index < this.firstIndex() - 1 || index > this.lastIndex()) return undefined
    return this.storage.term(index)
  }

  matches(index: number, term: number): boolean {
    return this.term(index) === term
  }

  /** Thesis §3.6.1: the log with the later last term is more up to date, then the longer one. */
  isUpToDate(lastIndex: number, lastTerm: number): boolean {
    const ourTerm = this.lastTerm()
    return lastTerm > ourTerm || (lastTerm === ourTerm && lastIndex >= this.lastIndex())
  }

  /** Entries [lo, hi) within `maxBytes`, at least one if there is any. `lo` must not be compacted. */
  slice(lo: number, hi: number, maxBytes: number): readonly Entry[] {
    assert(lo >= this.firstIndex() && hi <= this.lastIndex() + 1, `entries [${lo}, ${hi}) are in the log`)
    if (lo >= hi) return []
    const { offset } = this.unstable
    if (lo >= offset) return limitSize(this.unstable.slice(lo, hi), maxBytes)
    const cut = Math.min(hi, offset)
    const stable = this.storage.entries(lo, cut, maxBytes)
    if (hi <= offset || stable.length < cut - lo) return stable
    const usedBytes = entriesSizeBytes(stable)
    if (usedBytes >= maxBytes) return stable
    const rest = limitSize(this.unstable.slice(offset, hi), maxBytes - usedBytes)
    // limitSize gives at least one entry, but here there are already others.
    if (rest.length === 1 && usedBytes + entriesSizeBytes(rest) > maxBytes) return stable
    return stable.concat(rest)
  }

  /** Entries from `lo` on, within `maxBytes`. */
  entriesFrom(lo: number, maxBytes: number): readonly Entry[] {
    return this.slice(lo, this.lastIndex() + 1, maxBytes)
  }

  /**
   * Appends a leader's entries if the logs meet before them; returns the last index known to match then, else undefined.
   * Only a conflicting suffix is dropped: a duplicate or late message must not cut off entries that came after it.
   */
  maybeAppend({ prevIndex, prevTerm, entries }: AppendSlice, leaderCommit: number): number | undefined {
    if (!this.matches(prevIndex, prevTerm)) return undefined
    const lastNew = prevIndex + entries.length
    const conflict = this.#findConflict(entries)
    if (conflict !== undefined) {
      assert(conflict > this.committed, `entry ${conflict} is committed and conflicts with none`)
      this.append(conflict === prevIndex + 1 ? entries : entries.slice(conflict - prevIndex - 1))
    }
    // Not past the last new entry: what lies behind it may still differ from the leader's log.
    this.commitTo(Math.min(leaderCommit, lastNew))
    return lastNew
  }

  append(entries: readonly Entry[]): void {
    if (entries.length === 0) return
    assert(entries[0]!.index > this.committed, 'committed entries are never replaced')
    this.unstable.truncateAndAppend(entries)
  }

  /** Index of the first entry we do not have in that term; undefined if we have them all. */
  #findConflict(entries: readonly Entry[]): number | undefined {
    for (let at = 0; at < entries.length; at++) {
      const { index, term } = entries[at]!
      if (!this.matches(index, term)) return index
    }
    return undefined
  }

  /**
   * The last index at most `index` whose term is at most `term`: the logs cannot meet behind it. With it goes its term,
   * 0 if unknown. One refused probe so skips all entries of a diverged term (thesis §3.5, the optimisation at its end).
   */
  findConflictByTerm(index: number, term: number): { readonly index: number; readonly term: number } {
    for (let at = index; at > 0; at--) {
      const ours = this.term(at)
      if (ours === undefined) return { index: at, term: 0 }
      if (ours <= term) return { index: at, term: ours }
    }
    return { index: 0, term: 0 }
  }

  commitTo(index: number): void {
    if (index <= this.committed) return
    const last = this.lastIndex()
    assert(index <= last, `commit index ${index} is in the log, which ends at ${last}: was it truncated or lost?`)
    this.committed = index
  }

  /** Commits up to `index` if the entry there is of `term` (thesis §3.6.2: only entries of the own term commit by counting). */
  maybeCommit(index: number, term: number): boolean {
    if (index <= this.committed || !this.matches(index, term)) return false
    this.commitTo(index)
    return true
  }

  /** Committed entries to hand out next, within the bound of what may be under way. */
  nextCommitted(): readonly Entry[] {
    if (!this.hasNextCommitted) return []
    return this.slice(this.applying + 1, this.#maxAppliable() + 1, this.#options.maxApplyingBytes - this.#applyingBytes)
  }

  get hasNextCommitted(): boolean {
    // A snapshot must be in place before entries behind it are applied.
    return !this.#applyingPaused && !this.hasSnapshotPending && this.applying < this.#maxAppliable()
  }

  /** A restored snapshot is not yet known to be durable and applied. */
  get hasSnapshotPending(): boolean {
    return this.unstable.snapshot !== null
  }

  #maxAppliable(): number {
    return this.#options.applyUnstable ? this.committed : Math.min(this.committed, this.unstable.offset - 1)
  }

  /** Notes that entries up to `index`, `sizeBytes` of them new, were handed out to be applied. */
  acceptApplying(index: number, sizeBytes: number): void {
    assert(index <= this.committed, 'only committed entries are applied')
    this.applying = index
    this.#applyingBytes += sizeBytes
    // Stopping short of what was appliable means that the next entry does not fit.
    this.#applyingPaused = this.#applyingBytes >= this.#options.maxApplyingBytes || index < this.#maxAppliable()
  }

  appliedTo(index: number, sizeBytes: number): void {
    assert(
      this.applied <= index && index <= this.committed,
      `applied index ${index} lies in [${this.applied}, ${this.committed}]`,
    )
    this.applied = index
    this.applying = Math.max(this.applying, index)
    this.#applyingBytes = Math.max(0, this.#applyingBytes - sizeBytes)
    this.#applyingPaused = this.#applyingBytes >= this.#options.maxApplyingBytes
  }

  /** The snapshot to send to a peer whose next entry is gone. */
  snapshot(): Snapshot {
    return this.unstable.snapshot ?? this.storage.snapshot()
  }

  restore(snapshot: Snapshot): void {
    this.committed = snapshot.index
    this.unstable.restore(snapshot)
  }

  /** Visits entries [lo, hi) a page at a time until `found` says so; true if it did. */
  some(lo: number, hi: number, found: (entry: Entry) => boolean): boolean {
    for (let at = lo; at < hi; ) {
      const page = this.slice(at, hi, this.#options.maxApplyingBytes)
      assert(page.length > 0, 'a page holds at least one entry')
      if (page.some(found)) return true
      at += page.length
    }
    return false
  }
}
