/**
 * One record is one fsync batch:
 *
 *     u32 length | u32 ~length | u32 crc | u32 previous crc | payload | zeros up to 8 bytes
 *
 * crc = crc32(previous crc ++ payload): every record vouches for all before it (after etcd's WAL). The previous
 * crc is stored too, so that a record can be recognised on its own: that is how damage before the tail is told
 * from a write that was cut short.
 */
import { crc32 } from 'node:zlib'
import { assert } from '../../base/assert.js'

export const recordHeaderBytes = 16
/** Records start at multiples of this, so that a length is never torn across sectors. */
export const recordAlignBytes = 8
/** A record above this is a bug or damage, never a batch. */
export const recordLimitBytes = 256 * 1024 * 1024
/** What a disk writes whole or not at all. */
const sectorBytes = 512

export interface WalRecord {
  readonly offset: number
  readonly payload: Uint8Array
  readonly crc: number
  readonly nextOffset: number
}

/** What follows the last good record. */
export type Tail =
  | { readonly state: 'clean'; readonly offset: number }
  /** A write that was cut short; never acknowledged. */
  | { readonly state: 'torn'; readonly offset: number; readonly why: string }
  /** Damage to what was acknowledged. */
  | { readonly state: 'corrupt'; readonly offset: number; readonly why: string }

export interface Scan {
  readonly records: readonly WalRecord[]
  /** Chained checksum after the last good record. */
  readonly crc: number
  readonly tail: Tail
}

/** The bytes of a record, padded, and the chained checksum after it. */
export function encodeRecord(payload: Uint8Array, previousCrc: number): { readonly bytes: Buffer; readonly crc: number } {
  const bytes = Buffer.allocUnsafe(paddedBytes(payload.length))
  return { bytes, crc: writeRecord(bytes, payload, previousCrc) }
}

/** Bytes of the record that holds the payload. */
export function recordBytes(payload: Uint8Array): number {
  return paddedBytes(payload.length)
}

/** Writes a record at the beginning of `bytes`, and zeros behind it to their end; the chained checksum after it. */
export function writeRecord(bytes: Buffer, payload: Uint8Array, previousCrc: number): number {
  assert(payload.length > 0 && payload.length <= recordLimitBytes, 'a record has a payload within its bound')
  const crc = crc32(payload, previousCrc)
  bytes.writeUInt32LE(payload.length, 0)
  bytes.writeUInt32LE(~payload.length >>> 0, 4)
  bytes.writeUInt32LE(crc, 8)
  bytes.writeUInt32LE(previousCrc, 12)
  bytes.set(payload, recordHeaderBytes)
  bytes.fill(0, recordHeaderBytes + payload.length)
  return crc
}

/** Reads records from `offset` on, and judges what follows the last good one. Payloads are views into `bytes`. */
export function scanRecords(bytes: Buffer, offset: number, previousCrc: number): Scan {
  const records: WalRecord[] = []
  let at = offset
  let crc = previousCrc
  for (;;) {
    const record = readRecord(bytes, at)
    if (record === undefined) return { records, crc, tail: judgeTail(bytes, at) }
    if (bytes.readUInt32LE(at + 12) !== crc) {
      return { records, crc, tail: { state: 'corrupt', offset: at, why: 'the record does not continue the one before it' } }
    }
    records.push(record)
    crc = record.crc
    at = record.nextOffset
  }
}

/** The one record these bytes start with, if it is whole and continues the chain. */
export function wholeRecord(bytes: Buffer, previousCrc: number): WalRecord | undefined {
  const record = readRecord(bytes, 0)
  return record !== undefined && bytes.readUInt32LE(12) === previousCrc ? record : undefined
}

/** The payload length that a record's first bytes claim, if it is one a record may have. */
export function claimedBytes(head: Buffer): number | undefined {
  return payloadBytesAt(head, 0)
}

/** The record at `offset` if one is there whole, whatever came before it. */
function readRecord(bytes: Buffer, offset: number): WalRecord | undefined {
  const sizeBytes = payloadBytesAt(bytes, offset)
  if (sizeBytes === undefined) return undefined
  const start = offset + recordHeaderBytes
  if (start + sizeBytes > bytes.length) return undefined
  const payload = bytes.subarray(start, start + sizeBytes)
  const crc = crc32(payload, bytes.readUInt32LE(offset + 12))
  if (crc !== bytes.readUInt32LE(offset + 8)) return undefined
  return { offset, payload, crc, nextOffset: offset + paddedBytes(sizeBytes) }
}

/** The length a record header claims, if it agrees with its complement. */
function payloadBytesAt(bytes: Buffer, offset: number): number | undefined {
  if (offset + recordHeaderBytes > bytes.length) return undefined
  const sizeBytes = bytes.readUInt32LE(offset)
  if (sizeBytes === 0 || sizeBytes > recordLimitBytes) return undefined
  return bytes.readUInt32LE(offset + 4) === ~sizeBytes >>> 0 ? sizeBytes : undefined
}

/**
 * At most one batch is ever in flight, so a write cut short can only be the last record: anything valid after a
 * bad one means that acknowledged bytes changed. A bad last record is torn if a sector of it never arrived (files
 * are zero-filled ahead), else it arrived whole and rotted: then it may have been acknowledged.
 */
function judgeTail(bytes: Buffer, offset: number): Tail {
  const end = lastNonZero(bytes, offset)
  if (end === offset) return { state: 'clean', offset }
  for (let at = offset + recordAlignBytes; at + recordHeaderBytes < end; at += recordAlignBytes) {
    if (readRecord(bytes, at) === undefined) continue
    return { state: 'corrupt', offset, why: `the record is damaged, and a good one follows at offset ${at}` }
  }
  if (offset + recordHeaderBytes > bytes.length) return { state: 'torn', offset, why: 'the file ends inside a record header' }
  const sizeBytes = payloadBytesAt(bytes, offset)
  const claimedEnd = sizeBytes === undefined ? end : offset + recordHeaderBytes + sizeBytes
  if (claimedEnd > bytes.length) return { state: 'torn', offset, why: 'the file ends inside a record' }
  if (claimedEnd < end) return { state: 'corrupt', offset, why: 'the record is damaged, and something was written behind it' }
  if (hasBlankSector(bytes, offset, claimedEnd))
    return { state: 'torn', offset, why: 'part of the record never reached the disk' }
  return { state: 'corrupt', offset, why: 'the record reached the disk whole and changed there' }
}

function hasBlankSector(bytes: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; ) {
    const next = Math.min(end, at + sectorBytes - (at % sectorBytes))
    if (lastNonZero(bytes.subarray(0, next), at) === at) return true
    at = next
  }
  return false
}

/** Offset after the last byte that is not zero, not before `from`. */
function lastNonZero(bytes: Buffer, from: number): number {
  let end = bytes.length
  while (end > from && bytes[end - 1] === 0) end--
  return Math.max(end, from)
}

/** Bytes a record of such a payload takes in the file. */
export function paddedBytes(payloadBytes: number): number {
  return Math.ceil((recordHeaderBytes + payloadBytes) / recordAlignBytes) * recordAlignBytes
}
