import { hup } from './campaign.js'
import { proposalDropped } from './errors.js'
import type { Message } from './messages.js'
import type { Raft } from './raft.js'
import { adoptConf } from './reconfigure.js'
import { NONE, type Snapshot } from './state.js'

/** What a follower does with each message. */
export function stepFollower(raft: Raft, m: Message): void {
  switch (m.type) {
    case 'MsgProp':
      if (raft.lead === NONE) throw proposalDropped('no-leader')
      if (raft.options.disableProposalForwarding) throw proposalDropped('forwarding-disabled')
      raft.forward(m, raft.lead)
      return
    case 'MsgApp':
      hearLeader(raft, m)
      handleAppend(raft, m)
      return
    case 'MsgHeartbeat':
      hearLeader(raft, m)
      handleHeartbeat(raft, m)
      return
    case 'MsgSnap':
      hearLeader(raft, m)
      handleSnapshot(raft, m)
      return
    case 'MsgTransferLeader':
    case 'MsgReadIndex':
      if (raft.lead !== NONE) raft.forward(m, raft.lead)
      return
    case 'MsgForgetLeader':
      // With lease reads the old leader counts on us not to vote for another.
      if (raft.options.readOnlyOption !== 'lease' && raft.options.votePromise === 0) raft.lead = NONE
      return
    case 'MsgTimeoutNow':
      // No pre-vote: the leader asked, so we are not coming back from a partition.
      hup(raft, 'transfer')
      return
    case 'MsgReadIndexResp':
      if (m.entries.length === 1) raft.readStates.push({ index: m.index, requestCtx: m.entries[0]!.data })
      return
    default:
  }
}

function hearLeader(raft: Raft, m: Message): void {
  raft.electionElapsed = 0
  raft.lead = m.from
}

/** Thesis §3.5: append if the logs meet before the new entries, else say where they might. */
export function handleAppend(raft: Raft, m: Message): void {
  const { log } = raft
  if (m.index < log.committed) {
    // An old message; what is committed matches for sure.
    raft.send('MsgAppResp', m.from, { index: log.committed })
    return
  }
  const lastNew = log.maybeAppend({ prevIndex: m.index, prevTerm: m.logTerm, entries: m.entries }, m.commit)
  if (lastNew !== undefined) {
    raft.send('MsgAppResp', m.from, { index: lastNew })
    return
  }
  const hint = log.findConflictByTerm(Math.min(m.index, log.lastIndex()), m.logTerm)
  raft.send('MsgAppResp', m.from, { index: m.index, reject: true, rejectHint: hint.index, logTerm: hint.term })
}

export function handleHeartbeat(raft: Raft, m: Message): void {
  raft.log.commitTo(m.commit)
  raft.ticksSincePromise = 0
  raft.send('MsgHeartbeatResp', m.from, { context: m.context, index: raft.options.votePromise })
}

/** Thesis §5.1. Either way the answer tells the leader what this peer has for sure. */
export function handleSnapshot(raft: Raft, m: Message): void {
  const restored = m.snapshot !== null && restore(raft, m.snapshot)
  raft.send('MsgAppResp', m.from, { index: restored ? raft.log.lastIndex() : raft.log.committed })
}

/** Takes over a snapshot with its configuration; false if it is of no use. */
function restore(raft: Raft, snapshot: Snapshot): boolean {
  const { log } = raft
  if (snapshot.index <= log.committed) return false
  const { voters, votersOutgoing, learners } = snapshot.confState
  // LearnersNext are outgoing voters. Someone outside could not even tell who leads.
  if (!voters.includes(raft.id) && !votersOutgoing.includes(raft.id) && !learners.includes(raft.id)) return false
  if (log.matches(snapshot.index, snapshot.term)) {
    // We have all of it in the log: faster, and entries behind it are kept.
    log.commitTo(snapshot.index)
    return false
  }
  log.restore(snapshot)
  raft.restoredIndex = snapshot.index
  raft.tracker = raft.newTracker()
  adoptConf(raft, snapshot.confState)
  return true
}
