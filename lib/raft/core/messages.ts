import { APPEND_THREAD, APPLY_THREAD, type Entry, type RaftId, type Snapshot } from './state.js'

/** The field's message names (etcd-io/raft); local ones never cross the network. */
export type MessageType =
  | 'MsgHup'
  | 'MsgBeat'
  | 'MsgProp'
  | 'MsgApp'
  | 'MsgAppResp'
  | 'MsgVote'
  | 'MsgVoteResp'
  | 'MsgSnap'
  | 'MsgHeartbeat'
  | 'MsgHeartbeatResp'
  | 'MsgUnreachable'
  | 'MsgSnapStatus'
  | 'MsgCheckQuorum'
  | 'MsgTransferLeader'
  | 'MsgTimeoutNow'
  | 'MsgReadIndex'
  | 'MsgReadIndexResp'
  | 'MsgPreVote'
  | 'MsgPreVoteResp'
  | 'MsgStorageAppend'
  | 'MsgStorageAppendResp'
  | 'MsgStorageApply'
  | 'MsgStorageApplyResp'
  | 'MsgForgetLeader'

/** One shape for every message: all fields always present, so that every object has the same hidden class. */
export interface Message {
  readonly type: MessageType
  readonly to: RaftId
  readonly from: RaftId
  readonly term: number
  readonly logTerm: number
  /** In MsgHeartbeatResp: for how long the sender promises not to vote for another leader. */
  readonly index: number
  readonly entries: readonly Entry[]
  readonly commit: number
  readonly vote: RaftId
  readonly snapshot: Snapshot | null
  readonly reject: boolean
  readonly rejectHint: number
  readonly context: Uint8Array | null
  /** Only of MsgStorageAppend and MsgStorageApply: to be delivered when the write is durable. */
  readonly responses: readonly Message[]
}

const NO_ENTRIES: readonly Entry[] = Object.freeze([])
const NO_RESPONSES: readonly Message[] = Object.freeze([])

/** What a sender may say beside type, addressees and term; the rest is zero. */
export type MessageFields = Partial<Omit<Message, 'type' | 'from' | 'to' | 'term'>>

/** The one place where messages are made. */
export function makeMessage(type: MessageType, from: RaftId, to: RaftId, term: number, fields: MessageFields = {}): Message {
  return {
    type,
    to,
    from,
    term,
    logTerm: fields.logTerm ?? 0,
    index: fields.index ?? 0,
    entries: fields.entries ?? NO_ENTRIES,
    commit: fields.commit ?? 0,
    vote: fields.vote ?? 0,
    snapshot: fields.snapshot ?? null,
    reject: fields.reject ?? false,
    rejectHint: fields.rejectHint ?? 0,
    context: fields.context ?? null,
    responses: fields.responses ?? NO_RESPONSES,
  }
}

const LOCAL: ReadonlySet<MessageType> = new Set<MessageType>([
  'MsgHup',
  'MsgBeat',
  'MsgUnreachable',
  'MsgSnapStatus',
  'MsgCheckQuorum',
  'MsgStorageAppend',
  'MsgStorageAppendResp',
  'MsgStorageApply',
  'MsgStorageApplyResp',
])

const RESPONSES: ReadonlySet<MessageType> = new Set<MessageType>([
  'MsgAppResp',
  'MsgVoteResp',
  'MsgPreVoteResp',
  'MsgHeartbeatResp',
  'MsgReadIndexResp',
  'MsgUnreachable',
  'MsgStorageAppendResp',
  'MsgStorageApplyResp',
])

/** True for messages that only this peer, or its own storage threads, may give it. */
export function isLocalType(type: MessageType): boolean {
  return LOCAL.has(type)
}

/** True for messages that make sense only from a member of the configuration. */
export function isResponseType(type: MessageType): boolean {
  return RESPONSES.has(type)
}

/** True for the addresses of this peer's own log writer and applier. */
export function isStorageThread(id: RaftId): boolean {
  return id === APPEND_THREAD || id === APPLY_THREAD
}

/** True for requests to whoever leads, in whatever term. */
export function isTermless(type: MessageType): boolean {
  return type === 'MsgProp' || type === 'MsgReadIndex' || type === 'MsgTransferLeader' || type === 'MsgForgetLeader'
}
