import { hashText } from '../../base/hash.js'
import type { NodeId } from '../../base/ids.js'
import { below, type Random } from '../../base/random.js'
import { hashRecord, isHere, type MemberRecord } from './member.js'

/** Parts of the digest: a difference in one record shows in one of them. */
export const bucketCount = 256
/** The most parts a table is told in, where buckets of a large group do not fit into packets. Whose ids share so much of their hash still do not. */
export const finestCount = 2 ** 15

/** Slots to a page: one change copies one page, and everybody's list of pages stays short. */
const pageBits = 6
const pageMask = (1 << pageBits) - 1

type Page = (MemberRecord | undefined)[]

/** Members as they were known at one moment; never changes, so that many tables may stand on one. */
export class Roster {
  static readonly empty = new Roster([])
  /** Sorted by id. */
  readonly records: readonly MemberRecord[]
  /** By slot: those of a bucket stand together, so that reading one touches little memory. */
  readonly pages: readonly (readonly MemberRecord[])[]
  /** Slots in the order of ids. */
  readonly ring: Uint32Array
  /** The slot at which each bucket begins, and the end of the last. */
  readonly shelves: Uint32Array
  readonly buckets: Uint32Array
  readonly digest: number
  readonly hereCount: number
  readonly deadCount: number
  /** The dead and the left. */
  readonly gone: readonly MemberRecord[]
  readonly #slots: ReadonlyMap<NodeId, number>

  constructor(records: readonly MemberRecord[]) {
    this.records = [...records].sort((one, other) => (one.id < other.id ? -1 : 1))
    const shelved = this.records.map((record, place) => ({ record, place, bucket: bucketOf(record.id) }))
    shelved.sort((one, other) => one.bucket - other.bucket || one.place - other.place)
    this.#slots = new Map(shelved.map(({ record }, slot) => [record.id, slot]))
    this.ring = new Uint32Array(shelved.length)
    this.shelves = new Uint32Array(bucketCount + 1)
    for (const [slot, { place, bucket }] of shelved.entries()) {
      this.ring[place] = slot
      this.shelves[bucket + 1] = slot + 1
    }
    for (let at = 1; at <= bucketCount; at++)
      this.shelves[at] = Math.max(this.shelves[at] as number, this.shelves[at - 1] as number)
    const pageCount = Math.ceil(shelved.length / (1 << pageBits))
    const pageOf = (at: number): MemberRecord[] => shelved.slice(at << pageBits, (at + 1) << pageBits).map(({ record }) => record)
    this.pages = Array.from({ length: pageCount }, (_, at) => pageOf(at))
    this.buckets = new Uint32Array(bucketCount)
    let digest = 0
    for (const record of this.records) {
      const idHash = hashText(record.id)
      const hash = hashRecord(record, idHash)
      toggle(this.buckets, idHash, hash)
      digest ^= hash
    }
    this.digest = digest >>> 0
    this.gone = this.records.filter((record) => !isHere(record))
    this.hereCount = this.records.length - this.gone.length
    this.deadCount = this.records.filter(isDead).length
  }

  slotOf(id: NodeId): number | undefined {
    return this.#slots.get(id)
  }

  /** The first place on the ring that is not before this id. */
  placeOf(id: NodeId): number {
    return firstFrom(this.records, id, (record) => record.id)
  }

  get(id: NodeId): MemberRecord | undefined {
    const slot = this.#slots.get(id)
    return slot === undefined ? undefined : this.pages[slot >> pageBits]?.[slot & pageMask]
  }
}

/**
 * Who is in, as one member sees it: a roster, what changed since, and who came since. Places number them for random choice: those of the
 * roster by its ring, the order of ids (ids are random, so neighbours on it have nothing else in common), then who came since.
 */
export class MemberTable {
  readonly #roster: Roster
  /** Records by slot, those of the roster first; a page is the roster's own until something on it changes. */
  readonly #pages: (readonly (MemberRecord | undefined)[])[]
  readonly #addedSlots = new Map<NodeId, number>()
  /** Those that came since, sorted by id. */
  readonly #addedRing: NodeId[] = []
  readonly #addedShelves = new Map<number, Set<NodeId>>()
  readonly #free: number[] = []
  readonly #buckets: Uint32Array
  #slotCount: number
  #size: number
  #hereCount: number
  #deadCount: number
  #digest: number

  constructor(roster: Roster = Roster.empty) {
    this.#roster = roster
    this.#pages = roster.pages.slice()
    this.#buckets = roster.buckets.slice()
    this.#digest = roster.digest
    this.#slotCount = roster.records.length
    this.#size = this.#slotCount
    this.#hereCount = roster.hereCount
    this.#deadCount = roster.deadCount
  }

  /** Places, some of them empty. */
  get places(): number {
    return this.#slotCount
  }

  /** Members known, whatever their state. */
  get size(): number {
    return this.#size
  }

  /** Members alive or suspect. */
  get hereCount(): number {
    return this.#hereCount
  }

  get deadCount(): number {
    return this.#deadCount
  }

  get buckets(): Uint32Array {
    return this.#buckets
  }

  /** Equal on two tables that hold the same of those who are here: 32 bits of all their records together. */
  get digest(): number {
    return this.#digest
  }

  get(id: NodeId): MemberRecord | undefined {
    const slot = this.#slotOf(id)
    return slot === undefined ? undefined : this.#in(slot)
  }

  at(place: number): MemberRecord | undefined {
    // Who came since has the same number for both.
    return this.#in(this.#roster.ring[place] ?? place)
  }

  /** Adds a member or replaces what was known of it. */
  set(record: MemberRecord): void {
    const slot = this.#slotOf(record.id)
    const before = slot === undefined ? undefined : this.#in(slot)
    this.#account(before, record)
    if (slot === undefined) this.#add(record)
    else this.#put(slot, record)
  }

  /** Forgets a member altogether. */
  delete(id: NodeId): void {
    const slot = this.#slotOf(id)
    const before = slot === undefined ? undefined : this.#in(slot)
    if (slot === undefined || before === undefined) return
    this.#account(before, undefined)
    this.#put(slot, undefined)
    if (slot < this.#roster.records.length) return
    this.#addedSlots.delete(id)
    this.#addedShelves.get(bucketOf(id))?.delete(id)
    this.#addedRing.splice(firstFrom(this.#addedRing, id), 1)
    this.#free.push(slot)
  }

  *[Symbol.iterator](): Iterator<MemberRecord> {
    for (let place = 0; place < this.places; place++) {
      const record = this.at(place)
      if (record !== undefined) yield record
    }
  }

  /** A random member that passes, found without looking at all of them unless few pass. */
  random(random: Random, passes: (record: MemberRecord) => boolean): MemberRecord | undefined {
    const { places } = this
    if (places === 0) return undefined
    for (let tries = 0; tries < 16; tries++) {
      const record = this.at(below(random, places))
      if (record !== undefined && passes(record)) return record
    }
    const start = below(random, places)
    for (let step = 0; step < places; step++) {
      const record = this.at((start + step) % places)
      if (record !== undefined && passes(record)) return record
    }
    return undefined
  }

  /** The next `count` members on the ring after `id` that are here, or of which more is asked. */
  successors(id: NodeId, count: number, passes = isHere): MemberRecord[] {
    return this.#neighbours({ id, count, passes, step: 1 })
  }

  /** The `count` members on the ring before `id` that are here, or of which more is asked. */
  predecessors(id: NodeId, count: number, passes = isHere): MemberRecord[] {
    return this.#neighbours({ id, count, passes, step: -1 })
  }

  /** What stands in one bucket of a digest of `count` buckets. */
  inBucket(bucket: number, count: number): MemberRecord[] {
    const found: MemberRecord[] = []
    for (let at = bucket; at < bucketCount; at += count) {
      const end = this.#roster.shelves[at + 1] as number
      for (let slot = this.#roster.shelves[at] as number; slot < end; slot++) {
        const record = this.#in(slot)
        if (record !== undefined) found.push(record)
      }
      for (const id of this.#addedShelves.get(at) ?? []) found.push(this.get(id) as MemberRecord)
    }
    return found
  }

  /** What stands in some buckets of a digest of `count`, which may be more than a table sums up. */
  inBuckets(buckets: Iterable<number>, count: number): MemberRecord[] {
    const asked = new Set(buckets)
    if (count <= bucketCount) return [...asked].flatMap((bucket) => this.inBucket(bucket, count))
    const coarse = new Set([...asked].map((bucket) => bucket % bucketCount))
    const near = [...coarse].flatMap((bucket) => this.inBucket(bucket, bucketCount))
    return near.filter(({ id }) => asked.has(bucketOf(id, count)))
  }

  #neighbours(stretch: Stretch): MemberRecord[] {
    const { id, count, step } = stretch
    const found = nearest(this.#roster.records.length, this.#roster.placeOf(id), stretch, (place) => this.at(place))
    const ring = this.#addedRing
    if (ring.length === 0) return found
    const added = nearest(ring.length, firstFrom(ring, id), stretch, (place) => this.get(ring[place] as NodeId))
    const isWrapped = (other: NodeId): boolean => (step === 1 ? other < id : other > id)
    const inOrder = (one: MemberRecord, other: MemberRecord): number =>
      Number(isWrapped(one.id)) - Number(isWrapped(other.id)) || (one.id < other.id ? -step : step)
    return [...found, ...added].sort(inOrder).slice(0, count)
  }

  #slotOf(id: NodeId): number | undefined {
    return this.#roster.slotOf(id) ?? this.#addedSlots.get(id)
  }

  #in(slot: number): MemberRecord | undefined {
    return this.#pages[slot >> pageBits]?.[slot & pageMask]
  }

  #put(slot: number, record: MemberRecord | undefined): void {
    const at = slot >> pageBits
    const page = this.#pages[at]
    const own = page === undefined || page === this.#roster.pages[at] ? (page?.slice() ?? []) : (page as Page)
    own[slot & pageMask] = record
    this.#pages[at] = own
  }

  #add(record: MemberRecord): void {
    const slot = this.#free.pop() ?? this.#slotCount++
    this.#addedSlots.set(record.id, slot)
    this.#put(slot, record)
    this.#addedRing.splice(firstFrom(this.#addedRing, record.id), 0, record.id)
    const bucket = bucketOf(record.id)
    const shelf = this.#addedShelves.get(bucket)
    if (shelf === undefined) this.#addedShelves.set(bucket, new Set([record.id]))
    else shelf.add(record.id)
  }

  #account(before: MemberRecord | undefined, after: MemberRecord | undefined): void {
    const idHash = hashText(((after ?? before) as MemberRecord).id)
    const change = (before === undefined ? 0 : hashRecord(before, idHash)) ^ (after === undefined ? 0 : hashRecord(after, idHash))
    toggle(this.#buckets, idHash, change)
    this.#digest = (this.#digest ^ change) >>> 0
    this.#size += Number(after !== undefined) - Number(before !== undefined)
    this.#hereCount += Number(after !== undefined && isHere(after)) - Number(before !== undefined && isHere(before))
    this.#deadCount += Number(after !== undefined && isDead(after)) - Number(before !== undefined && isDead(before))
  }
}

function isDead({ state }: MemberRecord): boolean {
  return state === 'dead'
}

interface Stretch {
  readonly id: NodeId
  readonly count: number
  readonly step: 1 | -1
  readonly passes: (record: MemberRecord) => boolean
}

/** Walks a ring of `size` places from where `id` is, or would be, until it has met `count` others that pass. */
function nearest(
  size: number,
  first: number,
  { id, count, step, passes }: Stretch,
  recordAt: (place: number) => MemberRecord | undefined,
): MemberRecord[] {
  const found: MemberRecord[] = []
  let place = step === 1 ? first : first - 1
  for (let walked = 0; walked < size && found.length < count; walked++, place += step) {
    if (place >= size) place -= size
    else if (place < 0) place += size
    const record = recordAt(place)
    if (record !== undefined && record.id !== id && passes(record)) found.push(record)
  }
  return found
}

export function bucketOf(id: NodeId, count = bucketCount): number {
  return hashText(id) % count
}

/** Buckets come in powers of two: so a bucket of few is the sum of some of many. */
export function isBucketing(count: number, most: number): boolean {
  return Number.isInteger(Math.log2(count)) && count <= most
}

/** A digest of fewer buckets: each sums up those that share its remainder. */
export function foldBuckets(buckets: Uint32Array, count: number): Uint32Array {
  const folded = new Uint32Array(count)
  for (let at = 0; at < buckets.length; at++) folded[at % count] = (folded[at % count] as number) ^ (buckets[at] as number)
  return folded
}

function toggle(buckets: Uint32Array, idHash: number, change: number): void {
  const at = idHash % bucketCount
  buckets[at] = (buckets[at] as number) ^ change
}

/** The first place in a sorted list whose id is not below. */
function firstFrom<T>(sorted: readonly T[], id: NodeId, idOf: (item: T) => NodeId = (item) => item as NodeId): number {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (idOf(sorted[middle] as T) < id) low = middle + 1
    else high = middle
  }
  return low
}
