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
  /** Managers that are to stay, or to begin. */
  readonly wanted: readonly WantedMember[]
  /** Managers that are to be workers. */
  readonly leaving: readonly WantedMember[]
  /** `all`: every manager votes once it can. `chosen`: who votes is somebody else's choice (`VoterKeeper`). */
  readonly votes: 'all' | 'chosen'
  readonly progress: ReadonlyMap<number, MemberProgress>
  /** Voters that answer now, the leader among them. */
  readonly answering: ReadonlySet<number>
}

export type RolesStep =
  | { readonly type: 'change'; readonly change: ConfChangeSingle }
  /** This leader is to be a worker: another one has to take it out of raft. */
  | { readonly type: 'hand-over'; readonly to: number }
  /** Raft has let it go: its record, and then its certificate, may say that it is a worker. */
  | { readonly type: 'release'; readonly member: WantedMember }

/** A learner this close to the commit index has caught up: one batch away. */
const caughtUpWithin = 64

/**
 * The next safe step that makes raft's members equal the managers' records, or undefined when they are equal or a step must wait.
 * A newcomer is a learner first and votes once it has caught up, so that an unreachable one never costs the quorum (thesis §4.2.1);
 * one change at a time; a dead member leaves before another joins, and nobody leaves while that would cost the quorum. Who is to be
 * a worker leaves raft first and loses the manager's certificate after: the other way round it would still count, and could not answer.
 */
export function planRoles(view: RolesView): RolesStep | undefined {
  const { self, conf, wanted, leaving, votes, answering } = view
  if (conf.votersOutgoing.length > 0 || conf.learnersNext.length > 0) return undefined // a joint change is under way
  const members = new Set([...conf.voters, ...conf.learners])
  const released = leaving.find(({ raftId }) => !members.has(raftId))
  if (released !== undefined) return { type: 'release', member: released }
  const wantedIds = new Set(wanted.map(({ raftId }) => raftId))
  const mayGo = (id: number): boolean => conf.learners.includes(id) || mayRemoveVoter(conf, answering, id)
  const gone = [...conf.learners, ...conf.voters].find((id) => !wantedIds.has(id) && id !== self && mayGo(id))
  if (gone !== undefined) return { type: 'change', change: { type: 'r', nodeId: gone } }
  const candidates = votes === 'all' ? conf.learners.filter((id) => wantedIds.has(id)) : []
  const ready = candidates.find((id) => isCaughtUp(view, id))
  if (ready !== undefined) return { type: 'change', change: { type: 'v', nodeId: ready } }
  const missing = wanted.find(({ raftId }) => !members.has(raftId))
  if (missing !== undefined) return { type: 'change', change: { type: 'l', nodeId: missing.raftId } }
  return leaving.some(({ raftId }) => raftId === self) ? planHandOver(view, wantedIds) : undefined
}

/** To whoever stays, votes and has the most of the log, once the quorum can do without this leader. */
function planHandOver({ self, conf, answering, progress }: RolesView, staying: ReadonlySet<number>): RolesStep | undefined {
  if (!mayRemoveVoter(conf, answering, self)) return undefined
  const heirs = conf.voters.filter((id) => id !== self && staying.has(id) && answering.has(id))
  const matchOf = (id: number): number => progress.get(id)?.match ?? 0
  const [to] = heirs.sort((a, b) => matchOf(b) - matchOf(a))
  return to === undefined ? undefined : { type: 'hand-over', to }
}

function isCaughtUp({ progress, commitIndex }: RolesView, id: number): boolean {
  const seen = progress.get(id)
  return seen?.recentActive === true && seen.match > 0 && seen.match + caughtUpWithin >= commitIndex
}

/** May this voter go without risking the quorum? `reachable` are voters that answer now, the leader among them. */
export function mayRemoveVoter(conf: ConfState, reachable: ReadonlySet<number>, raftId: number): boolean {
  const left = conf.voters.filter((id) => id !== raftId)
  const answering = left.filter((id) => reachable.has(id)).length
  return left.length > 0 && answering > left.length / 2
}
