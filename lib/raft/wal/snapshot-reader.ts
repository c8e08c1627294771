/** Reads a snapshot's file from front to back: nothing is handed out that the chain of checksums does not vouch for. */
import { isSkeinError, messageOf, type SkeinError } from '../../base/errors.js'
import { decodeSnapshotMeta, type SnapshotMeta } from './batch.js'
import type { WalFile, WalFiles } from './files.js'
import { claimedBytes, paddedBytes, recordHeaderBytes, type WalRecord, wholeRecord } from './record.js'
import { corrupt, storageFailure } from './recover.js'

export const snapshotMagic = Buffer.from('skeinsn1')
export const chunkTag = 1
export const endTag = 2
/** Bytes of an end record's payload: its tag, chunks, bytes. */
export const endPayloadBytes = 17
const endRecordBytes = paddedBytes(endPayloadBytes)
const consequence = 'The snapshot is not there; the log still is. Check the disk'
/** Small records are read together. */
const readAheadBytes = 256 * 1024
const placesApartBytes = 64 * 1024

/** What identifies a snapshot's file. */
export interface SnapshotId {
  readonly index: number
  readonly term: number
}

/** What identifies its bytes: two files with the same digest are the same. */
export interface SnapshotDigest extends SnapshotId {
  /** Of the file. */
  readonly sizeBytes: number
  /** The chained checksum at its end, which vouches for all of it. */
  readonly crc: number
}

type Part =
  | { readonly type: 'meta'; readonly meta: SnapshotMeta }
  | { readonly type: 'chunk'; readonly chunk: Uint8Array }
  | { readonly type: 'end'; readonly crc: number }

/** Where a record starts, and the checksum it continues. */
interface Place {
  readonly offset: number
  readonly crc: number
}

export class SnapshotReader {
  readonly path: string
  readonly #file: WalFile
  readonly #id: SnapshotId
  /** Nothing is behind this. */
  readonly #sizeBytes: number
  #next: Place = { offset: 0, crc: 0 }
  #chunks = 0
  #chunkBytes = 0
  /** Of the file, from `#heldAt` on. */
  #held: Buffer = Buffer.alloc(0)
  #heldAt = 0
  /** Read into again and again, when what is read is copied or only looked at; undefined when it is handed out. */
  #own: Buffer | undefined
  /** Of records that were read, not of each: where `bytes` can begin to walk. */
  readonly #places: Place[] = []
  #isAtEnd = false

  private constructor(path: string, file: WalFile, id: SnapshotId, sizeBytes: number) {
    this.path = path
    this.#file = file
    this.#id = id
    this.#sizeBytes = sizeBytes
  }

  /** @throws {SkeinError} ERR_SKEIN_CORRUPT (it is missing), ERR_SKEIN_STORAGE */
  static async open(files: WalFiles, path: string, id: SnapshotId): Promise<SnapshotReader> {
    try {
      const file = await files.open(path)
      return new SnapshotReader(path, file, id, await file.size())
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
        throw corrupt(path, undefined, 'the snapshot that the log refers to is missing')
      }
      throw storageFailure(path, error, consequence)
    }
  }

  /** To check a file that grows to `sizeBytes` meanwhile; it belongs to somebody else, who closes it. Its chunks are not for keeping. */
  static of(file: WalFile, path: string, id: SnapshotDigest): SnapshotReader {
    const reader = new SnapshotReader(path, file, id, id.sizeBytes)
    reader.#own = Buffer.alloc(0)
    return reader
  }

  /** All before this offset was found good. */
  get offset(): number {
    return this.#next.offset
  }

  /** Size and checksum, from the file's end alone: that the rest is good shows when it is read. @throws {SkeinError} ERR_SKEIN_CORRUPT, ERR_SKEIN_STORAGE */
  async digest(): Promise<SnapshotDigest> {
    const sizeBytes = this.#sizeBytes
    const at = Math.max(0, sizeBytes - endRecordBytes)
    const end = Buffer.from(await this.#disk(() => this.#file.read(at, endRecordBytes)))
    const isEnd = end.length === endRecordBytes && end.readUInt32LE(0) === endPayloadBytes && end[recordHeaderBytes] === endTag
    if (!isEnd) throw corrupt(this.path, at, 'the end of the snapshot is missing')
    return { index: this.#id.index, term: this.#id.term, sizeBytes, crc: end.readUInt32LE(8) }
  }

  /**
   * The next part, in order: meta, chunks, end. Undefined when it is not whole before `limitBytes`: more of it may come.
   * @throws {SkeinError} ERR_SKEIN_CORRUPT, ERR_SKEIN_STORAGE
   */
  async next(limitBytes = this.#sizeBytes): Promise<Part | undefined> {
    return (await this.#advance(limitBytes))?.part
  }

  /** The chunks from here on, each checked before it is handed out, the whole at the end. @throws as `next` */
  async *chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    for (;;) {
      const part = await this.next()
      if (part === undefined) throw this.#damaged(this.offset)
      if (part.type === 'end') return
      if (part.type === 'chunk') yield part.chunk
    }
  }

  /**
   * Fills `target` with the file as it is from `offset` on; every record that is of is checked, and all before. How many bytes there
   * were: fewer only at the end. Not to be mixed with chunks that are still looked at. @throws as `next`
   */
  async into(target: Uint8Array, offset: number): Promise<number> {
    this.#own ??= Buffer.alloc(0)
    while (this.#next.offset < offset && !this.#isAtEnd) await this.#mustAdvance()
    const end = offset + target.length
    let at = offset
    if (at < snapshotMagic.length) {
      target.set(snapshotMagic.subarray(at, end))
      at = Math.min(end, snapshotMagic.length)
    }
    let place = this.#placeBefore(at)
    while (at < end && !(this.#isAtEnd && at === this.#next.offset)) {
      const record = await (place.offset === this.#next.offset ? this.#mustAdvance() : this.#again(place))
      const next = place.offset + record.nextOffset
      if (next > at) {
        target.set(this.#held.subarray(at - this.#heldAt, Math.min(end, next) - this.#heldAt), at - offset)
        at = Math.min(end, next)
      }
      place = { offset: next, crc: record.crc }
    }
    return at - offset
  }

  /** The file was cut where it is good: what was read behind that is forgotten. */
  wasCut(): void {
    this.#held = Buffer.alloc(0)
  }

  async close(): Promise<void> {
    await this.#file.close()
  }

  async #advance(limitBytes: number): Promise<{ readonly record: WalRecord; readonly part: Part } | undefined> {
    if (this.#next.offset === 0 && !(await this.#readMagic(limitBytes))) return undefined
    const place = this.#next
    const record = await this.#record(place, limitBytes)
    if (record === undefined) return undefined
    const part = this.#partOf(record, place.offset)
    if (place.offset - (this.#places.at(-1)?.offset ?? Number.NEGATIVE_INFINITY) >= placesApartBytes) this.#places.push(place)
    this.#next = { offset: place.offset + record.nextOffset, crc: record.crc }
    this.#isAtEnd = part.type === 'end'
    return { record, part }
  }

  async #mustAdvance(): Promise<WalRecord> {
    const advanced = await this.#advance(this.#sizeBytes)
    if (advanced === undefined) throw this.#damaged(this.offset)
    return advanced.record
  }

  /** A record that was read before; the disk may have changed its mind. */
  async #again(place: Place): Promise<WalRecord> {
    const record = await this.#record(place, this.#sizeBytes)
    if (record === undefined) throw this.#damaged(place.offset)
    return record
  }

  /** A place to walk to `offset` from. */
  #placeBefore(offset: number): Place {
    return this.#places.findLast((place) => place.offset <= offset) ?? { offset: snapshotMagic.length, crc: 0 }
  }

  #damaged(offset: number): SkeinError {
    return corrupt(this.path, offset, 'a record of the snapshot is damaged or missing')
  }

  async #readMagic(limitBytes: number): Promise<boolean> {
    if (limitBytes < snapshotMagic.length) return false
    const head = await this.#hold(0, snapshotMagic.length, limitBytes)
    if (!snapshotMagic.equals(head)) throw corrupt(this.path, 0, 'the file does not start as a snapshot')
    this.#next = { offset: snapshotMagic.length, crc: 0 }
    return true
  }

  async #record({ offset, crc }: Place, limitBytes: number): Promise<WalRecord | undefined> {
    if (offset + recordHeaderBytes > limitBytes) return undefined
    const head = await this.#hold(offset, recordHeaderBytes, limitBytes)
    if (head.length < recordHeaderBytes) return undefined
    const claimed = claimedBytes(head)
    if (claimed === undefined) throw this.#damaged(offset)
    const wholeBytes = paddedBytes(claimed)
    // No memory for what is not there, whatever a damaged length says.
    if (offset + wholeBytes > limitBytes) return undefined
    const whole = await this.#hold(offset, wholeBytes, limitBytes)
    if (whole.length < wholeBytes) return undefined
    const record = wholeRecord(whole, crc)
    if (record === undefined) throw this.#damaged(offset)
    return record
  }

  #partOf({ payload, crc }: WalRecord, offset: number): Part {
    if (offset === snapshotMagic.length) return { type: 'meta', meta: this.#metaOf(payload, offset) }
    const body = payload.subarray(1)
    if (payload[0] === chunkTag) {
      this.#chunks++
      this.#chunkBytes += body.length
      return { type: 'chunk', chunk: body }
    }
    if (payload[0] !== endTag || payload.length !== endPayloadBytes)
      throw corrupt(this.path, offset, 'neither a chunk nor the end')
    const end = Buffer.from(body)
    if (end.readDoubleLE(0) === this.#chunks && end.readDoubleLE(8) === this.#chunkBytes) return { type: 'end', crc }
    throw corrupt(this.path, offset, 'chunks of the snapshot are missing')
  }

  #metaOf(payload: Uint8Array, offset: number): SnapshotMeta {
    try {
      const meta = decodeSnapshotMeta(payload)
      if (isSameSnapshot(meta, this.#id)) return meta
      throw corrupt(this.path, offset, `the file holds the snapshot at ${meta.index} of term ${meta.term}`)
    } catch (error) {
      if (isSkeinError(error, 'ERR_SKEIN_CORRUPT')) throw error
      throw corrupt(this.path, offset, `the snapshot's head does not decode: ${messageOf(error)}`)
    }
  }

  /** These bytes of the file, from memory if they are there; fewer at its end, and none behind `limitBytes`. */
  async #hold(offset: number, sizeBytes: number, limitBytes: number): Promise<Buffer> {
    const isHeld = offset >= this.#heldAt && offset + sizeBytes <= this.#heldAt + this.#held.length
    if (!isHeld) {
      const wanted = Math.min(Math.max(sizeBytes, readAheadBytes), limitBytes - offset)
      const read = await this.#read(offset, wanted)
      this.#held = read
      this.#heldAt = offset
    }
    return this.#held.subarray(offset - this.#heldAt, offset - this.#heldAt + sizeBytes)
  }

  async #read(offset: number, sizeBytes: number): Promise<Buffer> {
    const file = this.#file
    if (this.#own === undefined || file.readInto === undefined) {
      const read = await this.#disk(() => file.read(offset, sizeBytes))
      return Buffer.from(read.buffer, read.byteOffset, read.length)
    }
    if (this.#own.length < sizeBytes) this.#own = Buffer.allocUnsafeSlow(sizeBytes)
    const target = this.#own.subarray(0, sizeBytes)
    return target.subarray(0, await this.#disk(async () => (await file.readInto?.(target, offset)) ?? 0))
  }

  async #disk<T>(act: () => Promise<T>): Promise<T> {
    try {
      return await act()
    } catch (error) {
      throw storageFailure(this.path, error, consequence)
    }
  }
}

export function isSameSnapshot(a: SnapshotId, b: SnapshotId): boolean {
  return a.index === b.index && a.term === b.term
}
