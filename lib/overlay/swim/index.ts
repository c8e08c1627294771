/**
 * overlay/swim: who is in, who is suspect, who is gone. The core decides; the runner carries out against clock and lanes.
 *
 * May import: base, wire, overlay/transport. Must never know: services, raft, what a member's meta means.
 * Source: Das et al., SWIM (DSN 2002); Dadgar et al., Lifeguard (arXiv 1707.00788); Dabek et al., Vivaldi (SIGCOMM 2004).
 * @module
 */
export { type Coordinate, roundTripMs } from './coordinate.js'
export {
  type Accusation,
  accusationsMax,
  compareRecords,
  isDegraded,
  isHere,
  type MemberRecord,
  type MemberState,
  mergeAccusations,
  metaBytesMax,
  type Profile,
  revised,
  type Seen,
  type Share,
} from './member.js'
export { MemberTable, Roster } from './member-table.js'
export type { Effect, Lane, Packet, PeerEvidence, SwimEvent, SwimMessage } from './messages.js'
export {
  type Lanes,
  type ResolvedSwimOptions,
  resolveSwimOptions,
  type SwimOptions,
  suspicionBounds,
  transmissionsOf,
} from './options.js'
export { packetBytes, recordBytes } from './record-bytes.js'
export { type KeptMember, type MemberSnapshot, readSnapshot, rosterOf, snapshotOf } from './snapshot.js'
export { decodePacket, encodePacket } from './swim-codec.js'
export { type MemberView, type SwimConfig, SwimCore } from './swim-core.js'
export {
  type Membership,
  type SwimCounters,
  type SwimDatagrams,
  type SwimLinks,
  SwimRunner,
  type SwimRunnerOptions,
} from './swim-runner.js'
export { type Triage, tcpTriage } from './tcp-triage.js'
