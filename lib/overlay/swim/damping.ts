import type { NodeId } from '../../base/ids.js'

/** A penalty halves in this time. */
const halfLifeMs = 60_000
/** From here on a member counts as degraded… */
const suppressAt = 5
/** …until its penalty has come down to this. */
const reuseAt = 2
const membersMax = 4096

/**
 * Members that come and go. Each failure and each pause adds one to a penalty that halves every minute; a member over the
 * limit counts as degraded although it is alive, so that nobody builds on it.
 * @see ringpop's damping, after BGP route flap damping (RFC 2439)
 */
export class Damper {
  /**
   * Each penalty as the one number that does not change while it fades: log2 of what it would have been at time 0. Where half of a group is
   * cut off there are thousands.
   */
  readonly #penalties = new Map<NodeId, number>()
  readonly #damped = new Set<NodeId>()

  penalise(id: NodeId, nowMs: number): void {
    const penalty = this.#penaltyOf(id, nowMs) + 1
    if (this.#penalties.size >= membersMax && !this.#penalties.has(id)) return
    this.#penalties.set(id, Math.log2(penalty) + nowMs / halfLifeMs)
    if (penalty >= suppressAt) this.#damped.add(id)
  }

  isDamped(id: NodeId, nowMs: number): boolean {
    return this.#damped.has(id) && this.#penaltyOf(id, nowMs) > reuseAt
  }

  /** Forgets what has faded; returns who is damped no longer. */
  prune(nowMs: number): NodeId[] {
    for (const id of this.#penalties.keys()) if (this.#penaltyOf(id, nowMs) < 0.1) this.#penalties.delete(id)
    const released = [...this.#damped].filter((id) => this.#penaltyOf(id, nowMs) <= reuseAt)
    for (const id of released) this.#damped.delete(id)
    return released
  }

  #penaltyOf(id: NodeId, nowMs: number): number {
    const penalty = this.#penalties.get(id)
    return penalty === undefined ? 0 : 2 ** (penalty - nowMs / halfLifeMs)
  }
}
