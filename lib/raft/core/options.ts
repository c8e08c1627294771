import { SkeinError } from '../../base/errors.js'
import { type Random, seededRandom } from '../../base/random.js'
import type { RaftId, Storage } from './state.js'

/** Options of one peer's core. Only ticks, counts and bytes: what a tick lasts is the runner's business. */
export interface RaftOptions {
  /** This peer: an integer from 1 to 2^48 - 1, never used before by anyone (thesis §4.4). */
  readonly id: RaftId
  /** Ticks without a leader before asking for votes, above heartbeatTick; each wait is drawn from [n, 2n). */
  readonly electionTick: number
  /** Ticks between a leader's heartbeats, from 1. */
  readonly heartbeatTick: number
  readonly storage: Storage
  /** Highest index the state machine has applied already; entries behind it are handed out. Default: what storage compacted away. */
  readonly applied?: number
  /** Bytes of entries in one append message; a single larger entry still travels alone. Default 256 KiB. */
  readonly maxSizePerMsg?: number
  /** Bytes of committed entries handed out and not yet applied. Default 1 MiB. */
  readonly maxCommittedSizePerReady?: number
  /** Bytes of proposals not yet applied; past it proposals are dropped ('too-much-uncommitted'). Default 8 MiB. */
  readonly maxUncommittedEntriesSize?: number
  /** Append messages under way to one follower; past it only heartbeats. Default 256. */
  readonly maxInflightMsgs?: number
  /** Bytes of entries under way to one follower, at least maxSizePerMsg. Default: the larger of 4 MiB and maxSizePerMsg. */
  readonly maxInflightBytes?: number
  /** Writes go to APPEND_THREAD and APPLY_THREAD as messages and are answered when durable; `advance` is not used. Default false. */
  readonly asyncStorageWrites?: boolean
  /** A leader steps down when it has not heard from a quorum for electionTick; votes are refused while a leader is heard. Default false. */
  readonly checkQuorum?: boolean
  /** Ask whether an election could be won before raising the term (thesis §9.6). Default false. */
  readonly preVote?: boolean
  /**
   * Answers heartbeats with a promise: not to vote for another one, nor for itself, for electionTick ticks, which last at least this
   * long in the unit of the runner's clock. Bound by it from the start on, for a life before may have promised. Such a peer does not
   * forget its leader on request, and may itself lead with a lease. Needs checkQuorum. Default 0: no promise.
   */
  readonly votePromise?: number
  /** Heartbeats carry numbers that their answers echo, so that a runner can measure round trips. Always, with `votePromise`. Default false. */
  readonly numberedHeartbeats?: boolean
  /** How reads are confirmed: 'safe' by a round of heartbeats, 'lease' by trust in clocks (needs checkQuorum). Default 'safe'. */
  readonly readOnlyOption?: 'safe' | 'lease'
  /** Followers drop proposals instead of passing them to the leader. Default false. */
  readonly disableProposalForwarding?: boolean
  /** The layer above guarantees that configuration changes come one at a time. Default false. */
  readonly disableConfChangeValidation?: boolean
  /** A leader that is removed or made a learner becomes a follower at once. Default false. */
  readonly stepDownOnRemoval?: boolean
  /**
   * Elections message for message as in etcd/raft, without two repairs; only for its scripts. Default false.
   * First: there vote requests leave before term, vote and log are durable. With asynchronous storage a candidate that forgets its
   * request in a crash asks again in the same term with a shorter log, and old grants elect it.
   * Second: there a refusal does not say what is committed. Voters that cannot learn that the old half was left need its votes,
   * while those who left have longer logs and may no longer campaign.
   */
  readonly electionsAsInEtcd?: boolean
  /** Uniform in [0, 1): spreads election timeouts. Default: a generator seeded with the id. */
  readonly random?: Random
}

/** Options with every default filled in and every bound checked; nothing behind this checks again. */
export type ResolvedRaftOptions = Required<Omit<RaftOptions, 'applied'>> & { readonly applied: number | undefined }

const MIB = 1024 * 1024

/** @throws {SkeinError} ERR_SKEIN_INVALID_OPTION naming the option */
export function resolveRaftOptions(options: RaftOptions): ResolvedRaftOptions {
  const maxSizePerMsg = options.maxSizePerMsg ?? MIB / 4
  const resolved: ResolvedRaftOptions = {
    id: options.id,
    electionTick: options.electionTick,
    heartbeatTick: options.heartbeatTick,
    storage: options.storage,
    applied: options.applied,
    maxSizePerMsg,
    maxCommittedSizePerReady: options.maxCommittedSizePerReady ?? MIB,
    maxUncommittedEntriesSize: options.maxUncommittedEntriesSize ?? 8 * MIB,
    maxInflightMsgs: options.maxInflightMsgs ?? 256,
    maxInflightBytes: options.maxInflightBytes ?? Math.max(4 * MIB, maxSizePerMsg),
    asyncStorageWrites: options.asyncStorageWrites ?? false,
    checkQuorum: options.checkQuorum ?? false,
    preVote: options.preVote ?? false,
    votePromise: options.votePromise ?? 0,
    numberedHeartbeats: options.numberedHeartbeats ?? false,
    readOnlyOption: options.readOnlyOption ?? 'safe',
    disableProposalForwarding: options.disableProposalForwarding ?? false,
    disableConfChangeValidation: options.disableConfChangeValidation ?? false,
    stepDownOnRemoval: options.stepDownOnRemoval ?? false,
    electionsAsInEtcd: options.electionsAsInEtcd ?? false,
    random: options.random ?? seededRandom(options.id),
  }
  whole(resolved, 'id', 1, 2 ** 48 - 1)
  whole(resolved, 'heartbeatTick', 1, Number.MAX_SAFE_INTEGER)
  whole(resolved, 'electionTick', resolved.heartbeatTick + 1, Number.MAX_SAFE_INTEGER)
  if (resolved.applied !== undefined) whole(resolved, 'applied', 0, Number.MAX_SAFE_INTEGER)
  whole(resolved, 'maxInflightMsgs', 1, Number.MAX_SAFE_INTEGER)
  atLeast(resolved, 'maxSizePerMsg', 0)
  atLeast(resolved, 'maxCommittedSizePerReady', 1)
  atLeast(resolved, 'maxUncommittedEntriesSize', 1)
  atLeast(resolved, 'maxInflightBytes', resolved.maxSizePerMsg)
  whole(resolved, 'votePromise', 0, Number.MAX_SAFE_INTEGER)
  for (const name of flags) {
    if (typeof resolved[name] !== 'boolean') throw invalid(name, resolved[name], 'true or false')
  }
  const { readOnlyOption, checkQuorum, votePromise, storage, random } = resolved
  if (readOnlyOption !== 'safe' && readOnlyOption !== 'lease')
    throw invalid('readOnlyOption', readOnlyOption, "'safe' or 'lease'")
  if (readOnlyOption === 'lease' && !checkQuorum) {
    throw invalid('readOnlyOption', readOnlyOption, "'safe', or checkQuorum: true (a lease lasts only while a quorum is heard)")
  }
  if (votePromise > 0 && !checkQuorum) {
    throw invalid('votePromise', votePromise, '0, or checkQuorum: true (votes are refused only with it)')
  }
  if (typeof storage?.initialState !== 'function') throw invalid('storage', storage, 'a Storage')
  if (typeof random !== 'function') throw invalid('random', random, 'a function giving numbers in [0, 1)')
  return Object.freeze(resolved)
}

const flags = [
  'asyncStorageWrites',
  'checkQuorum',
  'preVote',
  'numberedHeartbeats',
  'disableProposalForwarding',
  'disableConfChangeValidation',
  'stepDownOnRemoval',
  'electionsAsInEtcd',
] as const

function whole(options: ResolvedRaftOptions, name: keyof RaftOptions, from: number, to: number): void {
  const got = options[name]
  if (Number.isSafeInteger(got) && (got as number) >= from && (got as number) <= to) return
  throw invalid(
    name,
    got,
    to === Number.MAX_SAFE_INTEGER ? `a whole number from ${from}` : `a whole number from ${from} to ${to}`,
  )
}

function atLeast(options: ResolvedRaftOptions, name: keyof RaftOptions, from: number): void {
  const got = options[name]
  if (typeof got === 'number' && got >= from) return
  throw invalid(name, got, `a number of bytes from ${from}`)
}

function invalid(option: keyof RaftOptions, got: unknown, expected: string): SkeinError {
  return new SkeinError('ERR_SKEIN_INVALID_OPTION', `${option}: expected ${expected}, got ${String(got)}`, { option, got })
}
