import type { Clock } from '../../base/clock.js'
import { type RaftId, Succession, type SuccessionCore } from '../core/index.js'

/** Voters with the same evidence ask one after the other, this far apart: together they would split the vote. */
const staggerMs = 40

/** Fast failover by the clock; what it decides is in the core. */
export class SuccessionTurns {
  readonly #succession: Succession
  readonly #clock: Clock
  readonly #act: (turn: () => void) => void
  #cancelTurn: (() => void) | undefined

  /** @param act Carries out what was decided, from a timer */
  constructor(node: SuccessionCore, clock: Clock, act: (turn: () => void) => void) {
    this.#succession = new Succession(node)
    this.#clock = clock
    this.#act = act
  }

  /** This peer's process is dead; may be told again as long as it is. */
  dead(id: RaftId): void {
    const turn = this.#succession.dead(id)
    if (turn === undefined) return
    this.#cancelTurn = this.#clock.after(turn * staggerMs, () => {
      this.#act(() => this.#succession.turn())
    })
  }

  stop(): void {
    this.#cancelTurn?.()
  }
}
