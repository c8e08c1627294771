import { assert } from '../../base/assert.js'

const words = 8
/** Datagrams may overtake each other by so many; what is later than that counts as replayed. One word is always being refilled. */
export const windowPackets = (words - 1) * 32

/**
 * Which counters of one sender were seen: the highest, and a bit for each of those just before it.
 * Source: RFC 6479, the window of IPsec and WireGuard.
 */
export class ReplayWindow {
  #highest = -1
  readonly #seen = new Uint32Array(words)

  /** True for a counter that was not seen before and is not too old to tell. Changes nothing: the packet may still be forged. */
  isFresh(counter: number): boolean {
    if (counter > this.#highest) return true
    if (counter <= this.#highest - windowPackets) return false
    return (this.#word(counter) & bitOf(counter)) === 0
  }

  /** To be called once the packet has proved to be genuine. */
  accept(counter: number): void {
    assert(this.isFresh(counter), 'a counter is accepted once')
    if (counter > this.#highest) this.#slideTo(counter)
    const at = wordOf(counter)
    this.#seen[at] = this.#word(counter) | bitOf(counter)
  }

  #slideTo(counter: number): void {
    const from = Math.floor(this.#highest / 32)
    const steps = Math.min(Math.floor(counter / 32) - from, words)
    for (let step = 1; step <= steps; step++) this.#seen[(from + step) % words] = 0
    this.#highest = counter
  }

  #word(counter: number): number {
    return this.#seen[wordOf(counter)] ?? 0
  }
}

function wordOf(counter: number): number {
  return Math.floor(counter / 32) % words
}

function bitOf(counter: number): number {
  return 1 << (counter % 32)
}
