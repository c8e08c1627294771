/** Many links looked at by few timers: what wakes a process costs it more than looking at a link does. */
import type { Clock } from '../../base/clock.js'

/** Links of one round: looked at in one turn, they hold the thread for well under a millisecond. */
const roundMax = 64

interface Round {
  readonly looks: Set<(dueMs: number) => void>
  readonly cancel: () => void
}

export class LookRounds {
  readonly #clock: Clock
  readonly #periodMs: number
  readonly #rounds = new Set<Round>()

  /** @param periodMs milliseconds between two looks at the same link */
  constructor(clock: Clock, periodMs: number) {
    this.#clock = clock
    this.#periodMs = periodMs
  }

  /** Calls `look` every period, for the first time within one, with when that was due; returns how to end it. */
  add(look: (dueMs: number) => void): () => void {
    const round = [...this.#rounds].find(({ looks }) => looks.size < roundMax) ?? this.#begin()
    round.looks.add(look)
    return () => {
      if (!round.looks.delete(look) || round.looks.size > 0) return
      round.cancel()
      this.#rounds.delete(round)
    }
  }

  #begin(): Round {
    const looks = new Set<(dueMs: number) => void>()
    let dueMs = this.#clock.now() + this.#periodMs
    const cancel = this.#clock.every(this.#periodMs, () => {
      const wasDueMs = dueMs
      // A look may end its own link, or another.
      for (const look of [...looks]) if (looks.has(look)) look(wasDueMs)
      dueMs = this.#clock.now() + this.#periodMs
    })
    const round: Round = { looks, cancel }
    this.#rounds.add(round)
    return round
  }
}
