import type { ConfState, ProgressStatus, RaftId, RawNode } from '../core/index.js'
import type { RaftDisk } from '../wal/index.js'
import type { Applier } from './applier.js'
import type { Inbox } from './inbox.js'
import type { Outbox } from './outbox.js'
import type { OutgoingSnapshots, SnapshotTransfer } from './outgoing-snapshots.js'
import type { Proposals } from './proposals.js'
import type { Reader } from './reader.js'
import { type News, type RaftRole, roleOf } from './role-news.js'
import type { Snapshotter } from './snapshotter.js'
import type { Ticker } from './ticker.js'

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
  /** Snapshots on their way from and to this peer. */
  readonly transfers: readonly SnapshotTransfer[]
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
  /** Reads that the leader answered without asking anybody. */
  readonly readsByLease: number
  readonly framesSent: number
  readonly messagesSent: number
  readonly framesRefused: number
  readonly framesReceived: number
  /** Frames that were not read: malformed, or one of the next two. */
  readonly framesDropped: number
  readonly framesOfOtherCluster: number
  readonly framesOfOtherVersion: number
  /** Messages that were not for us, not from whom they said, or made no sense to the core. */
  readonly messagesDropped: number
  readonly snapshotsTaken: number
  readonly snapshotsFailed: number
  /** Files of ours that were found damaged when they were to be sent; a new snapshot takes the place of each. */
  readonly snapshotsDamaged: number
  readonly snapshotsSent: number
  readonly snapshotsInstalled: number
  readonly leaderChanges: number
}

export function runnerStatusOf(
  node: RawNode,
  applier: Applier,
  quorum: QuorumStatus,
  transfers: readonly SnapshotTransfer[],
): RaftRunnerStatus {
  const { id, term, lead, commit, progress, raftState } = node.status()
  return {
    id,
    term,
    leader: lead,
    role: roleOf({ raftState }),
    commitIndex: commit,
    appliedIndex: applier.appliedIndex,
    lastIndex: node.lastIndex(),
    conf: applier.conf,
    progress,
    quorum,
    transfers,
  }
}

/** The parts of a runner that count. */
export interface Counted {
  readonly disk: RaftDisk
  readonly ticker: Ticker
  readonly proposals: Proposals
  readonly reader: Reader
  readonly outbox: Outbox
  readonly outgoing: OutgoingSnapshots
  readonly inbox: Inbox
  readonly snapshotter: Snapshotter
  readonly news: News
  readonly counts: Pick<RaftRunnerMetrics, 'readyBatches' | 'snapshotsInstalled'>
}

export function metricsOf({
  disk,
  ticker,
  proposals,
  reader,
  outbox,
  outgoing,
  inbox,
  snapshotter,
  news,
  counts,
}: Counted): RaftRunnerMetrics {
  const { appends, entries, bytes, segments } = disk.metrics
  return {
    fsyncs: appends,
    entriesWritten: entries,
    entriesPerFsync: appends === 0 ? 0 : entries / appends,
    bytesWritten: bytes,
    walSegments: segments,
    readyBatches: counts.readyBatches,
    ticksMissed: ticker.missed,
    pendingProposals: proposals.size,
    pendingReads: reader.pending,
    readsByLease: reader.byLease,
    framesSent: outbox.framesSent,
    messagesSent: outbox.messagesSent,
    framesRefused: outbox.framesRefused,
    framesReceived: inbox.framesReceived,
    framesDropped: inbox.framesDropped,
    framesOfOtherCluster: inbox.framesOfOtherCluster,
    framesOfOtherVersion: inbox.framesOfOtherVersion,
    messagesDropped: inbox.messagesDropped,
    snapshotsTaken: snapshotter.taken,
    snapshotsFailed: snapshotter.failures,
    snapshotsDamaged: outgoing.damaged,
    snapshotsSent: outgoing.sent,
    snapshotsInstalled: counts.snapshotsInstalled,
    leaderChanges: news.leaderChanges,
  }
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
