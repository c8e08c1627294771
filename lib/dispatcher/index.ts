/**
 * dispatcher: the manager's end of a worker's session.
 *
 * May import: base, model, store, api, overlay/transport. Must never know: how tasks run.
 * Source: Docker Swarm's dispatcher; decision 14 for verdicts after a stall.
 * @module
 */
export { Dispatcher } from './dispatcher.js'
export type { HeartbeatSettings } from './heartbeat.js'
export type { Member } from './node-verdicts.js'
export type { Membership } from './node-watch.js'
export { freshLoad } from './observed-rows.js'
export type { DispatcherWorld } from './term.js'
