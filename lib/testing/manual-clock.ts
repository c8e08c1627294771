import type { Clock } from '../base/clock.js'

interface Timer {
  atMs: number
  readonly order: number
  readonly periodMs: number | undefined
  readonly act: () => void
}

/** A clock that stands still until told to go on; timers act in order of their time, then of their making. */
export class ManualClock implements Clock {
  #nowMs = 0
  #made = 0
  readonly #wallStartMs: number
  readonly #timers = new Set<Timer>()

  constructor({ wallStartMs = 1_000_000 }: { readonly wallStartMs?: number } = {}) {
    this.#wallStartMs = wallStartMs
  }

  now(): number {
    return this.#nowMs
  }

  wallMs(): number {
    return this.#wallStartMs + this.#nowMs
  }

  after(delayMs: number, act: () => void): () => void {
    return this.#add({ atMs: this.#nowMs + Math.max(0, delayMs), order: this.#made++, periodMs: undefined, act })
  }

  every(periodMs: number, act: () => void): () => void {
    return this.#add({ atMs: this.#nowMs + periodMs, order: this.#made++, periodMs, act })
  }

  /** Timers that still wait: none may be left behind. */
  get pending(): number {
    return this.#timers.size
  }

  /** Goes on by so much, running every timer that falls due at its own time. */
  advance(byMs: number): void {
    const endMs = this.#nowMs + byMs
    for (let timer = this.#next(endMs); timer !== undefined; timer = this.#next(endMs)) {
      this.#nowMs = Math.max(this.#nowMs, timer.atMs)
      this.#run(timer)
    }
    this.#nowMs = endMs
  }

  /** Goes on at once, as after a stall of the process: timers that fell due meanwhile all run late. */
  stall(byMs: number): void {
    this.#nowMs += byMs
    const endMs = this.#nowMs
    for (let timer = this.#next(endMs); timer !== undefined; timer = this.#next(endMs)) this.#run(timer)
  }

  #run(timer: Timer): void {
    if (timer.periodMs === undefined) this.#timers.delete(timer)
    else timer.atMs = this.#nowMs + timer.periodMs
    timer.act()
  }

  #next(endMs: number): Timer | undefined {
    let first: Timer | undefined
    for (const timer of this.#timers) {
      if (timer.atMs > endMs) continue
      if (first === undefined || timer.atMs < first.atMs || (timer.atMs === first.atMs && timer.order < first.order))
        first = timer
    }
    return first
  }

  #add(timer: Timer): () => void {
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }
}
