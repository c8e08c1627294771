import createDebug from 'debug'
import type { Clock } from '../../base/clock.js'
import { type Deferred, deferred } from '../../base/deferred.js'
import { messageOf, SkeinError } from '../../base/errors.js'
import type { Random } from '../../base/random.js'
import { entrySizeBytes, type MemoryStorage } from '../core/index.js'
import type { RaftDisk, SnapshotMeta } from '../wal/index.js'
import type { Applier } from './applier.js'
import type { StateMachine } from './state-machine.js'
import { Tally } from './summary.js'

const debug = createDebug('skein:raft')
/** Entries behind a snapshot are a courtesy to peers a little behind; not at any price. */
const trailingBytesMax = 16 * 1024 * 1024
/** While a snapshot is on its way, what follows it is no courtesy: without it the peer would need another one, for ever. */
const awaitedBytesMax = 256 * 1024 * 1024
/** A state is written again only when the log is worth it: a quarter of it, if it is larger than this. */
const smallStateBytes = 1024 * 1024
/** Peers that apply the same entries would all pause for a snapshot at the same one: each draws its wait from so much of the whole. */
const shortestWait = 0.75

export interface SnapshotterParts {
  readonly disk: RaftDisk
  readonly storage: MemoryStorage
  readonly machine: StateMachine
  readonly applier: Applier
  readonly clock: Pick<Clock, 'now'>
  readonly random: Random
  readonly everyEntries: number
  readonly everyBytes: number
  readonly trailingEntries: number
  /** The oldest snapshot that is on its way to a peer; undefined when none is. */
  sendingIndex(): number | undefined
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
  /** Fewer bytes than this are not worth a snapshot, however many entries they are. */
  #worthBytes = 0
  #underWay = false
  #stopped = false
  /** Who asked for a snapshot that is not begun yet. */
  #asking: Deferred<number>[] = []
  /** Who waits for the one under way. */
  #awaiting: Deferred<number>[] = []
  taken = 0
  failures = 0
  /** From the captured state to the durable file. */
  readonly seconds = new Tally()

  constructor(parts: SnapshotterParts) {
    this.#parts = parts
    const wait = drawWait(parts.random)
    this.#nextIndex = parts.storage.snapshot().index + Math.ceil(parts.everyEntries * wait)
    this.#nextBytes = parts.everyBytes * wait
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
    const { applier, machine, disk, storage, clock, mark } = this.#parts
    if (!this.#isDue() || this.#underWay || this.#stopped || !applier.canSnapshot) return
    const meta = { index: applier.appliedIndex, term: storage.term(applier.appliedIndex), confState: applier.conf }
    const beganMs = clock.now()
    const chunks = machine.snapshot()
    this.#underWay = true
    this.#awaiting = this.#asking.splice(0)
    this.#scheduleAfter(meta.index)
    disk.saveSnapshot(meta, this.#untilStopped(chunks)).then(
      (sizeBytes) => {
        if (this.#stopped) return
        this.seconds.add((clock.now() - beganMs) / 1_000)
        debug('snapshot at %d: %d bytes', meta.index, sizeBytes)
        this.#weigh(sizeBytes)
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

  #isDue(): boolean {
    const { applier, sendingIndex } = this.#parts
    if (this.#nextIndex === 0) return true // asked for, or the last one is of no use
    const { appliedIndex, appliedBytes } = applier
    if (sendingIndex() !== undefined) return appliedBytes >= this.#nextBytes + awaitedBytesMax
    return appliedBytes >= this.#nextBytes || (appliedIndex >= this.#nextIndex && appliedBytes >= this.#worthBytes)
  }

  /** The thesis' rule (§5.1.3): how often depends on how large the state is beside the log. */
  #weigh(sizeBytes: number): void {
    const { everyBytes, applier } = this.#parts
    this.#worthBytes = sizeBytes <= smallStateBytes ? 0 : applier.appliedBytes + Math.min(sizeBytes / 4, everyBytes)
  }

  #scheduleAfter(index: number): void {
    const { random, everyEntries, everyBytes, applier } = this.#parts
    const wait = drawWait(random)
    this.#nextIndex = index + Math.ceil(everyEntries * wait)
    this.#nextBytes = applier.appliedBytes + everyBytes * wait
  }

  /** The last entry not worth its memory behind a snapshot. */
  #compactTo(snapshotIndex: number): number {
    const { storage, trailingEntries, sendingIndex } = this.#parts
    const awaited = sendingIndex()
    const limitBytes = awaited === undefined ? trailingBytesMax : awaitedBytesMax
    const from = Math.min(snapshotIndex - trailingEntries, awaited ?? snapshotIndex) + 1
    const first = Math.max(storage.firstIndex(), from)
    if (first > snapshotIndex) return snapshotIndex
    const kept = storage.entries(first, snapshotIndex + 1, Number.POSITIVE_INFINITY)
    let sizeBytes = 0
    const tooMany = kept.findLastIndex((entry) => {
      sizeBytes += entrySizeBytes(entry)
      return sizeBytes > limitBytes
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

function drawWait(random: Random): number {
  return shortestWait + (1 - shortestWait) * random()
}
