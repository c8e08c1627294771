/** How many workers may register in a second: a leader that is new to thousands must go on hearing those it knows. Pure. */
import { Allowance } from '../base/allowance.js'
import type { Random } from '../base/random.js'

export interface AdmissionOptions {
  /** Sessions that may open at once after a pause. Default 500. */
  readonly burst?: number
  /** Sessions a second after that. Default 200. */
  readonly perSecond?: number
}

/** Nobody waits longer before it knocks again: a knock is a sign of life. */
const waitMaxMs = 10_000

/**
 * A token bucket whose refusals say when to come back: each names another moment, so that those who are refused together do not come
 * back together, and whoever comes when it was told finds room.
 */
export class Admission {
  readonly #allowance: Allowance
  readonly #msPerToken: number
  readonly #random: Random
  /** Up to here every token that will come is promised to somebody who waits. */
  #promisedMs = Number.NEGATIVE_INFINITY

  constructor(random: Random, { burst = 500, perSecond = 200 }: AdmissionOptions = {}) {
    this.#random = random
    this.#allowance = new Allowance(burst, perSecond)
    this.#msPerToken = 1_000 / perSecond
  }

  /** Undefined: admitted. Else milliseconds after which to ask again. */
  ask(nowMs: number): number | undefined {
    if (this.#allowance.take(nowMs)) return undefined
    this.#promisedMs = Math.max(this.#promisedMs, nowMs) + this.#msPerToken
    const waitMs = this.#promisedMs - nowMs
    if (waitMs <= waitMaxMs) return Math.ceil(waitMs)
    // More wait than can be told a moment: these come back at random, and are told then.
    this.#promisedMs = nowMs + waitMaxMs
    return Math.ceil(waitMaxMs * (0.5 + this.#random() / 2))
  }
}
