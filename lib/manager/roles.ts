import type { ConfChangeSingle, ConfState } from '../raft/core/state.js'

/** A manager's record as far as raft membership cares. */
export interface WantedMember {
  readonly raftId: number
  readonly node: string
}

/** One follower as the leader sees it. */
export interface MemberProgress {
  readonly match: number
  readonly recentActive: boolean
}

export interface RolesView {
  readonly self: number
  readonly conf: ConfState
  readonly commitIndex: number
  readonly wanted: readonly WantedMember[]
  /** `all`: every manager votes once it can. `chosen`: who votes is somebody else's choice (`VoterKeeper`). */
  readonly votes: 'all' | 'chosen'
  readonly progress: ReadonlyMap<number, MemberProgress>
}

/** A learner this close to the commit index has caught up: one batch away. */
const caughtUpWithin = 64

/**
 * The next safe step that makes raft's members equal the managers' records, or undefined when they are equal or a step must wait.
 * A newcomer is a learner first and votes once it has caught up, so that an unreachable one never costs the quorum (thesis §4.2.1);
 * one change at a time; a dead member leaves before another joins.
 */
export function planRoles({ self, conf, commitIndex, wanted, votes, progress }: RolesView): ConfChangeSingle | undefined {
  if (conf.votersOutgoing.length > 0 || conf.learnersNext.length > 0) return undefined // a joint change is under way
  const wantedIds = new Set(wanted.map(({ raftId }) => raftId))
  const gone = [...conf.learners, ...conf.voters].find((id) => !wantedIds.has(id) && id !== self)
  if (gone !== undefined) return { type: 'r', nodeId: gone }
  const candidates = votes === 'all' ? conf.learners : []
  const ready = candidates.find((id) => {
    const seen = progress.get(id)
    return seen?.recentActive === true && seen.match > 0 && seen.match + caughtUpWithin >= commitIndex
  })
  if (ready !== undefined) return { type: 'v', nodeId: ready }
  const members = new Set([...conf.voters, ...conf.learners])
  const missing = wanted.find(({ raftId }) => !members.has(raftId))
  return missing === undefined ? undefined : { type: 'l', nodeId: missing.raftId }
}

/** May this voter go without risking the quorum? `reachable` are voters that answer now, the leader among them. */
export function mayRemoveVoter(conf: ConfState, reachable: ReadonlySet<number>, raftId: number): boolean {
  const left = conf.voters.filter((id) => id !== raftId)
  const answering = left.filter((id) => reachable.has(id)).length
  return left.length > 0 && answering > left.length / 2
}
