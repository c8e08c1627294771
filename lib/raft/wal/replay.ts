/** Pure: what a sequence of batches amounts to. The rules by which the log is read back, and checked before it is written. */
import { assert } from '../../base/assert.js'
import type { Entry, HardState } from '../core/state.js'
import type { SnapshotMark, WalBatch } from './batch.js'

/** What the log says after all its records. `entries` follow `snapshot` without a gap. */
export interface WalContents {
  /** Undefined only when nothing was ever written. */
  readonly hardState: HardState | undefined
  readonly snapshot: SnapshotMark | undefined
  readonly entries: readonly Entry[]
}

/** Thrown by `contents` when the records are whole but do not add up. */
export class ReplayError extends Error {
  override readonly name = 'ReplayError'
}

export class Replay {
  #hardState: HardState | undefined
  #snapshot: SnapshotMark | undefined
  /** Entries in order; after a gap only those behind it (the segments before were released). */
  #entries: Entry[] = []

  apply({ snapshot, entries, hardState }: WalBatch): void {
    if (snapshot !== undefined) this.#mark(snapshot)
    if (entries !== undefined) this.#append(entries)
    if (hardState !== undefined) this.#hardState = mergeHardState(this.#hardState, hardState)
  }

  /** @throws {ReplayError} in words for the operator, when entries are missing or the states contradict each other */
  contents(): WalContents {
    const base = this.#snapshot?.index ?? 0
    const entries = this.#entries.filter((entry) => entry.index > base)
    const first = entries[0]
    if (first !== undefined && first.index !== base + 1) {
      throw new ReplayError(`entries ${base + 1} to ${first.index - 1} are missing from the log`)
    }
    const last = entries.at(-1)?.index ?? base
    const commit = this.#hardState?.commit ?? 0
    if (commit > last) throw new ReplayError(`entries ${last + 1} to ${commit} were committed and are missing from the log`)
    if (commit < base) throw new ReplayError(`the snapshot at ${base} is ahead of the commit index ${commit}`)
    return { hardState: this.#hardState, snapshot: this.#snapshot, entries }
  }

  #mark(mark: SnapshotMark): void {
    this.#snapshot = mark
    this.#entries = mark.kind === 'installed' ? [] : this.#entries.filter((entry) => entry.index > mark.index)
  }

  #append(entries: readonly Entry[]): void {
    const first = entries[0]?.index
    if (first === undefined) return
    const kept = first - (this.#entries[0]?.index ?? first)
    if (kept < 0 || kept > this.#entries.length) {
      this.#entries = [...entries]
      return
    }
    this.#entries.length = kept
    for (const entry of entries) this.#entries.push(entry)
  }
}

/** The part of the contents every append needs: to assert what it is given, and to open the next segment with. */
export class WalHead {
  hardState: HardState | undefined
  snapshot: SnapshotMark | undefined
  lastIndex = 0

  /** Asserts that the batch may follow what is there, then takes it in. @throws {SkeinBug} */
  advance({ snapshot, entries = [], hardState }: WalBatch): void {
    if (snapshot !== undefined) {
      assert(snapshot.index >= (this.snapshot?.index ?? 0), 'snapshots only move forward')
      assert(snapshot.kind === 'installed' || snapshot.index <= this.lastIndex, 'a snapshot is taken of entries in the log')
      this.snapshot = snapshot
      if (snapshot.kind === 'installed') this.lastIndex = snapshot.index
    }
    const [first, last] = [entries[0], entries.at(-1)]
    if (first !== undefined && last !== undefined) {
      assert(first.index <= this.lastIndex + 1, 'entries follow the log without a gap')
      assert(first.index > (this.snapshot?.index ?? 0), 'what a snapshot covers is never rewritten')
      this.lastIndex = last.index
    }
    if (hardState !== undefined) {
      assert(hardState.term >= (this.hardState?.term ?? 0), 'terms never fall')
      this.hardState = mergeHardState(this.hardState, hardState)
    }
    // Rule: the durable commit index is never behind a durable snapshot, or a restart would apply beyond it.
    const [commit, marked] = [this.hardState?.commit ?? 0, this.snapshot?.index ?? 0]
    assert(commit >= marked, 'the commit index is never behind the snapshot')
    assert(commit <= this.lastIndex, 'what is committed is in the log')
  }

  /** What a new segment starts with, so that those before it can go. */
  carry(): WalBatch {
    return {
      ...(this.snapshot !== undefined && { snapshot: { ...this.snapshot, kind: 'taken' } as const }),
      ...(this.hardState !== undefined && { hardState: this.hardState }),
    }
  }
}

/** The later one, but a commit index never goes back: a batch queued earlier may carry an older one. */
function mergeHardState(old: HardState | undefined, next: HardState): HardState {
  return { term: next.term, vote: next.vote, commit: Math.max(next.commit, old?.commit ?? 0) }
}
