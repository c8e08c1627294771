/**
 * What two peers say to each other about a snapshot's pieces ↔ bytes:
 *
 *     request: u8 version | u8 kind | f64 index | f64 term | f64 size | u32 crc | f64 offset | u32 checksum of all else | bytes
 *     answer:  u8 version | u8 kind | f64 offset | code, line feed, words
 */
import { crc32 } from 'node:zlib'
import { SkeinError } from '../../base/errors.js'
import { badMessage } from '../../wire/index.js'
import type { SnapshotDigest } from '../wal/index.js'
import type { Answer } from './piece-protocol.js'

/** Bytes of the file that travel together: few enough to be sent, checked and written within a millisecond or two. */
export const pieceBytes = 512 * 1024
/** More than this is refused unread: a piece, or an offer with its message. */
const requestLimitBytes = 4 * pieceBytes
const answerLimitBytes = 4096
const wordsMaxChars = 500
const version = 1
const checksumAt = 38
const headBytes = checksumAt + 4
const answerHeadBytes = 10

export type PieceRequest = {
  readonly digest: SnapshotDigest
  /** All of it matches its checksum. */
  readonly isIntact: boolean
} & (
  | /** `frame`: the leader's MsgSnap, which belongs to the file. */ { readonly type: 'offer'; readonly frame: Uint8Array }
  | { readonly type: 'piece'; readonly offset: number; readonly bytes: Uint8Array }
)

const answers = ['want', 'again', 'done', 'refused'] as const

export function encodeOffer(digest: SnapshotDigest, frame: Uint8Array): Buffer {
  return encodeRequest(0, digest, 0, frame)
}

export function encodePiece(digest: SnapshotDigest, offset: number, piece: Uint8Array): Buffer {
  return encodeRequest(1, digest, offset, piece)
}

/** An array for a piece of so many bytes; they go into `pieceOf` it, and then it is sealed. */
export function allocatePiece(sizeBytes: number): Buffer {
  return Buffer.allocUnsafeSlow(headBytes + sizeBytes)
}

export function pieceOf(request: Buffer): Buffer {
  return request.subarray(headBytes)
}

/** What was put into it becomes a piece; the same array may become another one later. */
export function sealPiece(request: Buffer, digest: SnapshotDigest, offset: number): Buffer {
  return seal(request, 1, digest, offset)
}

/** The bytes in it are views. @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE, ERR_SKEIN_WIRE_VERSION */
export function decodeRequest(request: Uint8Array): PieceRequest {
  const path = 'snapshot piece'
  refuseUnless(request, headBytes, requestLimitBytes, path)
  const view = Buffer.from(request.buffer, request.byteOffset, request.length)
  const kind = view[1]
  const digest = {
    index: whole(view.readDoubleLE(2), 1, path),
    term: whole(view.readDoubleLE(10), 1, path),
    sizeBytes: whole(view.readDoubleLE(18), 1, path),
    crc: view.readUInt32LE(26),
  }
  const offset = whole(view.readDoubleLE(30), 0, path)
  const isIntact = checksumOf(view) === view.readUInt32LE(checksumAt)
  const bytes = request.subarray(headBytes)
  if (kind === 0) return { type: 'offer', digest, isIntact, frame: bytes }
  if (kind === 1) return { type: 'piece', digest, isIntact, offset, bytes }
  throw badMessage(path, 'an offer or a piece', kind)
}

export function encodeAnswer(answer: Answer): Uint8Array {
  const words = answer.type === 'refused' ? `${answer.code}\n${answer.message.slice(0, wordsMaxChars)}` : ''
  const bytes = Buffer.alloc(answerHeadBytes + Buffer.byteLength(words))
  bytes[0] = version
  bytes[1] = answers.indexOf(answer.type)
  bytes.writeDoubleLE('offset' in answer ? answer.offset : 0, 2)
  bytes.write(words, answerHeadBytes)
  return bytes
}

/** @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE, ERR_SKEIN_WIRE_VERSION */
export function decodeAnswer(answer: Uint8Array): Answer {
  const path = 'snapshot answer'
  refuseUnless(answer, answerHeadBytes, answerLimitBytes, path)
  const view = Buffer.from(answer.buffer, answer.byteOffset, answer.length)
  const type = answers[view[1] as number]
  switch (type) {
    case 'want':
    case 'again':
      return { type, offset: whole(view.readDoubleLE(2), 0, path) }
    case 'done':
      return { type }
    case 'refused': {
      const [code = '', ...words] = view.toString('utf8', answerHeadBytes).split('\n')
      return { type, code, message: words.join('\n') }
    }
    default:
      throw badMessage(path, 'a known answer', view[1])
  }
}

function encodeRequest(kind: number, digest: SnapshotDigest, offset: number, body: Uint8Array): Buffer {
  const request = allocatePiece(body.length)
  pieceOf(request).set(body)
  return seal(request, kind, digest, offset)
}

function seal(bytes: Buffer, kind: number, { index, term, sizeBytes, crc }: SnapshotDigest, offset: number): Buffer {
  bytes[0] = version
  bytes[1] = kind
  bytes.writeDoubleLE(index, 2)
  bytes.writeDoubleLE(term, 10)
  bytes.writeDoubleLE(sizeBytes, 18)
  bytes.writeUInt32LE(crc, 26)
  bytes.writeDoubleLE(offset, 30)
  bytes.writeUInt32LE(checksumOf(bytes), checksumAt)
  return bytes
}

function checksumOf(request: Buffer): number {
  return crc32(request.subarray(headBytes), crc32(request.subarray(0, checksumAt)))
}

function refuseUnless(bytes: Uint8Array, fromBytes: number, toBytes: number, path: string): void {
  if (bytes.length < fromBytes || bytes.length > toBytes) throw badMessage(path, `${fromBytes} to ${toBytes} bytes`, bytes.length)
  if (bytes[0] === version) return
  throw new SkeinError('ERR_SKEIN_WIRE_VERSION', `${path}: of version ${bytes[0]}, this peer reads ${version}`, {
    ours: version,
    theirs: bytes[0] as number,
  })
}

function whole(value: number, from: number, path: string): number {
  if (Number.isSafeInteger(value) && value >= from) return value
  throw badMessage(path, `a whole number from ${from}`, value)
}
