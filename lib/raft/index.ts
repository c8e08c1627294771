/**
 * skein/raft: consensus on its own. `RaftRunner` with a `StateMachine` and a `RaftTransport` is all most users need;
 * `RawNode` is the pure core for simulations and other runners; `RaftDisk` is the durable log.
 *
 * May import: raft/core, raft/wal, raft/runner. Must never know: services, tasks, links.
 * @module
 */
export * from './core/index.js'
export {
  type EntryPosition,
  type ProposeOptions,
  type QuorumStatus,
  type RaftEvent,
  type RaftRole,
  RaftRunner,
  type RaftRunnerMetrics,
  type RaftRunnerOptions,
  type RaftRunnerStatus,
  type RaftTransport,
  type StateMachine,
  type WaitOptions,
} from './runner/index.js'
export {
  nodeFiles,
  RaftDisk,
  type RaftDiskOpened,
  type RaftDiskOptions,
  type Repair,
  type SnapshotMark,
  type SnapshotMeta,
  type WalBatch,
  type WalContents,
  type WalFile,
  type WalFiles,
  type WalMetrics,
} from './wal/index.js'
