import type { NodeId } from '../../base/ids.js'
import type { Coordinate } from './coordinate.js'
import type { MemberRecord, Seen } from './member.js'
import type { Lanes } from './options.js'

/** How a packet travels: datagrams may be lost and overtake each other; a link keeps both from happening while it lasts. */
export type Lane = 'datagram' | 'link'

/** One packet: who speaks to whom, one message, and rumours for the rest of the room. */
export interface Packet {
  /** A process at a reused address sees that it is not meant. */
  readonly to: NodeId
  readonly from: NodeId
  readonly epoch: number
  readonly incarnation: number
  readonly message: SwimMessage
  readonly records: readonly MemberRecord[]
}

export type SwimMessage =
  /** `digest` of the sender's table: who differs will ask. */
  | { readonly type: 'ping'; readonly seq: number; readonly digest: number }
  | { readonly type: 'ack'; readonly seq: number; readonly digest: number; readonly coordinate: Coordinate }
  /** `remainingMs`: what is left of the asker's own deadline; a nack counts only within it. */
  | { readonly type: 'ping-req'; readonly seq: number; readonly target: NodeId; readonly remainingMs: number }
  /** The target answered the relay. */
  | { readonly type: 'heard'; readonly seq: number }
  /** The target did not answer the relay, but the relay lives: the asker's own ears are fine. */
  | { readonly type: 'nack'; readonly seq: number }
  /** Nothing but its records, for passing on. */
  | { readonly type: 'gossip' }
  /** My digest by buckets; tell me where we differ. */
  | { readonly type: 'sync'; readonly buckets: Uint32Array }
  /** All I hold in these of `count` buckets, in brief. */
  | { readonly type: 'briefs'; readonly count: number; readonly buckets: readonly number[]; readonly briefs: readonly Brief[] }
  /** Send me all you hold on these. */
  | { readonly type: 'pull'; readonly ids: readonly NodeId[] }
  /** Its records answer a pull or mend a difference; they are no news of the day. */
  | { readonly type: 'share' }

/** A record without testimony and profile. */
export type Brief = Pick<MemberRecord, 'id' | 'epoch' | 'incarnation' | 'state' | 'profileVersion'>

/**
 * What the world outside the packets says of a peer.
 * - `linked`, `closed`: a link to it is up, or ended with a goodbye; `dialled`: one is up that it took at its address;
 * - `reset`: a link ended without one; `refused`: nobody listens there; `accepting`: its machine takes connections;
 * - `silent`: a dial was not answered in time; `local`: our own network failed, which says nothing about it.
 */
export type PeerEvidence = 'linked' | 'dialled' | 'closed' | 'reset' | Seen | 'local'

/** News about a member; `members()` is the truth, news only says when to look. */
export interface SwimEvent {
  readonly type: 'joined' | 'alive' | 'suspect' | 'degraded' | 'failed' | 'left' | 'updated'
  readonly member: MemberRecord
}

export type Effect =
  | { readonly type: 'send'; readonly lane: Lane; readonly address: string; readonly packet: Packet }
  /** Try to connect, give `evidence` of how it went: `refused`, `accepting`, `silent` or `local`. */
  | { readonly type: 'triage'; readonly peer: NodeId; readonly address: string; readonly timeoutMs: number }
  /** Hold links to these, and to no others for the sake of membership. */
  | { readonly type: 'neighbours'; readonly peers: readonly MemberRecord[] }
  /** Make a link to a lost member if it is there again: no datagram can ask it. */
  | { readonly type: 'connect'; readonly peer: NodeId; readonly address: string }
  | { readonly type: 'event'; readonly event: SwimEvent }
  /** It turned out that our datagrams do not pass (`stream`), or pass again; all others are told. */
  | { readonly type: 'lanes'; readonly lanes: Lanes }
  /** Somebody claimed a later start of ours; we have claimed one above it. Does another process run under our id? */
  | { readonly type: 'outbid'; readonly epoch: number }
