import type { RawNode } from './raw-node.js'
import type { RaftId } from './state.js'

/** What fast failover needs of a core. */
export type SuccessionCore = Pick<RawNode, 'basicStatus' | 'status' | 'forgetLeader' | 'campaign'>

/**
 * Fast failover: what a peer does when it has evidence that the leader's process is gone, rather than only hears nothing of it.
 *
 * It forgets the leader, so that it grants pre-votes at once, and asks for them itself when its turn comes. The rules of elections are
 * untouched: an election still takes a quorum, and voters that hear the leader refuse (thesis §4.2.3, §9.6). So who is wrong about
 * the leader, because only its own link broke, deposes nobody; the next heartbeat reminds it. A peer that has promised its leader not
 * to replace it (`votePromise`) forgets nothing and waits: evidence on one side of a link can never end a lease on the other side.
 */
export class Succession {
  readonly #node: SuccessionCore
  /** The leader that was forgotten; undefined once another one was heard. */
  #lost: RaftId | undefined
  /** The term in which our turn was told; undefined when we wait for none. */
  #turnIn: number | undefined
  /** The term in which this peer was found counting votes when its turn came. */
  #countingIn = 0

  constructor(node: SuccessionCore) {
    this.#node = node
  }

  /**
   * This peer's process is dead; may be told again as long as it is. Returns which turn is ours to ask for votes, counted from 0: all at
   * once would split them. Undefined when there is nobody to succeed, we may not, or we wait for our turn already.
   */
  dead(id: RaftId): number | undefined {
    const { id: self, lead, term } = this.#node.basicStatus()
    if (lead === id) {
      this.#lost = id
      this.#node.forgetLeader()
    } else if (lead !== 0 && lead !== self) this.#lost = undefined
    const isVacant = this.#node.basicStatus().lead === 0
    if (this.#lost !== id || !isVacant || this.#turnIn !== undefined) return undefined
    const turn = this.#node
      .status()
      .config.voters.filter((voter) => voter !== id)
      .sort((a, b) => a - b)
      .indexOf(self)
    if (turn < 0) return undefined
    this.#turnIn = term
    return turn
  }

  /** The turn that `dead` told has come: asks for votes, unless a leader was heard or somebody else has asked meanwhile. */
  turn(): void {
    const { lead, raftState, term } = this.#node.basicStatus()
    const isOurs = this.#turnIn === term && lead === 0
    this.#turnIn = undefined
    if (!isOurs) return
    const wasCounting = this.#countingIn === term
    this.#countingIn = raftState === 'StateCandidate' ? term : 0
    // Votes that were split stay so: whoever still counts them at its next turn asks again.
    if (raftState !== 'StateCandidate' || wasCounting) this.#node.campaign()
  }
}
