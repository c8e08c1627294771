/**
 * Keeps the tables on disk, some milliseconds behind: changed rows and the applied index in one batch, so that what is found
 * there is always the tables at one index. Not synced: the raft log is durable, and what is missing is applied again from it.
 */
import { setImmediate } from 'node:timers/promises'
import type { Clock } from '../base/clock.js'
import { deferred } from '../base/deferred.js'
import { isSkeinError, SkeinError } from '../base/errors.js'
import type { Storage, Write } from '../storage/index.js'
import { decode, encode } from '../wire/codec.js'
import { anything, array, natural, read } from '../wire/decode.js'
import { forgetTables, tablesRoot } from './forget-tables.js'
import { brokenInvariants } from './invariants.js'
import { packRow, unpackRow } from './row-codec.js'
import type { Row, RowRef } from './rows.js'
import type { TableLayout } from './table-layout.js'
import { Tables } from './tables.js'

/** Changes wait this long for more of their kind. */
const flushDelayMs = 50
/** More changed rows than this are written at once. */
const rowsWaitingMax = 20_000
/** Rows encoded before others get their turn on the thread, and rows per batch of a rewrite. */
const rowsPerSlice = 500
const rowBytesMax = 4 * 1024 * 1024

export class Persister {
  readonly #storage: Storage
  readonly #layout: TableLayout
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

  constructor(storage: Storage, layout: TableLayout, clock: Clock, tables: () => Tables) {
    this.#storage = storage
    this.#layout = layout
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
    this.#queue(() => rewriteAll(this.#storage, this.#layout, tables))
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
      writes.push(writeOf(row, this.#layout))
      if (index % rowsPerSlice === rowsPerSlice - 1) await setImmediate()
    }
    writes.push(appliedAt(version, this.#layout))
    await this.#storage.batch(writes, { sync: false })
  }
}

/**
 * The tables as last written; empty ones when there are none, when a rewrite was cut short, or when those that are there lie open and this
 * layout is sealed (they are cleared away, and built again from the raft log).
 * @throws {SkeinError} as `readTables`
 */
export async function loadTables(storage: Storage, layout: TableLayout): Promise<Tables> {
  const tables = await readTables(storage, layout)
  if (tables === undefined) await forgetTables(storage)
  return tables ?? new Tables()
}

/**
 * The tables as last written; undefined when there are none. Changes nothing.
 * @throws {SkeinError} ERR_SKEIN_CORRUPT when what is there does not open, decode or hold together; ERR_SKEIN_STORAGE
 */
export async function readTables(storage: Storage, { appliedKey, rows, open }: TableLayout): Promise<Tables | undefined> {
  const applied = await storage.get(appliedKey)
  if (applied === undefined) return undefined
  const tables = new Tables()
  try {
    tables.version = read(natural, decode(open(applied, appliedKey), rowBytesMax), 'applied')
    for await (const { key, value } of storage.range(rows)) {
      const row = read(array(anything), decode(open(value, key), rowBytesMax), 'row')
      tables.write(unpackRow(row, `row ${Buffer.from(key).toString('hex')}`))
    }
  } catch (error) {
    if (isSkeinError(error, 'ERR_SKEIN_BAD_MESSAGE') || isSkeinError(error, 'ERR_SKEIN_CORRUPT'))
      throw corrupt(error.message, error)
    throw error
  }
  const broken = brokenInvariants(tables)
  if (broken.length > 0) throw corrupt(broken.join('; '))
  return tables
}

async function rewriteAll(storage: Storage, layout: TableLayout, tables: Tables): Promise<void> {
  await storage.batch([{ type: 'delete', key: layout.appliedKey }], { sync: false })
  await forgetTables(storage)
  let writes: Write[] = []
  for (const row of tables.rows()) {
    writes.push(writeOf(row, layout))
    if (writes.length < rowsPerSlice) continue
    await storage.batch(writes, { sync: false })
    writes = []
  }
  writes.push(appliedAt(tables.version, layout))
  await storage.batch(writes, { sync: false })
}

function writeOf(row: Row, { keyOf, seal }: TableLayout): Write {
  const key = keyOf(row)
  return row.record === undefined ? { type: 'delete', key } : { type: 'put', key, value: seal(encode(packRow(row)), key) }
}

function appliedAt(version: number, { appliedKey: key, seal }: TableLayout): Write {
  return { type: 'put', key, value: seal(encode(version), key) }
}

function corrupt(words: string, cause?: unknown): SkeinError<'ERR_SKEIN_CORRUPT'> {
  const message = `stored tables are damaged: ${words}; remove this peer's state database, it is built again from the raft log`
  return new SkeinError('ERR_SKEIN_CORRUPT', message, { file: tablesRoot }, { cause })
}
