import t from 'tap'
import type { ConfChange, ConfChangeSingle, Entry } from '../../../lib/raft/core/index.js'
import { conf, entry, type Group, group, Peer, snapshotAt } from './harness.js'

function change(text: string, transition: ConfChange['transition'] = 'auto'): ConfChange {
  const changes =
    text === ''
      ? []
      : text.split(' ').map((word) => ({ type: word[0] as ConfChangeSingle['type'], nodeId: Number(word.slice(1)) }))
  return { transition, changes }
}

function elected(count: number, start: Parameters<typeof group>[1] = {}): Group {
  const cluster = group(count, start)
  cluster.elect(1)
  return cluster
}

function lastEntry(peer: Peer): Entry {
  const { log } = peer.node.raft
  return log.entriesFrom(log.lastIndex(), Number.POSITIVE_INFINITY)[0]!
}

t.test('§4.1: while a change is not applied another one is committed as an empty entry [StepIgnoreConfig]', (t) => {
  const leader = new Peer(1).becomeLeader().settle()
  leader.step('MsgAppResp', 2, 1, { index: 1 })
  leader.take()
  leader.node.proposeConfChange(change('v4'))
  t.match(lastEntry(leader), { type: 'EntryConfChangeV2', index: 2 })
  leader.node.proposeConfChange(change('v5'))
  t.match(lastEntry(leader), { type: 'EntryNormal', index: 3 })
  t.equal(lastEntry(leader).data.length, 0)
  leader.take()
  leader.step('MsgAppResp', 2, 1, { index: 3 })
  leader.take()
  t.same(leader.conf.voters, [1, 2, 3, 4])
  leader.node.proposeConfChange(change('v5'))
  t.match(lastEntry(leader), { type: 'EntryConfChangeV2', index: 4 }, 'applied, the next may come')
  t.end()
})

t.test('§4.1: a new leader takes no change before all it found is applied [NewLeaderPendingConfig]', (t) => {
  const leader = new Peer(1, { log: [1], hardState: { term: 1, vote: 0, commit: 0 } }).becomeLeader().settle()
  leader.node.proposeConfChange(change('v4'))
  t.equal(lastEntry(leader).type, 'EntryNormal', 'entry 1 may be a change; so much for the single-server bug of 2015')
  leader.take()
  leader.step('MsgAppResp', 2, 2, { index: 3 })
  leader.take()
  leader.node.proposeConfChange(change('v4'))
  t.equal(lastEntry(leader).type, 'EntryConfChangeV2')
  t.end()
})

t.test('a change that is dropped does not stand in the way of the next', (t) => {
  const leader = new Peer(1, { voters: [1], maxUncommittedEntriesSize: 3 }).becomeLeader().settle()
  leader.propose('abc')
  t.equal(
    leader.proposalRefused(() => leader.node.proposeConfChange(change('v4'))),
    'too-much-uncommitted',
  )
  leader.take()
  leader.node.proposeConfChange(change('l4'))
  t.equal(lastEntry(leader).type, 'EntryConfChangeV2')
  t.end()
})

t.test('a joint configuration is left before anything else changes, and nothing else is left', (t) => {
  const alone = new Peer(1, { voters: [1] }).becomeLeader().settle()
  alone.node.proposeConfChange(change(''))
  t.equal(lastEntry(alone).type, 'EntryNormal', 'not joint: nothing to leave')
  alone.take()
  alone.node.proposeConfChange(change('l4', 'explicit'))
  alone.take()
  t.same(alone.conf, { ...conf([1], [4]), votersOutgoing: [1] })
  alone.node.proposeConfChange(change('l5'))
  t.equal(lastEntry(alone).type, 'EntryNormal', 'joint: nothing but leaving')
  alone.take()
  alone.node.proposeConfChange(change(''))
  alone.take()
  t.same(alone.conf, conf([1], [4]))
  t.end()
})

t.test('a layer above may vouch for its changes', (t) => {
  const leader = new Peer(1, { voters: [1], disableConfChangeValidation: true }).becomeLeader()
  leader.node.proposeConfChange(change('l2'))
  leader.node.proposeConfChange(change('l3'))
  leader.take()
  t.same(leader.conf, conf([1], [2, 3]))
  t.end()
})

t.test('an automatic joint configuration is left by one proposal, not by one for each applied entry', (t) => {
  const cluster = elected(3, { maxCommittedSizePerReady: 1 }) // applied one by one
  const leader = cluster.peer(1)
  leader.node.proposeConfChange(change('l4 l5'))
  for (const text of ['a', 'b', 'c']) leader.propose(text)
  cluster.settle()
  t.same(leader.conf, conf([1, 2, 3], [4, 5]))
  const changes = leader.applied.filter(({ type }) => type === 'EntryConfChangeV2')
  t.same(
    changes.map(({ index, data }) => [index, data.toString()]),
    [
      [2, 'l4 l5'],
      [6, ''],
    ],
  )
  t.equal(leader.applied.length, 6, 'nor by refused ones, which would be empty entries')
  for (const peer of cluster.peers) t.same(peer.conf, leader.conf)
  t.end()
})

t.test('an automatic joint configuration is left by the next leader if the first one fails [RawNodeJointAutoLeave]', (t) => {
  const cluster = elected(3)
  const leader = cluster.peer(1)
  leader.node.proposeConfChange(change('l4 l5'))
  // The leader’s proposal to leave, entry 3, reaches nobody.
  cluster.lost = (m) => m.from === 1 && m.entries.some(({ index }) => index >= 3)
  cluster.settle()
  t.equal(leader.conf.votersOutgoing.length, 3)
  cluster.isolate(1)
  cluster.elect(2)
  t.same(cluster.peer(2).conf, conf([1, 2, 3], [4, 5]))
  t.end()
})

t.test('a transfer puts off leaving a joint configuration, and a failed transfer no longer than that', (t) => {
  const cluster = elected(3)
  const leader = cluster.peer(1)
  leader.node.proposeConfChange(change('l4 l5'))
  cluster.lost = (m) => m.type === 'MsgTimeoutNow' || m.to === 3 || m.from === 3
  leader.node.transferLeader(3)
  cluster.settle()
  t.ok(leader.conf.autoLeave, 'applied, and not left: proposals are refused')
  leader.tick(10)
  leader.propose('x')
  cluster.settle()
  t.same(leader.conf, conf([1, 2, 3], [4, 5]))
  t.end()
})

t.test('a change takes effect with what a quorum of the new configuration has stored [CommitAfterRemoveNode]', (t) => {
  const leader = new Peer(1, { voters: [1, 2] }).becomeLeader().settle()
  leader.step('MsgAppResp', 2, 1, { index: 1 })
  leader.take()
  leader.node.proposeConfChange(change('r2'))
  leader.propose('after')
  leader.take()
  leader.step('MsgAppResp', 2, 1, { index: 2 })
  leader.take()
  t.same(leader.conf.voters, [1])
  t.equal(leader.committed, 3, 'alone now, it needs nobody for the entry behind the change')
  t.end()
})

t.test(
  'a new member is probed at once, and its silence is not held against the leader before it had a chance [AddNodeCheckQuorum]',
  (t) => {
    const leader = new Peer(1, { voters: [1], checkQuorum: true }).becomeLeader().settle()
    leader.node.proposeConfChange(change('v2'))
    const sent = leader.take()
    t.match(
      sent.filter((m) => m.to === 2),
      [{ type: 'MsgApp' }],
    )
    leader.tick(10)
    t.equal(leader.state, 'StateLeader')
    leader.tick(10)
    t.equal(leader.state, 'StateFollower', 'an election timeout later it is')
    t.end()
  },
)

t.test('a leader that is removed or made a learner takes no proposals; asked to, it steps down', (t) => {
  for (const type of ['r', 'l'] as const) {
    for (const stepDownOnRemoval of [true, false]) {
      const cluster = elected(3, { stepDownOnRemoval })
      const leader = cluster.peer(1)
      leader.node.proposeConfChange(change(`${type}1`))
      cluster.settle()
      t.equal(leader.state, stepDownOnRemoval ? 'StateFollower' : 'StateLeader')
      if (type === 'r') t.equal(leader.proposalRefused(), stepDownOnRemoval ? 'no-leader' : 'not-a-member')
      leader.node.campaign()
      t.not(leader.state, 'StateCandidate', 'nor does it campaign')
    }
  }
  t.end()
})

t.test('an acknowledgement of a removed member is refused at the door', (t) => {
  const cluster = elected(3)
  cluster.peer(1).node.proposeConfChange(change('r3'))
  cluster.settle()
  t.throws(() => cluster.peer(1).step('MsgAppResp', 3, 1, { index: 2 }), { code: 'ERR_STEP_PEER_NOT_FOUND' })
  t.end()
})

t.test('a change that a restored snapshot contains is not applied again', (t) => {
  const follower = new Peer(1)
  follower.step('MsgSnap', 2, 1, { snapshot: snapshotAt(20, 1, { ...conf([1, 2, 3, 4]), votersOutgoing: [1, 2, 3] }) })
  follower.take()
  const overtaken = change('v4', 'explicit')
  t.same(follower.node.applyConfChange(overtaken, 20).voters, [1, 2, 3, 4], 'it was queued when the snapshot came')
  t.throws(() => follower.node.applyConfChange(overtaken, 21), { code: 'ERR_CONF_CHANGE', message: 'config is already joint' })
  t.same(follower.node.applyConfChange(change(''), 22), conf([1, 2, 3, 4]))
  t.end()
})

t.test('an illegal change is refused and leaves everything as it was', (t) => {
  const { node } = new Peer(1)
  const before = node.status().config
  t.throws(() => node.applyConfChange(change('r1 r2 r3')), { code: 'ERR_CONF_CHANGE', message: 'removed all voters' })
  t.same(node.status().config, before)
  t.end()
})

t.test('a forwarded proposal that claims to be a change and is none touches nothing', (t) => {
  const leader = new Peer(1, { voters: [1] }).becomeLeader().settle()
  const before = leader.node.raft.log.lastIndex()
  const bad = { ...entry(0, 0, 'v2 nonsense'), type: 'EntryConfChangeV2' as const }
  t.throws(() => leader.step('MsgProp', 2, 0, { entries: [entry(0, 0, 'good'), bad] }), { code: 'ERR_SKEIN_BAD_MESSAGE' })
  t.equal(leader.node.raft.log.lastIndex(), before)
  t.end()
})
