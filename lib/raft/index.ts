/**
 * skein/raft: consensus on its own. `Raft` with a `StateMachine` and a `RaftTransport` is all most users need; `RaftRunner` is
 * the same of bytes, for machines with a disk of their own; `RawNode` is the pure core for simulations and other runners;
 * `RaftDisk` is the durable log.
 *
 * May import: base, wire, raft/core, raft/wal, raft/runner, raft/autopilot. Must never know: services, tasks, links.
 * @module
 */
export type { Clock } from '../base/clock.js'
export type { Random } from '../base/random.js'
export type { AutopilotOptions, AutopilotPlan, AutopilotStep, Waiting } from './autopilot/index.js'
export {
  APPEND_THREAD,
  APPLY_THREAD,
  type BasicStatus,
  type ConfChange,
  type ConfChangeSingle,
  type ConfState,
  type DropReason,
  decodeConfChange,
  type Entry,
  type EntryType,
  type HardState,
  isRaftError,
  MemoryStorage,
  type MemoryStorageStart,
  type Message,
  type MessageType,
  type Moment,
  NONE,
  type ProgressState,
  type ProgressStatus,
  RaftError,
  type RaftErrorCode,
  type RaftId,
  type RaftOptions,
  type RaftState,
  type RaftStatus,
  RawNode,
  type ReadState,
  type Ready,
  type Snapshot,
  type SoftState,
  type Storage,
} from './core/index.js'
export { type ApplyOptions, Raft, type RaftPeerOptions, type RaftPeerStatus, type ReadOptions } from './raft.js'
export { planRecovery, type RecoveryOptions, type RecoveryPlan, recoverRaft } from './recovery.js'
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
  type SnapshotTransfer,
  type StateMachine as RunnerStateMachine,
  type Summary,
  type WaitOptions,
} from './runner/index.js'
export type { StateMachine } from './typed-machine.js'
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
