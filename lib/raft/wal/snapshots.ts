/**
 * Snapshots as files: `tmp → fsync → rename → fsync of the directory`, every chunk checksummed in a chain. A file
 * here promises nothing by itself: which snapshot counts is what the log's newest mark says.
 *
 *     u64 magic+format | record: meta | record: chunk … | record: end {chunks, bytes}
 *
 * Records are those of the log (record.ts); a chunk's first byte tells it from the end. What is not finished ends in
 * `.tmp` (our own: worthless) or `.part` (from another peer: it may go on).
 */
import { join } from 'node:path'
import { assert } from '../../base/assert.js'
import { SkeinError } from '../../base/errors.js'
import { encodeSnapshotMeta, type SnapshotMeta } from './batch.js'
import { nodeFiles, type WalFile, type WalFiles } from './files.js'
import { PartialSnapshot, syncEveryBytes } from './partial-snapshot.js'
import { encodeRecord } from './record.js'
import { corrupt, openFailure, storageFailure } from './recover.js'
import {
  chunkTag,
  endPayloadBytes,
  endTag,
  isSameSnapshot,
  type SnapshotDigest,
  type SnapshotId,
  SnapshotReader,
  snapshotMagic,
} from './snapshot-reader.js'

const consequence = 'The snapshot is not there; the log still is. Check the disk'

export interface SnapshotsOptions {
  /** Holds nothing but snapshots; created when missing. */
  readonly dir: string
  readonly files?: WalFiles
  /** How many finished snapshots stay. Default 2: the newest, and one that may still be on its way to a peer. */
  readonly keep?: number
}

export class Snapshots {
  readonly #dir: string
  readonly #files: WalFiles
  readonly #keep: number
  #found: SnapshotId[]
  /** Files of snapshots that came in by part. */
  #partials: readonly SnapshotDigest[]
  /** The one of them that is open. */
  #incoming: PartialSnapshot | undefined
  #temporaries = 0

  private constructor(dir: string, files: WalFiles, keep: number, names: readonly string[]) {
    this.#dir = dir
    this.#files = files
    this.#keep = keep
    this.#found = names
      .map(parseName)
      .filter((id) => id !== undefined)
      .sort(byAge)
    this.#partials = names.map(parsePartialName).filter((digest) => digest !== undefined)
  }

  /** Opens the directory and removes what was never finished; what came in by part stays while it may go on. @throws {SkeinError} ERR_SKEIN_DIR_UNUSABLE, ERR_SKEIN_STORAGE */
  static async open({ dir, files = nodeFiles, keep = 2 }: SnapshotsOptions): Promise<Snapshots> {
    try {
      await files.makeDir(dir)
      const names = await files.list(dir)
      for (const name of names) if (name.endsWith('.tmp')) await files.remove(join(dir, name))
      return new Snapshots(dir, files, keep, names)
    } catch (error) {
      throw openFailure(dir, error)
    }
  }

  /** Oldest first. */
  list(): readonly SnapshotId[] {
    return this.#found
  }

  has(id: SnapshotId): boolean {
    return this.#found.some((one) => isSameSnapshot(one, id))
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
    const reader = await this.open(id)
    try {
      const head = await reader.next()
      if (head?.type !== 'meta') throw corrupt(reader.path, 0, 'the head of the snapshot is missing')
      return head.meta
    } finally {
      await reader.close()
    }
  }

  /**
   * The chunks as they were saved, each checked before it is handed out, the whole at the end.
   * @throws {SkeinError} ERR_SKEIN_CORRUPT, ERR_SKEIN_STORAGE
   */
  async *read(id: SnapshotId): AsyncGenerator<Uint8Array, void, undefined> {
    const reader = await this.open(id)
    try {
      yield* reader.chunks()
    } finally {
      await reader.close()
    }
  }

  /** The file itself, for its chunks or its bytes; whoever asked closes it. @throws {SkeinError} ERR_SKEIN_CORRUPT (it is missing), ERR_SKEIN_STORAGE */
  open(id: SnapshotId): Promise<SnapshotReader> {
    return SnapshotReader.open(this.#files, this.#path(id), id)
  }

  /**
   * Begins to take this snapshot in, or goes on where it broke off; another one that was coming in is dropped for it.
   * @throws {SkeinError} ERR_SKEIN_STORAGE
   */
  async receive(digest: SnapshotDigest): Promise<PartialSnapshot> {
    if (this.#incoming !== undefined && isSameDigest(this.#incoming.digest, digest)) return this.#incoming
    const path = this.#partialPath(digest)
    const isBegun = this.#partials.some((one) => isSameDigest(one, digest))
    await this.#dropPartials((one) => !isSameDigest(one, digest))
    this.#incoming = isBegun
      ? await PartialSnapshot.resume(this.#files, path, digest)
      : await PartialSnapshot.create(this.#files, path, digest)
    if (!isBegun) this.#partials = [digest]
    return this.#incoming
  }

  /** The one that came in is whole: from now on it is a snapshot like others. @throws {SkeinError} ERR_SKEIN_STORAGE, ERR_SKEIN_CORRUPT: drop it */
  async received(partial: PartialSnapshot): Promise<void> {
    await partial.finish()
    const { index, term } = partial.digest
    await this.#disk(this.#dir, async () => {
      await this.#files.rename(this.#partialPath(partial.digest), this.#path(partial.digest))
      await this.#files.syncDir(this.#dir)
    })
    this.#incoming = undefined
    this.#partials = this.#partials.filter((one) => !isSameDigest(one, partial.digest))
    if (!this.has(partial.digest)) this.#found = [...this.#found, { index, term }].sort(byAge)
  }

  /** The one that comes in is of no use: its space is free again. @throws {SkeinError} ERR_SKEIN_STORAGE */
  async dropIncoming(): Promise<void> {
    await this.#dropPartials(() => true)
  }

  /** Leaves the one that comes in as it is, for another life. */
  async close(): Promise<void> {
    const partial = this.#incoming
    this.#incoming = undefined
    await partial?.close().catch(() => undefined) // what is durable of it is found when it is taken up again
  }

  /** Removes all but the newest `keep` up to `current` (which stays), and whatever is newer: it was never marked. */
  async prune(current: SnapshotId): Promise<void> {
    const upToCurrent = this.#found.filter((id) => byAge(id, current) <= 0)
    const kept = upToCurrent.slice(-this.#keep)
    const gone = this.#found.filter((id) => byAge(id, current) <= 0 && !kept.includes(id))
    await this.#remove(gone)
    await this.#dropPartials((one) => one.index <= current.index)
  }

  /** Removes what was stored but never marked in the log before the peer stopped, and what came in by part and is overtaken. */
  async dropUnmarked(newestMarked: SnapshotId | undefined): Promise<void> {
    await this.#remove(this.#found.filter((id) => newestMarked === undefined || byAge(id, newestMarked) > 0))
    const newest = this.#partials.toSorted(byAge).at(-1)
    await this.#dropPartials((one) => one !== newest || one.index <= (newestMarked?.index ?? 0))
  }

  async #dropPartials(isGone: (one: SnapshotDigest) => boolean): Promise<void> {
    const gone = this.#partials.filter(isGone)
    if (gone.length === 0) return
    if (this.#incoming !== undefined && isGone(this.#incoming.digest)) await this.close()
    this.#partials = this.#partials.filter((one) => !gone.includes(one))
    await this.#disk(this.#dir, async () => {
      for (const one of gone) await this.#files.remove(this.#partialPath(one))
    })
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
    let [position, crc, count, total, syncedTo] = [snapshotMagic.length, 0, 0, 0, 0]
    const put = async (payload: Uint8Array) => {
      const record = encodeRecord(payload, crc)
      await this.#disk(path, () => file.write(record.bytes, position))
      position += record.bytes.length
      crc = record.crc
      if (position - syncedTo < syncEveryBytes) return
      await this.#disk(path, () => file.sync())
      syncedTo = position
    }
    await this.#disk(path, () => file.write(snapshotMagic, 0))
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
    const end = Buffer.alloc(endPayloadBytes)
    end[0] = endTag
    end.writeDoubleLE(count, 1)
    end.writeDoubleLE(total, 9)
    await put(end)
    return position
  }

  async #disk<T>(path: string, act: () => Promise<T>): Promise<T> {
    try {
      return await act()
    } catch (error) {
      throw storageFailure(path, error, consequence)
    }
  }

  #partialPath({ index, term, sizeBytes, crc }: SnapshotDigest): string {
    return join(this.#dir, `${String(index).padStart(16, '0')}-${term}.${sizeBytes}.${crc}.part`)
  }

  #path({ index, term }: SnapshotId): string {
    assert(index > 0 && term > 0, 'a snapshot has an index and a term')
    return join(this.#dir, `${String(index).padStart(16, '0')}-${term}.snapshot`)
  }
}

/** A snapshot chunk is at most this long; the state machine cuts its own chunks, usually far smaller. */
export const chunkLimitBytes = 64 * 1024 * 1024

function parseName(name: string): SnapshotId | undefined {
  const match = /^(\d{16})-(\d{1,16})\.snapshot$/.exec(name)
  return match === null ? undefined : { index: Number(match[1]), term: Number(match[2]) }
}

function parsePartialName(name: string): SnapshotDigest | undefined {
  const match = /^(\d{16})-(\d{1,16})\.(\d{1,16})\.(\d{1,10})\.part$/.exec(name)
  if (match === null) return undefined
  const [index, term, sizeBytes, crc] = match.slice(1).map(Number) as [number, number, number, number]
  return { index, term, sizeBytes, crc }
}

function isSameDigest(a: SnapshotDigest, b: SnapshotDigest): boolean {
  return isSameSnapshot(a, b) && a.sizeBytes === b.sizeBytes && a.crc === b.crc
}

function byAge(a: SnapshotId, b: SnapshotId): number {
  return a.index - b.index || a.term - b.term
}
