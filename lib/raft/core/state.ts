import type { Message } from './messages.js'

/** A raft id: a random integer from 1 to 2^48 - 1, never reused (thesis §4.4: a server that lost its log is a new server). */
export type RaftId = number

/** Nobody: no leader, no vote. */
export const NONE: RaftId = 0
/** Address of the local log writer when storage writes are asynchronous. */
export const APPEND_THREAD: RaftId = -1
/** Address of the local applier when storage writes are asynchronous. */
export const APPLY_THREAD: RaftId = -2

export type EntryType = 'EntryNormal' | 'EntryConfChange' | 'EntryConfChangeV2'

/** One log entry; immutable and shared. `data` is empty for the entry a new leader starts its term with. */
export interface Entry {
  readonly type: EntryType
  readonly term: number
  readonly index: number
  readonly data: Uint8Array
}

/** What must be durable before anything that promises on it leaves: one atomic record (decision: never two writes). */
export interface HardState {
  readonly term: number
  readonly vote: RaftId
  readonly commit: number
}

export type RaftState = 'StateFollower' | 'StatePreCandidate' | 'StateCandidate' | 'StateLeader'

/** What is lost at a restart, without harm. */
export interface SoftState {
  readonly lead: RaftId
  readonly raftState: RaftState
}

/** Who votes. `votersOutgoing` is not empty only in a joint configuration (thesis §4.3). */
export interface ConfState {
  readonly voters: readonly RaftId[]
  readonly votersOutgoing: readonly RaftId[]
  readonly learners: readonly RaftId[]
  readonly learnersNext: readonly RaftId[]
  readonly autoLeave: boolean
}

/** The state machine at `index`, with the configuration that held there. */
export interface Snapshot {
  readonly index: number
  readonly term: number
  readonly confState: ConfState
  readonly data: Uint8Array
}

/** One change: add a voter, add a learner, remove, or only announce an update (`u`). */
export interface ConfChangeSingle {
  readonly type: 'v' | 'l' | 'r' | 'u'
  readonly nodeId: RaftId
}

/** `auto`: joint only when needed, left automatically. `implicit`: joint, left automatically. `explicit`: joint, left by an empty change. */
export interface ConfChange {
  /** True for the old single-change encoding (EntryConfChange). */
  readonly v1?: boolean
  readonly transition?: 'auto' | 'implicit' | 'explicit'
  readonly changes: readonly ConfChangeSingle[]
}

/** A read that may be answered once `index` is applied (thesis §6.4). */
export interface ReadState {
  readonly index: number
  readonly requestCtx: Uint8Array
}

/**
 * What the runner must do next. Order with synchronous storage: persist (one write: hard state, snapshot, then entries), send,
 * apply, advance. With asynchronous storage the same travels in MsgStorageAppend and MsgStorageApply among `messages`.
 * (A MsgStorageAppend whose term, vote and commit are all 0 brings no hard state.)
 */
export interface Ready {
  readonly softState?: SoftState
  readonly hardState?: HardState
  readonly readStates: readonly ReadState[]
  /** To be written to the log before `messages` that depend on them leave. */
  readonly entries: readonly Entry[]
  readonly snapshot?: Snapshot
  readonly committedEntries: readonly Entry[]
  readonly messages: readonly Message[]
  readonly mustSync: boolean
}

/** The log as the core reads it: synchronous, answered from memory. */
export interface Storage {
  initialState(): { readonly hardState: HardState | null; readonly confState: ConfState }
  firstIndex(): number
  lastIndex(): number
  /** @throws {RaftError} ERR_COMPACTED below firstIndex-1, ERR_UNAVAILABLE above lastIndex */
  term(index: number): number
  /** Entries [lo, hi), at least one, together at most `maxBytes`. */
  entries(lo: number, hi: number, maxBytes: number): readonly Entry[]
  snapshot(): Snapshot
}
