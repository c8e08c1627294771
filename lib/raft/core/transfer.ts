import type { Progress } from './progress.js'
import type { Raft } from './raft.js'
import { sendAppend } from './replication.js'
import { NONE } from './state.js'

/**
 * Begins to hand leadership to a peer: first it gets the whole log, then it is told to campaign at once (thesis §3.10).
 * Proposals are refused meanwhile; after an election timeout the leader gives up and goes on leading.
 */
export function startTransfer(raft: Raft, peer: Progress): void {
  if (peer.isLearner || peer.id === raft.leadTransferee) return
  abortTransfer(raft)
  if (peer.id === raft.id) return
  raft.electionElapsed = 0
  raft.leadTransferee = peer.id
  if (peer.match === raft.log.lastIndex()) sendTimeoutNow(raft, peer)
  else sendAppend(raft, peer)
}

/** The peer has acknowledged more: if it is the successor and has everything, it may go. */
export function continueTransfer(raft: Raft, peer: Progress): void {
  if (peer.id === raft.leadTransferee && peer.match === raft.log.lastIndex()) sendTimeoutNow(raft, peer)
}

export function abortTransfer(raft: Raft): void {
  raft.leadTransferee = NONE
}

function sendTimeoutNow(raft: Raft, peer: Progress): void {
  raft.lease.giveAway()
  raft.send('MsgTimeoutNow', peer.id)
}
