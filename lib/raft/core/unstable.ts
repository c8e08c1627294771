import { assert } from '../../base/assert.js'
import type { Entry, Snapshot } from './state.js'

/**
 * What the log holds that storage has not confirmed: perhaps a snapshot, then entries from `offset` on.
 * A prefix of it may be in progress: handed out for writing, not yet known to be durable.
 */
export class Unstable {
  snapshot: Snapshot | null = null
  /** Index of `entries[0]`, or of the next entry when there is none. */
  offset: number
  #entries: Entry[] = []
  #offsetInProgress: number
  #snapshotInProgress = false

  constructor(offset: number) {
    this.offset = offset
    this.#offsetInProgress = offset
  }

  get length(): number {
    return this.#entries.length
  }

  /** Index of the last entry or of the snapshot; undefined when both are absent. */
  lastIndex(): number | undefined {
    if (this.#entries.length > 0) return this.offset + this.#entries.length - 1
    return this.snapshot?.index
  }

  /** Undefined when the answer is not here. */
  term(index: number): number | undefined {
    if (index >= this.offset) return this.#entries[index - this.offset]?.term
    return this.snapshot?.index === index ? this.snapshot.term : undefined
  }

  /** Entries [lo, hi), which must be here. */
  slice(lo: number, hi: number): readonly Entry[] {
    assert(this.offset <= lo && lo <= hi && hi <= this.offset + this.#entries.length, 'a slice lies within the unstable entries')
    return this.#entries.slice(lo - this.offset, hi - this.offset)
  }

  /** Entries not yet handed out for writing. */
  nextEntries(): readonly Entry[] {
    return this.#entries.slice(this.#offsetInProgress - this.offset)
  }

  get hasNextEntries(): boolean {
    return this.#offsetInProgress < this.offset + this.#entries.length
  }

  get nextSnapshot(): Snapshot | null {
    return this.#snapshotInProgress ? null : this.snapshot
  }

  /** Everything here has now been handed out for writing. */
  acceptInProgress(): void {
    this.#offsetInProgress = this.offset + this.#entries.length
    if (this.snapshot !== null) this.#snapshotInProgress = true
  }

  /**
   * Entries up to `index` are durable, if the one there is still of `term`: it may have been replaced while the write
   * was under way, and then the write says nothing about its successor.
   */
  stableTo(index: number, term: number): void {
    if (index < this.offset || this.term(index) !== term) return
    this.#entries.splice(0, index + 1 - this.offset)
    this.offset = index + 1
    this.#offsetInProgress = Math.max(this.#offsetInProgress, this.offset)
  }

  stableSnapshotTo(index: number): void {
    if (this.snapshot?.index !== index) return
    this.snapshot = null
    this.#snapshotInProgress = false
  }

  restore(snapshot: Snapshot): void {
    this.offset = snapshot.index + 1
    this.#offsetInProgress = this.offset
    this.#entries = []
    this.snapshot = snapshot
    this.#snapshotInProgress = false
  }

  /** Appends, first dropping whatever the new entries replace. */
  truncateAndAppend(entries: readonly Entry[]): void {
    const first = entries[0]!.index
    if (first <= this.offset) {
      // Also replaces stable entries; storage truncates when it is given the new ones.
      this.#entries = [...entries]
      this.offset = first
      this.#offsetInProgress = first
      return
    }
    assert(first <= this.offset + this.#entries.length, 'appended entries leave no gap')
    this.#entries.length = first - this.offset
    for (let at = 0; at < entries.length; at++) this.#entries.push(entries[at]!)
    this.#offsetInProgress = Math.min(this.#offsetInProgress, first)
  }
}
