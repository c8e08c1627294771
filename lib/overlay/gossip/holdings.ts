/** Whose rows one process holds in one scope, whose of them are hidden, and of whom nothing is taken any more. Pure. */
import { bucketCount, bucketHashes, bucketOf, fingerprintOf } from './buckets.js'
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
  /** Owners dropped for ever: not listed for others, who hear of it as this process did. */
  readonly #banned = new Set<string>()
  readonly #hiddenSinceMs = new Map<string, number>()
  #changes: RowChange[] = []

  constructor(self: string, epoch: number) {
    this.own = this.open(self, epoch)
  }

  /** Owners held, and refused for some lives: how long a list of where this process stands is. */
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
    if (refusedEpoch === never) {
      this.#banned.add(owner)
      this.#gone.delete(owner)
    } else this.#gone.set(owner, Math.max(refusedEpoch, this.#gone.get(owner) ?? 0))
  }

  /** The last epoch of this owner that is refused. */
  refusedEpoch(owner: string): number | undefined {
    return this.#banned.has(owner) ? never : this.#gone.get(owner)
  }

  /** Whatever this owner says is taken again, unless it was dropped for ever. */
  readmit(owner: string): void {
    this.#gone.delete(owner)
  }

  /** Refused owners are known to the end, so that nobody sends them again. */
  standOf(owner: string): Summary {
    const epoch = this.refusedEpoch(owner)
    if (epoch !== undefined) return { epoch, gc: never, max: never }
    return this.#owners.get(owner)?.summary ?? nothing
  }

  /** Of all or some buckets the own first; of a listed range, `listed` in its order. */
  *inRange(range: Range, listed: ReadonlyMap<string, Summary>): Generator<Keyspace, void> {
    if (range.of !== 'listed') {
      const isInRange = membership(range)
      for (const [owner, keyspace] of this.#owners) if (isInRange(owner)) yield keyspace
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
    const isInRange = membership(range)
    for (const owner of this.#gone.keys()) if (isInRange(owner)) yield { owner, ...this.standOf(owner) }
  }

  /** How many owners a list of each bucket holds. */
  bucketSizes(): Uint32Array {
    const sizes = new Uint32Array(bucketCount)
    for (const owners of [this.#owners, this.#gone]) {
      for (const owner of owners.keys()) {
        const bucket = bucketOf(owner)
        sizes[bucket] = (sizes[bucket] ?? 0) + 1
      }
    }
    return sizes
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

/** Whether an owner belongs to a range that is no list. */
function membership(range: Range): (owner: string) => boolean {
  const buckets = new Set(range.of === 'buckets' ? range.buckets : [])
  return (owner) => range.of === 'all' || buckets.has(bucketOf(owner))
}
