import type { Random } from '../../base/random.js'

/** What the network between simulated members does to what they send. */
export interface Conditions {
  readonly latencyMinMs: number
  readonly latencyMaxMs: number
  /** Part of all packets that is lost, each way. */
  readonly lossRate: number
  /** Part that arrives twice. */
  readonly duplicateRate: number
}

export const calm: Conditions = Object.freeze({ latencyMinMs: 0.5, latencyMaxMs: 1.5, lossRate: 0, duplicateRate: 0 })

/** First wait of TCP before it sends again; doubles each time. */
const retransmitMs = 200
/** Waits of TCP before it asks for a connection again. */
const connectRetriesMs = [0, 1000, 3000, 7000]

/** Delay and loss between any two members, and where nothing passes. Members are numbers. */
export class OverlayNetwork {
  readonly #random: Random
  conditions: Conditions
  /** Sides of a partition; nothing passes between different ones. */
  #sides: ReadonlyMap<number, number> = new Map()
  readonly #cuts = new Set<string>()
  /** Paths on which a firewall answers in the place of the other end: "refused". */
  readonly #rejecting = new Set<string>()

  constructor(conditions: Conditions, random: Random) {
    this.conditions = conditions
    this.#random = random
  }

  latencyMs(): number {
    const { latencyMinMs, latencyMaxMs } = this.conditions
    return latencyMinMs + this.#random() * (latencyMaxMs - latencyMinMs)
  }

  isOpen(from: number, to: number): boolean {
    if (this.#sideOf(from) !== this.#sideOf(to)) return false
    return this.#cuts.size === 0 || !this.#cuts.has(`${from}>${to}`)
  }

  isRejecting(from: number, to: number): boolean {
    return this.#rejecting.size > 0 && this.#rejecting.has(`${from}>${to}`)
  }

  /** Members not named are on side 0. */
  split(sides: ReadonlyMap<number, number>): void {
    this.#sides = sides
  }

  /** Nothing passes from `from` to `to`; the other way is open. */
  cut(from: number, to: number): void {
    this.#cuts.add(`${from}>${to}`)
  }

  reject(from: number, to: number): void {
    this.#rejecting.add(`${from}>${to}`)
  }

  heal(): void {
    this.#sides = new Map()
    this.#cuts.clear()
    this.#rejecting.clear()
  }

  /** How long each copy of a datagram takes; none when it is lost. */
  datagram(from: number, to: number): readonly number[] {
    const { lossRate, duplicateRate } = this.conditions
    if (!this.isOpen(from, to)) return []
    if (lossRate > 0 && this.#random() < lossRate) return []
    const isTwice = duplicateRate > 0 && this.#random() < duplicateRate
    return isTwice ? [this.latencyMs(), this.latencyMs()] : [this.latencyMs()]
  }

  /** How long a message on a link takes: what is lost is sent again, later and later. */
  segment(): number {
    const { lossRate } = this.conditions
    let delayMs = this.latencyMs()
    for (let waitMs = retransmitMs; lossRate > 0 && this.#random() < lossRate; waitMs *= 2) delayMs += waitMs
    return delayMs
  }

  /** How long until a connection is answered; undefined when it is not within `timeoutMs`. */
  connection(from: number, to: number, timeoutMs: number): number | undefined {
    if (this.isRejecting(from, to)) return this.latencyMs()
    if (!this.isOpen(from, to) || !this.isOpen(to, from)) return undefined
    const { lossRate } = this.conditions
    for (const waitMs of connectRetriesMs) {
      if (waitMs > timeoutMs) return undefined
      const isLost = lossRate > 0 && (this.#random() < lossRate || this.#random() < lossRate)
      if (!isLost) return waitMs + this.latencyMs() + this.latencyMs()
    }
    return undefined
  }

  #sideOf(member: number): number {
    return this.#sides.get(member) ?? 0
  }
}
