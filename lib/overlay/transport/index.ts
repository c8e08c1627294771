/**
 * overlay/transport: authenticated links between peers, and calls over them.
 *
 * May import: base, wire, security. Must never know: who is alive, who leads, what raft frames and calls mean.
 * @module
 */
export type { Credentials, Identity, LinkRole } from '../../security/index.js'
export { addressToAdvertise, type InterfaceAddress, parseAddress, parseListen } from './addresses.js'
export type { LinkPurpose, VersionRange } from './handshake.js'
export { afterFairly } from './lateness.js'
export { Link, type LinkHost } from './link.js'
export { everybody, type LinkFault, LinkFaults } from './link-faults.js'
export { type DialOptions, type LinkCounters, type LinkEvent, LinkPool } from './link-pool.js'
export { Switchboard } from './memory-transport.js'
export { type LinkOptions, wireVersions } from './options.js'
export { errorFromWire, errorToWire } from './remote-errors.js'
export type { CallOptions, RpcContext, RpcHandler, RpcHandlers, RpcLink } from './rpc.js'
export {
  type Connection,
  type ConnectionEnd,
  type ConnectionUser,
  type Evidence,
  evidenceOf,
  type Listener,
  type Transport,
} from './transport.js'
export { WsTransport } from './ws-transport.js'
