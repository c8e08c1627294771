/** A clock the test moves: timers fire in order, and between two of them promises settle. */
import type { Clock } from '../../lib/base/clock.js'

export class VirtualClock implements Clock {
  #nowMs = 0
  #timers: { readonly atMs: number; readonly act: () => void }[] = []

  now(): number {
    return this.#nowMs
  }

  wallMs(): number {
    return 1_000_000 + this.#nowMs
  }

  get timers(): number {
    return this.#timers.length
  }

  after(delayMs: number, act: () => void): () => void {
    const timer = { atMs: this.#nowMs + delayMs, act }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }

  every(periodMs: number, act: () => void): () => void {
    let cancel = (): void => undefined
    const again = (): void => {
      cancel = this.after(periodMs, again)
      act()
    }
    cancel = this.after(periodMs, again)
    return () => cancel()
  }

  /** Work that takes so long without letting anyone else run. */
  spend(ms: number): void {
    this.#nowMs += ms
  }

  /** Fires everything due within the next `ms`, in order. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms
    await settle()
    for (;;) {
      const due = this.#timers.filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs)[0]
      if (due === undefined) break
      this.#timers = this.#timers.filter((other) => other !== due)
      this.#nowMs = Math.max(this.#nowMs, due.atMs)
      due.act()
      await settle()
    }
    this.#nowMs = Math.max(this.#nowMs, endMs)
  }
}

/** Lets promises that are ready go on; nothing here waits for I/O. */
async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
}
