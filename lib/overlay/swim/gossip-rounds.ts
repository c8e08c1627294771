import { Allowance } from '../../base/allowance.js'
import type { Local } from './local.js'
import { isAlive, type MemberRecord } from './member.js'
import type { Timer } from './timers.js'

/** News waits so long, so that what arrives together leaves together. */
const gatherMs = 5
/** As long as there are no more rumours than these, a new one does not wait for the round of those before it. */
const fewRumours = 8
/** Rounds ahead of their time, at once and per second: news without end must not become packets without end. */
const [hasteMax, hastePerSecond] = [8, 5]

/** When rumours go out, and to whom: a first wave that reaches everybody at once, then a few rounds to a few at random for whom it missed. */
export class GossipRounds {
  readonly #local: Local
  #next: Timer | undefined
  /** Something is to be passed on that was not when the last round went out. */
  #hasNews = false
  readonly #haste = new Allowance(hasteMax, hastePerSecond)

  constructor(local: Local) {
    this.#local = local
  }

  /** There is a new rumour. */
  hasten(): void {
    this.#hasNews = true
    if (this.#next !== undefined && !this.#mayHurry(this.#next)) return
    this.#local.timers.cancel(this.#next)
    this.#next = this.#local.after(gatherMs, () => this.#round())
  }

  #mayHurry({ dueMs }: Timer): boolean {
    const { nowMs, rumours } = this.#local
    if (dueMs <= nowMs + gatherMs || rumours.size > fewRumours) return false
    return this.#haste.take(nowMs)
  }

  #round(): void {
    const { rumours, options } = this.#local
    this.#next = undefined
    const audience = this.#audience()
    // With nobody to tell, rumours would wait for ever (serf#78); whoever comes asks for everything anyway.
    if (audience.length === 0) rumours.clear()
    for (const { id } of audience) if (rumours.size > 0) this.#local.send(id, { type: 'gossip' })
    if (rumours.size > 0) this.#next = this.#local.after(options.gossipIntervalMs, () => this.#round())
  }

  /**
   * Chance alone leaves one in twenty without news until the next round, and of those one in twenty until the one after. So what is told
   * for the first time also goes to the next on the ring: while no packet is lost the first wave reaches everyone.
   */
  #audience(): MemberRecord[] {
    const { table, id, options } = this.#local
    const [next] = this.#hasNews ? table.successors(id, 1, isAlive) : []
    this.#hasNews = false
    const first = next !== undefined && this.#local.reaches(next) ? [next] : []
    const living = [
      ...first,
      ...this.#local.someone(options.gossipFanout - first.length, (member) => isAlive(member) && member !== next),
    ]
    if (living.length === options.gossipFanout) return living
    return [...living, ...this.#local.someone(options.gossipFanout - living.length, ({ state }) => state === 'suspect')]
  }
}
