import t from 'tap'
import type { Moment } from '../../../lib/raft/core/index.js'
import { type Group, group, Peer } from './harness.js'

const promise = 800
const bound = { votePromise: promise, checkQuorum: true }

function at(monotonicMs: number, wallMs = monotonicMs): Moment {
  return { monotonicMs, wallMs }
}

/** Three peers whose promises of before the start have lapsed, led by the first. */
function led(start: ConstructorParameters<typeof Peer>[1] = bound): Group {
  const peers = group(3, start)
  for (const peer of peers.peers) peer.node.raft.ticksSincePromise = 1_000
  peers.elect(1)
  return peers
}

/** One heartbeat round that leaves at `leftAtMs`. */
function beat(peers: Group, leftAtMs: number): void {
  peers.peer(1).tick()
  peers.peer(1).node.heartbeatsLeave(at(leftAtMs))
  peers.settle()
}

t.test('§6.4.1: a lease lasts nine tenths of what a quorum promised, counted from when the heartbeat left', (t) => {
  const peers = led()
  const { node } = peers.peer(1)
  t.equal(node.leaseIndex(at(0)), undefined, 'nobody has promised yet')
  beat(peers, 1_000)
  t.equal(node.leaseIndex(at(1_000)), node.raft.log.committed)
  t.equal(node.leaseIndex(at(1_719)), node.raft.log.committed)
  t.equal(node.leaseIndex(at(1_720)), undefined)
  t.equal(peers.peer(2).node.leaseIndex(at(1_000)), undefined, 'followers have none')
  t.end()
})

/** A leader to whom a majority has acknowledged its first entry, and the contexts of heartbeats that left at those times. */
function beaten(leftAtMs: readonly number[]): { leader: Peer; answer: (at: number) => void } {
  const leader = new Peer(1, bound)
  leader.tick(10)
  leader.becomeLeader().settle()
  leader.step('MsgAppResp', 2, leader.term, { index: 1 })
  const contexts = leftAtMs.map((leftAt) => {
    leader.tick()
    leader.node.heartbeatsLeave(at(leftAt))
    return leader.take().find((m) => m.type === 'MsgHeartbeat' && m.to === 2)?.context ?? null
  })
  const answer = (beat: number) =>
    leader.step('MsgHeartbeatResp', 2, leader.term, { context: contexts[beat] as Uint8Array, index: promise })
  return { leader, answer }
}

t.test('an answer that comes late makes no lease longer, and one that was overtaken makes none shorter', (t) => {
  const { leader, answer } = beaten([100, 200])
  answer(1)
  answer(0)
  t.ok(leader.node.leaseIndex(at(919)))
  t.equal(leader.node.leaseIndex(at(920)), undefined, 'whenever the answers came')
  t.end()
})

t.test('a lease counts from the heartbeat that was answered, however many have left since', (t) => {
  const { leader, answer } = beaten([100, 200, 300])
  answer(0)
  t.ok(leader.node.leaseIndex(at(819)))
  t.equal(leader.node.leaseIndex(at(820)), undefined)
  answer(1)
  t.ok(leader.node.leaseIndex(at(919)))
  t.equal(leader.node.leaseIndex(at(920)), undefined)
  answer(0)
  t.equal(leader.node.leaseIndex(at(920)), undefined, 'an answer that comes twice')
  t.end()
})

t.test('of two clocks the one that says that more time has passed is believed', (t) => {
  const peers = led()
  beat(peers, 1_000)
  const { node } = peers.peer(1)
  t.equal(node.leaseIndex(at(1_001, 600_000)), undefined, 'the machine was suspended')
  t.equal(node.leaseIndex(at(1_800, 0)), undefined, 'somebody set the time back')
  t.ok(node.leaseIndex(at(1_700, 0)))
  t.end()
})

t.test('followers that promise nothing do not count, whatever their leader believes', (t) => {
  const voters = [1, 2, 3]
  const mixed = (id: number, votePromise: number) => new Peer(id, { ...bound, voters, votePromise })
  const peers = group(3)
  const some = [mixed(1, promise), mixed(2, 0), mixed(3, 0)]
  Object.assign(peers, { peers: some })
  for (const { node } of some) node.raft.ticksSincePromise = 1_000
  peers.elect(1)
  beat(peers, 0)
  t.equal(peers.peer(1).state, 'StateLeader')
  t.equal(peers.peer(1).node.leaseIndex(at(1)), undefined)
  t.end()
})

t.test('who promised votes for nobody, itself included, and forgets no leader, until its ticks have passed', (t) => {
  const peers = led()
  beat(peers, 0)
  const follower = peers.peer(2)
  follower.node.forgetLeader()
  t.equal(follower.node.basicStatus().lead, 1)
  follower.node.campaign()
  follower.settle()
  t.equal(follower.state, 'StateFollower', 'told that the leader is dead it waits all the same')
  const ask = () => {
    follower.step('MsgPreVote', 3, follower.term + 1, { index: 99, logTerm: 9 })
    return follower.take().filter(({ type }) => type === 'MsgPreVoteResp').length
  }
  follower.tick(9)
  t.equal(ask(), 0)
  follower.tick(1)
  t.equal(ask(), 1)
  t.end()
})

t.test('a term that nobody leads yet does not free who promised', (t) => {
  const peers = led()
  beat(peers, 0)
  const follower = peers.peer(2)
  const { term } = follower
  follower.step('MsgPreVoteResp', 3, term + 1, { reject: true })
  t.equal(follower.term, term + 1)
  follower.step('MsgVote', 3, term + 1, { index: 99, logTerm: 9 })
  t.same(
    follower.take().filter(({ type }) => type === 'MsgVoteResp'),
    [],
  )
  t.end()
})

t.test('a peer that starts is bound by what it may have promised in an earlier life', (t) => {
  const peer = new Peer(2, { ...bound, log: [1], hardState: { term: 1, vote: 0, commit: 1 } })
  peer.step('MsgPreVote', 3, 2, { index: 9, logTerm: 1 })
  peer.node.campaign()
  t.same(peer.take(), [])
  peer.tick(10)
  peer.step('MsgPreVote', 3, 2, { index: 9, logTerm: 1 })
  t.ok(peer.take().some(({ type, reject }) => type === 'MsgPreVoteResp' && !reject))
  t.end()
})

t.test(
  'a leader that told another to take over has no lease for the rest of its term, and its successor is elected at once',
  (t) => {
    const peers = led()
    beat(peers, 0)
    const leader = peers.peer(1)
    peers.lost = ({ type }) => type === 'MsgTimeoutNow'
    leader.node.transferLeader(2)
    peers.settle()
    leader.tick(10)
    peers.heal()
    beat(peers, 1_000)
    t.equal(leader.state, 'StateLeader', 'the message is late')
    t.equal(leader.node.leaseIndex(at(1_000)), undefined)
    peers.peer(2).step('MsgTimeoutNow', 1, leader.term)
    peers.settle()
    t.equal(peers.peer(2).state, 'StateLeader')
    t.end()
  },
)

t.test('a lease does not outlast its term, and begins with the first commit of the next', (t) => {
  const peers = led()
  beat(peers, 0)
  const leader = peers.peer(1)
  leader.step('MsgAppResp', 3, leader.term + 1)
  t.equal(leader.node.leaseIndex(at(1)), undefined)
  leader.tick(10)
  leader.becomeLeader()
  t.equal(leader.state, 'StateLeader')
  const beats = leader.take().filter(({ type }) => type === 'MsgApp')
  t.ok(beats.length > 0)
  leader.tick()
  leader.node.heartbeatsLeave(at(2_000))
  const [first] = leader.take().filter(({ type }) => type === 'MsgHeartbeat')
  leader.step('MsgHeartbeatResp', 2, leader.term, { context: first?.context ?? null, index: promise })
  t.equal(leader.node.leaseIndex(at(2_001)), undefined, 'promised, but what came before may not be known to be committed')
  leader.step('MsgAppResp', 2, leader.term, { index: leader.node.raft.log.lastIndex() })
  t.equal(leader.node.leaseIndex(at(2_001)), leader.committed)
  t.end()
})

t.test('promises of an earlier term are no lease in a later one', (t) => {
  const peers = led()
  beat(peers, 1_000)
  const leader = peers.peer(1)
  t.ok(leader.node.leaseIndex(at(1_001)))
  leader.step('MsgAppResp', 3, leader.term + 1)
  leader.tick(10)
  leader.becomeLeader()
  leader.take()
  leader.step('MsgAppResp', 2, leader.term, { index: leader.node.raft.log.lastIndex() })
  t.ok(leader.node.raft.committedInCurrentTerm())
  t.equal(leader.node.leaseIndex(at(1_001)), undefined)
  t.end()
})

t.test('a promise needs check-quorum, and is a whole number', (t) => {
  t.throws(() => new Peer(1, { votePromise: 10 }), { code: 'ERR_SKEIN_INVALID_OPTION', detail: { option: 'votePromise' } })
  t.throws(() => new Peer(1, { ...bound, votePromise: -1 }), { code: 'ERR_SKEIN_INVALID_OPTION' })
  t.end()
})
