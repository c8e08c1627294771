/** What keeps a founding from coming about: who does not answer, and who was told something else. Pure. */
import { SkeinError } from '../base/errors.js'
import type { Attendee } from './founding-core.js'

/** Whoever was given another number is remembered for so long after it last said so. */
const rememberMs = 5_000
/** Others may still be starting: only what lasts for so long ends a founding. */
const patienceMs = 5_000
/** Addresses told of in one line. */
const toldMax = 8

export class FoundingHindrances {
  readonly #name: string
  readonly #expect: number
  /** Addresses that were asked in vain, and why. */
  readonly #unanswered = new Map<string, string>()
  #unresolved: readonly string[] = []
  readonly #otherNumbers = new Map<string, { readonly expect: number | undefined; readonly atMs: number }>()
  #outnumberedSinceMs: number | undefined

  constructor(name: string, expect: number) {
    this.#name = name
    this.#expect = expect
  }

  answered(address: string): void {
    this.#unanswered.delete(address)
    this.#otherNumbers.delete(address)
  }

  unanswered(address: string, why: string): void {
    this.#unanswered.set(address, why)
  }

  /** Names that stand for no address at present. */
  unresolved(names: readonly { readonly said: string; readonly why: string }[]): void {
    this.#unresolved = names.map(({ said, why }) => `${said}: ${why}`)
  }

  /** Somebody at this address founds with another number; undefined: it did not say which. */
  otherNumber(address: string, expect: number | undefined, nowMs: number): void {
    this.#otherNumbers.set(address, { expect: expect ?? this.#otherNumbers.get(address)?.expect, atMs: nowMs })
  }

  /**
   * Why this process should end: for a while now as many or more of those who are here were given another number. Where most have
   * ours it is the others' mistake, and they end.
   */
  hopeless(present: readonly Attendee[], nowMs: number): SkeinError<'ERR_SKEIN_INVALID_OPTION'> | undefined {
    for (const [address, { atMs }] of this.#otherNumbers) if (nowMs - atMs > rememberMs) this.#otherNumbers.delete(address)
    if (this.#otherNumbers.size < present.length) {
      this.#outnumberedSinceMs = undefined
      return undefined
    }
    this.#outnumberedSinceMs ??= nowMs
    if (nowMs - this.#outnumberedSinceMs < patienceMs) return undefined
    const [other] = [...this.#otherNumbers].map(([address, { expect }]) => `${address} of ${expect ?? 'another number'}`)
    const words = `expect: this peer founds a cluster of ${this.#expect}, ${other}; give all founders the same number`
    return new SkeinError('ERR_SKEIN_INVALID_OPTION', words, { option: 'expect', got: this.#expect })
  }

  /** One line: who is here, and who is missing as far as its address is known. */
  describe(present: readonly Attendee[]): string {
    const names = present.map(({ name }) => (name === this.#name ? `${name} (this peer)` : name))
    const here = `${present.length} of ${this.#expect} here: ${names.join(', ')}`
    const addresses = new Set(present.map(({ address }) => address))
    const silent = [...this.#unanswered].filter(([address]) => !addresses.has(address))
    const missing = [...this.#unresolved, ...silent.map(([address, why]) => (why.includes(address) ? why : `${address}: ${why}`))]
    if (missing.length === 0) return present.length < this.#expect ? `${here}; nothing was heard of the others` : here
    const more = missing.length > toldMax ? [`and ${missing.length - toldMax} more`] : []
    return `${here}; missing: ${[...missing.slice(0, toldMax), ...more].join('; ')}`
  }
}

/** What is said to somebody who was given another number. */
export function otherNumberWords(ours: number, theirs: number): string {
  return `expect: one founds a cluster of ${ours}, another one of ${theirs}; give all of them the same number`
}
