/**
 * peer: the composition root. Wires everything below into one running peer, or into a client of a cluster, and decides nothing.
 *
 * May import: everything below it. Must never know: the command line.
 * @module
 */
export { connect } from './client.js'
export type { PeerOptions } from './options.js'
export { createPeer, createPeerOver } from './peer.js'
export type { Metrics, Peer, PeerEvents, PeerNetwork } from './types.js'
