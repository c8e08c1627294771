import type { Clock } from '../../base/clock.js'
import type { RaftId, RaftStatus, RawNode } from '../core/index.js'

/** Voters with the same evidence ask one after the other, this far apart: together they would split the vote. */
const staggerMs = 40

/**
 * Fast failover: what a peer does when it knows that the leader's process is gone, rather than only hears nothing of it.
 *
 * It forgets the leader, so that it grants pre-votes at once, and asks for them itself when its turn comes. The rules of the core are
 * untouched: an election still takes a quorum, and voters that hear the leader refuse (thesis §4.2.3, §9.6). So who is wrong about
 * the leader, because only its own link broke, deposes nobody; the next heartbeat reminds it.
 */
export class Succession {
  readonly #node: RawNode
  readonly #clock: Clock
  readonly #campaign: () => void
  /** The leader that was forgotten, and in which term it led. */
  #lost: { readonly leader: RaftId; readonly term: number } | undefined
  #cancelTurn: (() => void) | undefined

  /** @param campaign Asks for votes, now; called from a timer */
  constructor(node: RawNode, clock: Clock, campaign: () => void) {
    this.#node = node
    this.#clock = clock
    this.#campaign = campaign
  }

  /** This peer's process is dead; may be told again as long as it is. */
  dead(id: RaftId): void {
    const { lead, term } = this.#node.basicStatus()
    if (lead === id) {
      this.#lost = { leader: id, term }
      this.#node.forgetLeader()
    }
    const isWaiting = this.#cancelTurn !== undefined
    if (isWaiting || this.#lost?.leader !== id || !this.#isVacant()) return
    const turn = turnOf(this.#node.status(), id)
    if (turn === undefined) return
    this.#cancelTurn = this.#clock.after(turn * staggerMs, () => {
      this.#cancelTurn = undefined
      if (this.#isVacant()) this.#campaign()
    })
  }

  stop(): void {
    this.#cancelTurn?.()
  }

  /** Nobody has begun to take the place of the lost leader. */
  #isVacant(): boolean {
    const { lead, term } = this.#node.basicStatus()
    return lead === 0 && term === this.#lost?.term
  }
}

/** This peer's place among the voters that are left; undefined for one that is no voter. */
function turnOf({ id, config }: RaftStatus, lost: RaftId): number | undefined {
  const left = config.voters.filter((voter) => voter !== lost).sort((a, b) => a - b)
  const turn = left.indexOf(id)
  return turn < 0 ? undefined : turn
}
