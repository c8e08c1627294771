/** Whose rows one process holds in one scope, whose of them are hidden, and of whom nothing is taken any more. Pure. */
import { bucketHashes, bucketOf, fingerprintOf } from './buckets.js'
import { Keyspace, nothing, type RowChange, type Summary } from './keyspace.js'
import type { OwnerSummary, Range } from './messages.js'

/** Epoch of one who may never come back. */
export const never = Number.MAX_SAFE_INTEGER

export class Holdings {
  /** The rows this process writes. */
  readonly own: Keyspace
  readonly #owners = new Map<string, Keyspace>()
  /** Owners dropped, with the last epoch that is refused. */
  readonly #gone = new Map<string, number>()
  readonly #hiddenSinceMs = new Map<string, number>()
  #changes: RowChange[] = []

  constructor(self: string, epoch: number) {
    this.own = this.open(self, epoch)
  }

  /** Owners held, and refused: how long a list of where this process stands is. */
  get size(): number {
    return this.#owners.size + this.#gone.size
  }

  /** Owners held. */
  get heldCount(): number {
    return this.#owners.size
  }

  get(owner: string): Keyspace | undefined {
    return this.#owners.get(owner)
  }

  /** Begins to hold an owner's rows. */
  open(owner: string, epoch: number): Keyspace {
    const keyspace = new Keyspace(owner, epoch, (change) => {
      if (!this.#hiddenSinceMs.has(owner)) this.#changes.push(change)
    })
    this.#owners.set(owner, keyspace)
    return keyspace
  }

  /** Visible changes since the last call, in order. */
  takeChanges(): readonly RowChange[] {
    const changes = this.#changes
    this.#changes = []
    return changes
  }

  /** The own first; a copy, so that some of them may be dropped meanwhile. */
  owners(): readonly string[] {
    return [...this.#owners.keys()]
  }

  isHidden(owner: string): boolean {
    return this.#hiddenSinceMs.has(owner)
  }

  hide(owner: string, nowMs: number): void {
    if (this.#hiddenSinceMs.has(owner)) return
    for (const { table, key, value } of this.#owners.get(owner)?.rows() ?? [])
      this.#changes.push({ owner, table, key, prev: value, next: undefined })
    this.#hiddenSinceMs.set(owner, nowMs)
  }

  reveal(owner: string): void {
    if (!this.#hiddenSinceMs.delete(owner)) return
    for (const { table, key, value } of this.#owners.get(owner)?.rows() ?? [])
      this.#changes.push({ owner, table, key, prev: undefined, next: value })
  }

  /** Owners hidden for so long. */
  hiddenFor(ms: number, nowMs: number): readonly string[] {
    return [...this.#hiddenSinceMs].filter(([, sinceMs]) => nowMs - sinceMs >= ms).map(([owner]) => owner)
  }

  forget(owner: string): void {
    this.#owners.get(owner)?.clear()
    this.#owners.delete(owner)
    this.#hiddenSinceMs.delete(owner)
  }

  /** Forgets an owner, and refuses it up to this epoch. */
  drop(owner: string, refusedEpoch: number): void {
    this.forget(owner)
    this.#gone.set(owner, Math.max(refusedEpoch, this.#gone.get(owner) ?? 0))
  }

  /** The last epoch of this owner that is refused. */
  refusedEpoch(owner: string): number | undefined {
    return this.#gone.get(owner)
  }

  /** Whatever this owner says is taken again. */
  readmit(owner: string): void {
    this.#gone.delete(owner)
  }

  /** Refused owners are known to the end, so that nobody sends them again. */
  standOf(owner: string): Summary {
    const epoch = this.#gone.get(owner)
    if (epoch !== undefined) return { epoch, gc: never, max: never }
    return this.#owners.get(owner)?.summary ?? nothing
  }

  /** Of all or some buckets the own first; of a listed range, `listed` in its order. */
  *inRange(range: Range, listed: ReadonlyMap<string, Summary>): Generator<Keyspace, void> {
    if (range.of !== 'listed') {
      for (const [owner, keyspace] of this.#owners) if (isIn(range, owner)) yield keyspace
      return
    }
    for (const owner of listed.keys()) {
      const keyspace = this.#owners.get(owner)
      if (keyspace !== undefined) yield keyspace
    }
  }

  /** Where this process stands; in a listed range only with itself. */
  *summaries(range: Range): Generator<OwnerSummary, void> {
    for (const { owner, summary } of this.inRange(range, new Map([[this.own.owner, nothing]]))) yield { owner, ...summary }
    if (range.of === 'listed') return
    for (const owner of this.#gone.keys()) if (isIn(range, owner)) yield { owner, ...this.standOf(owner) }
  }

  /** Equal, but for 2^-64, where the same rows are held. Who is refused does not count: one that came later never heard of them. */
  fingerprint(): Uint8Array {
    return fingerprintOf(this.#owners.values())
  }

  /** The same for each bucket of owners. */
  bucketHashes(): Uint8Array {
    return bucketHashes(this.#owners.values())
  }
}

function isIn(range: Range, owner: string): boolean {
  return range.of === 'all' || (range.of === 'buckets' && range.buckets.includes(bucketOf(owner)))
}
