const kept = 100

/** How long pings took lately; what a ping may take before others are asked. */
export class RoundTrips {
  readonly #samples: number[] = []
  #next = 0
  #p99: number | undefined

  add(durationMs: number): void {
    this.#samples[this.#next] = durationMs
    this.#next = (this.#next + 1) % kept
    this.#p99 = undefined
  }

  /** The round trip 99 of 100 stay under; undefined before the first. */
  get p99Ms(): number | undefined {
    if (this.#p99 === undefined && this.#samples.length > 0) {
      const sorted = [...this.#samples].sort((a, b) => a - b)
      this.#p99 = sorted[Math.ceil(sorted.length * 0.99) - 1]
    }
    return this.#p99
  }

  /** clamp(3 × p99, min, max); the maximum while nothing is known. */
  pingTimeoutMs(minMs: number, maxMs: number): number {
    const { p99Ms } = this
    return p99Ms === undefined ? maxMs : Math.min(maxMs, Math.max(minMs, 3 * p99Ms))
  }
}
