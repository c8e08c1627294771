import type { ConfState, RaftId } from '../core/index.js'
import type { AutopilotView, MemberHealth } from './plan.js'

/** What a leader sees at one moment. */
export interface Look {
  readonly self: RaftId
  readonly term: number
  readonly conf: ConfState
  readonly commitIndex: number
  readonly progress: ReadonlyMap<RaftId, { readonly match: number }>
  /** When this process last heard a member; undefined: not yet. */
  heardAtMs(id: RaftId): number | undefined
}

/** Pure memory of a leadership: since when each member is as it is. */
export class Health {
  readonly #lagEntriesMax: number
  readonly #lateMs: number
  #term = 0
  #lookedAtMs = Number.NEGATIVE_INFINITY
  /** Silence before this moment is nobody's fault: this peer did not lead yet, or did not listen. */
  #listeningSinceMs = 0
  /** When each member was first seen to be one: before, nobody listened for it. */
  readonly #memberSinceMs = new Map<RaftId, number>()
  readonly #caughtUpSinceMs = new Map<RaftId, number>()

  /** @param lateMs Looks further apart than this mean that this process stalled: what was sent to it lies unread in its sockets. */
  constructor({ lagEntriesMax, lateMs }: { readonly lagEntriesMax: number; readonly lateMs: number }) {
    this.#lagEntriesMax = lagEntriesMax
    this.#lateMs = lateMs
  }

  /** Called at every look while leading, in order. */
  look({ self, term, conf, commitIndex, progress, heardAtMs }: Look, nowMs: number): AutopilotView {
    if (term !== this.#term || nowMs - this.#lookedAtMs > this.#lateMs) {
      if (term !== this.#term) this.#caughtUpSinceMs.clear()
      this.#term = term
      this.#listeningSinceMs = nowMs
    }
    this.#lookedAtMs = nowMs
    const members = new Map<RaftId, MemberHealth>()
    for (const id of [...conf.voters, ...conf.learners]) {
      if (id === self) continue
      const match = progress.get(id)?.match ?? 0
      // What never acknowledged anything is not there yet, however short the log.
      const isCaughtUp = match > 0 && match + this.#lagEntriesMax >= commitIndex
      if (!isCaughtUp) this.#caughtUpSinceMs.delete(id)
      else if (!this.#caughtUpSinceMs.has(id)) this.#caughtUpSinceMs.set(id, nowMs)
      const memberSinceMs = this.#memberSinceMs.get(id) ?? nowMs
      this.#memberSinceMs.set(id, memberSinceMs)
      members.set(id, {
        heardAtMs: Math.max(heardAtMs(id) ?? 0, memberSinceMs, this.#listeningSinceMs),
        caughtUpSinceMs: this.#caughtUpSinceMs.get(id),
      })
    }
    for (const times of [this.#memberSinceMs, this.#caughtUpSinceMs]) {
      for (const id of times.keys()) if (!members.has(id)) times.delete(id)
    }
    return { self, conf, members }
  }
}
