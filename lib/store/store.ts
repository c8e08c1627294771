/** The replicated store: a state machine for raft below, view, submit and watch above. */
import { setImmediate } from 'node:timers/promises'
import { assert } from '../base/assert.js'
import type { Clock } from '../base/clock.js'
import { deferred } from '../base/deferred.js'
import { type ErrorCode, type ErrorDetail, SkeinError } from '../base/errors.js'
import { makeId } from '../base/ids.js'
import type { Random } from '../base/random.js'
import type { Op, Outcome, StoreCommand } from '../model/command.js'
import type { Storage } from '../storage/index.js'
import { applyCommand } from './apply.js'
import type { Change, StoreChange } from './changes.js'
import { decodeCommand, encodeCommand } from './command-codec.js'
import { loadTables, Persister } from './persister.js'
import { snapshotChunks, tablesFromChunks } from './snapshot.js'
import { type RowSealing, tableLayout } from './table-layout.js'
import { Tables } from './tables.js'
import type { View } from './view.js'
import { Watchers, type WatchOptions } from './watch.js'

/** How a command gets into the raft log; answers with what applying it answered. */
export type Propose = (
  data: Uint8Array,
  options: { readonly requestId: string; readonly deadlineMs: number; readonly signal?: AbortSignal },
) => Promise<Outcome>

export interface StoreOptions {
  /** Where the tables are kept; without it in memory only, and rebuilt from the raft log. */
  readonly storage?: Storage
  /** Seals what is kept there; without it rows lie open. */
  readonly sealing?: RowSealing
  /** Without it the store only follows: every submit is refused with ERR_SKEIN_NOT_LEADER. */
  readonly propose?: Propose
  readonly clock: Clock
  /** Makes request ids: must differ between peers. */
  readonly random: Random
}

export interface SubmitOptions {
  /** Makes a retry safe; default a new one. */
  readonly requestId?: string
  /** Who asks: a node id, 'client' or 'leader'. */
  readonly by: string
  /** Milliseconds from now, default 10,000; past it the outcome is unknown, not failed. */
  readonly deadlineMs?: number
  readonly signal?: AbortSignal
}

export type Accepted = Extract<Outcome, { ok: true }>

/** Told once per batch of applied entries. Must not throw, and must not submit synchronously. */
export type ChangeListener = (changes: readonly Change[], version: number) => void

export class Store implements AsyncDisposable {
  readonly #clock: Clock
  readonly #random: Random
  readonly #propose: Propose | undefined
  readonly #persister: Persister | undefined
  readonly #watchers: Watchers
  readonly #listeners = new Set<ChangeListener>()
  readonly #closed = deferred<undefined>()
  #tables: Tables
  /** Changes of entries applied since watchers were last told. */
  #untold: Change[] = []

  /**
   * Opens the store with what its storage holds.
   * @throws {SkeinError} ERR_SKEIN_CORRUPT, ERR_SKEIN_STORAGE
   */
  static async open(options: StoreOptions): Promise<Store> {
    const { storage, sealing } = options
    return new Store(options, storage === undefined ? new Tables() : await loadTables(storage, tableLayout(sealing)))
  }

  private constructor({ storage, sealing, propose, clock, random }: StoreOptions, tables: Tables) {
    this.#clock = clock
    this.#random = random
    this.#propose = propose
    this.#tables = tables
    this.#watchers = new Watchers(clock, tables.version)
    this.#persister = storage && new Persister(storage, tableLayout(sealing), clock, () => this.#tables)
  }

  /** Raft index of the last entry the tables hold: raft goes on after it. */
  get appliedIndex(): number {
    return this.#tables.version
  }

  /** Never rejects: undefined after `close`, the error if the tables could not be written. */
  get ended(): Promise<unknown> {
    return this.#persister?.ended ?? this.#closed.promise
  }

  /** The tables as they are, live: read what belongs together without awaiting, and ask again after. */
  view(): View {
    return this.#tables
  }

  /** Applies one committed entry, and answers with its outcome on every replica alike. */
  apply(data: Uint8Array, { index }: { readonly index: number }): Outcome {
    const tables = this.#tables
    assert(index > tables.version, 'entries are applied once and in order')
    const command = decoded(data)
    if (!('ops' in command)) {
      tables.version = index
      return command
    }
    const { outcome, changes, rows } = applyCommand(tables, command, index)
    for (const change of changes) this.#untold.push(change)
    this.#persister?.touch(rows)
    return outcome
  }

  /** Everything up to `index` is applied, entries that were not ours too: watchers are told, the disk follows. */
  applied(index: number): void {
    this.#tables.version = Math.max(this.#tables.version, index)
    const changes = this.#untold
    this.#untold = []
    this.#persister?.touch([])
    this.#tell(changes)
  }

  /** The tables as they are at the call, encoded while they are read; other work gets its turn between chunks. */
  snapshot(): AsyncIterable<Uint8Array> {
    return paced(snapshotChunks(this.#tables))
  }

  /**
   * Replaces the tables, on disk first. Watchers get a resync, listeners an empty list of changes.
   * @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE for a damaged snapshot: nothing is changed; ERR_SKEIN_STORAGE
   */
  async restore(chunks: AsyncIterable<Uint8Array>, { index }: { readonly index: number }): Promise<void> {
    const tables = await tablesFromChunks(chunks)
    if (tables.version > index) {
      const words = `snapshot of the store: holds entries up to ${tables.version}, but was sent for ${index}`
      throw new SkeinError('ERR_SKEIN_BAD_MESSAGE', words, { path: 'snapshot' })
    }
    tables.version = index
    await this.#persister?.rewrite(tables)
    this.#tables = tables
    this.#untold = []
    this.#watchers.reset(index)
    for (const listener of this.#listeners) listener([], index)
  }

  /**
   * Proposes operations as one command, all or none; resolves once it is applied where it was proposed.
   * @throws {SkeinError} the reason of a refusal by its code; ERR_SKEIN_TOO_LARGE; ERR_SKEIN_NOT_LEADER, ERR_SKEIN_NO_QUORUM
   * (not happened); ERR_SKEIN_OUTCOME_UNKNOWN (a retry with the same `requestId` is safe)
   */
  async submit(ops: readonly Op[], options: SubmitOptions): Promise<Accepted> {
    if (ops.length === 0) return { ok: true, version: this.appliedIndex }
    const { requestId = makeId(this.#random), by, deadlineMs = 10_000, signal } = options
    const command: StoreCommand = { requestId, atMs: this.#clock.wallMs(), by, ops }
    const data = encodeCommand(command)
    if (this.#propose === undefined) {
      throw new SkeinError('ERR_SKEIN_NOT_LEADER', 'this store only follows; ask the leader', { leader: undefined })
    }
    const outcome = await this.#propose(data, { requestId, deadlineMs, ...(signal && { signal }) })
    if (outcome.ok) return outcome
    throw refusalOf(outcome)
  }

  /** Changes from now or after `since`, until the signal fires or the store closes; bounded, with marks and resyncs. */
  watch(options?: WatchOptions): AsyncIterable<StoreChange> {
    return this.#watchers.watch(options)
  }

  /** Calls back in the turn in which changes are applied; returns how to stop that. */
  onChange(listener: ChangeListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Ends every watch and writes what is left. Any number of times. */
  async close(): Promise<void> {
    this.#watchers.close()
    this.#listeners.clear()
    await this.#persister?.close()
    this.#closed.resolve(undefined)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #tell(changes: readonly Change[]): void {
    const { version } = this.#tables
    this.#watchers.publish(changes, version)
    if (changes.length === 0) return
    for (const listener of this.#listeners) listener(changes, version)
  }
}

/** The error a refused command's caller gets. */
export function refusalOf({ code, message, detail }: Extract<Outcome, { ok: false }>): SkeinError {
  // Codes and details come from SkeinErrors that apply caught; the outcome has carried them through bytes.
  return new SkeinError(code as ErrorCode, message, detail as ErrorDetail[ErrorCode])
}

/** The command, or the refusal every replica gives to bytes that are none. */
function decoded(data: Uint8Array): StoreCommand | Extract<Outcome, { ok: false }> {
  try {
    return decodeCommand(data)
  } catch (error) {
    if (!(error instanceof SkeinError)) throw error
    return { ok: false, code: error.code, message: error.message, detail: error.detail }
  }
}

async function* paced(chunks: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) {
    yield chunk
    await setImmediate()
  }
}
