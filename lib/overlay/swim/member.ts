import { mix } from '../../base/hash.js'
import type { NodeId } from '../../base/ids.js'
import type { Lanes } from './options.js'

/** What the group says of a member. In this order the later wins among records of one incarnation. */
export type MemberState = 'alive' | 'suspect' | 'dead' | 'left'

/** What an accuser saw: no answer at all; its machine answers for a process that does not; its machine says nobody is there. */
export type Seen = 'silent' | 'accepting' | 'refused'

/** One member's testimony against another. */
export interface Accusation {
  readonly by: NodeId
  readonly saw: Seen
}

/** What a member says of itself, beyond being alive. */
export interface Profile {
  /** The incarnation in which it was said; the newer replaces the older. */
  readonly version: number
  /** `host:port`, for both lanes; '' of one that only dials out. */
  readonly address: string
  readonly lanes: Lanes
  /** Up to 512 bytes that mean something above this layer. */
  readonly meta: Uint8Array
}

/** What a member may change of what it says of itself. */
export type ProfileChange = Partial<Pick<Profile, 'meta' | 'address' | 'lanes'>>

export const metaBytesMax = 512
/** Testimony kept in one record: enough for the shortest suspicion (the first and three confirmations) and one to spare. */
export const accusationsMax = 5

/** Epochs, incarnations and versions of profiles on the wire. */
export const numberMax = 0xffff_ffff

/**
 * What is known of a member. Ordered by (epoch, incarnation, state): the epoch counts starts of the process, the incarnation its
 * refutations; both are raised by the member alone.
 */
export interface MemberRecord {
  readonly id: NodeId
  readonly epoch: number
  readonly incarnation: number
  readonly state: MemberState
  /** Version of the profile that belongs to this incarnation; a holder of an older one asks for it. */
  readonly profileVersion: number
  /** Left out of a rumour when those who hear it are expected to know it. */
  readonly profile: Profile | undefined
  /** Who accused it, sorted; empty while alive or left. */
  readonly accusations: readonly Accusation[]
}

/** Gives one object for all records that say the same, or the record itself: so thousands of tables in one process hold each once. */
export type Share = (record: MemberRecord) => MemberRecord

const ranks: Readonly<Record<MemberState, number>> = { alive: 0, suspect: 1, dead: 2, left: 3 }
const weights: Readonly<Record<Seen, number>> = { silent: 0, accepting: 1, refused: 2 }

/** What orders records of one member. */
export type Word = Pick<MemberRecord, 'epoch' | 'incarnation' | 'state'>

/** Above 0 when `one` is the newer word on its member, 0 when both say the same. */
export function compareRecords(one: Word, other: Word): number {
  return one.epoch - other.epoch || one.incarnation - other.incarnation || ranks[one.state] - ranks[other.state]
}

/**
 * A record with some of it changed. Each field is named, so that all records are built alike: reading them is most of what a large
 * group costs, and a tenth less of it than when they are spread from one another.
 */
export function revised(record: MemberRecord, change: Partial<MemberRecord>): MemberRecord {
  const { epoch, incarnation, state, profileVersion, accusations } = change
  return {
    id: record.id,
    epoch: epoch ?? record.epoch,
    incarnation: incarnation ?? record.incarnation,
    state: state ?? record.state,
    profileVersion: profileVersion ?? record.profileVersion,
    profile: 'profile' in change ? change.profile : record.profile,
    accusations: accusations ?? record.accusations,
  }
}

/** The word on a member without what it says of itself, for those who know that already. */
export function inShort(record: MemberRecord): MemberRecord {
  return record.profile === undefined ? record : revised(record, { profile: undefined })
}

/** Where it can be dialled; undefined: that is not known, or it only dials out. */
export function addressOf({ profile }: Pick<MemberRecord, 'profile'>): string | undefined {
  return profile?.address === '' ? undefined : profile?.address
}

export function isHere({ state }: Pick<MemberRecord, 'state'>): boolean {
  return state === 'alive' || state === 'suspect'
}

export function isAlive({ state }: Pick<MemberRecord, 'state'>): boolean {
  return state === 'alive'
}

/** A suspect whose machine answers for it: stopped, not gone. */
export function isDegraded({ state, accusations }: MemberRecord): boolean {
  return state === 'suspect' && accusations.some(({ saw }) => saw === 'accepting')
}

/**
 * Testimony of both, one per accuser, each at its heaviest; the heaviest are kept. Any order of merging gives the same; returns
 * `held` itself when `more` adds nothing.
 */
export function mergeAccusations(held: readonly Accusation[], more: readonly Accusation[]): readonly Accusation[] {
  // Nearly always nothing is new: the same testimony comes round many times.
  if (more === held || more.every((each) => addsNothing(each, held))) return held
  const merged = [...held]
  for (const each of more) {
    const at = merged.findIndex(({ by }) => by === each.by)
    if (at === -1) merged.push(each)
    else if (weights[each.saw] > weights[(merged[at] as Accusation).saw]) merged[at] = each
  }
  return merged.sort(compareAccusations).slice(0, accusationsMax)
}

function addsNothing(each: Accusation, held: readonly Accusation[]): boolean {
  const last = held[accusationsMax - 1]
  if (last !== undefined && compareAccusations(each, last) >= 0) return true
  return held.some(({ by, saw }) => by === each.by && weights[saw] >= weights[each.saw])
}

function compareAccusations(one: Accusation, other: Accusation): number {
  return weights[other.saw] - weights[one.saw] || (one.by < other.by ? -1 : one.by > other.by ? 1 : 0)
}

/**
 * What a record adds to the digest of a table. A suspicion counts as alive: it ends by itself, and a digest that changed with it would
 * call for a synchronisation each time. The dead and the left count as unknown: each member forgets them in its own time, and whoever
 * still holds one to be here differs all the same.
 */
export function hashRecord({ epoch, incarnation, state, profile }: MemberRecord, idHash: number): number {
  if (!isHere({ state })) return 0
  return mix(mix(mix(idHash ^ epoch) ^ incarnation) ^ (4 * (profile === undefined ? 0 : profile.version + 1)))
}
