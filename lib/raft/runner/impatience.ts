import type { Random } from '../../base/random.js'
import type { BasicStatus } from '../core/index.js'

/** Early questions in a row; if answers take longer than these waits, asking again only throws them away. */
const earlyMax = 2

export interface ImpatienceParts {
  readonly electionTicks: number
  readonly random: Random
  status(): Pick<BasicStatus, 'raftState' | 'lead'>
  /** Asks for pre-votes. */
  campaign(): void
}

/**
 * A candidate whom nobody answered well asks again before its next election timeout. Two who asked at once have split the vote, or
 * a voter's clock was a tick behind and it still held to its leader; either would cost another one to two timeouts. It waits three
 * to six tenths of a timeout, then twice that, then as long as ever. What it asks for is a pre-vote: nobody's term grows, and voters
 * that hear a leader do not answer (thesis §9.6).
 */
export class Impatience {
  readonly #parts: ImpatienceParts
  #early = 0
  #state: BasicStatus['raftState'] = 'StateFollower'
  /** Ticks until it asks again; undefined while it has not asked. */
  #left: number | undefined

  constructor(parts: ImpatienceParts) {
    this.#parts = parts
  }

  /** After each tick of the core. */
  tick(): void {
    const { raftState, lead } = this.#parts.status()
    // Who has just won the pre-votes asks for votes: those answers have their whole time too.
    if (raftState !== this.#state) this.#left = undefined
    this.#state = raftState
    if (raftState !== 'StatePreCandidate' && raftState !== 'StateCandidate') {
      this.#left = undefined
      if (lead !== 0) this.#early = 0
      return
    }
    this.#left ??= this.#draw()
    if (this.#early >= earlyMax || --this.#left > 0) return
    this.#early++
    this.#left = this.#draw()
    this.#parts.campaign()
  }

  #draw(): number {
    const { electionTicks, random } = this.#parts
    return Math.max(2, Math.round(electionTicks * (0.3 + 0.3 * random()) * 2 ** this.#early))
  }
}
