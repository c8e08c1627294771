import createDebug from 'debug'
import { type Deferred, deferred } from '../../base/deferred.js'
import { messageOf, SkeinError } from '../../base/errors.js'
import { entrySizeBytes, type MemoryStorage } from '../core/index.js'
import type { RaftDisk, SnapshotMeta } from '../wal/index.js'
import type { Applier } from './applier.js'
import type { StateMachine } from './state-machine.js'

const debug = createDebug('skein:raft')
/** Entries behind a snapshot are a courtesy to peers a little behind; not at any price. */
const trailingBytesMax = 16 * 1024 * 1024

export interface SnapshotterParts {
  readonly disk: RaftDisk
  readonly storage: MemoryStorage
  readonly machine: StateMachine
  readonly applier: Applier
  readonly everyEntries: number
  readonly everyBytes: number
  readonly trailingEntries: number
  /** The file is durable: let the log refer to it; `marked` follows. */
  mark(meta: SnapshotMeta): void
  failed(error: unknown): void
}

/**
 * Keeps the log short: after so many entries the state machine's state becomes a file, the log refers to it, and what
 * it covers goes. A snapshot that fails costs space, not truth: the next one tries again.
 */
export class Snapshotter {
  readonly #parts: SnapshotterParts
  #nextIndex: number
  #nextBytes: number
  #underWay = false
  #stopped = false
  /** Who asked for a snapshot that is not begun yet. */
  #asking: Deferred<number>[] = []
  /** Who waits for the one under way. */
  #awaiting: Deferred<number>[] = []
  taken = 0
  failures = 0

  constructor(parts: SnapshotterParts) {
    this.#parts = parts
    this.#nextIndex = parts.storage.snapshot().index + parts.everyEntries
    this.#nextBytes = parts.everyBytes
  }

  /** Makes a snapshot due at once; resolves with its index once the log refers to it, rejects with what kept it from that. */
  request(): Promise<number> {
    if (this.#parts.applier.appliedIndex === 0) {
      return Promise.reject(
        new SkeinError('ERR_SKEIN_PRECONDITION', 'nothing is applied yet: there is nothing to take a snapshot of', {
          what: 'snapshot',
        }),
      )
    }
    const asked = deferred<number>()
    this.#asking.push(asked)
    this.#nextIndex = 0
    return asked.promise
  }

  /** Begins a snapshot if one is due. The state is captured before this returns, its bytes are written later. */
  startIfDue(): void {
    const { applier, machine, disk, storage, mark } = this.#parts
    const isDue = applier.appliedIndex >= this.#nextIndex || applier.appliedBytes >= this.#nextBytes
    if (!isDue || this.#underWay || this.#stopped || !applier.canSnapshot) return
    const meta = { index: applier.appliedIndex, term: storage.term(applier.appliedIndex), confState: applier.conf }
    const chunks = machine.snapshot()
    this.#underWay = true
    this.#awaiting = this.#asking.splice(0)
    this.#scheduleAfter(meta.index)
    disk.saveSnapshot(meta, this.#untilStopped(chunks)).then(
      (sizeBytes) => {
        if (this.#stopped) return
        debug('snapshot at %d: %d bytes', meta.index, sizeBytes)
        mark(meta)
      },
      (error: unknown) => {
        this.#underWay = false
        this.failures++
        for (const asked of this.#awaiting.splice(0)) asked.reject(error)
        debug('snapshot at %d failed: %s', meta.index, messageOf(error))
      },
    )
  }

  /** The log refers to it: memory and disk let go of what it covers. Stale: a newer one was installed meanwhile. */
  marked(meta: SnapshotMeta, outcome: 'counts' | 'stale'): void {
    this.#underWay = false
    for (const asked of this.#awaiting.splice(0)) asked.resolve(meta.index)
    if (this.#asking.length > 0) this.#nextIndex = 0 // what was installed or begun meanwhile does not answer them
    if (outcome === 'stale') return
    const { storage, disk, failed } = this.#parts
    this.taken++
    storage.setSnapshot({ ...meta, data: new Uint8Array(0) })
    const index = this.#compactTo(meta.index)
    if (index >= storage.firstIndex()) storage.compact(index)
    disk.release().catch(failed)
  }

  /** The leader's snapshot at this index took the place of everything before. */
  installed(index: number): void {
    this.#scheduleAfter(index)
  }

  /** The newest snapshot is damaged, or older than a member that needs it: another one is due at once. */
  spoiled(): void {
    this.#nextIndex = 0
  }

  /** What is under way is not finished; `reason` is for who waits for it. */
  stop(reason: unknown): void {
    this.#stopped = true
    for (const asked of [...this.#asking.splice(0), ...this.#awaiting.splice(0)]) asked.reject(reason)
  }

  #scheduleAfter(index: number): void {
    this.#nextIndex = index + this.#parts.everyEntries
    this.#nextBytes = this.#parts.applier.appliedBytes + this.#parts.everyBytes
  }

  /** The last entry not worth its memory behind a snapshot. */
  #compactTo(snapshotIndex: number): number {
    const { storage, trailingEntries } = this.#parts
    const first = Math.max(storage.firstIndex(), snapshotIndex - trailingEntries + 1)
    if (first > snapshotIndex) return snapshotIndex
    const kept = storage.entries(first, snapshotIndex + 1, Number.POSITIVE_INFINITY)
    let sizeBytes = 0
    const tooMany = kept.findLastIndex((entry) => {
      sizeBytes += entrySizeBytes(entry)
      return sizeBytes > trailingBytesMax
    })
    return first + tooMany
  }

  async *#untilStopped(chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      if (this.#stopped) throw new SkeinError('ERR_SKEIN_STOPPED', 'the runner stops', { what: 'snapshot' })
      yield chunk
    }
  }
}
