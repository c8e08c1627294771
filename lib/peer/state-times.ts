/** Fewer are not looked through. */
const sweepMin = 64

/** Since when everybody is in the state they are in. Who is not known any more is forgotten by the way: at most half of all kept are such. */
export class StateTimes<State> {
  readonly #isKnown: (id: string) => boolean
  readonly #since = new Map<string, { readonly state: State; readonly atMs: number }>()
  #sweepAt = sweepMin

  constructor(isKnown: (id: string) => boolean) {
    this.#isKnown = isKnown
  }

  get size(): number {
    return this.#since.size
  }

  /** When it came to this state: now, if it was in another when it was last asked for. */
  sinceMs(id: string, state: State, nowMs: number): number {
    const known = this.#since.get(id)
    if (known?.state === state) return known.atMs
    this.#since.set(id, { state, atMs: nowMs })
    if (this.#since.size > this.#sweepAt) this.#sweep()
    return nowMs
  }

  forget(id: string): void {
    this.#since.delete(id)
  }

  #sweep(): void {
    for (const id of this.#since.keys()) if (!this.#isKnown(id)) this.#since.delete(id)
    this.#sweepAt = Math.max(sweepMin, 2 * this.#since.size)
  }
}
