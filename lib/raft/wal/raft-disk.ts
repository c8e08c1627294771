/** Log and snapshots of one raft peer together, and the order between them. */
import { join } from 'node:path'
import { assert } from '../../base/assert.js'
import { SkeinError } from '../../base/errors.js'
import type { SnapshotMeta, WalBatch } from './batch.js'
import { nodeFiles, type WalFiles } from './files.js'
import type { PartialSnapshot } from './partial-snapshot.js'
import { corrupt, openFailure, type Repair } from './recover.js'
import type { WalContents } from './replay.js'
import type { SnapshotDigest, SnapshotId, SnapshotReader } from './snapshot-reader.js'
import { Snapshots } from './snapshots.js'
import { Wal, type WalMetrics, type WalOptions } from './wal.js'

export interface RaftDiskOptions extends WalOptions {
  /** How many finished snapshots stay. Default 2. */
  readonly keepSnapshots?: number
}

export interface RaftDiskOpened {
  readonly disk: RaftDisk
  readonly contents: WalContents
  readonly repaired: Repair | undefined
}

export class RaftDisk {
  readonly #wal: Wal
  readonly #snapshots: Snapshots
  readonly #unlock: () => Promise<void>
  #closed: Promise<void> | undefined

  private constructor(wal: Wal, snapshots: Snapshots, unlock: () => Promise<void>) {
    this.#wal = wal
    this.#snapshots = snapshots
    this.#unlock = unlock
  }

  /**
   * Opens `dir/log` and `dir/snapshots`, for this process alone, and checks one against the other.
   * @throws {SkeinError} ERR_SKEIN_CORRUPT, ERR_SKEIN_OTHER_CLUSTER, ERR_SKEIN_DIR_IN_USE, ERR_SKEIN_DIR_UNUSABLE, ERR_SKEIN_STORAGE
   */
  static async open(options: RaftDiskOptions): Promise<RaftDiskOpened> {
    const { dir, files = nodeFiles } = options
    const unlock = await lock(files, dir)
    try {
      return await RaftDisk.#openLocked({ ...options, files }, unlock)
    } catch (error) {
      await unlock()
      throw error
    }
  }

  static async #openLocked(options: RaftDiskOptions & { files: WalFiles }, unlock: () => Promise<void>): Promise<RaftDiskOpened> {
    const { dir, files, keepSnapshots = 2 } = options
    const snapshots = await Snapshots.open({ dir: join(dir, 'snapshots'), files, keep: keepSnapshots })
    const { wal, contents, repaired } = await Wal.open({ ...options, dir: join(dir, 'log') })
    try {
      if (contents.hardState === undefined && snapshots.list().length > 0) {
        throw corrupt(join(dir, 'log'), undefined, 'the log is missing, though snapshots of it exist')
      }
      if (contents.snapshot !== undefined) await snapshots.meta(contents.snapshot)
      await snapshots.dropUnmarked(contents.snapshot)
    } catch (error) {
      await wal.close()
      throw error
    }
    return { disk: new RaftDisk(wal, snapshots, unlock), contents, repaired }
  }

  /** Index of the newest durable snapshot mark; 0 when there is none. */
  get snapshotIndex(): number {
    return this.#wal.snapshot?.index ?? 0
  }

  get metrics(): WalMetrics {
    return this.#wal.metrics
  }

  /** Resolves when all of it is durable. @throws {SkeinError} ERR_SKEIN_STORAGE, ERR_SKEIN_STOPPED */
  async append(batches: readonly WalBatch[]): Promise<void> {
    for (const { snapshot } of batches) {
      assert(snapshot === undefined || this.#snapshots.has(snapshot), "a snapshot's file is durable before the log refers to it")
    }
    await this.#wal.append(batches)
  }

  /** Stores a snapshot's contents; it counts only once the log has its mark. @throws {SkeinError} ERR_SKEIN_STORAGE */
  async saveSnapshot(meta: SnapshotMeta, chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<number> {
    // Snapshots beside a log that says nothing are those of a log that was lost: a new peer's first one must not look like that.
    await this.#wal.begin()
    return this.#snapshots.save(meta, chunks)
  }

  hasSnapshot(id: SnapshotId): boolean {
    return this.#snapshots.has(id)
  }

  /** A snapshot's file, to be sent; whoever asked closes it. @throws {SkeinError} ERR_SKEIN_CORRUPT (it is missing), ERR_SKEIN_STORAGE */
  openSnapshot(id: SnapshotId): Promise<SnapshotReader> {
    return this.#snapshots.open(id)
  }

  /** Takes a snapshot in, from where it broke off; another one that was coming in is dropped. @throws {SkeinError} ERR_SKEIN_STORAGE */
  receiveSnapshot(digest: SnapshotDigest): Promise<PartialSnapshot> {
    return this.#snapshots.receive(digest)
  }

  /** It is whole; it counts only once the log has its mark. @throws {SkeinError} ERR_SKEIN_STORAGE, ERR_SKEIN_CORRUPT: drop it */
  async snapshotReceived(partial: PartialSnapshot): Promise<void> {
    await this.#wal.begin()
    return this.#snapshots.received(partial)
  }

  /** What came in is of no use. @throws {SkeinError} ERR_SKEIN_STORAGE */
  dropIncomingSnapshot(): Promise<void> {
    return this.#snapshots.dropIncoming()
  }

  readSnapshot(id: SnapshotId): AsyncIterable<Uint8Array> {
    return this.#snapshots.read(id)
  }

  /** Frees the space of what the newest durable mark covers. @throws {SkeinError} ERR_SKEIN_STORAGE, ERR_SKEIN_STOPPED */
  async release(): Promise<void> {
    const current = this.#wal.snapshot
    if (current === undefined) return
    await this.#wal.release()
    await this.#snapshots.prune(current)
  }

  /** Waits for the write under way, then lets another process have the directory. Any number of times. */
  close(): Promise<void> {
    this.#closed ??= this.#wal.close().then(this.#unlock)
    return this.#closed
  }
}

async function lock(files: WalFiles, dir: string): Promise<() => Promise<void>> {
  if (files.lock === undefined) return async () => undefined
  try {
    await files.makeDir(dir)
    return await files.lock(dir)
  } catch (error) {
    throw error instanceof SkeinError ? error : openFailure(dir, error)
  }
}
