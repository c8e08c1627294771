import { payloadSizeBytes } from './entries.js'
import { isRaftError } from './errors.js'
import type { Progress } from './progress.js'
import type { Raft } from './raft.js'
import type { Snapshot } from './state.js'

/** Sends a peer the entries it lacks, or an empty append with the commit index; nothing while it is paused. */
export function sendAppend(raft: Raft, peer: Progress): void {
  appendTo(raft, peer, 'even-empty')
}

/** Sends a peer one more message of entries it lacks; false if there was none to send. */
export function sendEntries(raft: Raft, peer: Progress): boolean {
  return appendTo(raft, peer, 'only-entries')
}

export function broadcastAppend(raft: Raft): void {
  for (const peer of raft.tracker.members) if (peer.id !== raft.id) sendAppend(raft, peer)
}

function appendTo(raft: Raft, peer: Progress, mode: 'even-empty' | 'only-entries'): boolean {
  if (peer.paused) return false
  const { log } = raft
  const index = peer.next - 1
  const logTerm = log.term(index)
  if (logTerm === undefined) return sendSnapshot(raft, peer)
  // With a full window an empty append still goes out: were all messages of the window lost, nothing else would notice.
  const throttled = peer.state === 'StateReplicate' && peer.inflights.full
  const entries = throttled ? [] : log.entriesFrom(peer.next, raft.options.maxSizePerMsg)
  if (entries.length === 0 && mode === 'only-entries') return false
  raft.send('MsgApp', peer.id, { index, logTerm, entries, commit: log.committed })
  peer.sentEntries(entries.length, payloadSizeBytes(entries))
  peer.sentCommit = log.committed
  return true
}

function sendSnapshot(raft: Raft, peer: Progress): boolean {
  // A snapshot is large: not to someone who may be gone.
  if (!peer.recentActive) return false
  const snapshot = availableSnapshot(raft)
  if (snapshot === undefined) return false
  peer.becomeSnapshot(snapshot.index)
  raft.send('MsgSnap', peer.id, { snapshot })
  return true
}

function availableSnapshot(raft: Raft): Snapshot | undefined {
  try {
    return raft.log.snapshot()
  } catch (error) {
    // The storage is making one; the next append or heartbeat asks again.
    if (isRaftError(error, 'ERR_SNAPSHOT_TEMPORARILY_UNAVAILABLE')) return undefined
    throw error
  }
}

/** Heartbeats to all; they carry the position of the last waiting read, so that a lost round is made up by the next, and their number, if it counts. */
export function broadcastHeartbeat(raft: Raft): void {
  const { votePromise, numberedHeartbeats } = raft.options
  const context = raft.reads.heartbeatContext(votePromise > 0 || numberedHeartbeats ? raft.lease.nextBeat() : 0)
  for (const peer of raft.tracker.members) {
    if (peer.id === raft.id) continue
    // Not past what the peer is known to have: its log behind that may differ from ours.
    const commit = Math.min(peer.match, raft.log.committed)
    raft.send('MsgHeartbeat', peer.id, { commit, context })
    peer.sentCommit = commit
  }
}
