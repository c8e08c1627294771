import t from 'tap'
import { conf, group, Peer, snapshotAt } from './harness.js'

const ctx = (text: string): Uint8Array => Buffer.from(text)

/** Read states as `context@index`. */
function reads(peer: Peer): string[] {
  return peer.readStates.map(({ index, requestCtx }) => `${Buffer.from(requestCtx)}@${index}`)
}

/** A leader of three with its first entry committed. */
function readyLeader(start: ConstructorParameters<typeof Peer>[1] = {}): Peer {
  const leader = new Peer(1, start).becomeLeader()
  leader.take()
  leader.step('MsgAppResp', 2, leader.term, { index: 1 })
  return leader.settle()
}

t.test('§6.4: a read is answered once a quorum confirms that the leader still leads', (t) => {
  const leader = readyLeader()
  leader.node.readIndex(ctx('r'))
  const beats = leader.take()
  t.same(
    beats.map((m) => [m.type, m.to]),
    [
      ['MsgHeartbeat', 2],
      ['MsgHeartbeat', 3],
    ],
    'it asks at once',
  )
  t.same(reads(leader), [], 'and does not answer before it hears')
  leader.step('MsgHeartbeatResp', 2, 1, { context: beats[0]!.context })
  leader.take()
  t.same(reads(leader), ['r@1'])
  t.equal(leader.node.raft.reads.size, 0)
  t.end()
})

t.test('a leader that is cut off answers no read', (t) => {
  const cluster = group(3)
  cluster.elect(1)
  cluster.isolate(1)
  cluster.peer(1).node.readIndex(ctx('stale'))
  cluster.settle()
  cluster.lost = (m) => m.from === 1 || m.to === 1
  cluster.elect(2)
  cluster.heal()
  cluster.peer(1).tick()
  cluster.settle()
  t.same(reads(cluster.peer(1)), [], 'not even when it is back')
  t.end()
})

t.test(
  'an answer to an earlier heartbeat does not confirm a later read, though both are called the same [ReadOnlyDuplicateRequest]',
  (t) => {
    const leader = readyLeader()
    leader.node.readIndex(ctx('same'))
    const early = leader.take()
    leader.step('MsgHeartbeatResp', 2, 1, { context: early[0]!.context })
    leader.take()
    t.same(reads(leader), ['same@1'])
    leader.node.readIndex(ctx('same'))
    leader.take()
    leader.step('MsgHeartbeatResp', 3, 1, { context: early[1]!.context }) // late
    leader.step('MsgHeartbeatResp', 2, 1, { context: early[0]!.context }) // twice
    leader.take()
    t.same(reads(leader), ['same@1'], 'the second read still waits')
    t.end()
  },
)

t.test('one confirmation answers every read before it, in order, and none after [RaftFreesReadOnlyMem]', (t) => {
  const leader = readyLeader()
  leader.node.readIndex(ctx('a'))
  leader.node.readIndex(ctx('b'))
  const [, , toTwo] = leader.take()
  leader.node.readIndex(ctx('c'))
  leader.step('MsgHeartbeatResp', 2, 1, { context: toTwo!.context })
  leader.take()
  t.same(reads(leader), ['a@1', 'b@1'])
  t.equal(leader.node.raft.reads.size, 1)
  t.end()
})

t.test('a late answer to an earlier heartbeat takes no confirmation back', (t) => {
  const leader = new Peer(1, { voters: [1, 2, 3, 4, 5] }).becomeLeader()
  leader.take()
  for (const from of [2, 3]) leader.step('MsgAppResp', from, 1, { index: 1 })
  leader.take()
  leader.node.readIndex(ctx('a'))
  const early = leader.take()[0]!.context
  leader.node.readIndex(ctx('b'))
  const late = leader.take()[0]!.context
  leader.step('MsgHeartbeatResp', 2, 1, { context: late })
  leader.step('MsgHeartbeatResp', 2, 1, { context: early })
  leader.step('MsgHeartbeatResp', 3, 1, { context: late })
  leader.take()
  t.same(reads(leader), ['a@1', 'b@1'])
  t.end()
})

t.test('a lost round of heartbeats is made up by the next periodic one', (t) => {
  const cluster = group(3)
  cluster.elect(1)
  cluster.lost = (m) => m.type === 'MsgHeartbeat'
  cluster.peer(1).node.readIndex(ctx('r'))
  cluster.settle()
  t.same(reads(cluster.peer(1)), [])
  cluster.heal()
  cluster.peer(1).tick()
  cluster.settle()
  t.same(reads(cluster.peer(1)), ['r@1'])
  t.end()
})

t.test('§6.4: a new leader answers reads only after the first commit of its term [ReadOnlyForNewLeader]', (t) => {
  const leader = new Peer(1, { log: [1, 1], hardState: { term: 1, vote: 0, commit: 1 } }).becomeLeader()
  leader.take()
  leader.node.readIndex(ctx('early'))
  leader.tick()
  const context = leader.take().find((m) => m.type === 'MsgHeartbeat')?.context ?? null
  leader.step('MsgHeartbeatResp', 2, 2, { context })
  leader.take()
  t.same(reads(leader), [], 'entry 2 may be committed without its knowing')
  leader.node.readIndex(ctx('too'))
  leader.step('MsgAppResp', 2, 2, { index: 3 })
  const beats = leader.take().filter((m) => m.type === 'MsgHeartbeat')
  t.equal(beats.length, 2, 'one round for all of them')
  leader.step('MsgHeartbeatResp', 2, 2, { context: beats[0]!.context })
  leader.take()
  t.same(reads(leader), ['early@3', 'too@3'])
  t.end()
})

t.test('a single peer needs nobody’s confirmation, but its first commit', (t) => {
  const alone = new Peer(1, { voters: [1], log: [1, 1], hardState: { term: 1, vote: 1, commit: 0 } })
  alone.node.campaign()
  alone.node.ready()
  alone.node.advance()
  t.equal(alone.state, 'StateLeader')
  alone.node.readIndex(ctx('r'))
  t.same(alone.node.raft.readStates, [], 'what it acknowledged before its restart may not be committed yet')
  alone.take()
  t.same(reads(alone), ['r@3'])
  alone.node.readIndex(ctx('s'))
  t.same(alone.take(), [], 'no heartbeat')
  t.same(reads(alone), ['r@3', 's@3'])
  t.end()
})

t.test('a follower asks the leader, and gets its index', (t) => {
  const cluster = group(3)
  cluster.elect(1)
  cluster.peer(1).propose('x')
  cluster.settle()
  cluster.peer(3).node.readIndex(ctx('mine'))
  cluster.settle()
  t.same(reads(cluster.peer(3)), ['mine@2'])
  t.same(reads(cluster.peer(1)), [])
  t.end()
})

t.test('a follower without a leader gets no read', (t) => {
  const follower = new Peer(2)
  follower.node.readIndex(ctx('r'))
  t.same([follower.take(), reads(follower)], [[], []])
  t.end()
})

t.test('in a joint configuration both halves confirm', (t) => {
  const joint = { ...conf([1, 2, 3]), votersOutgoing: [1, 4, 5] }
  const leader = new Peer(1, { snapshot: snapshotAt(5, 1, joint) })
  leader.node.campaign()
  leader.take()
  for (const from of [2, 4]) leader.step('MsgVoteResp', from, 1)
  leader.take()
  for (const from of [2, 4]) leader.step('MsgAppResp', from, 1, { index: 6 })
  leader.take()
  leader.node.readIndex(ctx('r'))
  const context = leader.take()[0]!.context
  for (const from of [2, 3]) leader.step('MsgHeartbeatResp', from, 1, { context })
  leader.take()
  t.same(reads(leader), [])
  leader.step('MsgHeartbeatResp', 5, 1, { context })
  leader.take()
  t.same(reads(leader), ['r@6'])
  t.end()
})

t.test('with a lease reads are answered at once, after the first commit', (t) => {
  const leader = new Peer(1, { readOnlyOption: 'lease', checkQuorum: true }).becomeLeader()
  leader.take()
  leader.node.readIndex(ctx('early'))
  leader.take()
  t.same(reads(leader), [])
  leader.step('MsgAppResp', 2, 1, { index: 1 })
  leader.take()
  leader.node.readIndex(ctx('r'))
  t.notOk(
    leader.take().some((m) => m.type === 'MsgHeartbeat'),
    'nobody is asked',
  )
  t.same(reads(leader), ['early@1', 'r@1'])
  t.end()
})

t.test('whoever stops leading forgets its reads', (t) => {
  const leader = readyLeader()
  leader.node.readIndex(ctx('a'))
  leader.take()
  leader.step('MsgHeartbeat', 2, 2)
  t.equal(leader.node.raft.reads.size, 0)
  leader.becomeLeader()
  leader.take()
  leader.step('MsgAppResp', 2, leader.term, { index: 2 })
  leader.take()
  t.same(reads(leader), [])
  t.end()
})

t.test('a position that was never given out confirms nothing', (t) => {
  const leader = readyLeader()
  const forged = Buffer.alloc(8, 0x7f)
  leader.step('MsgHeartbeatResp', 2, 1, { context: forged })
  leader.step('MsgHeartbeatResp', 3, 1, { context: Buffer.from('text') })
  leader.node.readIndex(ctx('r'))
  leader.take()
  t.same(reads(leader), [])
  t.end()
})
