/**
 * Snapshots as files: `tmp → fsync → rename → fsync of the directory`, every chunk checksummed in a chain. A file
 * here promises nothing by itself: which snapshot counts is what the log's newest mark says.
 *
 *     u64 magic+format | record: meta | record: chunk … | record: end {chunks, bytes}
 *
 * Records are those of the log (record.ts); a chunk's first byte tells it from the end.
 */
import { join } from 'node:path'
import { assert } from '../../base/assert.js'
import { isSkeinError, messageOf, SkeinError } from '../../base/errors.js'
import { decodeSnapshotMeta, encodeSnapshotMeta, type SnapshotMeta } from './batch.js'
import { nodeFiles, type WalFile, type WalFiles } from './files.js'
import { claimedBytes, encodeRecord, recordHeaderBytes, type WalRecord, wholeRecord } from './record.js'
import { corrupt, openFailure, storageFailure } from './recover.js'

const magic = Buffer.from('skeinsn1')
const chunkTag = 1
const endTag = 2
const consequence = 'The snapshot is not there; the log still is. Check the disk'

export interface SnapshotsOptions {
  /** Holds nothing but snapshots; created when missing. */
  readonly dir: string
  readonly files?: WalFiles
  /** How many finished snapshots stay. Default 2: the newest, and one that may still be on its way to a peer. */
  readonly keep?: number
}

/** What identifies a snapshot's file. */
export interface SnapshotId {
  readonly index: number
  readonly term: number
}

export class Snapshots {
  readonly #dir: string
  readonly #files: WalFiles
  readonly #keep: number
  #found: SnapshotId[]
  #temporaries = 0

  private constructor(dir: string, files: WalFiles, keep: number, found: SnapshotId[]) {
    this.#dir = dir
    this.#files = files
    this.#keep = keep
    this.#found = found
  }

  /** Opens the directory and removes what was never finished. @throws {SkeinError} ERR_SKEIN_DIR_UNUSABLE, ERR_SKEIN_STORAGE */
  static async open({ dir, files = nodeFiles, keep = 2 }: SnapshotsOptions): Promise<Snapshots> {
    try {
      await files.makeDir(dir)
      const names = await files.list(dir)
      for (const name of names) if (name.endsWith('.tmp')) await files.remove(join(dir, name))
      const found = names.map(parseName).filter((id) => id !== undefined)
      return new Snapshots(dir, files, keep, found.sort(byAge))
    } catch (error) {
      throw openFailure(dir, error)
    }
  }

  /** Oldest first. */
  list(): readonly SnapshotId[] {
    return this.#found
  }

  has(id: SnapshotId): boolean {
    return this.#found.some((one) => isSame(one, id))
  }

  /**
   * Stores a snapshot; resolves with its size in bytes when it is durable. An error of `chunks` leaves nothing behind.
   * @throws {SkeinError} ERR_SKEIN_STORAGE, ERR_SKEIN_TOO_LARGE (a chunk over 64 MiB), or what `chunks` throws
   */
  async save(meta: SnapshotMeta, chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<number> {
    const path = this.#path(meta)
    const temporary = `${path}.${++this.#temporaries}.tmp`
    const file = await this.#disk(path, () => this.#files.create(temporary))
    let sizeBytes: number
    try {
      sizeBytes = await this.#write(file, path, meta, chunks)
      await this.#disk(path, () => file.sync())
    } catch (error) {
      await file.close().catch(() => undefined) // the first error is the one to tell
      await this.#files.remove(temporary).catch(() => undefined) // else the next open removes it
      throw error
    }
    await this.#disk(path, async () => {
      await file.close()
      await this.#files.rename(temporary, path)
      await this.#files.syncDir(this.#dir)
    })
    if (!this.has(meta)) this.#found = [...this.#found, { index: meta.index, term: meta.term }].sort(byAge)
    return sizeBytes
  }

  /** What the file says about itself. @throws {SkeinError} ERR_SKEIN_CORRUPT (also when missing), ERR_SKEIN_STORAGE */
  async meta(id: SnapshotId): Promise<SnapshotMeta> {
    const reader = await this.#open(id)
    try {
      return await this.#readMeta(reader, id)
    } finally {
      await reader.file.close()
    }
  }

  /**
   * The chunks as they were saved, each checked before it is handed out, the whole at the end.
   * @throws {SkeinError} ERR_SKEIN_CORRUPT, ERR_SKEIN_STORAGE
   */
  async *read(id: SnapshotId): AsyncGenerator<Uint8Array, void, undefined> {
    const reader = await this.#open(id)
    try {
      await this.#readMeta(reader, id)
      let [chunks, bytes] = [0, 0]
      for (;;) {
        const { payload, offset } = await this.#next(reader)
        const body = payload.subarray(1)
        if (payload[0] === endTag) {
          const end = Buffer.from(body)
          if (end.readDoubleLE(0) === chunks && end.readDoubleLE(8) === bytes) return
          throw corrupt(reader.path, offset, 'chunks of the snapshot are missing')
        }
        if (payload[0] !== chunkTag) throw corrupt(reader.path, offset, 'neither a chunk nor the end')
        chunks++
        bytes += body.length
        yield body
      }
    } finally {
      await reader.file.close()
    }
  }

  /** Removes all but the newest `keep` up to `current` (which stays), and whatever is newer: it was never marked. */
  async prune(current: SnapshotId): Promise<void> {
    const upToCurrent = this.#found.filter((id) => byAge(id, current) <= 0)
    const kept = upToCurrent.slice(-this.#keep)
    const gone = this.#found.filter((id) => byAge(id, current) <= 0 && !kept.includes(id))
    await this.#remove(gone)
  }

  /** Removes what was stored but never marked in the log before the peer stopped. */
  async dropUnmarked(newestMarked: SnapshotId | undefined): Promise<void> {
    await this.#remove(this.#found.filter((id) => newestMarked === undefined || byAge(id, newestMarked) > 0))
  }

  async #remove(ids: readonly SnapshotId[]): Promise<void> {
    if (ids.length === 0) return
    await this.#disk(this.#dir, async () => {
      for (const id of ids) await this.#files.remove(this.#path(id))
      await this.#files.syncDir(this.#dir)
    })
    this.#found = this.#found.filter((id) => !ids.includes(id))
  }

  async #write(
    file: WalFile,
    path: string,
    meta: SnapshotMeta,
    chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  ): Promise<number> {
    let [position, crc, count, total] = [magic.length, 0, 0, 0]
    const put = async (payload: Uint8Array) => {
      const record = encodeRecord(payload, crc)
      await this.#disk(path, () => file.write(record.bytes, position))
      position += record.bytes.length
      crc = record.crc
    }
    await this.#disk(path, () => file.write(magic, 0))
    await put(encodeSnapshotMeta(meta))
    for await (const chunk of chunks) {
      if (chunk.length > chunkLimitBytes) {
        throw new SkeinError('ERR_SKEIN_TOO_LARGE', `a snapshot chunk of ${chunk.length} bytes; at most ${chunkLimitBytes}`, {
          what: 'snapshot chunk',
          size: chunk.length,
          limit: chunkLimitBytes,
        })
      }
      await put(Buffer.concat([Buffer.of(chunkTag), chunk]))
      count++
      total += chunk.length
    }
    const end = Buffer.alloc(17)
    end[0] = endTag
    end.writeDoubleLE(count, 1)
    end.writeDoubleLE(total, 9)
    await put(end)
    return position
  }

  async #open(id: SnapshotId): Promise<Reader> {
    const path = this.#path(id)
    let file: WalFile
    try {
      file = await this.#files.open(path)
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
        throw corrupt(path, undefined, 'the snapshot that the log refers to is missing')
      }
      throw storageFailure(path, error, consequence)
    }
    return { file, path, sizeBytes: await this.#disk(path, () => file.size()), position: 0, crc: 0 }
  }

  async #readMeta(reader: Reader, id: SnapshotId): Promise<SnapshotMeta> {
    const head = await this.#disk(reader.path, () => reader.file.read(0, magic.length))
    if (!magic.equals(head)) throw corrupt(reader.path, 0, 'the file does not start as a snapshot')
    reader.position = magic.length
    const { payload, offset } = await this.#next(reader)
    try {
      const meta = decodeSnapshotMeta(payload)
      if (isSame(meta, id)) return meta
      throw corrupt(reader.path, offset, `the file holds the snapshot at ${meta.index} of term ${meta.term}`)
    } catch (error) {
      if (isSkeinError(error, 'ERR_SKEIN_CORRUPT')) throw error
      throw corrupt(reader.path, offset, `the snapshot's head does not decode: ${messageOf(error)}`)
    }
  }

  async #next(reader: Reader): Promise<WalRecord> {
    const { path, file, position } = reader
    const head = Buffer.from(await this.#disk(path, () => file.read(position, recordHeaderBytes)))
    const claimed = claimedBytes(head)
    // No memory for what is not there, whatever a damaged length says.
    const isThere = claimed !== undefined && position + recordHeaderBytes + claimed <= reader.sizeBytes
    const body = isThere ? await this.#disk(path, () => file.read(position + recordHeaderBytes, claimed)) : undefined
    const record = body === undefined ? undefined : wholeRecord(Buffer.concat([head, body]), reader.crc)
    if (record === undefined) throw corrupt(path, position, 'a record of the snapshot is damaged or missing')
    reader.position = position + record.nextOffset
    reader.crc = record.crc
    return { ...record, offset: position }
  }

  async #disk<T>(path: string, act: () => Promise<T>): Promise<T> {
    try {
      return await act()
    } catch (error) {
      throw storageFailure(path, error, consequence)
    }
  }

  #path({ index, term }: SnapshotId): string {
    assert(index > 0 && term > 0, 'a snapshot has an index and a term')
    return join(this.#dir, `${String(index).padStart(16, '0')}-${term}.snapshot`)
  }
}

/** A snapshot chunk is at most this long; the state machine cuts its own chunks, usually far smaller. */
export const chunkLimitBytes = 64 * 1024 * 1024

interface Reader {
  readonly file: WalFile
  readonly path: string
  readonly sizeBytes: number
  position: number
  crc: number
}

function parseName(name: string): SnapshotId | undefined {
  const match = /^(\d{16})-(\d{1,16})\.snapshot$/.exec(name)
  return match === null ? undefined : { index: Number(match[1]), term: Number(match[2]) }
}

function isSame(a: SnapshotId, b: SnapshotId): boolean {
  return a.index === b.index && a.term === b.term
}

function byAge(a: SnapshotId, b: SnapshotId): number {
  return a.index - b.index || a.term - b.term
}
