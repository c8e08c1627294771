/**
 * overlay/gossip: rows that only their owner writes, held alike by everybody in a scope.
 *
 * May import: base, wire. Must never know: what a row says, how messages travel, who leads.
 * Source: van Renesse et al. 2008 (Scuttlebutt), chitchat's reset, moby's NetworkDB for what went wrong there.
 * @module
 */
export { Gossip, type GossipCounters, type GossipOptions, type ScopeOptions } from './gossip.js'
export type { RowChange, Summary } from './keyspace.js'
export { gossipMessageMaxBytes, rowMaxBytes } from './messages.js'
export type { Part } from './rights.js'
export { defaultSpaceTiming, type SpaceTiming, type Standing } from './space.js'
export { Table, type TableChange, type TableRow } from './table.js'
