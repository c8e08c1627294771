/** Many things done over and over by few timers: to be woken costs a process more than doing most of them. */
import type { Clock } from './clock.js'

/** Of one round: done in one turn, they hold the thread for about a millisecond. */
const roundMax = 64

interface Round {
  readonly acts: Set<(dueMs: number) => void>
  readonly cancel: () => void
}

export class Rounds {
  readonly #clock: Clock
  readonly #periodMs: number
  readonly #rounds = new Set<Round>()

  /** @param periodMs milliseconds between two turns of the same one */
  constructor(clock: Clock, periodMs: number) {
    this.#clock = clock
    this.#periodMs = periodMs
  }

  /** Calls `act` every period, for the first time within one, with when that was due; returns how to end it. */
  add(act: (dueMs: number) => void): () => void {
    const round = [...this.#rounds].find(({ acts }) => acts.size < roundMax) ?? this.#begin()
    round.acts.add(act)
    return () => {
      if (!round.acts.delete(act) || round.acts.size > 0) return
      round.cancel()
      this.#rounds.delete(round)
    }
  }

  #begin(): Round {
    const acts = new Set<(dueMs: number) => void>()
    let dueMs = this.#clock.now() + this.#periodMs
    const cancel = this.#clock.every(this.#periodMs, () => {
      const wasDueMs = dueMs
      // One of them may end itself, or another.
      for (const act of [...acts]) if (acts.has(act)) act(wasDueMs)
      dueMs = this.#clock.now() + this.#periodMs
    })
    const round: Round = { acts, cancel }
    this.#rounds.add(round)
    return round
  }
}
