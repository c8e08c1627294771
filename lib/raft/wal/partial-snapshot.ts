/**
 * A snapshot that comes in from elsewhere, in order, perhaps over days and restarts: a file beside the others until its
 * last byte is durable and found good. It promises nothing, so an error of the disk costs the file and not the peer.
 */
import { isSkeinError } from '../../base/errors.js'
import type { WalFile, WalFiles } from './files.js'
import { corrupt, storageFailure } from './recover.js'
import { type SnapshotDigest, SnapshotReader } from './snapshot-reader.js'

/** So much is written between two syncs: one of everything at the end would hold up those of the log behind it. */
export const syncEveryBytes = 4 * 1024 * 1024
const consequence = 'The snapshot that came in is dropped, and asked for again. Check the disk'

export class PartialSnapshot {
  readonly digest: SnapshotDigest
  readonly #path: string
  readonly #file: WalFile
  readonly #reader: SnapshotReader
  #sizeBytes = 0
  #unsyncedBytes = 0
  #end: 'open' | 'found' = 'open'

  private constructor(digest: SnapshotDigest, path: string, file: WalFile) {
    this.digest = digest
    this.#path = path
    this.#file = file
    this.#reader = SnapshotReader.of(file, path, digest)
  }

  /** @throws {SkeinError} ERR_SKEIN_STORAGE */
  static async create(files: WalFiles, path: string, digest: SnapshotDigest): Promise<PartialSnapshot> {
    try {
      return new PartialSnapshot(digest, path, await files.create(path))
    } catch (error) {
      throw storageFailure(path, error, consequence)
    }
  }

  /** Goes on with a file of an earlier life: what of it is whole and good counts, the rest is cut off. @throws {SkeinError} ERR_SKEIN_STORAGE */
  static async resume(files: WalFiles, path: string, digest: SnapshotDigest): Promise<PartialSnapshot> {
    let partial: PartialSnapshot
    try {
      partial = new PartialSnapshot(digest, path, await files.open(path))
      partial.#sizeBytes = Math.min(await partial.#file.size(), digest.sizeBytes)
    } catch (error) {
      throw storageFailure(path, error, consequence)
    }
    try {
      await partial.#verify()
    } catch (error) {
      if (!isSkeinError(error, 'ERR_SKEIN_CORRUPT')) throw error // a sector that never arrived before the power went
    }
    await partial.#disk(() => partial.#file.truncate(partial.#reader.offset))
    partial.#sizeBytes = partial.#reader.offset
    partial.#reader.wasCut()
    return partial
  }

  /** What is here: the next byte that is wanted. */
  get sizeBytes(): number {
    return this.#sizeBytes
  }

  /**
   * Writes what comes next; from time to time makes it durable and checks it.
   * @throws {SkeinError} ERR_SKEIN_STORAGE, ERR_SKEIN_CORRUPT (what came is no snapshot): drop it
   */
  async append(bytes: Uint8Array): Promise<void> {
    await this.#disk(() => this.#file.write(bytes, this.#sizeBytes))
    this.#sizeBytes += bytes.length
    this.#unsyncedBytes += bytes.length
    if (this.#unsyncedBytes < syncEveryBytes) return
    await this.#disk(() => this.#file.sync())
    this.#unsyncedBytes = 0
    await this.#verify()
  }

  /** All of it is durable and found good, and the file closed. @throws as `append` */
  async finish(): Promise<void> {
    await this.#disk(() => this.#file.sync())
    await this.#verify()
    if (this.#end !== 'found') throw corrupt(this.#path, this.#reader.offset, 'the snapshot that came in has no end')
    await this.#disk(() => this.#file.close())
  }

  close(): Promise<void> {
    return this.#file.close()
  }

  /** Reads as far as whole records go; each is read once. */
  async #verify(): Promise<void> {
    for (;;) {
      const part = await this.#reader.next(this.#sizeBytes)
      if (part === undefined) return
      if (part.type !== 'end') continue
      const { crc, sizeBytes } = this.digest
      if (part.crc !== crc || this.#reader.offset !== sizeBytes) {
        throw corrupt(this.#path, this.#reader.offset, 'the snapshot that came in is not the one that was announced')
      }
      this.#end = 'found'
      return
    }
  }

  async #disk<T>(act: () => Promise<T>): Promise<T> {
    try {
      return await act()
    } catch (error) {
      throw storageFailure(this.#path, error, consequence)
    }
  }
}
