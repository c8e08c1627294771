/**
 * overlay/datagram: sealed datagrams on the port number of the links, for probes and small news.
 *
 * May import: base, model, overlay/transport (addresses). Must never know: what a packet says, who is alive, who leads.
 * Source: memberlist's encrypted gossip and libnetwork's key rotation; nonces and keys by sender are our own.
 * @module
 */
export { DatagramLane, type DatagramLaneOptions, type LaneCounters, type Packet } from './datagram-lane.js'
export type { DatagramReader, DatagramSocket } from './datagram-socket.js'
export { type Fate, MemoryDatagrams } from './memory-datagrams.js'
export { type DropReason, dropReasons, packetMaxBytes, payloadMaxBytes, sealBytes } from './sealing.js'
export { UdpSocket } from './udp-socket.js'
