import { assert } from './assert.js'

/** What happens to a push when the queue is full: the newest is refused, or the oldest is dropped. */
export type Overflow = 'refuse' | 'drop-oldest'

/** FIFO with a bound; `push` says whether the item was kept and `dropped` counts what was lost. */
export class BoundedQueue<T> {
  readonly #limit: number
  readonly #overflow: Overflow
  #items: T[] = []
  #head = 0
  dropped = 0

  constructor(limit: number, overflow: Overflow) {
    assert(Number.isInteger(limit) && limit > 0, 'a queue holds at least one item')
    this.#limit = limit
    this.#overflow = overflow
  }

  get size(): number {
    return this.#items.length - this.#head
  }

  push(item: T): boolean {
    if (this.size >= this.#limit) {
      this.dropped++
      if (this.#overflow === 'refuse') return false
      this.shift()
    }
    this.#items.push(item)
    return true
  }

  shift(): T | undefined {
    if (this.size === 0) return undefined
    const item = this.#items[this.#head++]
    // Compacting at half keeps shift amortised O(1) without holding on to what was taken.
    if (this.#head * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
    return item
  }

  /** Takes everything, oldest first. */
  drain(): T[] {
    const items = this.#items.slice(this.#head)
    this.#items = []
    this.#head = 0
    return items
  }
}
