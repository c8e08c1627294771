import type { ConfState, ProgressStatus, RaftId } from '../core/index.js'
import type { RaftRole } from './role-news.js'

export interface QuorumStatus {
  readonly voters: number
  /** Voters this peer heard from within an election timeout, itself included. A follower hears only its leader. */
  readonly reachable: number
  /** The voters among `reachable`: heard within the last election timeout. (Raft's own activity flags are cleared at each check of the quorum.) */
  readonly answering: readonly RaftId[]
}

/** A picture of one peer, for people and for whoever watches over membership. */
export interface RaftRunnerStatus {
  readonly id: RaftId
  readonly term: number
  /** 0: unknown. */
  readonly leader: RaftId | 0
  readonly role: RaftRole
  readonly commitIndex: number
  readonly appliedIndex: number
  readonly lastIndex: number
  readonly conf: ConfState
  /** By member; empty unless this peer leads. */
  readonly progress: ReadonlyMap<RaftId, ProgressStatus>
  readonly quorum: QuorumStatus
}

/** Counts since the runner was opened. */
export interface RaftRunnerMetrics {
  /** Writes to the log, each with one sync. */
  readonly fsyncs: number
  readonly entriesWritten: number
  readonly entriesPerFsync: number
  readonly bytesWritten: number
  readonly walSegments: number
  readonly readyBatches: number
  readonly ticksMissed: number
  readonly pendingProposals: number
  readonly pendingReads: number
  readonly framesSent: number
  readonly messagesSent: number
  readonly framesRefused: number
  readonly framesReceived: number
  /** Malformed frames. */
  readonly framesDropped: number
  /** Messages that were not for us, not from whom they said, or made no sense to the core. */
  readonly messagesDropped: number
  readonly snapshotsTaken: number
  readonly snapshotsFailed: number
  readonly snapshotsSent: number
  readonly snapshotsInstalled: number
  readonly leaderChanges: number
}

/** When each peer was last heard; milliseconds of this process. */
export class Contacts {
  readonly #heardAtMs = new Map<RaftId, number>()

  heard(id: RaftId, nowMs: number): void {
    this.#heardAtMs.set(id, nowMs)
  }

  quorum(self: RaftId, { voters }: ConfState, sinceMs: number): QuorumStatus {
    const isHeard = (id: RaftId) => id === self || (this.#heardAtMs.get(id) ?? Number.NEGATIVE_INFINITY) >= sinceMs
    const answering = voters.filter(isHeard)
    return { voters: voters.length, reachable: answering.length, answering }
  }
}
