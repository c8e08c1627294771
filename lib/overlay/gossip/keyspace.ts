import { assert } from '../../base/assert.js'
import { type Hash, summaryHash } from './buckets.js'

/** How far a holder has come in one owner's rows. */
export interface Summary {
  /** Number of the start of the owner's process: a later one replaces everything of an earlier one. */
  readonly epoch: number
  /** Tombstones up to this version are forgotten. */
  readonly gc: number
  /** Everything up to this version is known. */
  readonly max: number
}

/** Of nobody nothing is known. */
export const nothing: Summary = { epoch: 0, gc: 0, max: 0 }

export interface Row {
  readonly table: string
  readonly key: string
  readonly version: number
  /** undefined: a tombstone. */
  readonly value: Uint8Array | undefined
}

/** All rows of one owner whose version is in (from, to], each with its last value only. */
export interface Delta {
  readonly owner: string
  readonly epoch: number
  readonly from: number
  readonly to: number
  readonly gc: number
  /** Where the sender stands itself; beyond `to` there is more. */
  readonly max: number
  /** The receiver missed tombstones that are forgotten by now: what it has and is not told again by `max` is gone. */
  readonly reset: boolean
  readonly rows: readonly Row[]
}

export interface RowChange {
  readonly owner: string
  readonly table: string
  readonly key: string
  readonly prev: Uint8Array | undefined
  readonly next: Uint8Array | undefined
}

/** What came of a delta: `gap` means that rows before it are missing here. */
export type Applied = 'news' | 'known' | 'old' | 'gap'

/** Bytes a row takes in a message, about. */
export function rowBytes({ table, key, value }: Row): number {
  return table.length + key.length + (value?.length ?? 0) + 16
}

/** The same for a delta; what is not its rows never takes more. */
export function deltaBytes({ owner, rows }: Delta): number {
  return rows.reduce((sum, row) => sum + rowBytes(row), 100 + owner.length)
}

/** Above all versions of any owner: one that has begun the same life by itself learns from it that it must begin another. */
const retractedMax = 2 ** 48

/** Past so many superseded entries the log is written anew. */
const logSlack = 64

/**
 * The rows of one owner in one scope. Only the owner writes, so its versions order everything and no two writers can disagree.
 * Source: van Renesse et al. 2008 (Scuttlebutt), with the reset of chitchat's ALGORITHM.md.
 */
export class Keyspace {
  readonly owner: string
  #epoch: number
  #gc = 0
  #max = 0
  #rows = new Map<string, Row>()
  /** Of these the tombstones, in order of versions. */
  readonly #tombstones = new Map<string, Row>()
  /** Every row at its place, in order of versions; an entry whose row has moved on is skipped. */
  #log: Row[] = []
  #bytes = 0
  /** During a reset: live rows that were known before and are not confirmed yet. Still shown, so that nothing blinks. */
  #doubtful: Map<string, Row> | undefined
  #doubtfulBytes = 0
  /** The reset is over when this version is reached. */
  #doubtUntil = 0
  /** The owner's own: when each tombstone was set. */
  readonly #deletedAtMs = new Map<string, number>()
  /** Of where it stood when last asked. */
  #hashed: { readonly at: Summary; readonly hash: Hash } | undefined
  readonly #changed: (change: RowChange) => void

  /** @param changed told of every visible change, synchronously */
  constructor(owner: string, epoch: number, changed: (change: RowChange) => void) {
    this.owner = owner
    this.#epoch = epoch
    this.#changed = changed
  }

  /** False in the middle of a reset: then it would tell others less than they may know. */
  get isWhole(): boolean {
    return this.#doubtful === undefined
  }

  /** What its rows weigh, tombstones and live ones that a reset has put in doubt among them. */
  get sizeBytes(): number {
    return this.#bytes + this.#doubtfulBytes
  }

  /** The same rows, counted. */
  get size(): number {
    return this.#rows.size + (this.#doubtful?.size ?? 0)
  }

  get summary(): Summary {
    return { epoch: this.#epoch, gc: this.#gc, max: this.#max }
  }

  /** Of where it stands. */
  get hash(): Hash {
    const { epoch, gc, max } = this.#hashed?.at ?? nothing
    if (this.#hashed === undefined || epoch !== this.#epoch || gc !== this.#gc || max !== this.#max)
      this.#hashed = { at: this.summary, hash: summaryHash(this.owner, this.summary) }
    return this.#hashed.hash
  }

  /** Without live rows. */
  get isEmpty(): boolean {
    return this.#rows.size === this.#tombstones.size && (this.#doubtful?.size ?? 0) === 0
  }

  get(table: string, key: string): Uint8Array | undefined {
    return this.#visible(nameOf(table, key))?.value
  }

  /** Live rows. */
  *rows(): Generator<Row, void> {
    for (const row of this.#rows.values()) if (row.value !== undefined) yield row
    if (this.#doubtful !== undefined) yield* this.#doubtful.values()
  }

  /** The owner's own write. An equal value is no write. */
  write(table: string, key: string, value: Uint8Array): void {
    const was = this.get(table, key)
    if (was !== undefined && Buffer.compare(was, value) === 0) return
    this.#deletedAtMs.delete(nameOf(table, key))
    this.#put({ table, key, version: this.#max + 1, value })
  }

  /** The owner's own. Nobody who was away may bring the row back: a tombstone stays until `purge`. */
  remove(table: string, key: string, nowMs: number): void {
    if (this.get(table, key) === undefined) return
    this.#deletedAtMs.set(nameOf(table, key), nowMs)
    this.#put({ table, key, version: this.#max + 1, value: undefined })
  }

  /** The owner's own: forgets tombstones older than the grace; whoever did not hear of them by now is reset. */
  purge(nowMs: number, graceMs: number): void {
    let gc = this.#gc
    for (const [name, atMs] of this.#deletedAtMs) {
      if (nowMs - atMs < graceMs) break // set in order of time
      gc = Math.max(gc, this.#rows.get(name)?.version ?? 0)
    }
    this.#forgetTombstones(gc)
  }

  /** The owner found a later life of itself: it begins anew above that, with the rows it has. */
  beginAgain(epoch: number): void {
    assert(epoch > this.#epoch, 'epochs only rise')
    const live = [...this.rows()]
    this.#forgetAll(epoch)
    for (const row of live) {
      this.#max++
      this.#place({ ...row, version: this.#max })
    }
  }

  /** What somebody who stands at `peer` lacks, up to about so many bytes and at least one row; undefined when nothing. */
  deltaFor(peer: Summary, budgetBytes: number): Delta | undefined {
    if (!this.isWhole) return undefined
    const isSameLife = peer.epoch === this.#epoch
    // One that has more, and forgot less, learns what it may forget when we have what it has.
    const hasAll = peer.max > this.#max || (peer.max === this.#max && peer.gc >= this.#gc)
    if (peer.epoch > this.#epoch || (isSameLife && hasAll)) return undefined
    const reset = isSameLife && peer.max < this.#gc && peer.gc < this.#gc
    const delta = this.deltaSince(isSameLife && !reset ? peer.max : 0, budgetBytes)
    return reset ? { ...delta, reset } : delta
  }

  /** What follows on a version, up to about so many bytes and at least one row. */
  deltaSince(from: number, budgetBytes: number): Delta {
    const rows: Row[] = []
    let bytes = 0
    let to = this.#max
    for (let at = this.#firstAfter(from); at < this.#log.length; at++) {
      const row = this.#log[at] as Row
      if (this.#rows.get(nameOf(row.table, row.key)) !== row) continue
      const size = rowBytes(row)
      if (rows.length > 0 && bytes + size > budgetBytes) {
        to = rows.at(-1)?.version ?? from
        break
      }
      rows.push(row)
      bytes += size
    }
    return {
      owner: this.owner,
      epoch: this.#epoch,
      from,
      to: Math.max(to, from),
      gc: this.#gc,
      max: this.#max,
      reset: false,
      rows,
    }
  }

  /** Takes what another holder, or the owner, told. */
  apply(delta: Delta): Applied {
    if (delta.epoch < this.#epoch) return 'old'
    if (delta.epoch > this.#epoch) {
      if (delta.from > 0) return 'gap'
      this.#newLife(delta.epoch)
    } else if (delta.reset && this.#max < delta.gc && this.#gc < delta.gc) this.#doubt(delta.gc)
    else if (delta.from > this.#max || this.#missedTombstones(delta)) return 'gap'
    const was = this.#max
    for (const row of delta.rows) if (row.version > was) this.#put(row)
    this.#max = Math.max(this.#max, delta.to)
    if (this.#doubtful !== undefined) {
      // What was overwritten meanwhile comes under its new version, further on.
      this.#doubtUntil = Math.max(this.#doubtUntil, delta.max)
      if (this.#max >= this.#doubtUntil) this.#sweep()
    }
    if (this.#max >= delta.gc) this.#forgetTombstones(delta.gc)
    return this.#max > was ? 'news' : 'known'
  }

  /** Takes every row away for all who hold it: a life of its owner that the owner did not begin, and will outbid if it still writes. */
  retract(): void {
    this.#newLife(this.#epoch + 1)
    this.#max = retractedMax
  }

  /** Takes every row away. */
  clear(): void {
    this.#newLife(this.#epoch)
  }

  /** Rows deleted after what is known here may be missing from the delta without a trace. */
  #missedTombstones({ gc }: Delta): boolean {
    return this.#max > 0 && this.#max < gc && this.#gc < gc
  }

  #put(row: Row): void {
    const name = nameOf(row.table, row.key)
    const prev = this.#visible(name)?.value
    this.#place(row)
    this.#believe(name)
    this.#max = Math.max(this.#max, row.version)
    this.#tell(row, prev, row.value)
  }

  #place(row: Row): void {
    const name = nameOf(row.table, row.key)
    const before = this.#rows.get(name)
    this.#bytes += rowBytes(row) - (before === undefined ? 0 : rowBytes(before))
    this.#rows.set(name, row)
    this.#tombstones.delete(name)
    if (row.value === undefined) this.#tombstones.set(name, row)
    this.#log.push(row)
    this.#compact()
  }

  #believe(name: string): void {
    const doubted = this.#doubtful?.get(name)
    if (doubted === undefined) return
    this.#doubtful?.delete(name)
    this.#doubtfulBytes -= rowBytes(doubted)
  }

  #compact(): void {
    if (this.#log.length <= 2 * this.#rows.size + logSlack) return
    this.#log = this.#log.filter((row) => this.#rows.get(nameOf(row.table, row.key)) === row)
  }

  #firstAfter(version: number): number {
    let low = 0
    let high = this.#log.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#log[middle] as Row).version <= version) low = middle + 1
      else high = middle
    }
    return low
  }

  #forgetTombstones(gc: number): void {
    if (gc <= this.#gc) return
    this.#gc = gc
    for (const [name, row] of this.#tombstones) {
      if (row.version > gc) break
      this.#tombstones.delete(name)
      this.#rows.delete(name)
      this.#bytes -= rowBytes(row)
      this.#deletedAtMs.delete(name)
    }
    this.#compact()
  }

  #newLife(epoch: number): void {
    const gone = [...this.rows()]
    this.#forgetAll(epoch)
    for (const row of gone) this.#tell(row, row.value, undefined)
  }

  #forgetAll(epoch: number): void {
    this.#epoch = epoch
    this.#gc = 0
    this.#max = 0
    this.#forgetRows()
    this.#doubtful = undefined
    this.#doubtfulBytes = 0
    this.#deletedAtMs.clear()
  }

  #forgetRows(): void {
    this.#rows = new Map()
    this.#bytes = 0
    this.#tombstones.clear()
    this.#log = []
  }

  /** Rows are told anew from the beginning; what is not among them by the end is gone. */
  #doubt(gc: number): void {
    for (const [name, row] of this.#tombstones) {
      this.#rows.delete(name)
      this.#bytes -= rowBytes(row)
    }
    // Whoever begins one reset after another has only moved what was told since the last.
    if (this.#doubtful === undefined) this.#doubtful = this.#rows
    else for (const [name, row] of this.#rows) this.#doubtful.set(name, row)
    this.#doubtfulBytes += this.#bytes
    this.#forgetRows()
    this.#max = 0
    this.#gc = gc
    this.#doubtUntil = gc
  }

  #sweep(): void {
    const gone = this.#doubtful ?? new Map<string, Row>()
    this.#doubtful = undefined
    this.#doubtfulBytes = 0
    for (const row of gone.values()) this.#tell(row, row.value, undefined)
  }

  #visible(name: string): Row | undefined {
    return this.#rows.get(name) ?? this.#doubtful?.get(name)
  }

  #tell({ table, key }: Row, prev: Uint8Array | undefined, next: Uint8Array | undefined): void {
    if (prev === undefined && next === undefined) return
    this.#changed({ owner: this.owner, table, key, prev, next })
  }
}

function nameOf(table: string, key: string): string {
  return `${table}\0${key}`
}
