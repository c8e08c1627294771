import {
  type BasicStatus,
  type ConfState,
  type Entry,
  entriesSizeBytes,
  type ProgressStatus,
  type RaftId,
  type RawNode,
} from '../core/index.js'
import type { RaftDisk } from '../wal/index.js'
import type { Appender } from './appender.js'
import type { Applier } from './applier.js'
import type { Inbox } from './inbox.js'
import type { Outbox } from './outbox.js'
import type { OutgoingSnapshots } from './outgoing-snapshots.js'
import type { Proposals } from './proposals.js'
import type { Reader } from './reader.js'
import type { News } from './role-news.js'
import type { RoundTrips } from './round-trips.js'
import type { Snapshotter } from './snapshotter.js'
import type { Contacts } from './status.js'
import { type Summary, Tally } from './summary.js'
import type { Ticker } from './ticker.js'

type ByPeer = Readonly<Record<string, number>>

/** Where this peer stands, and counts and summaries since it was opened. Summaries are in the unit that their name ends with. */
export interface RaftRunnerMetrics {
  /** 1 or 0, like the next. */
  readonly isLeader: number
  readonly hasLeader: number
  readonly term: number
  readonly commitIndex: number
  readonly appliedIndex: number
  readonly lastIndex: number
  readonly voters: number
  readonly learners: number
  /** Since this peer last heard of its leader; 0 on the leader itself, and while none is known. */
  readonly leaderContactSeconds: number
  readonly leaderChanges: number
  /** Elections, and questions whether one could be won, that this peer began. */
  readonly campaigns: number
  readonly leadershipsWon: number
  /** Leaderships that ended while this peer lived: a higher term, or no quorum any more. */
  readonly leadershipsLost: number
  /** By how much ticks came later than they were due: the event loop was busy, or the process asleep. */
  readonly eventLoopLagSeconds: Summary
  readonly ticksMissed: number
  /** Commands and changes of members asked of this peer; each ends as one of the next three. */
  readonly proposals: number
  readonly proposalsCommitted: number
  /** Definitely not done, and the caller was told. */
  readonly proposalsRefused: number
  readonly proposalsUnknown: number
  /** Waiting for their result now. */
  readonly pendingProposals: number
  /** From the call to the result, of those that were committed. */
  readonly commitSeconds: Summary
  readonly readyBatches: number
  /** Of those Readys that had entries to write: how many, and their bytes. */
  readonly readyEntries: Summary
  readonly readyBytes: Summary
  /** Writes to the log, each with one sync. */
  readonly fsyncs: number
  readonly fsyncSeconds: Summary
  readonly entriesWritten: number
  readonly entriesPerFsync: number
  readonly bytesWritten: number
  readonly walSegments: number
  /** Slices of applying that applied something, and the entries of all. */
  readonly applySeconds: Summary
  readonly entriesApplied: number
  readonly readsConfirmed: number
  /** Reads that the leader answered without asking anybody. */
  readonly readsByLease: number
  readonly pendingReads: number
  readonly framesSent: number
  readonly messagesSent: number
  /** Frames that the transport did not take. */
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
  /** From the captured state to the durable file, and from a received file to the state it holds; the file's way here is not in it. */
  readonly snapshotSeconds: Summary
  readonly snapshotInstallSeconds: Summary
  /** Applied changes of members, and the learners that became voters by them. */
  readonly confChanges: number
  readonly learnersPromoted: number
  /** What a leader knows of the others, by raft id; empty elsewhere. Entries of its log that each is not known to have. */
  readonly peerLagEntries: ByPeer
  readonly peerMatchIndex: ByPeer
  readonly peerNextIndex: ByPeer
  /** 0: probing, 1: replicating, 2: needs a snapshot. */
  readonly peerState: ByPeer
  readonly peerInflightMessages: ByPeer
  /** From a heartbeat to its answer, smoothed; only of those that answered in this term. */
  readonly peerRoundTripSeconds: ByPeer
}

/** What the runner itself counts. */
export class RunnerCounts {
  readonly #readyEntries = new Tally()
  readonly #readyBytes = new Tally()
  #raftState: BasicStatus['raftState'] = 'StateFollower'
  readyBatches = 0
  snapshotsInstalled = 0
  readonly installSeconds = new Tally()
  proposals = 0
  confChanges = 0
  learnersPromoted = 0
  campaigns = 0
  leadershipsWon = 0
  leadershipsLost = 0

  get readyEntries(): Summary {
    return this.#readyEntries.summary
  }

  get readyBytes(): Summary {
    return this.#readyBytes.summary
  }

  readyWith(entries: readonly Entry[]): void {
    this.#readyEntries.add(entries.length)
    this.#readyBytes.add(entriesSizeBytes(entries))
  }

  reconfigured(before: ConfState, after: ConfState): void {
    this.confChanges++
    this.learnersPromoted += before.learners.filter((id) => after.voters.includes(id)).length
  }

  /** A single voter campaigns and wins in one step. */
  nowIs(state: BasicStatus['raftState']): void {
    const was = this.#raftState
    if (was === state) return
    this.#raftState = state
    if (state !== 'StateFollower' && was === 'StateFollower') this.campaigns++
    if (state === 'StateLeader') this.leadershipsWon++
    if (was === 'StateLeader') this.leadershipsLost++
  }
}

/** The parts of a runner that count. */
export interface Counted {
  readonly node: RawNode
  readonly nowMs: number
  readonly applier: Applier
  readonly appender: Appender
  readonly contacts: Contacts
  readonly roundTrips: RoundTrips
  readonly disk: RaftDisk
  readonly ticker: Ticker
  readonly proposals: Proposals
  readonly reader: Reader
  readonly outbox: Outbox
  readonly outgoing: OutgoingSnapshots
  readonly inbox: Inbox
  readonly snapshotter: Snapshotter
  readonly news: News
  readonly counts: RunnerCounts
}

export function metricsOf(parts: Counted): RaftRunnerMetrics {
  const { node, nowMs, applier, appender, contacts, disk, ticker, proposals, reader, outbox, outgoing, inbox, counts } = parts
  const { id, term, lead, commit, progress } = node.status()
  const { appends, entries, bytes, segments } = disk.metrics
  const isLeader = lead === id
  const heardAtMs = isLeader ? undefined : contacts.heardAtMs(lead)
  return {
    isLeader: isLeader ? 1 : 0,
    hasLeader: lead === 0 ? 0 : 1,
    term,
    commitIndex: commit,
    appliedIndex: applier.appliedIndex,
    lastIndex: node.lastIndex(),
    voters: applier.conf.voters.length,
    learners: applier.conf.learners.length,
    leaderContactSeconds: heardAtMs === undefined ? 0 : (nowMs - heardAtMs) / 1_000,
    leaderChanges: parts.news.leaderChanges,
    campaigns: counts.campaigns,
    leadershipsWon: counts.leadershipsWon,
    leadershipsLost: counts.leadershipsLost,
    eventLoopLagSeconds: ticker.lagSeconds,
    ticksMissed: ticker.missed,
    proposals: counts.proposals,
    proposalsCommitted: proposals.committed,
    proposalsRefused: proposals.refused,
    proposalsUnknown: proposals.unknown,
    pendingProposals: proposals.size,
    commitSeconds: proposals.commitSeconds,
    readyBatches: counts.readyBatches,
    readyEntries: counts.readyEntries,
    readyBytes: counts.readyBytes,
    fsyncs: appends,
    fsyncSeconds: appender.fsyncSeconds,
    entriesWritten: entries,
    entriesPerFsync: appends === 0 ? 0 : entries / appends,
    bytesWritten: bytes,
    walSegments: segments,
    applySeconds: applier.applySeconds,
    entriesApplied: applier.appliedEntries,
    readsConfirmed: reader.confirmedCount,
    readsByLease: reader.byLease,
    pendingReads: reader.pending,
    framesSent: outbox.framesSent,
    messagesSent: outbox.messagesSent,
    framesRefused: outbox.framesRefused,
    framesReceived: inbox.framesReceived,
    framesDropped: inbox.framesDropped,
    framesOfOtherCluster: inbox.framesOfOtherCluster,
    framesOfOtherVersion: inbox.framesOfOtherVersion,
    messagesDropped: inbox.messagesDropped,
    snapshotsTaken: parts.snapshotter.taken,
    snapshotsFailed: parts.snapshotter.failures,
    snapshotsDamaged: outgoing.damaged,
    snapshotsSent: outgoing.sent,
    snapshotsInstalled: counts.snapshotsInstalled,
    snapshotSeconds: parts.snapshotter.seconds.summary,
    snapshotInstallSeconds: counts.installSeconds.summary,
    confChanges: counts.confChanges,
    learnersPromoted: counts.learnersPromoted,
    ...metricsOfPeers(id, node.lastIndex(), progress, parts.roundTrips),
  }
}

const stateNumbers = { StateProbe: 0, StateReplicate: 1, StateSnapshot: 2 } as const satisfies Record<
  ProgressStatus['state'],
  number
>

function metricsOfPeers(
  self: RaftId,
  lastIndex: number,
  progress: ReadonlyMap<RaftId, ProgressStatus>,
  roundTrips: RoundTrips,
): Pick<RaftRunnerMetrics, Extract<keyof RaftRunnerMetrics, `peer${string}`>> {
  const others = [...progress].filter(([id]) => id !== self)
  const byPeer = (read: (status: ProgressStatus, id: RaftId) => number | undefined): ByPeer =>
    Object.fromEntries(
      others.flatMap(([id, status]) => {
        const value = read(status, id)
        return value === undefined ? [] : [[String(id), value]]
      }),
    )
  return {
    peerLagEntries: byPeer(({ match }) => lastIndex - match),
    peerMatchIndex: byPeer(({ match }) => match),
    peerNextIndex: byPeer(({ next }) => next),
    peerState: byPeer(({ state }) => stateNumbers[state]),
    peerInflightMessages: byPeer(({ inflight }) => inflight),
    peerRoundTripSeconds: byPeer((_, id) => {
      const ms = roundTrips.ofMs(id)
      return ms === undefined ? undefined : ms / 1_000
    }),
  }
}
