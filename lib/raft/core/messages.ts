import type { Entry, RaftId, Snapshot } from './state.js'

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
