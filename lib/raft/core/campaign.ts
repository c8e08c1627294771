import { compareBytes } from '../../base/bytes.js'
import { isConfChange } from './conf-change.js'
import { type Message, makeMessage } from './messages.js'
import type { Raft } from './raft.js'

/**
 * pre-election: would we win? Nothing changes yet (thesis §9.6).
 * election: an ordinary one.
 * transfer: the leader asked us to take over, so votes are given although a leader is heard (thesis §3.10, §4.2.3).
 */
export type CampaignKind = 'pre-election' | 'election' | 'transfer'

const TRANSFER_CONTEXT: Uint8Array = Buffer.from('CampaignTransfer', 'latin1')

/** True for a vote request that the old leader itself brought about. */
export function isTransferVote(m: Message): boolean {
  return m.context !== null && compareBytes(m.context, TRANSFER_CONTEXT) === 0
}

/** Campaigns, if this peer may. */
export function hup(raft: Raft, kind: CampaignKind): void {
  if (raft.state === 'StateLeader' || !raft.promotable || hasUnappliedConfChange(raft)) return
  // A leader may count on us; only its own word ends that.
  if (kind !== 'transfer' && raft.isBound) return
  campaign(raft, kind)
}

/** Whoever does not know who votes now must not lead: changes take effect when applied. */
export function hasUnappliedConfChange({ log }: Raft): boolean {
  return log.some(log.applied + 1, log.committed + 1, isConfChange)
}

/** Asks every voter. */
export function campaign(raft: Raft, kind: CampaignKind): void {
  if (kind === 'pre-election') raft.becomePreCandidate()
  else raft.becomeCandidate()
  const [request, answer] =
    kind === 'pre-election' ? (['MsgPreVote', 'MsgPreVoteResp'] as const) : (['MsgVote', 'MsgVoteResp'] as const)
  const term = kind === 'pre-election' ? raft.term + 1 : raft.term
  const { log } = raft
  for (const id of raft.tracker.voters.ids()) {
    if (id === raft.id) {
      // Our own vote counts once it is durable, like any other.
      raft.queue(makeMessage(answer, raft.id, id, term))
      continue
    }
    const context = kind === 'transfer' ? TRANSFER_CONTEXT : null
    raft.queue(makeMessage(request, raft.id, id, term, { index: log.lastIndex(), logTerm: log.lastTerm(), context }))
  }
}
