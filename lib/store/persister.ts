/**
 * Keeps the tables on disk, some milliseconds behind: changed rows and the applied index in one batch, so that what is found
 * there is always the tables at one index. Not synced: the raft log is durable, and what is missing is applied again from it.
 */
import { setImmediate } from 'node:timers/promises'
import type { Clock } from '../base/clock.js'
import { deferred } from '../base/deferred.js'
import { isSkeinError, SkeinError } from '../base/errors.js'
import { keysUnder, makeKey, type Storage, type Write } from '../storage/index.js'
import { decode, encode } from '../wire/codec.js'
import { anything, array, natural, read } from '../wire/decode.js'
import { forgetTables, tablesRoot } from './forget-tables.js'
import { brokenInvariants } from './invariants.js'
import { packRow, unpackRow } from './row-codec.js'
import { type Row, type RowRef, rowKinds } from './rows.js'
import { Tables } from './tables.js'

/** Changes wait this long for more of their kind. */
const flushDelayMs = 50
/** More changed rows than this are written at once. */
const rowsWaitingMax = 20_000
/** Rows encoded before others get their turn on the thread, and rows per batch of a rewrite. */
const rowsPerSlice = 500
const rowBytesMax = 4 * 1024 * 1024

const appliedKey = makeKey(tablesRoot, 'applied')

export class Persister {
  readonly #storage: Storage
  readonly #clock: Clock
  readonly #tables: () => Tables
  readonly #changed = new Map<string, RowRef>()
  readonly #ended = deferred<unknown>()
  #behind = false
  #cancelTimer: (() => void) | undefined
  /** The one write under way, and everything queued behind it. */
  #writing: Promise<void> = Promise.resolve()
  #stopped = false
  #failure: unknown

  constructor(storage: Storage, clock: Clock, tables: () => Tables) {
    this.#storage = storage
    this.#clock = clock
    this.#tables = tables
  }

  /** Never rejects: undefined after `close`, the error if a write failed; then nothing more is written. */
  get ended(): Promise<unknown> {
    return this.#ended.promise
  }

  /** These rows changed, or only the applied index did. */
  touch(rows: readonly RowRef[]): void {
    if (this.#stopped) return
    this.#behind = true
    for (const row of rows) this.#changed.set(`${row.kind}:${row.key}`, row)
    if (this.#changed.size >= rowsWaitingMax) this.#flushSoon(0)
    else this.#flushSoon(flushDelayMs)
  }

  /** Resolves when everything touched so far is written, or writing has failed. */
  async flush(): Promise<void> {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    this.#queue(() => this.#writeChanged())
    await this.#writing
  }

  /**
   * Replaces everything. Not one batch: the applied index goes first and comes back last, so that a crash between
   * leaves what counts as empty, and raft restores its snapshot again.
   * @throws {SkeinError} ERR_SKEIN_STORAGE
   */
  async rewrite(tables: Tables): Promise<void> {
    await this.flush()
    this.#queue(() => rewriteAll(this.#storage, tables))
    await this.#writing
    if (this.#failure !== undefined) throw this.#failure
  }

  /** Writes what is left. Any number of times; the storage stays open, it is its owner's. */
  async close(): Promise<void> {
    await this.flush()
    this.#stopped = true
    this.#ended.resolve(undefined)
  }

  #flushSoon(delayMs: number): void {
    if (this.#cancelTimer !== undefined) return
    this.#cancelTimer = this.#clock.after(delayMs, () => {
      this.#cancelTimer = undefined
      this.#queue(() => this.#writeChanged())
    })
  }

  #queue(write: () => Promise<void>): void {
    this.#writing = this.#writing.then(async () => {
      if (this.#stopped) return
      try {
        await write()
      } catch (error) {
        this.#stopped = true
        this.#failure = error
        this.#changed.clear()
        this.#ended.resolve(error)
      }
    })
  }

  async #writeChanged(): Promise<void> {
    if (!this.#behind) return
    const tables = this.#tables()
    // Taken together in one turn: rows and index are of the same moment, however long encoding takes.
    const rows = Array.from(this.#changed.values(), (ref) => tables.read(ref))
    const { version } = tables
    this.#changed.clear()
    this.#behind = false
    const writes: Write[] = []
    for (const [index, row] of rows.entries()) {
      writes.push(writeOf(row))
      if (index % rowsPerSlice === rowsPerSlice - 1) await setImmediate()
    }
    writes.push({ type: 'put', key: appliedKey, value: encode(version) })
    await this.#storage.batch(writes, { sync: false })
  }
}

/**
 * The tables as last written; empty ones when there are none, or when a rewrite was cut short.
 * @throws {SkeinError} ERR_SKEIN_CORRUPT when what is there does not decode or hold together; ERR_SKEIN_STORAGE
 */
export async function loadTables(storage: Storage): Promise<Tables> {
  const tables = new Tables()
  const applied = await storage.get(appliedKey)
  if (applied === undefined) {
    await forgetTables(storage)
    return tables
  }
  try {
    tables.version = read(natural, decode(applied, rowBytesMax), 'applied')
    for await (const { key, value } of storage.range(keysUnder(tablesRoot, 'row'))) {
      tables.write(unpackRow(read(array(anything), decode(value, rowBytesMax), 'row'), `row ${Buffer.from(key).toString('hex')}`))
    }
  } catch (error) {
    if (isSkeinError(error, 'ERR_SKEIN_BAD_MESSAGE')) throw corrupt(error.message, error)
    throw error
  }
  const broken = brokenInvariants(tables)
  if (broken.length > 0) throw corrupt(broken.join('; '))
  return tables
}

async function rewriteAll(storage: Storage, tables: Tables): Promise<void> {
  await storage.batch([{ type: 'delete', key: appliedKey }], { sync: false })
  await forgetTables(storage)
  let writes: Write[] = []
  for (const row of tables.rows()) {
    writes.push(writeOf(row))
    if (writes.length < rowsPerSlice) continue
    await storage.batch(writes, { sync: false })
    writes = []
  }
  writes.push({ type: 'put', key: appliedKey, value: encode(tables.version) })
  await storage.batch(writes, { sync: false })
}

function writeOf(row: Row): Write {
  const key = makeKey(tablesRoot, 'row', rowKinds.indexOf(row.kind), row.key)
  return row.record === undefined ? { type: 'delete', key } : { type: 'put', key, value: encode(packRow(row)) }
}

function corrupt(words: string, cause?: unknown): SkeinError<'ERR_SKEIN_CORRUPT'> {
  const message = `stored tables are damaged: ${words}; remove this peer's state database, it is built again from the raft log`
  return new SkeinError('ERR_SKEIN_CORRUPT', message, { file: tablesRoot }, { cause })
}
