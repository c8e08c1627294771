/**
 * raft/core: decides. Turns ticks, messages and proposals into what is to be written, sent and applied.
 *
 * May import: base. Must never know: sockets, disks, timers, promises, encodings of messages, what the entries mean.
 * Source: Ongaro 2014 §3, §4, §5.1, §6.2, §6.4, §9.6; message flow and flow control after etcd/raft.
 * @module
 */
export { decodeConfChange, encodeConfChange, isConfChange } from './conf-change.js'
export { ENTRY_OVERHEAD_BYTES, entriesSizeBytes, entrySizeBytes, limitSize, payloadSizeBytes } from './entries.js'
export {
  type DropReason,
  ErrCompacted,
  ErrSnapOutOfDate,
  ErrSnapshotTemporarilyUnavailable,
  ErrStepLocalMsg,
  ErrStepPeerNotFound,
  ErrUnavailable,
  isRaftError,
  proposalDropped,
  RaftError,
  type RaftErrorCode,
} from './errors.js'
export { checkInvariants } from './invariants.js'
export type { Moment } from './lease.js'
export { MemoryStorage, type MemoryStorageStart } from './memory-storage.js'
export {
  isLocalType,
  isResponseType,
  isStorageThread,
  type Message,
  type MessageFields,
  type MessageType,
  makeMessage,
} from './messages.js'
export { type RaftOptions, type ResolvedRaftOptions, resolveRaftOptions } from './options.js'
export type { ProgressState } from './progress.js'
export { RawNode } from './raw-node.js'
export { beatOf } from './reads.js'
export * from './state.js'
export type { BasicStatus, ProgressStatus, RaftStatus } from './status.js'
export { Succession, type SuccessionCore } from './succession.js'
