import type { NodeId } from '../../base/ids.js'

/** Something that happens later, unless it is cancelled. */
export interface Timer {
  dueMs: number
  readonly order: number
  act: ((nowMs: number, about: NodeId) => void) | undefined
  /** Whom it is about, for an `act` that many timers share; else nobody. */
  readonly about: NodeId
}

const nobody = '' as NodeId
/** Below so many a heap is not worth tidying. */
const tidyFrom = 64

/** What the core means to do and when: a heap in virtual time, nothing of the host's. */
export class Timers {
  #heap: Timer[] = []
  #added = 0
  /** Those in the heap that were cancelled. */
  #cancelled = 0

  /** When the next one is due; infinite when none is. */
  get nextMs(): number {
    let first = this.#heap[0]
    while (first !== undefined && first.act === undefined) {
      this.#take()
      this.#cancelled--
      first = this.#heap[0]
    }
    return first === undefined ? Number.POSITIVE_INFINITY : first.dueMs
  }

  /** Timers kept, some of them cancelled. */
  get size(): number {
    return this.#heap.length
  }

  at(dueMs: number, act: (nowMs: number, about: NodeId) => void, about = nobody): Timer {
    const timer: Timer = { dueMs, order: this.#added++, act, about }
    let hole = this.#heap.length
    this.#heap.push(timer)
    while (hole > 0) {
      const parent = (hole - 1) >> 1
      const above = this.#heap[parent] as Timer
      if (!isLater(above, timer)) break
      this.#heap[hole] = above
      hole = parent
    }
    this.#heap[hole] = timer
    return timer
  }

  /** Takes the next timer that is due; undefined when none is. */
  takeDue(nowMs: number): Timer | undefined {
    return this.nextMs <= nowMs ? this.#take() : undefined
  }

  /** Where a group comes apart, far more are cancelled than ever fall due: they take half of the heap at most. */
  cancel(timer: Timer | undefined): void {
    if (timer?.act === undefined) return
    timer.act = undefined
    this.#cancelled++
    if (this.#heap.length >= tidyFrom && 2 * this.#cancelled > this.#heap.length) this.#tidy()
  }

  /** Moves everything into the future alike: time that passed while we stood still does not count. */
  postpone(byMs: number): void {
    for (const timer of this.#heap) timer.dueMs += byMs
  }

  #tidy(): void {
    const open = this.#heap.filter(({ act }) => act !== undefined)
    // What is in order is a heap.
    this.#heap = open.sort((one, other) => one.dueMs - other.dueMs || one.order - other.order)
    this.#cancelled = 0
  }

  #take(): Timer {
    const first = this.#heap[0] as Timer
    const last = this.#heap.pop() as Timer
    if (last !== first) this.#sink(last)
    return first
  }

  #sink(timer: Timer): void {
    const heap = this.#heap
    let hole = 0
    for (;;) {
      let child = 2 * hole + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isLater(heap[child] as Timer, heap[child + 1] as Timer)) child++
      const below = heap[child] as Timer
      if (!isLater(timer, below)) break
      heap[hole] = below
      hole = child
    }
    heap[hole] = timer
  }
}

function isLater(one: Timer, other: Timer): boolean {
  return one.dueMs > other.dueMs || (one.dueMs === other.dueMs && one.order > other.order)
}
