import { campaign, hasUnappliedConfChange } from './campaign.js'
import { proposalDropped } from './errors.js'
import { handleAppend, handleHeartbeat, handleSnapshot } from './follower.js'
import type { Message } from './messages.js'
import type { Raft } from './raft.js'
import { broadcastAppend } from './replication.js'
import { NONE } from './state.js'

/** What a candidate or pre-candidate does with each message. */
export function stepCandidate(raft: Raft, m: Message): void {
  switch (m.type) {
    case 'MsgProp':
      throw proposalDropped('campaigning')
    case 'MsgApp':
      raft.becomeFollower(m.term, m.from) // always of our term here: someone else has won it
      handleAppend(raft, m)
      return
    case 'MsgHeartbeat':
      raft.becomeFollower(m.term, m.from)
      handleHeartbeat(raft, m)
      return
    case 'MsgSnap':
      raft.becomeFollower(m.term, m.from)
      handleSnapshot(raft, m)
      return
    case 'MsgVoteResp':
      if (raft.state === 'StateCandidate') countVote(raft, m)
      return
    case 'MsgPreVoteResp':
      if (raft.state === 'StatePreCandidate') countVote(raft, m)
      return
    default:
  }
}

function countVote(raft: Raft, m: Message): void {
  learnCommit(raft, m)
  if (hasUnappliedConfChange(raft)) {
    // Those who are to vote are about to change, and we may be none of them.
    raft.becomeFollower(raft.term, NONE)
    return
  }
  raft.tracker.recordVote(m.from, m.reject ? 'rejected' : 'granted')
  switch (raft.tracker.voteResult()) {
    case 'VoteWon':
      if (raft.state === 'StatePreCandidate') {
        campaign(raft, 'election')
        return
      }
      raft.becomeLeader()
      broadcastAppend(raft)
      return
    case 'VoteLost':
      raft.becomeFollower(raft.term, NONE)
      return
    case 'VotePending':
  }
}

/** A refusal names an entry that is committed; if it is ours too, so is our log up to it, and perhaps a change of who votes. */
function learnCommit({ log }: Raft, { reject, commit, logTerm }: Message): void {
  if (reject && commit > log.committed && log.matches(commit, logTerm)) log.commitTo(commit)
}
