import { assert } from '../../base/assert.js'
import { decodeConfChange, isConfChange } from './conf-change.js'
import { payloadSizeBytes } from './entries.js'
import { type DropReason, proposalDropped } from './errors.js'
import { isJoint } from './membership.js'
import type { Message } from './messages.js'
import type { Progress } from './progress.js'
import type { Raft } from './raft.js'
import { acknowledgeReads, beatOf, releasePostponedReads, requestRead } from './reads.js'
import { maybeCommit } from './reconfigure.js'
import { broadcastAppend, broadcastHeartbeat, sendAppend, sendEntries } from './replication.js'
import { type Entry, NONE } from './state.js'
import { continueTransfer, startTransfer } from './transfer.js'

/** What a leader does with each message. */
export function stepLeader(raft: Raft, m: Message): void {
  switch (m.type) {
    case 'MsgBeat':
      broadcastHeartbeat(raft)
      return
    case 'MsgCheckQuorum':
      checkQuorum(raft)
      return
    case 'MsgProp': {
      const dropped = propose(raft, m.entries)
      if (dropped !== undefined) throw proposalDropped(dropped)
      return
    }
    case 'MsgReadIndex':
      requestRead(raft, m)
      return
    default: {
      const peer = raft.tracker.get(m.from)
      if (peer !== undefined) stepPeer(raft, peer, m)
    }
  }
}

/** Messages that say something about one member. */
function stepPeer(raft: Raft, peer: Progress, m: Message): void {
  switch (m.type) {
    case 'MsgAppResp':
      peer.recentActive = true
      if (m.reject) handleRejectedAppend(raft, peer, m)
      else handleAcceptedAppend(raft, peer, m)
      return
    case 'MsgHeartbeatResp':
      peer.recentActive = true
      peer.appendPaused = false
      // Behind, or probing though it may have everything: an append, if only an empty one, finds out.
      if (peer.match < raft.log.lastIndex() || peer.state === 'StateProbe') sendAppend(raft, peer)
      raft.lease.promised(m.from, beatOf(m.context), m.index)
      acknowledgeReads(raft, m.from, m.context)
      return
    case 'MsgSnapStatus':
      if (peer.state !== 'StateSnapshot') return
      if (m.reject) peer.abortSnapshot()
      else peer.becomeProbe()
      // Sent: its answer comes by itself. Failed: not again before the next heartbeat.
      peer.appendPaused = true
      return
    case 'MsgUnreachable':
      // What was sent ahead is probably lost.
      if (peer.state === 'StateReplicate') peer.becomeProbe()
      return
    case 'MsgTransferLeader':
      startTransfer(raft, peer)
      return
    default:
  }
}

/** Steps down if a quorum was silent since the last check (thesis §6.2), and begins the next count. */
function checkQuorum(raft: Raft): void {
  if (!raft.tracker.quorumActive()) raft.becomeFollower(raft.term, NONE)
  for (const peer of raft.tracker.members) if (peer.id !== raft.id) peer.recentActive = false
}

function handleRejectedAppend(raft: Raft, peer: Progress, m: Message): void {
  // The follower's term at its hint rules out every entry of ours with a higher term: one probe for each term, not each entry.
  const hint = m.logTerm > 0 ? raft.log.findConflictByTerm(m.rejectHint, m.logTerm).index : m.rejectHint
  if (!peer.maybeDecreaseTo(m.index, hint)) return
  if (peer.state === 'StateReplicate') peer.becomeProbe()
  sendAppend(raft, peer)
}

function handleAcceptedAppend(raft: Raft, peer: Progress, m: Message): void {
  const { log } = raft
  // No news, but a peer that was probed and has what we thought may stream again.
  const confirmed = peer.state === 'StateProbe' && peer.match === m.index
  if (!peer.maybeUpdate(m.index) && !confirmed) return
  if (peer.state === 'StateProbe') {
    peer.becomeReplicate()
  } else if (peer.state === 'StateReplicate') {
    peer.inflights.freeUpTo(m.index)
  } else if (peer.match + 1 >= log.firstIndex()) {
    // Wherever its log came from, ours now continues it; the snapshot under way is not needed.
    peer.becomeProbe()
    peer.becomeReplicate()
  }
  const isSelf = peer.id === raft.id
  if (maybeCommit(raft)) {
    releasePostponedReads(raft)
    broadcastAppend(raft)
  } else if (!isSelf && peer.canBumpCommit(log.committed)) {
    sendAppend(raft, peer)
  }
  if (isSelf) return
  // The window may have opened by several messages.
  while (sendEntries(raft, peer));
  continueTransfer(raft, peer)
}

/** Takes proposals into the log and sends them on at once; the reason if it does not. */
function propose(raft: Raft, proposals: readonly Entry[]): DropReason | undefined {
  assert(proposals.length > 0, 'a proposal proposes something')
  if (raft.tracker.get(raft.id) === undefined) return 'not-a-member'
  if (raft.leadTransferee !== NONE) return 'transferring'
  // Decoded first: data that is no configuration change throws before anything is touched.
  const firstIndex = raft.log.lastIndex() + 1
  const pendingBefore = raft.pendingConfIndex
  const entries = proposals.map((entry, at) => {
    if (!isConfChange(entry)) return entry
    const isLeave = decodeConfChange(entry).changes.length === 0
    if (!raft.options.disableConfChangeValidation && !isConfChangeTimely(raft, isLeave ? 'leave' : 'change')) return NO_CHANGE
    raft.pendingConfIndex = firstIndex + at
    return entry
  })
  const dropped = appendAsLeader(raft, entries)
  if (dropped !== undefined) {
    raft.pendingConfIndex = pendingBefore
    return dropped
  }
  broadcastAppend(raft)
  return undefined
}

/** Stands in for a configuration change that came at the wrong time; its index tells the proposer that it was refused. */
const NO_CHANGE: Entry = { type: 'EntryNormal', term: 0, index: 0, data: new Uint8Array(0) }

/** One change at a time, and a joint configuration is left before anything else changes (thesis §4.1, §4.3). */
function isConfChangeTimely(raft: Raft, kind: 'leave' | 'change'): boolean {
  const isPending = raft.pendingConfIndex > raft.log.applied
  return !isPending && (kind === 'leave') === isJoint(raft.tracker.conf)
}

/** Appends to the leader's own log; its acknowledgement to itself waits, like a follower's, until the entries are durable. */
export function appendAsLeader(raft: Raft, proposals: readonly Entry[]): DropReason | undefined {
  const sizeBytes = payloadSizeBytes(proposals)
  // A first proposal always fits, and so do empty entries: without them leaders could neither start nor leave a joint configuration.
  const isOverfull = raft.uncommittedBytes + sizeBytes > raft.options.maxUncommittedEntriesSize
  if (raft.uncommittedBytes > 0 && sizeBytes > 0 && isOverfull) return 'too-much-uncommitted'
  raft.uncommittedBytes += sizeBytes
  const { log, term } = raft
  let index = log.lastIndex()
  log.append(proposals.map(({ type, data }) => ({ type, term, index: ++index, data })))
  raft.send('MsgAppResp', raft.id, { index })
  return undefined
}

/**
 * Proposes to leave a joint configuration that is to be left automatically, once it is applied here. Refused during a
 * transfer; the next applied entry tries again, here or at the next leader.
 */
export function leaveJointIfDue(raft: Raft): void {
  const isDue = raft.state === 'StateLeader' && raft.tracker.conf.autoLeave && raft.log.applied >= raft.pendingConfIndex
  if (isDue) propose(raft, [{ type: 'EntryConfChangeV2', term: 0, index: 0, data: new Uint8Array(0) }])
}
