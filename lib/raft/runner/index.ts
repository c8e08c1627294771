/**
 * raft/runner: carries out. Steps the core against disk, clock and transport, and hands results to whoever proposed.
 *
 * May import: base, wire, raft/core, raft/wal. Must never know: what entries mean, how links work, who is alive.
 * Source: Ongaro 2014 §3.8, §4, §5, §6.3, §6.4, §10.2.1; the ordering rules that field bugs taught are in ../README.md.
 * @module
 */
export type { ConfChange, ConfState, RaftId } from '../core/index.js'
export type { RaftRunnerMetrics } from './metrics.js'
export { type RaftRunnerOptions, resolveRunnerOptions } from './options.js'
export type { RaftTransport } from './outbox.js'
export type { SnapshotTransfer } from './outgoing-snapshots.js'
export type { ProposeOptions, WaitOptions } from './proposals.js'
export { decodeFrame, encodeFrame, frameHead, raftFrameLimitBytes, raftFrameVersion } from './raft-codec.js'
export { RaftRunner } from './raft-runner.js'
export type { RaftEvent, RaftRole } from './role-news.js'
export type { EntryPosition, StateMachine } from './state-machine.js'
export type { QuorumStatus, RaftRunnerStatus } from './status.js'
export type { Summary } from './summary.js'
