import { assert } from '../base/assert.js'
import type { Entry, RaftId, RaftState } from '../raft/core/state.js'
import type { SimDisk } from './sim-disk.js'

/** What the checks have seen of one node. Its log is followed from outside, entry by entry, as the Readys announce it. */
export class NodeView {
  readonly id: RaftId
  readonly disk: SimDisk
  readonly log = new LogView()
  isUp = false
  isRetired = false
  term = 0
  commit = 0
  applied = 0
  role: RaftState = 'StateFollower'
  /** The term in which this node was last seen to lead. */
  ledTerm = 0
  /** Highest match seen per follower, within `matchesTerm`. */
  readonly matches = new Map<RaftId, number>()
  matchesTerm = 0

  constructor(id: RaftId, disk: SimDisk) {
    this.id = id
    this.disk = disk
  }

  get isLeader(): boolean {
    return this.isUp && this.role === 'StateLeader'
  }

  /** Forgets what a crash takes and reads the rest from the disk. */
  restart(): void {
    const { term, commit } = this.disk.hardState
    this.isUp = true
    this.term = term
    this.commit = commit
    this.applied = this.disk.storage.snapshot().index
    this.role = 'StateFollower'
    this.ledTerm = 0
    this.matchesTerm = 0
    this.log.reload(this.disk)
  }

  crash(): void {
    this.isUp = false
  }
}

/** Terms of a log by index, with the places of its configuration changes. */
export class LogView {
  #offset = 0
  #terms: number[] = [0]
  #confIndexes: number[] = []

  get lastIndex(): number {
    return this.#offset + this.#terms.length - 1
  }

  /** The term at `index`; undefined before the snapshot and after the end. */
  termAt(index: number): number | undefined {
    return this.#terms[index - this.#offset]
  }

  /** The last configuration change before `index`; 0 for none known. */
  confIndexBefore(index: number): number {
    for (let at = this.#confIndexes.length - 1; at >= 0; at--) {
      const found = this.#confIndexes[at] as number
      if (found < index) return found
    }
    return 0
  }

  /** Puts the entry at its place; whatever was there and after it is gone. */
  put(entry: Entry): void {
    const at = entry.index - this.#offset
    assert(at > 0 && at <= this.#terms.length, `entry ${entry.index} does not follow a log that ends at ${this.lastIndex}`)
    if (at < this.#terms.length) this.#truncate(at)
    this.#terms.push(entry.term)
    if (entry.type !== 'EntryNormal') this.#confIndexes.push(entry.index)
  }

  reset(index: number, term: number): void {
    this.#offset = index
    this.#terms = [term]
    this.#confIndexes = []
  }

  reload(disk: SimDisk): void {
    const first = disk.storage.firstIndex()
    this.reset(first - 1, disk.storage.term(first - 1))
    if (disk.storage.lastIndex() < first) return
    for (const entry of disk.storage.entries(first, disk.storage.lastIndex() + 1, Number.POSITIVE_INFINITY)) this.put(entry)
  }

  #truncate(at: number): void {
    this.#terms.length = at
    const from = this.#offset + at
    while (this.#confIndexes.length > 0 && (this.#confIndexes.at(-1) as number) >= from) this.#confIndexes.pop()
  }
}
