import { SortedTable } from './sorted-table.js'

/** Records by id, ascending, and by their names, of which each has one of its own. Pure. */
export class NamedTable<T> {
  readonly #items = new SortedTable<T>()
  readonly #idByName = new Map<string, string>()
  readonly #nameOf: (item: T) => string

  constructor(nameOf: (item: T) => string) {
    this.#nameOf = nameOf
  }

  get(id: string): T | undefined {
    return this.#items.get(id)
  }

  byName(name: string): T | undefined {
    const id = this.#idByName.get(name)
    return id === undefined ? undefined : this.#items.get(id)
  }

  values(): Iterable<T> {
    return this.#items.values()
  }

  set(id: string, item: T): void {
    this.#forgetName(id)
    this.#idByName.set(this.#nameOf(item), id)
    this.#items.set(id, item)
  }

  delete(id: string): void {
    this.#forgetName(id)
    this.#items.delete(id)
  }

  #forgetName(id: string): void {
    const was = this.#items.get(id)
    if (was === undefined) return
    const name = this.#nameOf(was)
    // Rows of one command may come in any order: another one may have taken the name before this one let go of it.
    if (this.#idByName.get(name) === id) this.#idByName.delete(name)
  }
}
