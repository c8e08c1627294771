/** A map that iterates in ascending key order (UTF-16 code units: the same on every machine). Pure. */
export class SortedTable<T> {
  readonly #items = new Map<string, T>()
  readonly #keys: string[] = []

  get size(): number {
    return this.#items.size
  }

  get(key: string): T | undefined {
    return this.#items.get(key)
  }

  set(key: string, item: T): void {
    if (!this.#items.has(key)) {
      // Loading is in order: the common case is an append.
      const last = this.#keys.at(-1)
      if (last === undefined || last < key) this.#keys.push(key)
      else this.#keys.splice(this.#firstFrom(key), 0, key)
    }
    this.#items.set(key, item)
  }

  delete(key: string): void {
    if (this.#items.delete(key)) this.#keys.splice(this.#firstFrom(key), 1)
  }

  *keys(): Generator<string> {
    yield* this.#keys
  }

  *values(): Generator<T> {
    for (const key of this.#keys) yield this.#items.get(key) as T
  }

  /** Items whose key starts with `prefix`, in order. */
  *valuesWithPrefix(prefix: string): Generator<T> {
    for (let at = this.#firstFrom(prefix); at < this.#keys.length; at++) {
      const key = this.#keys[at] as string
      if (!key.startsWith(prefix)) return
      yield this.#items.get(key) as T
    }
  }

  /** Place of the first key not below `key`. */
  #firstFrom(key: string): number {
    let low = 0
    let high = this.#keys.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#keys[middle] as string) < key) low = middle + 1
      else high = middle
    }
    return low
  }
}
