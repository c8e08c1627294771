import t from 'tap'
import { entrySizeBytes, type Message } from '../../../lib/raft/core/index.js'
import { entry, Group, group, Peer } from './harness.js'

/** A leader of three whose follower 2 streams and has everything; follower 3 is silent. */
function leaderOfTwo(start: ConstructorParameters<typeof Peer>[1] = {}): Peer {
  const leader = new Peer(1, start).becomeLeader()
  leader.take()
  leader.step('MsgAppResp', 2, leader.term, { index: leader.node.raft.log.lastIndex() })
  return leader.settle()
}

function toTwo(messages: readonly Message[]): Message[] {
  return messages.filter((m) => m.to === 2)
}

function progressOf(leader: Peer, id = 2) {
  const progress = leader.node.status().progress.get(id)
  if (progress === undefined) throw new Error(`no progress of ${id}`)
  return progress
}

t.test('a single peer commits only once its own write is done', (t) => {
  const alone = new Peer(1, { voters: [1] }).becomeLeader().settle()
  alone.propose('x')
  const before = alone.committed
  const ready = alone.node.ready()
  t.equal(ready.entries.length, 1)
  t.equal(ready.committedEntries.length, 0)
  t.equal(alone.committed, before, 'not acknowledged before it is on disk')
  alone.storage.append(ready.entries)
  alone.node.advance()
  t.equal(alone.committed, before + 1)
  t.end()
})

t.test('the leader does not count its own write before it is done', (t) => {
  const leader = leaderOfTwo({ voters: [1, 2, 3, 4, 5] })
  for (const from of [3, 4]) leader.step('MsgAppResp', from, 1, { index: 1 })
  leader.take()
  leader.propose('x')
  for (const from of [2, 3]) leader.step('MsgAppResp', from, 1, { index: 2 })
  t.equal(leader.committed, 1, 'two of five')
  leader.take()
  t.equal(leader.committed, 2, 'three of five')
  t.end()
})

t.test('an acknowledgement to oneself from an earlier term is ignored [LeaderMsgAppSelfAckAfterTermChange]', (t) => {
  const leader = leaderOfTwo()
  leader.propose('x')
  const ready = leader.node.ready() // its advance will acknowledge the entry in term 1
  leader.step('MsgApp', 2, 2, { index: 1, logTerm: 1, entries: [entry(2, 2)] })
  leader.storage.append(ready.entries)
  leader.node.advance()
  t.match(leader.node.basicStatus(), { raftState: 'StateFollower', term: 2, commit: 1 })
  t.same(leader.terms(), [1, 2])
  t.end()
})

t.test(
  'a window full of messages lets nothing through but an empty append for each heartbeat [MsgAppFlowControlFull, MsgAppFlowControlRecvHeartbeat]',
  (t) => {
    const leader = leaderOfTwo({ maxInflightMsgs: 3 })
    for (const text of ['a', 'b', 'c', 'd', 'e']) leader.propose(text)
    t.same(
      toTwo(leader.take()).map((m) => m.entries.length),
      [1, 1, 1],
      'three are under way, two wait',
    )
    t.match(progressOf(leader), { inflight: 3, inflightFull: true, paused: true })
    for (let round = 0; round < 2; round++) {
      leader.step('MsgHeartbeatResp', 2, 1)
      t.same(
        toTwo(leader.take()).map((m) => m.entries.length),
        [0],
        'were all three lost, only this would find out',
      )
      t.ok(progressOf(leader).paused)
    }
    leader.step('MsgAppResp', 2, 1, { index: 3 })
    const sent = toTwo(leader.take())
    t.same(
      sent.flatMap((m) => m.entries.map(({ index }) => index)),
      [5, 6],
      'two arrived: there is room for the waiting ones',
    )
    t.end()
  },
)

t.test('late acknowledgements do not move the window back [MsgAppFlowControlMoveForward]', (t) => {
  const leader = leaderOfTwo({ maxInflightMsgs: 4 })
  for (const text of ['a', 'b', 'c', 'd']) leader.propose(text)
  leader.take()
  leader.step('MsgAppResp', 2, 1, { index: 4 })
  leader.take()
  const { next, match } = progressOf(leader)
  leader.step('MsgAppResp', 2, 1, { index: 2 })
  leader.step('MsgAppResp', 2, 1, { index: 1, reject: true, rejectHint: 1 })
  t.match(progressOf(leader), { next, match, state: 'StateReplicate', inflight: 1 })
  t.end()
})

t.test('a window full of bytes lets nothing through', (t) => {
  const leader = leaderOfTwo({ maxSizePerMsg: 10, maxInflightBytes: 10 })
  for (let i = 0; i < 4; i++) leader.propose('12345')
  t.equal(toTwo(leader.take()).length, 2, 'ten bytes of data are under way')
  t.ok(progressOf(leader).inflightFull)
  t.end()
})

t.test('a message carries as many entries as fit, and at least one', (t) => {
  const size = entrySizeBytes(entry(1, 1, '12345'))
  for (const [maxSizePerMsg, counts] of [
    [0, [1, 1, 1, 1]],
    [2 * size, [2, 2]],
    [3 * size, [3, 1]],
  ] as const) {
    const leader = new Peer(1, { maxSizePerMsg }).becomeLeader()
    for (let i = 0; i < 4; i++) leader.propose('12345')
    leader.take()
    leader.step('MsgAppResp', 2, 1, { index: 1 })
    t.same(
      toTwo(leader.take())
        .filter((m) => m.entries.length > 0)
        .map((m) => m.entries.length),
      counts,
      `${maxSizePerMsg} bytes`,
    )
  }
  t.end()
})

t.test('a probed follower gets one message until it answers or a heartbeat passes [MsgAppRespWaitReset]', (t) => {
  const leader = new Peer(1).becomeLeader()
  leader.take()
  t.match(progressOf(leader), { state: 'StateProbe', paused: true })
  leader.propose('a')
  t.same(toTwo(leader.take()), [])
  leader.step('MsgHeartbeatResp', 2, 1)
  t.equal(toTwo(leader.take()).length, 1)
  leader.propose('b')
  t.same(toTwo(leader.take()), [])
  leader.step('MsgAppResp', 2, 1, { index: 2 })
  t.same(
    toTwo(leader.take()).flatMap((m) => m.entries.map(({ index }) => index)),
    [3],
    'an answer begins the stream',
  )
  t.equal(progressOf(leader).state, 'StateReplicate')
  t.end()
})

t.test('a follower reported unreachable is probed from what it is known to have', (t) => {
  const leader = leaderOfTwo()
  leader.propose('a')
  leader.take()
  t.equal(progressOf(leader).next, 3)
  leader.node.reportUnreachable(2)
  t.match(progressOf(leader), { state: 'StateProbe', next: 2, match: 1 })
  leader.step('MsgHeartbeatResp', 2, 1)
  leader.step('MsgAppResp', 2, 1, { index: 1 })
  t.equal(progressOf(leader).state, 'StateReplicate', 'an answer without news is an answer')
  t.end()
})

t.test('diverged logs are brought together in a few probes, not one for each entry [FastLogRejection]', (t) => {
  const rows: [leading: number[], following: number[], probes: number][] = [
    [[1, 3, 3, 3, 3, 3, 3, 3, 3, 3], [1, 2, 2, 2, 2, 2, 2, 2, 2], 3],
    [[1, 1, 1, 1, 1, 1, 1, 1, 1, 9], [1, 1, 4, 4, 4, 4, 4, 4, 4, 4], 3],
    [[1, 3, 5, 7], [1, 2, 4, 6, 6, 6], 4],
  ]
  for (const [leading, following, probes] of rows) {
    const leader = new Peer(1, { log: leading, hardState: { term: 9, vote: 0, commit: 0 } })
    const follower = new Peer(2, { log: following, hardState: { term: 8, vote: 0, commit: 0 } })
    const cluster = new Group([leader, follower, new Peer(3)])
    let refusals = 0
    cluster.lost = (m) => {
      if (m.type === 'MsgAppResp' && m.reject && m.from === 2) refusals++
      return false
    }
    cluster.elect(1)
    t.same(follower.terms(), leader.terms())
    t.ok(refusals < probes, `${refusals} refusals for [${following}] under [${leading}]`)
  }
  t.end()
})

t.test(
  'proposals past the bound of uncommitted bytes are dropped, but empty and first ones never [RawNodeBoundedLogGrowthWithPartition]',
  (t) => {
    const leader = leaderOfTwo({ maxUncommittedEntriesSize: 20 })
    leader.propose('0123456789012345678901234') // larger than the bound, and the first
    t.equal(
      leader.proposalRefused(() => leader.propose('1')),
      'too-much-uncommitted',
    )
    leader.propose('')
    leader.take()
    leader.step('MsgAppResp', 2, 1, { index: 3 })
    leader.take()
    t.equal(leader.node.raft.uncommittedBytes, 0, 'applied is applied')
    for (const text of ['0123456789', '0123456789']) leader.propose(text)
    t.equal(
      leader.proposalRefused(() => leader.propose('1')),
      'too-much-uncommitted',
    )
    t.equal(leader.node.raft.uncommittedBytes, 20)
    t.end()
  },
)

t.test('a follower passes proposals on, unless it knows no leader or is told not to', (t) => {
  const follower = new Peer(2)
  t.equal(follower.proposalRefused(), 'no-leader')
  follower.step('MsgHeartbeat', 1, 1)
  follower.take()
  follower.propose('x')
  t.match(follower.take(), [{ type: 'MsgProp', to: 1, from: 2, term: 0 }])
  const strict = new Peer(2, { disableProposalForwarding: true })
  strict.step('MsgHeartbeat', 1, 1)
  t.equal(strict.proposalRefused(), 'forwarding-disabled')
  strict.node.campaign()
  t.equal(strict.proposalRefused(), 'campaigning')
  t.throws(() => strict.propose('x'), { code: 'ERR_PROPOSAL_DROPPED', message: 'raft proposal dropped' })
  t.end()
})

t.test('a follower does not commit past the last entry that the message brought [HandleMsgApp]', (t) => {
  const follower = new Peer(2, { log: [1, 1, 1], hardState: { term: 1, vote: 0, commit: 0 } })
  // Entries 2 and 3 may be leftovers that the leader of term 2 never had.
  follower.step('MsgApp', 1, 2, { index: 1, logTerm: 1, commit: 3 })
  t.equal(follower.committed, 1)
  t.end()
})

t.test('an old append of entries that are committed is answered with the commit index', (t) => {
  const follower = new Peer(2, { log: [1, 1, 1], hardState: { term: 1, vote: 0, commit: 3 } })
  follower.step('MsgApp', 1, 1, { index: 1, logTerm: 1, entries: [entry(1, 2)], commit: 2 })
  t.match(follower.take(), [{ type: 'MsgAppResp', index: 3, reject: false }])
  t.end()
})

t.test('a new leader replaces what its predecessor did not commit, and nothing else [LeaderElectionOverwriteNewerLogs]', (t) => {
  const cluster = group(5)
  cluster.elect(1)
  cluster.peer(1).propose('committed')
  cluster.settle()
  cluster.lost = (m) => m.type === 'MsgApp' && m.from === 1
  cluster.peer(1).propose('lost')
  cluster.settle()
  cluster.heal()
  cluster.elect(2)
  cluster.peer(2).propose('after')
  cluster.settle()
  const texts = cluster.peer(1).applied.map(({ data }) => data.toString())
  t.same(texts, ['', 'committed', '', 'after'])
  for (const peer of cluster.peers)
    t.same(
      peer.applied.map(({ data }) => data.toString()),
      texts,
    )
  t.end()
})

t.test('acknowledgements lost or turned around cost time, not entries [LogReplicationWithReorderedMessage]', (t) => {
  const cluster = group(3)
  cluster.elect(1)
  const held: Message[] = []
  cluster.lost = (m) => {
    if (m.type !== 'MsgAppResp' || m.from !== 2) return false
    held.push(m)
    return true
  }
  for (const text of ['a', 'b', 'c']) cluster.peer(1).propose(text)
  cluster.settle()
  cluster.heal()
  for (const m of held.reverse()) cluster.deliver(m)
  cluster.settle()
  t.match(progressOf(cluster.peer(1)), { match: 4, next: 5, state: 'StateReplicate', inflight: 0 })
  t.end()
})

t.test('an acknowledgement from an earlier leadership says nothing about the present one', (t) => {
  // Between the two another leader may have replaced, at the follower, the very entries that it acknowledges.
  const leader = new Peer(1).becomeLeader().settle()
  leader.propose('x')
  leader.settle()
  leader.step('MsgHeartbeat', 3, 2)
  leader.becomeLeader().settle()
  const last = leader.node.raft.log.lastIndex()
  for (const from of [2, 3]) leader.step('MsgAppResp', from, 1, { index: last })
  t.same([leader.term, leader.state, leader.committed], [3, 'StateLeader', 0])
  t.same(
    [...leader.node.status().progress.values()].map(({ match }) => match),
    [last, 0, 0],
  )
  leader.step('MsgAppResp', 2, 3, { index: last })
  t.equal(leader.committed, last, 'one of this term does')
  t.end()
})
