import { SkeinError } from '../../base/errors.js'
import type { RaftDisk, SnapshotMeta } from '../wal/index.js'
import { interruptible } from './interruptible.js'

/** Snapshots on their way in: stored before the core hears of them. One at a time; the next one ends it, for the sender of the last may be gone for good. */
export class IncomingSnapshots {
  readonly #disk: RaftDisk
  #receiving: AbortController | undefined

  constructor(disk: RaftDisk) {
    this.#disk = disk
  }

  /** Resolves when it is durable; one that is stored already, or that `commit` covers, is not even read. */
  async store(meta: SnapshotMeta, commit: number, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    this.end(new SkeinError('ERR_SKEIN_ABORTED', 'the snapshot was given up: another one comes in', { what: 'receiveSnapshot' }))
    if (meta.index <= commit || this.#disk.hasSnapshot(meta)) {
      await chunks[Symbol.asyncIterator]().return?.()
      return
    }
    const receiving = new AbortController()
    this.#receiving = receiving
    try {
      await this.#disk.saveSnapshot(meta, interruptible(chunks, receiving.signal))
    } finally {
      if (this.#receiving === receiving) this.#receiving = undefined
    }
  }

  /** Gives up the one under way; its `store` rejects with the reason. */
  end(reason: unknown): void {
    this.#receiving?.abort(reason)
  }
}
