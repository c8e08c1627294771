import type { JointConfig } from './quorum.js'
import type { RaftId } from './state.js'

/**
 * A moment by two clocks of one process. The monotonic one may stand still while the machine is suspended, the other one may
 * be set back: whichever says that more time has passed is believed.
 */
export interface Moment {
  readonly monotonicMs: number
  readonly wallMs: number
}

/** The part of a promise that a leader uses. So the clocks of two peers may differ by a tenth in how fast they go. */
const SHARE_USED = 0.9
/** Heartbeats of which it is remembered when they left; an answer to an older one comes too late to be of use. */
const BEATS_MAX = 64

interface Promised {
  /** When the heartbeat left that the peer answered: it cannot have promised earlier. */
  readonly since: Moment
  readonly lengthMs: number
}

/**
 * What its followers promised to a leader in this term: not to vote for anybody else for a while (thesis §6.4.1).
 *
 * Each answer to a heartbeat says for how long, by the follower's own settings; one that is not bound to anything says nothing
 * and does not count. A promise is counted from when the heartbeat left here, so neither a slow network nor a stalled process
 * makes it longer. While a quorum is bound nobody else can be elected, and what is committed here is all there is.
 */
export class Lease {
  #beat = 0
  #lastToLeave = 0
  readonly #leftAt = new Map<number, Moment>()
  readonly #promised = new Map<RaftId, Promised>()
  #isGivenAway = false

  /** The number of the heartbeat that is about to be made. */
  nextBeat(): number {
    return ++this.#beat
  }

  /** What has been made so far leaves now. */
  leaves(at: Moment): void {
    while (this.#lastToLeave < this.#beat) {
      this.#leftAt.set(++this.#lastToLeave, at)
      this.#leftAt.delete(this.#lastToLeave - BEATS_MAX)
    }
  }

  /** `id` answered this heartbeat and promised that much. */
  promised(id: RaftId, beat: number, lengthMs: number): void {
    const since = this.#leftAt.get(beat)
    if (since === undefined || lengthMs <= 0) return
    const known = this.#promised.get(id)
    if (known === undefined || since.monotonicMs >= known.since.monotonicMs) this.#promised.set(id, { since, lengthMs })
  }

  /** Somebody was told to take over: whoever promised may vote for that one at any time, however late the message arrives. */
  giveAway(): void {
    this.#isGivenAway = true
  }

  /** True if no other leader can have been elected until now. */
  holds(self: RaftId, voters: JointConfig, now: Moment): boolean {
    if (this.#isGivenAway) return false
    return voters.committedIndex({ ackedIndex: (id) => (id === self || this.#binds(id, now) ? 1 : 0) }) >= 1
  }

  #binds(id: RaftId, now: Moment): boolean {
    const promised = this.#promised.get(id)
    if (promised === undefined) return false
    const { since, lengthMs } = promised
    const elapsedMs = Math.max(now.monotonicMs - since.monotonicMs, now.wallMs - since.wallMs)
    return elapsedMs < lengthMs * SHARE_USED
  }
}
