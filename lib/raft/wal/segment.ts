/**
 * One file of the log: a header, then records, then zeros written ahead (a sync that allocates no blocks is a
 * faster sync). Each header continues the checksum chain of the segment before it.
 */
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { assert } from '../../base/assert.js'
import type { WalFile, WalFiles } from './files.js'
import { Scratch } from './msgpack.js'
import { recordBytes, writeRecord } from './record.js'

export const segmentHeaderBytes = 64
const magic = Buffer.from('skeinwal')
const formatVersion = 1
const clusterIdBytesMax = 19

export interface SegmentHeader {
  readonly clusterId: string
  /** The raft id whose log this is. */
  readonly nodeId: number
  readonly seq: number
  /** Index of the first entry that can begin here; for people who look at the files. */
  readonly firstIndex: number
  /** Chained checksum at the end of the segment before. */
  readonly previousCrc: number
}

export type HeaderRead =
  | { readonly state: 'good'; readonly header: SegmentHeader; readonly crc: number }
  | { readonly state: 'bad'; readonly why: string }

export function segmentName(seq: number): string {
  return `${String(seq).padStart(12, '0')}.wal`
}

/** The sequence number in a segment's name; undefined for any other file. */
export function segmentSeq(name: string): number | undefined {
  return /^\d{12}\.wal$/.test(name) ? Number.parseInt(name, 10) : undefined
}

export function encodeSegmentHeader(header: SegmentHeader): { readonly bytes: Buffer; readonly crc: number } {
  const cluster = Buffer.from(header.clusterId)
  assert(cluster.length > 0 && cluster.length <= clusterIdBytesMax, 'a cluster id fits the segment header')
  const bytes = Buffer.alloc(segmentHeaderBytes)
  magic.copy(bytes, 0)
  bytes.writeUInt32LE(formatVersion, 8)
  bytes.writeUInt32LE(header.previousCrc, 12)
  bytes.writeUIntLE(header.seq, 16, 6)
  bytes.writeDoubleLE(header.firstIndex, 24)
  bytes.writeUIntLE(header.nodeId, 32, 6)
  bytes.writeUInt8(cluster.length, 40)
  cluster.copy(bytes, 41)
  const crc = crc32(bytes.subarray(0, segmentHeaderBytes - 4))
  bytes.writeUInt32LE(crc, segmentHeaderBytes - 4)
  return { bytes, crc }
}

export function decodeSegmentHeader(bytes: Buffer): HeaderRead {
  if (bytes.length < segmentHeaderBytes) return { state: 'bad', why: 'the file ends inside the segment header' }
  if (!bytes.subarray(0, 8).equals(magic)) return { state: 'bad', why: 'the file does not start as a log segment' }
  const crc = crc32(bytes.subarray(0, segmentHeaderBytes - 4))
  if (bytes.readUInt32LE(segmentHeaderBytes - 4) !== crc) return { state: 'bad', why: 'the segment header is damaged' }
  const version = bytes.readUInt32LE(8)
  if (version !== formatVersion) {
    return { state: 'bad', why: `the segment has format ${version}, this version of skein reads format ${formatVersion}` }
  }
  const header = {
    clusterId: bytes.toString('utf8', 41, 41 + bytes.readUInt8(40)),
    nodeId: bytes.readUIntLE(32, 6),
    seq: bytes.readUIntLE(16, 6),
    firstIndex: bytes.readDoubleLE(24),
    previousCrc: bytes.readUInt32LE(12),
  }
  return { state: 'good', header, crc }
}

/** A segment that can be appended to. One write at a time; the caller takes turns. */
export class Segment {
  readonly path: string
  readonly seq: number
  /** Highest entry index ever written here: the segment may go once a snapshot covers it. */
  maxIndex = 0
  readonly #file: WalFile
  readonly #growBytes: number
  readonly #scratch = new Scratch()
  /** Everything up to here was written, if only as zeros. */
  #allocatedBytes: number
  #sizeBytes: number
  #crc: number

  constructor(
    file: WalFile,
    at: { path: string; seq: number; sizeBytes: number; allocatedBytes: number; crc: number; growBytes: number },
  ) {
    this.path = at.path
    this.seq = at.seq
    this.#file = file
    this.#growBytes = at.growBytes
    this.#allocatedBytes = at.allocatedBytes
    this.#sizeBytes = at.sizeBytes
    this.#crc = at.crc
  }

  /** Header and records, without the zeros ahead. */
  get sizeBytes(): number {
    return this.#sizeBytes
  }

  /** Chained checksum so far. */
  get crc(): number {
    return this.#crc
  }

  /** Appends one record; resolves when it is durable. */
  async append(payload: Uint8Array): Promise<void> {
    const end = this.#sizeBytes + recordBytes(payload)
    // Beyond what was written ahead, the record brings the next zeros with it.
    const allocated = end <= this.#allocatedBytes ? end : Math.ceil(end / this.#growBytes) * this.#growBytes
    const sizeBytes = allocated - this.#sizeBytes
    const bytes = this.#scratch.take(sizeBytes).subarray(0, sizeBytes)
    const crc = writeRecord(bytes, payload, this.#crc)
    await this.#writeDurably(bytes)
    this.#allocatedBytes = Math.max(this.#allocatedBytes, allocated)
    this.#sizeBytes = end
    this.#crc = crc
  }

  async #writeDurably(bytes: Uint8Array): Promise<void> {
    if (this.#file.writeDurably !== undefined) {
      await this.#file.writeDurably(bytes, this.#sizeBytes)
      return
    }
    await this.#file.write(bytes, this.#sizeBytes)
    await this.#file.sync()
  }

  close(): Promise<void> {
    return this.#file.close()
  }
}

/** Creates a segment with its first record; under its name, and durable, only when whole. */
export async function createSegment(
  files: WalFiles,
  dir: string,
  header: SegmentHeader,
  firstPayload: Uint8Array,
  growBytes: number,
): Promise<Segment> {
  const path = join(dir, segmentName(header.seq))
  const file = await files.create(`${path}.tmp`)
  try {
    const { bytes, crc } = encodeSegmentHeader(header)
    await file.write(bytes, 0)
    const segment = new Segment(file, {
      path,
      seq: header.seq,
      sizeBytes: segmentHeaderBytes,
      allocatedBytes: segmentHeaderBytes,
      crc,
      growBytes,
    })
    await segment.append(firstPayload)
    // Also the header: a durable write speaks only for its own bytes.
    await file.sync()
    await files.rename(`${path}.tmp`, path)
    await files.syncDir(dir)
    return segment
  } catch (error) {
    await file.close()
    throw error
  }
}
