import { changeConf } from './membership.js'
import type { Raft } from './raft.js'
import { broadcastAppend, sendEntries } from './replication.js'
import type { ConfChange, ConfState } from './state.js'
import { abortTransfer } from './transfer.js'

/** Puts an applied change into force. @throws {RaftError} ERR_CONF_CHANGE if it is illegal; nothing has changed then */
export function applyConfChange(raft: Raft, change: ConfChange): ConfState {
  return adoptConf(raft, changeConf(raft.tracker.conf, change))
}

/** Puts a configuration into force, with what follows for a leader. */
export function adoptConf(raft: Raft, next: ConfState): ConfState {
  const { tracker, log } = raft
  tracker.adopt(next, log.lastIndex())
  const { conf } = tracker
  if (raft.state !== 'StateLeader') return conf
  const self = tracker.get(raft.id)
  if (self === undefined || self.isLearner) {
    // Thesis §4.2.2. Left to itself it would keep others from electing a leader that takes proposals.
    if (raft.options.stepDownOnRemoval) raft.becomeFollower(raft.term, 0)
    return conf
  }
  if (conf.voters.length === 0) return conf
  if (maybeCommit(raft)) {
    broadcastAppend(raft)
  } else {
    // New members need not wait for the next heartbeat.
    for (const peer of tracker.members) if (peer.id !== raft.id) sendEntries(raft, peer)
  }
  if (!tracker.voters.has(raft.leadTransferee)) abortTransfer(raft)
  return conf
}

/** Leader: commits what a quorum of the present configuration has on disk. */
export function maybeCommit(raft: Raft): boolean {
  return raft.log.maybeCommit(raft.tracker.committedIndex(), raft.term)
}
