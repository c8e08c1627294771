import { assert } from '../../base/assert.js'
import type { RaftId } from './state.js'

/**
 * How the leader treats a follower (drawn in raft/README.md):
 * probe: where the logs meet is a guess, one message per heartbeat or answer;
 * replicate: the guess was right, messages stream ahead of the answers;
 * snapshot: the entries are gone, nothing is sent until the snapshot has arrived.
 */
export type ProgressState = 'StateProbe' | 'StateReplicate' | 'StateSnapshot'

/** Bounds of what may be under way to one follower. */
export interface InflightLimits {
  readonly maxMessages: number
  readonly maxBytes: number
}

/** The append messages under way to one follower: last index and size of each, oldest first, in a growing ring. */
export class Inflights {
  readonly #limits: InflightLimits
  #indexes: number[] = []
  #sizes: number[] = []
  #start = 0
  #count = 0
  #bytes = 0

  constructor(limits: InflightLimits) {
    this.#limits = limits
  }

  get count(): number {
    return this.#count
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Full at the message bound, or once the byte bound is reached: one message may step over it, so that a large one can move. */
  get full(): boolean {
    return this.#count >= this.#limits.maxMessages || this.#bytes >= this.#limits.maxBytes
  }

  add(lastIndex: number, sizeBytes: number): void {
    assert(!this.full, 'nothing is added to a full window')
    if (this.#count === this.#indexes.length) this.#grow()
    const at = (this.#start + this.#count) % this.#indexes.length
    this.#indexes[at] = lastIndex
    this.#sizes[at] = sizeBytes
    this.#count++
    this.#bytes += sizeBytes
  }

  /** Forgets every message whose last index is at most `index`: they have all arrived. */
  freeUpTo(index: number): void {
    while (this.#count > 0 && this.#indexes[this.#start]! <= index) {
      this.#bytes -= this.#sizes[this.#start]!
      this.#start = (this.#start + 1) % this.#indexes.length
      this.#count--
    }
  }

  reset(): void {
    this.#start = 0
    this.#count = 0
    this.#bytes = 0
  }

  #grow(): void {
    const capacity = Math.min(Math.max(8, this.#indexes.length * 2), this.#limits.maxMessages)
    const indexes = new Array<number>(capacity).fill(0)
    const sizes = new Array<number>(capacity).fill(0)
    for (let i = 0; i < this.#count; i++) {
      const from = (this.#start + i) % this.#indexes.length
      indexes[i] = this.#indexes[from]!
      sizes[i] = this.#sizes[from]!
    }
    this.#indexes = indexes
    this.#sizes = sizes
    this.#start = 0
  }
}

/** One peer as the leader sees it. Always match < next. */
export class Progress {
  readonly id: RaftId
  readonly inflights: Inflights
  isLearner: boolean
  /** Highest index known to be durable there. */
  match = 0
  /** Index of the next entry to send. */
  next: number
  /** Highest commit index told to this peer; falls back when what was sent is in doubt. */
  sentCommit = 0
  state: ProgressState = 'StateProbe'
  /** Index of the snapshot under way; 0 outside StateSnapshot. */
  pendingSnapshot = 0
  /** Heard from since the last check of the quorum. */
  recentActive = false
  /** Waiting for an answer or a heartbeat before the next append. */
  appendPaused = false

  constructor(id: RaftId, next: number, isLearner: boolean, limits: InflightLimits) {
    this.id = id
    this.next = next
    this.isLearner = isLearner
    this.inflights = new Inflights(limits)
  }

  /** As at the start of a term: nothing is known but the own log. */
  reset(match: number, next: number): void {
    this.#enter('StateProbe')
    this.match = match
    this.next = next
    this.sentCommit = 0
    this.recentActive = false
  }

  becomeProbe(): void {
    // A snapshot that has been sent was probably restored: probe behind it, not at the old match.
    const next = this.state === 'StateSnapshot' ? Math.max(this.match, this.pendingSnapshot) + 1 : this.match + 1
    this.#enter('StateProbe')
    this.next = next
    this.#doubtSentCommit()
  }

  becomeReplicate(): void {
    this.#enter('StateReplicate')
    this.next = this.match + 1
  }

  becomeSnapshot(snapshotIndex: number): void {
    this.#enter('StateSnapshot')
    this.pendingSnapshot = snapshotIndex
    this.next = snapshotIndex + 1
    this.sentCommit = snapshotIndex
  }

  /** The snapshot did not arrive: probe from what is known. */
  abortSnapshot(): void {
    this.pendingSnapshot = 0
    this.becomeProbe()
  }

  /** Notes an append message of `count` entries just sent. */
  sentEntries(count: number, sizeBytes: number): void {
    assert(this.state !== 'StateSnapshot', 'nothing is appended while a snapshot is under way')
    if (this.state === 'StateProbe') {
      if (count > 0) this.appendPaused = true
      return
    }
    if (count > 0) {
      this.next += count
      this.inflights.add(this.next - 1, sizeBytes)
    }
    // At a full window even an empty append is a probe: the next one waits for a heartbeat.
    this.appendPaused = this.inflights.full
  }

  /** True if telling `commit` can move the follower and nothing sent so far moves it as far as its log goes. */
  canBumpCommit(commit: number): boolean {
    return commit > this.sentCommit && this.sentCommit < this.next - 1
  }

  /** The follower has everything up to `index`; false if that is no news. */
  maybeUpdate(index: number): boolean {
    if (index <= this.match) return false
    this.match = index
    this.next = Math.max(this.next, index + 1)
    this.appendPaused = false
    return true
  }

  /** The follower refused an append after `rejected` and guesses the logs meet at `matchHint`; false if the refusal is stale. */
  maybeDecreaseTo(rejected: number, matchHint: number): boolean {
    if (this.state === 'StateReplicate') {
      if (rejected <= this.match) return false
      this.next = this.match + 1
    } else {
      // Probes go one at a time, so an answer to anything but the last one is old.
      if (this.next - 1 !== rejected) return false
      this.next = Math.max(Math.min(rejected, matchHint + 1), this.match + 1)
      this.appendPaused = false
    }
    this.#doubtSentCommit()
    return true
  }

  get paused(): boolean {
    return this.state === 'StateSnapshot' || this.appendPaused
  }

  #enter(state: ProgressState): void {
    this.state = state
    this.appendPaused = false
    this.pendingSnapshot = 0
    this.inflights.reset()
  }

  #doubtSentCommit(): void {
    this.sentCommit = Math.min(this.sentCommit, this.next - 1)
  }
}
