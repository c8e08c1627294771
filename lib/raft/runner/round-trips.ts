import { beatOf, type Message, type RaftId } from '../core/index.js'

/** Heartbeats of which it is remembered when they left. */
const BEATS_MAX = 64
/** Part of each new measurement in what is told, as TCP does it. */
const SHARE_OF_NEW = 1 / 8

/** How long followers take to answer heartbeats, as their leader sees it: network and event loops of both, no disk. */
export class RoundTrips {
  #term = 0
  readonly #sentAtMs = new Map<number, number>()
  readonly #smoothedMs = new Map<RaftId, number>()

  /** A heartbeat leaves; all that carry the same number leave together. */
  leaves({ term, context }: Message, nowMs: number): void {
    if (term !== this.#term) this.#begin(term)
    const beat = beatOf(context)
    if (beat === 0 || this.#sentAtMs.has(beat)) return
    this.#sentAtMs.set(beat, nowMs)
    this.#sentAtMs.delete(beat - BEATS_MAX)
  }

  /** Messages arrived; answers to heartbeats of this term are measured. */
  arrived(from: RaftId, messages: readonly Message[], nowMs: number): void {
    for (let at = 0; at < messages.length; at++) {
      const { type, term, context } = messages[at] as Message
      if (type !== 'MsgHeartbeatResp' || term !== this.#term) continue
      const sentAtMs = this.#sentAtMs.get(beatOf(context))
      if (sentAtMs !== undefined) this.#measured(from, nowMs - sentAtMs)
    }
  }

  /** Milliseconds, smoothed; undefined before the first answer in this term. */
  ofMs(id: RaftId): number | undefined {
    return this.#smoothedMs.get(id)
  }

  #begin(term: number): void {
    this.#term = term
    this.#sentAtMs.clear()
    this.#smoothedMs.clear()
  }

  #measured(id: RaftId, ms: number): void {
    const known = this.#smoothedMs.get(id)
    this.#smoothedMs.set(id, known === undefined ? ms : known + (ms - known) * SHARE_OF_NEW)
  }
}
