import type { ProgressState } from './progress.js'
import type { Raft } from './raft.js'
import type { ConfState, RaftId, RaftState } from './state.js'

/** The cheap part of a status: no allocation beside itself. */
export interface BasicStatus {
  readonly id: RaftId
  readonly term: number
  readonly vote: RaftId
  readonly commit: number
  readonly applied: number
  readonly lead: RaftId
  readonly raftState: RaftState
}

/** One member as the leader sees it. */
export interface ProgressStatus {
  readonly match: number
  readonly next: number
  readonly state: ProgressState
  readonly paused: boolean
  readonly pendingSnapshot: number
  readonly recentActive: boolean
  readonly isLearner: boolean
  /** Append messages under way. */
  readonly inflight: number
  readonly inflightFull: boolean
}

/** A read-only picture for people and for whoever watches over membership. */
export interface RaftStatus extends BasicStatus {
  readonly leadTransferee: RaftId
  readonly config: ConfState
  /** By member, in ascending order; empty unless this peer leads. */
  readonly progress: ReadonlyMap<RaftId, ProgressStatus>
}

export function basicStatusOf(raft: Raft): BasicStatus {
  return {
    id: raft.id,
    term: raft.term,
    vote: raft.vote,
    commit: raft.log.committed,
    applied: raft.log.applied,
    lead: raft.lead,
    raftState: raft.state,
  }
}

export function statusOf(raft: Raft): RaftStatus {
  const progress = new Map<RaftId, ProgressStatus>()
  for (const peer of raft.state === 'StateLeader' ? raft.tracker.members : []) {
    progress.set(peer.id, {
      match: peer.match,
      next: peer.next,
      state: peer.state,
      paused: peer.paused,
      pendingSnapshot: peer.pendingSnapshot,
      recentActive: peer.recentActive,
      isLearner: peer.isLearner,
      inflight: peer.inflights.count,
      inflightFull: peer.inflights.full,
    })
  }
  return { ...basicStatusOf(raft), leadTransferee: raft.leadTransferee, config: raft.tracker.conf, progress }
}
