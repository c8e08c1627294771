import t from 'tap'
import { Succession } from '../../../lib/raft/core/index.js'
import { type Group, group } from './harness.js'

/** Three peers led by the first, as the runner configures them. */
function led(start = {}): Group {
  const peers = group(3, { preVote: true, checkQuorum: true, ...start })
  for (const { node } of peers.peers) node.raft.ticksSincePromise = 1_000
  peers.elect(1)
  peers.peer(1).tick()
  peers.settle()
  return peers
}

t.test('the voters that are left ask one after the other, and the first one wins without a tick', (t) => {
  const peers = led()
  const [second, third] = [2, 3].map((id) => new Succession(peers.peer(id).node)) as [Succession, Succession]
  t.equal(third.dead(1), 1)
  t.equal(second.dead(1), 0)
  t.equal(second.dead(1), undefined, 'told again it waits for its turn as before')
  peers.isolate(1)
  second.turn()
  peers.settle()
  t.equal(peers.peer(2).state, 'StateLeader')
  third.turn()
  peers.settle()
  t.equal(peers.peer(2).state, 'StateLeader', 'somebody was faster')
  t.equal(peers.peer(3).term, peers.peer(2).term)
  t.end()
})

t.test('who has just given its vote does not ask for others, though its turn comes', (t) => {
  const peers = led()
  const follower = peers.peer(3)
  const succession = new Succession(follower.node)
  succession.dead(1)
  follower.step('MsgVote', 2, follower.term + 1, { index: 99, logTerm: 9 })
  follower.take()
  succession.turn()
  t.same(follower.take(), [])
  t.equal(succession.dead(1), 1, 'if nothing comes of it, it may try again')
  t.end()
})

t.test('a leader that is heard after the news of its death is followed again', (t) => {
  const peers = led()
  const succession = new Succession(peers.peer(3).node)
  succession.dead(1)
  t.equal(peers.peer(3).node.basicStatus().lead, 0)
  peers.peer(1).tick()
  peers.settle()
  succession.turn()
  t.equal(peers.peer(3).state, 'StateFollower')
  t.equal(peers.peer(3).node.basicStatus().lead, 1)
  t.equal(succession.dead(2), undefined, 'the death of another follower is no reason')
  t.end()
})

t.test('who promised its leader not to replace it believes no news of its death', (t) => {
  const peers = led({ votePromise: 800 })
  t.equal(new Succession(peers.peer(2).node).dead(1), undefined)
  t.equal(peers.peer(2).node.basicStatus().lead, 1)
  t.end()
})

t.test('a candidate lets its votes be counted once, and asks again at its next turn', (t) => {
  const peers = led()
  const { node } = peers.peer(2)
  const succession = new Succession(node)
  succession.dead(1)
  peers.isolate(2)
  node.raft.becomePreCandidate()
  node.raft.becomeCandidate()
  peers.peer(2).take()
  const ask = () => {
    succession.dead(1)
    succession.turn()
    return peers
      .peer(2)
      .take()
      .some(({ type }) => type === 'MsgPreVote')
  }
  t.notOk(ask(), 'its turn was told in an earlier term')
  t.notOk(ask(), 'it counts')
  t.ok(ask())
  t.end()
})
