import type { RaftId } from './state.js'

export type VoteResult = 'VotePending' | 'VoteLost' | 'VoteWon'

/** Who has acknowledged how much. */
export interface Acknowledged {
  /** The highest index (or any other rising number) that `id` acknowledged; 0 for none. */
  ackedIndex(id: RaftId): number
}

/** A set of voters that decides by majority. Immutable; an empty one agrees with everything. */
export class Majority {
  /** Ascending, each once. */
  readonly ids: readonly RaftId[]
  readonly #sorted: Float64Array

  constructor(ids: Iterable<RaftId>) {
    this.ids = [...new Set(ids)].sort((a, b) => a - b)
    this.#sorted = new Float64Array(this.ids.length)
  }

  get size(): number {
    return this.ids.length
  }

  has(id: RaftId): boolean {
    return this.ids.includes(id)
  }

  /** The highest index a majority has acknowledged; Infinity when there is nobody to ask. */
  committedIndex(acknowledged: Acknowledged): number {
    const count = this.ids.length
    if (count === 0) return Number.POSITIVE_INFINITY
    const sorted = this.#sorted
    for (let filled = 0; filled < count; filled++) {
      const index = acknowledged.ackedIndex(this.ids[filled]!)
      let at = filled
      while (at > 0 && sorted[at - 1]! > index) {
        sorted[at] = sorted[at - 1]!
        at--
      }
      sorted[at] = index
    }
    // Ascending: everyone from here up, a bare majority, has acknowledged at least this.
    return sorted[count - Math.floor(count / 2) - 1]!
  }

  voteResult(votes: ReadonlyMap<RaftId, boolean>): VoteResult {
    if (this.ids.length === 0) return 'VoteWon'
    let granted = 0
    let missing = 0
    for (const id of this.ids) {
      const vote = votes.get(id)
      if (vote === undefined) missing++
      else if (vote) granted++
    }
    const needed = Math.floor(this.ids.length / 2) + 1
    if (granted >= needed) return 'VoteWon'
    return granted + missing >= needed ? 'VotePending' : 'VoteLost'
  }
}

/** Two majorities that must both agree (thesis §4.3); with an empty outgoing half, an ordinary one. */
export class JointConfig {
  readonly incoming: Majority
  readonly outgoing: Majority

  constructor(incoming: Iterable<RaftId>, outgoing: Iterable<RaftId> = []) {
    this.incoming = new Majority(incoming)
    this.outgoing = new Majority(outgoing)
  }

  has(id: RaftId): boolean {
    return this.incoming.has(id) || this.outgoing.has(id)
  }

  /** Voters of either half, ascending. */
  ids(): readonly RaftId[] {
    if (this.outgoing.size === 0) return this.incoming.ids
    return new Majority([...this.incoming.ids, ...this.outgoing.ids]).ids
  }

  committedIndex(acknowledged: Acknowledged): number {
    return Math.min(this.incoming.committedIndex(acknowledged), this.outgoing.committedIndex(acknowledged))
  }

  voteResult(votes: ReadonlyMap<RaftId, boolean>): VoteResult {
    const incoming = this.incoming.voteResult(votes)
    const outgoing = this.outgoing.voteResult(votes)
    if (incoming === outgoing) return incoming
    // One lost half loses the vote; otherwise one half is still open.
    return incoming === 'VoteLost' || outgoing === 'VoteLost' ? 'VoteLost' : 'VotePending'
  }
}
