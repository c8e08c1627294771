/**
 * store: the replicated tables. View, submit, watch; a state machine for raft.
 *
 * May import: base, model, wire, storage, raft/runner. Must never know: schedulers, peers.
 * Source: Docker Swarm's store; decisions 6, 8 to 11.
 * @module
 */
export { type Applied, applyCommand } from './apply.js'
export { keyBytesMax, valueBytesMax } from './apply-cluster.js'
export type { Change, ChangeKind, StoreChange } from './changes.js'
export { commandBytesMax, decodeCommand, encodeCommand } from './command-codec.js'
export { brokenInvariants } from './invariants.js'
export { readTables } from './persister.js'
export {
  managersOf,
  newestTask,
  resolveConfig,
  resolveNetwork,
  resolveNode,
  resolveSecret,
  resolveService,
  resolveTask,
  servicesUsing,
  taskName,
} from './queries.js'
export { snapshotChunks, tablesFromChunks } from './snapshot.js'
export {
  type Accepted,
  type ChangeListener,
  type Propose,
  refusalOf,
  Store,
  type StoreOptions,
  type SubmitOptions,
} from './store.js'
export { type RowSealing, tableLayout } from './table-layout.js'
export { requestsKept, Tables } from './tables.js'
export { type Transaction, type TransactionOptions, transact } from './transaction.js'
export type { KeyValue, View } from './view.js'
export { markEveryMs, queuedMax, retainedMax, type WatchOptions } from './watch.js'
