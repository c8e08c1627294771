/**
 * store: the replicated tables. View, submit, watch; a state machine for raft.
 *
 * May import: base, model, wire, storage, raft/runner. Must never know: schedulers, peers.
 * Source: Docker Swarm's store; decisions 6, 8 to 11.
 * @module
 */
export { type Applied, applyCommand } from './apply.js'
export type { Change, ChangeKind, StoreChange } from './changes.js'
export { requestsKept, Tables } from './tables.js'
export type { KeyValue, View } from './view.js'
