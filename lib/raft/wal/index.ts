/**
 * raft/wal: remembers. Entries, term, vote, commit and snapshots of one raft peer, durable when it says so.
 *
 * May import: base, wire, storage, raft/core. Must never know: peers, elections, what the entries mean.
 * Source: Ongaro 2014 §3.8, §5, §11.7.3; torn-write rules after etcd's WAL; one batch in flight after raft-wal.
 * @module
 */
export type { SnapshotMark, SnapshotMeta, WalBatch } from './batch.js'
export {
  confStateMaxBytes,
  entriesMaxBytes,
  packConfState,
  packEntries,
  readTuple,
  unpackConfState,
  unpackEntries,
  unpackRaftId,
} from './entry-codec.js'
export { nodeFiles, type WalFile, type WalFiles } from './files.js'
export {
  type Damage,
  inspectLog,
  type LogItem,
  type LogReport,
  listLog,
  type SegmentReport,
  type SnapshotReport,
} from './inspect.js'
export { lockDir, lockName } from './lock.js'
export { MemoryFiles } from './memory-files.js'
export { Packer, scalarMaxBytes, Unpacker } from './msgpack.js'
export type { PartialSnapshot } from './partial-snapshot.js'
export { RaftDisk, type RaftDiskOpened, type RaftDiskOptions } from './raft-disk.js'
export { corrupt, type Repair } from './recover.js'
export type { WalContents } from './replay.js'
export type { SnapshotDigest, SnapshotId, SnapshotReader } from './snapshot-reader.js'
export { Snapshots, type SnapshotsOptions } from './snapshots.js'
export { Wal, type WalMetrics, type WalOpened, type WalOptions } from './wal.js'
