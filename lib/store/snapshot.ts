/**
 * Tables ↔ chunks of bytes. A stream of length-prefixed frames (a header, one per row, a footer with the count) cut into
 * chunks of at most `snapshotChunkBytes`; where a chunk ends means nothing.
 */

import { concatBytes } from '../base/bytes.js'
import { SkeinError } from '../base/errors.js'
import { decode, encode } from '../wire/codec.js'
import { anything, array, natural, read, string } from '../wire/decode.js'
import { brokenInvariants } from './invariants.js'
import { packRow, unpackRow } from './row-codec.js'
import type { Row } from './rows.js'
import { Tables } from './tables.js'

export const snapshotChunkBytes = 256 * 1024
const format = 'skein store'
const formatVersion = 1
/** Above the largest value of a key with room for its frame. */
const frameBytesMax = 4 * 1024 * 1024
const lengthBytes = 4

/** The tables as they are now; rows are immutable, so they are encoded one chunk at a time, when asked for. */
export function snapshotChunks(tables: Tables): Iterable<Uint8Array> {
  const rows = [...tables.rows()]
  return cut(frames(rows, tables.version))
}

function* frames(rows: readonly Row[], version: number): Generator<Uint8Array> {
  yield encode([format, formatVersion, version])
  for (const row of rows) yield encode(packRow(row))
  yield encode(['end', rows.length])
}

function* cut(frames: Iterable<Uint8Array>): Generator<Uint8Array> {
  let parts: Uint8Array[] = []
  let sizeBytes = 0
  for (const frame of frames) {
    const length = Buffer.alloc(lengthBytes)
    length.writeUInt32BE(frame.length)
    parts.push(length, frame)
    sizeBytes += lengthBytes + frame.length
    if (sizeBytes < snapshotChunkBytes) continue
    let whole = concatBytes(parts)
    while (whole.length >= snapshotChunkBytes) {
      yield whole.subarray(0, snapshotChunkBytes)
      whole = whole.subarray(snapshotChunkBytes)
    }
    parts = [whole]
    sizeBytes = whole.length
  }
  if (sizeBytes > 0) yield concatBytes(parts)
}

/**
 * Tables from the chunks of a snapshot, however cut.
 * @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE when it is of another format, is incomplete, or does not hold together
 */
export async function tablesFromChunks(chunks: AsyncIterable<Uint8Array>): Promise<Tables> {
  const reader = new SnapshotReader()
  const splitter = new FrameSplitter()
  for await (const chunk of chunks) {
    for (const frame of splitter.push(chunk)) reader.take(decode(frame, frameBytesMax))
  }
  if (splitter.pendingBytes > 0) throw refusal('it ends in the middle of a row')
  return reader.finish()
}

class FrameSplitter {
  #pending: Uint8Array = new Uint8Array()

  get pendingBytes(): number {
    return this.#pending.length
  }

  *push(chunk: Uint8Array): Generator<Uint8Array> {
    const bytes = this.#pending.length === 0 ? chunk : concatBytes([this.#pending, chunk])
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    let at = 0
    while (at + lengthBytes <= bytes.length) {
      const length = view.getUint32(at)
      if (length > frameBytesMax) throw refusal(`a row of ${length} bytes, at most ${frameBytesMax} are accepted`)
      if (at + lengthBytes + length > bytes.length) break
      yield bytes.subarray(at + lengthBytes, at + lengthBytes + length)
      at += lengthBytes + length
    }
    // A copy: the chunk may be the caller's buffer, which it fills again.
    this.#pending = Uint8Array.from(bytes.subarray(at))
  }
}

class SnapshotReader {
  readonly #tables = new Tables()
  #state: 'header' | 'rows' | 'done' = 'header'
  #rows = 0

  take(frame: unknown): void {
    if (this.#state === 'done') throw refusal('it goes on after its end')
    if (this.#state === 'header') this.#takeHeader(frame)
    else if (Array.isArray(frame) && frame[0] === 'end') this.#takeFooter(frame)
    else this.#takeRow(frame)
  }

  finish(): Tables {
    if (this.#state !== 'done') throw refusal(`it ends early, after ${this.#rows} rows`)
    const broken = brokenInvariants(this.#tables)
    if (broken.length > 0) throw refusal(`it does not hold together: ${broken.join('; ')}`)
    return this.#tables
  }

  #takeHeader(frame: unknown): void {
    const [name, version, index] = read(array(anything), frame, 'snapshot header')
    if (string(name, 'snapshot format') !== format) throw refusal(`expected the format "${format}", got "${String(name)}"`)
    if (version !== formatVersion) throw refusal(`its format version is ${String(version)}, this version reads ${formatVersion}`)
    this.#tables.version = natural(index, 'snapshot index')
    this.#state = 'rows'
  }

  #takeRow(frame: unknown): void {
    this.#tables.write(unpackRow(frame, `snapshot[${this.#rows}]`))
    this.#rows++
  }

  #takeFooter(frame: readonly unknown[]): void {
    const rows = natural(frame[1], 'snapshot rows')
    if (rows !== this.#rows) throw refusal(`it has ${this.#rows} rows and should have ${rows}`)
    this.#state = 'done'
  }
}

function refusal(words: string): SkeinError<'ERR_SKEIN_BAD_MESSAGE'> {
  return new SkeinError('ERR_SKEIN_BAD_MESSAGE', `snapshot of the store: ${words}`, { path: 'snapshot' })
}
