/**
 * Races of membership known from the field, at the layer of the core. Elsewhere: joint configurations left twice, by another leader or
 * during a transfer, and removed leaders in reconfigure.test.ts; learners that must vote and changes that are not applied in
 * election.test.ts; snapshots older than a newcomer in raft-runner.test.ts; lost logs in lost-state.test.ts.
 */
import t from 'tap'
import { type ConfChange, isRaftError } from '../../../lib/raft/core/index.js'
import { conf, type Group, group, Peer, snapshotAt } from './harness.js'

const one = (type: 'v' | 'l' | 'r', nodeId: number): ConfChange => ({ changes: [{ type, nodeId }] })

function elected(count: number, start: Parameters<typeof group>[1] = {}): Group {
  const cluster = group(count, start)
  cluster.elect(1)
  return cluster
}

t.test('the single-server change bug of 2015: a change of a lost leader and one of the next never both count', (t) => {
  const cluster = elected(4)
  const [first, second] = [cluster.peer(1), cluster.peer(2)]
  cluster.isolate(1)
  first.node.proposeConfChange(one('v', 5)) // only in its own log
  cluster.settle()
  cluster.elect(2)
  second.node.proposeConfChange(one('r', 1))
  cluster.settle()
  t.same(second.conf.voters, [2, 3, 4], 'committed by an entry of its own term first')
  cluster.heal()
  first.node.raft.becomeFollower(second.term, 0) // as at the first word from another term
  cluster.elect(1)
  t.not(first.state, 'StateLeader', 'whose log lacks the committed change does not win')
  cluster.elect(3)
  t.equal(cluster.peer(3).state, 'StateLeader')
  t.notOk(
    cluster.peers.some(({ conf }) => conf.voters.includes(5)),
    'the change that was never committed took effect nowhere',
  )
  t.end()
})

t.test('a change that another leader overwrites takes no effect, whoever had it in the log', (t) => {
  const cluster = elected(3)
  cluster.lost = ({ from, to }) => from === 3 || to === 3 || (from === 2 && to === 1)
  cluster.peer(1).node.proposeConfChange(one('r', 3)) // reaches 2, whose answer is lost
  cluster.settle()
  cluster.lost = ({ from, to }) => from === 2 || to === 2
  cluster.peer(3).node.campaign()
  cluster.settle()
  cluster.heal()
  // 3 lacks the entry and had the vote of nobody who has it but 1, which refuses: nobody leads in its term.
  t.not(cluster.peer(3).state, 'StateLeader')
  cluster.elect(2)
  t.same(cluster.peer(2).conf.voters, [1, 2], 'the one that had it leads, and it counts')
  t.same(cluster.peer(1).conf.voters, [1, 2])
  t.end()
})

t.test('after a snapshot votes are asked of, and counted from, its members alone', (t) => {
  const follower = new Peer(1, { voters: [1, 2, 3], log: [1] })
  follower.step('MsgSnap', 4, 2, { snapshot: snapshotAt(9, 2, conf([1, 4, 5])) })
  follower.take()
  follower.node.campaign()
  const asked = follower.take().filter(({ type }) => type === 'MsgVote')
  t.same(asked.map(({ to }) => to).sort(), [4, 5])
  for (const stranger of [2, 3]) {
    try {
      follower.step('MsgVoteResp', stranger, follower.term)
    } catch (error) {
      if (!isRaftError(error, 'ERR_STEP_PEER_NOT_FOUND')) throw error
    }
  }
  t.equal(follower.state, 'StateCandidate', 'a majority of those that once were members is none')
  follower.step('MsgVoteResp', 4, follower.term)
  t.equal(follower.state, 'StateLeader')
  t.end()
})

t.test('a snapshot is sent with the configuration of its own index, not with the present one', (t) => {
  const leader = new Peer(1, { snapshot: snapshotAt(5, 1, conf([1, 2, 3])), hardState: { term: 1, vote: 0, commit: 5 } })
  leader.becomeLeader().settle()
  leader.step('MsgAppResp', 3, leader.term, { index: 6 })
  leader.take()
  leader.node.proposeConfChange(one('r', 3))
  leader.take()
  leader.step('MsgAppResp', 3, leader.term, { index: 7 })
  leader.take()
  t.same(leader.conf.voters, [1, 2])
  leader.step('MsgAppResp', 2, leader.term, { index: 5, reject: true, rejectHint: 1 })
  const [sent] = leader.take().filter(({ type }) => type === 'MsgSnap')
  t.match(sent?.snapshot, { index: 5, confState: { voters: [1, 2, 3] } })
  t.end()
})

t.test('who is no voter any more disturbs nobody, however high its term', (t) => {
  const cluster = elected(4, { checkQuorum: true, preVote: true })
  cluster.peer(1).node.proposeConfChange(one('r', 4))
  cluster.settle()
  const left = [1, 2, 3].map((id) => cluster.peer(id))
  const { term } = cluster.peer(1)
  for (const peer of left) {
    for (const type of ['MsgPreVote', 'MsgVote'] as const) peer.step(type, 4, term + 10, { index: 99, logTerm: term + 9 })
  }
  t.throws(() => cluster.peer(1).step('MsgAppResp', 4, term + 10, { index: 99 }), { code: 'ERR_STEP_PEER_NOT_FOUND' })
  cluster.settle()
  t.same(
    left.map((peer) => peer.term),
    [term, term, term],
  )
  t.equal(cluster.peer(1).state, 'StateLeader')
  t.end()
})

t.test('a learner that comes back with a higher term costs one election at most, and does not win it', (t) => {
  const cluster = elected(3, { learners: [4], checkQuorum: true, preVote: true })
  const learner = cluster.peer(4)
  learner.node.raft.becomeFollower(cluster.peer(1).term + 3, 0)
  learner.tick(50)
  cluster.settle()
  t.not(learner.state, 'StateCandidate', 'a learner does not campaign')
  cluster.peer(1).tick(1) // its heartbeat meets the higher term
  cluster.settle()
  cluster.peer(2).tick(20)
  cluster.settle()
  cluster.elect(1)
  t.equal(cluster.peer(1).state, 'StateLeader')
  const { term } = cluster.peer(1)
  cluster.peer(1).tick(30)
  cluster.settle()
  t.equal(cluster.peer(1).term, term, 'and then there is peace')
  t.end()
})
