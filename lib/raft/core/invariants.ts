import { assert } from '../../base/assert.js'
import { checkConf } from './membership.js'
import type { Progress } from './progress.js'
import type { Raft } from './raft.js'
import type { RawNode } from './raw-node.js'
import { NONE } from './state.js'

/**
 * What must hold of one peer after every step; run in tests and simulation, it walks the unstable log.
 * What must hold between peers (one leader a term, matching logs) needs more than one peer to see and lives in sim.
 * @throws {SkeinBug} naming the first claim that does not hold
 */
export function checkInvariants({ raft }: RawNode): void {
  checkNumbers(raft)
  checkLog(raft)
  checkRole(raft)
  checkConf(raft.tracker.conf)
  const { conf, members } = raft.tracker
  const known = new Set([...conf.voters, ...conf.votersOutgoing, ...conf.learners])
  assert(members.length === known.size && members.every(({ id }) => known.has(id)), 'there is one progress for each member')
  for (const peer of members) {
    assert(peer.isLearner === conf.learners.includes(peer.id), 'a progress knows whether its member is a learner')
    if (raft.state === 'StateLeader') checkProgress(raft, peer)
  }
}

function checkNumbers({ term, vote, lead, log }: Raft): void {
  for (const [name, value] of Object.entries({ term, vote, lead, committed: log.committed, last: log.lastIndex() })) {
    assert(Number.isSafeInteger(value) && value >= 0, `${name} is a whole number`)
  }
}

function checkLog({ log, term }: Raft): void {
  assert(log.applied <= log.applying, 'what is applied was handed out')
  assert(log.applying <= log.committed, 'what is handed out is committed')
  assert(log.committed <= log.lastIndex(), 'what is committed is in the log')
  const { unstable } = log
  if (unstable.snapshot !== null) {
    assert(unstable.snapshot.index < unstable.offset, 'unstable entries follow the snapshot')
    assert(unstable.snapshot.index <= log.committed, 'a snapshot is committed')
  }
  let index = unstable.offset
  let previousTerm = log.term(index - 1) ?? 0
  for (const entry of unstable.slice(unstable.offset, unstable.offset + unstable.length)) {
    assert(entry.index === index, 'unstable entries are numbered without a gap')
    assert(entry.term >= previousTerm, 'terms never fall along the log')
    assert(entry.term <= term, 'no entry is of a term to come')
    previousTerm = entry.term
    index++
  }
}

function checkRole(raft: Raft): void {
  const { id, lead, leadTransferee, state, tracker, vote } = raft
  if (state !== 'StateLeader') {
    assert(lead !== id, 'only a leader takes itself for one')
    assert(leadTransferee === NONE, 'only a leader hands over')
    assert(raft.reads.size === 0, 'only a leader holds reads')
  }
  if (state === 'StateCandidate' || state === 'StatePreCandidate') assert(lead === NONE, 'who campaigns knows no leader')
  if (state === 'StateCandidate' || state === 'StateLeader') assert(vote === id, 'who campaigns has voted for itself')
  if (state !== 'StateLeader') return
  assert(lead === id, 'a leader knows that it leads')
  assert(leadTransferee === NONE || tracker.voters.has(leadTransferee), 'leadership is handed to a voter')
  const ownFirst = raft.log.term(raft.log.lastIndex())
  assert(ownFirst === raft.term, 'a leader has an entry of its term, and none behind it')
}

function checkProgress({ id, log }: Raft, peer: Progress): void {
  assert(peer.match < peer.next, 'what is sent next is not known to be there')
  assert(peer.next <= log.lastIndex() + 1, 'what is sent next follows the log')
  assert(peer.match <= log.lastIndex(), 'nobody has more than the leader')
  assert((peer.pendingSnapshot !== 0) === (peer.state === 'StateSnapshot'), 'a snapshot is under way in StateSnapshot alone')
  if (peer.state !== 'StateReplicate') assert(peer.inflights.count === 0, 'only a stream has messages under way')
  if (peer.id === id) assert(peer.state === 'StateReplicate', 'a leader streams to itself')
}
