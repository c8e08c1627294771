import { type Deferred, deferred } from '../../base/deferred.js'
import { isSkeinError } from '../../base/errors.js'
import type { Reader } from '../../wire/decode.js'
import { decode, encode, read } from '../../wire/index.js'
import type { RowChange } from './keyspace.js'
import { rowMaxBytes } from './messages.js'
import type { Space } from './space.js'

export interface TableRow<T> {
  /** Node id of the only writer. */
  readonly owner: string
  readonly key: string
  readonly value: T
}

/** A row as it was when last told, and as it is now; what happened in between is one change. */
export interface TableChange<T> {
  readonly owner: string
  readonly key: string
  readonly prev: T | undefined
  readonly next: T | undefined
}

export interface TableWorld {
  readonly space: Space
  nowMs(): number
  /** The own rows were changed: tell others, and those who watch. */
  written(): void
  /** A row's value did not read; told once for each value. */
  unread(): void
}

/** Changes that wait for one reader: at most one for each row, so a slow reader misses steps and never the outcome. */
class Pending {
  readonly #changes = new Map<string, RowChange>()
  #woken: Deferred<void> = deferred()

  add(change: RowChange): void {
    const name = `${change.owner}\0${change.key}`
    const before = this.#changes.get(name)
    const merged = before === undefined ? change : { ...change, prev: before.prev }
    if (isSame(merged.prev, merged.next)) this.#changes.delete(name)
    else this.#changes.set(name, merged)
    this.wake()
  }

  take(): readonly RowChange[] {
    const changes = [...this.#changes.values()]
    this.#changes.clear()
    return changes
  }

  wake(): void {
    this.#woken.resolve()
  }

  async wait(): Promise<void> {
    await this.#woken.promise
    this.#woken = deferred()
  }
}

/** A named table of one scope: everybody's rows, of which only the own ones can be written. */
export class Table<T> {
  readonly name: string
  readonly #world: TableWorld
  readonly #reader: Reader<T>
  readonly #pending = new Set<Pending>()
  readonly #observers = new Set<(changed: Pick<RowChange, 'owner' | 'key'>) => void>()
  /** What each value read as; a value is replaced, never changed. */
  readonly #known = new WeakMap<Uint8Array, T>()
  /** Values that did not read: of another version, or nonsense. Their rows are not shown. */
  readonly #unreadable = new WeakSet<Uint8Array>()

  /** Made by `Gossip.table`. */
  constructor(name: string, world: TableWorld, reader: Reader<T>) {
    this.name = name
    this.#world = world
    this.#reader = reader
  }

  /** Writes an own row; an equal value is no write. */
  set(key: string, value: T): void {
    this.#world.space.write(this.name, key, encode(value))
    this.#world.written()
  }

  /** Removes an own row. */
  delete(key: string): void {
    this.#world.space.remove(this.name, key, this.#world.nowMs())
    this.#world.written()
  }

  get(owner: string, key: string): T | undefined {
    return this.#read(this.#world.space.get(owner, this.name, key))
  }

  /** Rows as they are now, of owners that are not hidden. */
  *rows(): Generator<TableRow<T>, void> {
    for (const { owner, key, value } of this.#world.space.rows(this.name)) {
      const known = this.#read(value)
      if (known !== undefined) yield { owner, key, value: known }
    }
  }

  /**
   * What changes from now on, gathered while the reader is busy. Level-triggered: each change names what the row was when this
   * reader last heard of it and what it is now. Ends with the signal.
   */
  async *watch(signal: AbortSignal): AsyncGenerator<readonly TableChange<T>[], void> {
    const pending = new Pending()
    const onAbort = (): void => pending.wake()
    this.#pending.add(pending)
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      while (!signal.aborted) {
        const changes = pending.take().flatMap((change) => this.#present(change))
        if (changes.length > 0) yield changes
        else await pending.wait()
      }
    } finally {
      signal.removeEventListener('abort', onAbort)
      this.#pending.delete(pending)
    }
  }

  /** Calls back with the row that may be another than before, in the turn it happens; returns how to stop that. */
  observe(changed: (row: Pick<RowChange, 'owner' | 'key'>) => void): () => void {
    this.#observers.add(changed)
    return () => this.#observers.delete(changed)
  }

  /** For `Gossip`: a change of a row of this table. */
  changed(change: RowChange): void {
    for (const pending of this.#pending) pending.add(change)
    for (const observer of this.#observers) observer(change)
  }

  #present({ owner, key, prev, next }: RowChange): TableChange<T>[] {
    const change = { owner, key, prev: this.#read(prev), next: this.#read(next) }
    return change.prev === undefined && change.next === undefined ? [] : [change]
  }

  #read(value: Uint8Array | undefined): T | undefined {
    if (value === undefined) return undefined
    const known = this.#known.get(value)
    if (known !== undefined) return known
    if (this.#unreadable.has(value)) return undefined
    try {
      const row = read(this.#reader, decode(value, rowMaxBytes), this.name)
      this.#known.set(value, row)
      return row
    } catch (error) {
      if (!isSkeinError(error, 'ERR_SKEIN_BAD_MESSAGE')) throw error
      this.#unreadable.add(value)
      this.#world.unread()
      return undefined
    }
  }
}

function isSame(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  if (a === undefined || b === undefined) return a === b
  return Buffer.compare(a, b) === 0
}
