import type { NodeId } from '../../base/ids.js'

/** A penalty halves in this time. */
const halfLifeMs = 60_000
/** From here on a member counts as degraded… */
const suppressAt = 5
/** …until its penalty has come down to this. */
const reuseAt = 2
const membersMax = 4096

interface Penalty {
  value: number
  atMs: number
  isDamped: boolean
}

/**
 * Members that come and go. Each failure and each pause adds one to a penalty that halves every minute; a member over the
 * limit counts as degraded although it is alive, so that nobody builds on it.
 * @see ringpop's damping, after BGP route flap damping (RFC 2439)
 */
export class Damper {
  readonly #penalties = new Map<NodeId, Penalty>()

  penalise(id: NodeId, nowMs: number): void {
    const penalty = this.#penalties.get(id) ?? { value: 0, atMs: nowMs, isDamped: false }
    penalty.value = valueAt(penalty, nowMs) + 1
    penalty.atMs = nowMs
    penalty.isDamped ||= penalty.value >= suppressAt
    if (this.#penalties.size < membersMax || this.#penalties.has(id)) this.#penalties.set(id, penalty)
  }

  isDamped(id: NodeId, nowMs: number): boolean {
    const penalty = this.#penalties.get(id)
    return penalty?.isDamped === true && valueAt(penalty, nowMs) > reuseAt
  }

  /** Forgets what has faded; returns who is damped no longer. */
  prune(nowMs: number): NodeId[] {
    const released: NodeId[] = []
    for (const [id, penalty] of this.#penalties) {
      const value = valueAt(penalty, nowMs)
      if (penalty.isDamped && value <= reuseAt) {
        penalty.isDamped = false
        released.push(id)
      }
      if (value < 0.1) this.#penalties.delete(id)
    }
    return released
  }
}

function valueAt({ value, atMs }: Penalty, nowMs: number): number {
  return value * 2 ** (-(nowMs - atMs) / halfLifeMs)
}
