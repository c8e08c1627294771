import { compareBytes } from '../base/bytes.js'
import { SkeinError } from '../base/errors.js'
import type { BatchOptions, Entry, Range, Storage, Write } from './storage.js'

/** A Storage in a sorted array: for tests and throw-away peers. Durable as long as the object lives. */
export class MemoryStorage implements Storage {
  #entries: Entry[] = []
  #closed = false

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    this.#checkOpen()
    const at = this.#place(key)
    return this.#holds(at, key) ? this.#entries[at]?.value.slice() : undefined
  }

  async *range({ gte, lt, limit = Number.POSITIVE_INFINITY }: Range): AsyncGenerator<Entry, void, undefined> {
    this.#checkOpen()
    const from = gte === undefined ? 0 : this.#place(gte)
    const to = lt === undefined ? this.#entries.length : this.#place(lt)
    for (const { key, value } of this.#entries.slice(from, Math.min(to, from + limit))) {
      this.#checkOpen()
      yield { key: key.slice(), value: value.slice() }
    }
  }

  async batch(writes: readonly Write[], _options: BatchOptions): Promise<void> {
    this.#checkOpen()
    for (const write of writes) {
      const at = this.#place(write.key)
      const held = this.#holds(at, write.key) ? 1 : 0
      if (write.type === 'delete') this.#entries.splice(at, held)
      else this.#entries.splice(at, held, { key: write.key.slice(), value: write.value.slice() })
    }
  }

  async close(): Promise<void> {
    this.#closed = true
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Where the key is, or would be: the first entry not below it. */
  #place(key: Uint8Array): number {
    let low = 0
    let high = this.#entries.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (compareBytes((this.#entries[middle] as Entry).key, key) < 0) low = middle + 1
      else high = middle
    }
    return low
  }

  #holds(at: number, key: Uint8Array): boolean {
    const entry = this.#entries[at]
    return entry !== undefined && compareBytes(entry.key, key) === 0
  }

  #checkOpen(): void {
    if (this.#closed) throw new SkeinError('ERR_SKEIN_STOPPED', 'the storage is closed', { what: 'storage' })
  }
}
