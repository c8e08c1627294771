import { assert, SkeinBug } from '../../base/assert.js'
import { SkeinError } from '../../base/errors.js'
import { encodeBatches, encodeSeal, type SnapshotMark, type WalBatch } from './batch.js'
import { nodeFiles, type WalFiles } from './files.js'
import { Scratch } from './msgpack.js'
import { encodeRecord } from './record.js'
import { openFailure, type Recovery, type Repair, recover, storageFailure } from './recover.js'
import { type WalContents, WalHead } from './replay.js'
import { createSegment, Segment } from './segment.js'

export interface WalOptions {
  /** Holds nothing but the log; created when missing. */
  readonly dir: string
  readonly clusterId: string
  /** The raft id whose log this is. */
  readonly nodeId: number
  readonly files?: WalFiles
  /** Bytes after which the next append starts a new segment, which takes several syncs. Default 64 MiB. */
  readonly segmentBytes?: number
  /** Bytes of zeros written ahead at a time: a write that brings them takes longer, in proportion. Default 256 KiB. */
  readonly growBytes?: number
}

/** What the log held when it was opened. */
export interface WalOpened {
  readonly wal: Wal
  readonly contents: WalContents
  /** Set when a cut-short last write was taken off. */
  readonly repaired: Repair | undefined
}

export interface WalMetrics {
  readonly appends: number
  readonly batches: number
  readonly entries: number
  readonly bytes: number
  readonly segments: number
}

interface Sealed {
  readonly path: string
  readonly maxIndex: number
}

/**
 * The log of one raft peer: entries, term, vote, commit and snapshot marks. What `append` resolved for survives
 * a power failure. After the first failed write or sync every call rejects with ERR_SKEIN_STORAGE: the page cache
 * cannot be trusted any more (Rebello et al., ATC '20), only a restart can tell what is there.
 */
export class Wal {
  readonly #options: Required<WalOptions>
  readonly #head: WalHead
  readonly #sealed: Sealed[]
  #segment: Segment
  readonly #scratch = new Scratch()
  #turn: Promise<unknown> = Promise.resolve()
  /** Acts begun or waiting for their turn. */
  #underWay = 0
  #failure: SkeinError | SkeinBug | undefined
  #closed = false
  #appends = 0
  #batches = 0
  #entries = 0
  #bytes = 0

  private constructor(options: Required<WalOptions>, head: WalHead, sealed: Sealed[], segment: Segment) {
    this.#options = options
    this.#head = head
    this.#sealed = sealed
    this.#segment = segment
  }

  /**
   * Opens or creates the log and reads it whole, checking every record.
   * @throws {SkeinError} ERR_SKEIN_CORRUPT, ERR_SKEIN_OTHER_CLUSTER, ERR_SKEIN_DIR_UNUSABLE, ERR_SKEIN_STORAGE
   */
  static async open(options: WalOptions): Promise<WalOpened> {
    const resolved = { files: nodeFiles, segmentBytes: 64 * 1024 * 1024, growBytes: 256 * 1024, ...options }
    const { files, dir } = resolved
    try {
      await files.makeDir(dir)
      const recovery = await recover(files, dir, resolved)
      return recovery === undefined ? await Wal.#create(resolved) : await Wal.#resume(resolved, recovery)
    } catch (error) {
      if (error instanceof SkeinError || error instanceof SkeinBug) throw error
      throw openFailure(dir, error)
    }
  }

  static async #create(options: Required<WalOptions>): Promise<WalOpened> {
    const { files, dir, clusterId, nodeId, growBytes } = options
    const header = { clusterId, nodeId, seq: 1, firstIndex: 1, previousCrc: 0 }
    const segment = await createSegment(files, dir, header, encodeBatches([]), growBytes)
    const contents = { hardState: undefined, snapshot: undefined, entries: [] }
    return { wal: new Wal(options, new WalHead(), [], segment), contents, repaired: undefined }
  }

  static async #resume(options: Required<WalOptions>, recovery: Recovery): Promise<WalOpened> {
    const { contents, segments, repaired } = recovery
    const [before, last] = [segments.at(-2), segments.at(-1)]
    assert(last !== undefined, 'a recovered log has a last segment')
    // A process that was killed leaves writes that can be read and are not durable yet. From here on they count as promised.
    if (before !== undefined) await syncFile(options.files, before.path)
    await syncFile(options.files, last.path)
    await options.files.syncDir(options.dir)
    const segment = new Segment(await options.files.open(last.path), { ...last, growBytes: options.growBytes })
    segment.maxIndex = last.maxIndex
    const head = new WalHead()
    head.hardState = contents.hardState
    head.snapshot = contents.snapshot
    head.lastIndex = contents.entries.at(-1)?.index ?? contents.snapshot?.index ?? 0
    return { wal: new Wal(options, head, [...segments.slice(0, -1)], segment), contents, repaired }
  }

  /** Index of the last entry, or of the snapshot when none follows it. */
  get lastIndex(): number {
    return this.#head.lastIndex
  }

  /** The newest durable snapshot mark. */
  get snapshot(): SnapshotMark | undefined {
    return this.#head.snapshot
  }

  get metrics(): WalMetrics {
    return {
      appends: this.#appends,
      batches: this.#batches,
      entries: this.#entries,
      bytes: this.#bytes,
      segments: this.#sealed.length + 1,
    }
  }

  /**
   * Writes all batches as one record with one sync; resolves when they are durable, all or none.
   * @throws {SkeinError} ERR_SKEIN_STORAGE (for good), ERR_SKEIN_STOPPED
   */
  append(batches: readonly WalBatch[]): Promise<void> {
    return this.#exclusive(() => this.#append(batches))
  }

  /** Lets a log that says nothing yet say so durably: term 0 and no vote. @throws {SkeinError} ERR_SKEIN_STORAGE, ERR_SKEIN_STOPPED */
  begin(): Promise<void> {
    return this.#exclusive(async () => {
      if (this.#head.hardState === undefined) await this.#append([{ hardState: { term: 0, vote: 0, commit: 0 } }])
    })
  }

  /**
   * Removes the segments that the durable snapshot mark covers, oldest first, never the newest. The newest one
   * opens with term, vote and snapshot mark, so nothing but covered entries is lost.
   * @throws {SkeinError} ERR_SKEIN_STORAGE, ERR_SKEIN_STOPPED
   */
  release(): Promise<void> {
    return this.#exclusive(async () => {
      const { files, dir } = this.#options
      const covered = this.#head.snapshot?.index ?? 0
      let removed = 0
      for (let first = this.#sealed[0]; first !== undefined && first.maxIndex <= covered; first = this.#sealed[0]) {
        await files.remove(first.path)
        // One at a time: were a later removal to reach the disk before an earlier one, a gap would be left.
        await files.syncDir(dir)
        this.#sealed.shift()
        removed++
      }
      return removed
    }).then(() => undefined)
  }

  /** Waits for what is under way, then closes the file. Any number of times. */
  async close(): Promise<void> {
    if (this.#closed) return void (await this.#turn)
    this.#closed = true
    this.#turn = this.#turn.then(() => this.#segment.close()).catch(() => undefined) // everything promised is already synced
    await this.#turn
  }

  async #append(batches: readonly WalBatch[]): Promise<void> {
    if (this.#segment.sizeBytes >= this.#options.segmentBytes) await this.#rotate()
    for (const batch of batches) {
      this.#head.advance(batch)
      this.#segment.maxIndex = Math.max(this.#segment.maxIndex, batch.entries?.at(-1)?.index ?? 0)
      this.#entries += batch.entries?.length ?? 0
    }
    const payload = encodeBatches(batches, this.#scratch)
    await this.#segment.append(payload)
    this.#appends++
    this.#batches += batches.length
    this.#bytes += payload.length
  }

  /** The new segment becomes durable before the old one is sealed: a sealed segment without a successor is damage. */
  async #rotate(): Promise<void> {
    const { files, dir, clusterId, nodeId, growBytes } = this.#options
    const old = this.#segment
    const seal = encodeSeal()
    const header = {
      clusterId,
      nodeId,
      seq: old.seq + 1,
      firstIndex: this.#head.lastIndex + 1,
      previousCrc: encodeRecord(seal, old.crc).crc,
    }
    const next = await createSegment(files, dir, header, encodeBatches([this.#head.carry()]), growBytes)
    await old.append(seal)
    this.#sealed.push({ path: old.path, maxIndex: old.maxIndex })
    this.#segment = next
    await old.close()
  }

  /** One act at a time, in the order asked, the first one at once; the first failure is the last act. */
  #exclusive<T>(act: () => Promise<T>): Promise<T> {
    if (this.#closed) return Promise.reject(new SkeinError('ERR_SKEIN_STOPPED', 'the log is closed', { what: 'log' }))
    const result = this.#underWay++ === 0 ? this.#act(act) : this.#turn.then(() => this.#act(act))
    this.#turn = result.catch(() => undefined) // the caller has the error; the next in turn finds #failure
    return result
  }

  async #act<T>(act: () => Promise<T>): Promise<T> {
    try {
      if (this.#failure !== undefined) throw this.#failure
      return await act()
    } catch (error) {
      this.#failure ??= error instanceof SkeinBug ? error : storageFailure(this.#segment.path, error)
      throw this.#failure
    } finally {
      this.#underWay--
    }
  }
}

async function syncFile(files: WalFiles, path: string): Promise<void> {
  const file = await files.open(path)
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}
