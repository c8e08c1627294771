import t from 'tap'
import { ErrSnapshotTemporarilyUnavailable, type Message } from '../../../lib/raft/core/index.js'
import { conf, group, Peer, snapshotAt } from './harness.js'

/** A leader of three whose entries up to 3 are compacted away; 2 has everything, 3 nothing. */
function compactedLeader(): Peer {
  const leader = new Peer(1).becomeLeader().settle()
  for (const text of ['a', 'b']) leader.replicate(text, [2])
  leader.storage.setSnapshot(snapshotAt(3, 1, leader.conf))
  leader.storage.compact(3)
  return leader.settle()
}

function toThree(messages: readonly Message[]): string[] {
  return messages.filter((m) => m.to === 3 && m.type !== 'MsgHeartbeat').map((m) => m.type)
}

/** Follower 3 says that it has nothing. */
function refuse(leader: Peer): void {
  leader.step('MsgAppResp', 3, 1, { index: leader.node.status().progress.get(3)!.next - 1, reject: true })
}

t.test('§5.1: a follower whose entries are gone gets a snapshot, and nothing else until it has arrived', (t) => {
  const leader = compactedLeader()
  refuse(leader)
  t.same(toThree(leader.take()), ['MsgSnap'])
  t.match(leader.node.status().progress.get(3), { state: 'StateSnapshot', pendingSnapshot: 3, next: 4 })
  leader.propose('c')
  leader.step('MsgHeartbeatResp', 3, 1)
  t.same(toThree(leader.take()), [])
  leader.step('MsgAppResp', 3, 1, { index: 3 })
  t.same(toThree(leader.take()), ['MsgApp'])
  t.match(leader.node.status().progress.get(3), { state: 'StateReplicate', match: 3 })
  t.end()
})

t.test('no snapshot is sent to a follower that was not heard of', (t) => {
  const leader = compactedLeader()
  const progress = leader.node.raft.tracker.get(3)!
  progress.reset(0, 1)
  leader.propose('c')
  t.same(toThree(leader.take()), [])
  leader.step('MsgHeartbeatResp', 3, 1)
  t.same(toThree(leader.take()), ['MsgSnap'], 'it is back')
  t.end()
})

t.test(
  'a snapshot that was sent is probed behind; one that failed is sent again after a heartbeat [SnapshotSucceed, SnapshotFailure]',
  (t) => {
    const rows: [ok: boolean, next: number, after: string][] = [
      [true, 4, 'MsgApp'],
      [false, 1, 'MsgSnap'],
    ]
    for (const [ok, next, after] of rows) {
      const leader = compactedLeader()
      refuse(leader)
      leader.take()
      leader.node.reportSnapshot(3, ok)
      t.match(leader.node.status().progress.get(3), { state: 'StateProbe', next, paused: true, pendingSnapshot: 0 })
      leader.propose('c')
      t.same(toThree(leader.take()), [], 'not at once')
      leader.step('MsgHeartbeatResp', 3, 1)
      t.same(toThree(leader.take()), [after])
    }
    t.end()
  },
)

t.test('a report about a snapshot that is no longer under way changes nothing [SnapshotAbort]', (t) => {
  const leader = compactedLeader()
  refuse(leader)
  leader.take()
  leader.step('MsgAppResp', 3, 1, { index: 3 })
  leader.take()
  leader.node.reportSnapshot(3, false)
  t.equal(leader.node.status().progress.get(3)?.state, 'StateReplicate')
  t.end()
})

t.test('a snapshot that storage does not have yet is asked for again', (t) => {
  const leader = compactedLeader()
  const { storage } = leader.node.raft.log
  const snapshot = storage.snapshot()
  storage.snapshot = () => {
    throw ErrSnapshotTemporarilyUnavailable
  }
  refuse(leader)
  t.same(toThree(leader.take()), [])
  storage.snapshot = () => snapshot
  leader.step('MsgHeartbeatResp', 3, 1)
  t.same(toThree(leader.take()), ['MsgSnap'])
  storage.snapshot = () => {
    throw new Error('disk')
  }
  refuse(leader)
  leader.node.reportSnapshot(3, false)
  t.throws(() => leader.step('MsgHeartbeatResp', 3, 1), { message: 'disk' }, 'other errors are not swallowed')
  t.end()
})

t.test(
  'a restored snapshot brings log, commit index and configuration [RestoreWithVotersOutgoing, RestoreVoterToLearner]',
  (t) => {
    const rows = [
      conf([1, 2, 3]),
      conf([2, 3], [1]),
      { ...conf([2, 3]), votersOutgoing: [1, 2], autoLeave: true },
      { ...conf([2, 3]), votersOutgoing: [1, 2], learnersNext: [1] },
    ]
    for (const confState of rows) {
      const follower = new Peer(1, { log: [1, 1], hardState: { term: 1, vote: 0, commit: 1 } })
      follower.step('MsgSnap', 2, 2, { snapshot: snapshotAt(11, 2, confState) })
      t.notOk(follower.node.raft.promotable, 'until it is in place it must not lead')
      t.match(follower.take(), [{ type: 'MsgAppResp', to: 2, index: 11, reject: false }])
      t.match(
        { last: follower.node.raft.log.lastIndex(), committed: follower.committed, applied: follower.node.raft.log.applied },
        { last: 11, committed: 11, applied: 11 },
      )
      t.match(follower.node.status().config, confState)
      t.same(follower.storage.initialState().hardState?.commit, 11, 'durable with the snapshot')
    }
    t.end()
  },
)

t.test('a snapshot of what is committed is not restored; the answer tells what is', (t) => {
  const follower = new Peer(1, { log: [1, 1, 1], hardState: { term: 1, vote: 0, commit: 2 } })
  follower.step('MsgSnap', 2, 1, { snapshot: snapshotAt(2, 1, conf([1, 2, 3])) })
  t.match(follower.take(), [{ type: 'MsgAppResp', index: 2 }])
  t.same(follower.terms(), [1, 1, 1])
  t.end()
})

t.test('a snapshot from before the own log begins is not restored', (t) => {
  const follower = new Peer(1, { snapshot: snapshotAt(10, 1, conf([1, 2, 3])), log: [1] })
  follower.step('MsgSnap', 2, 1, { snapshot: snapshotAt(5, 1, conf([1, 2, 3])) })
  t.match(follower.take(), [{ type: 'MsgAppResp', index: 10 }])
  t.equal(follower.node.raft.log.lastIndex(), 11)
  t.end()
})

t.test('a snapshot of what the log has only moves the commit index [RestoreIgnoreSnapshot]', (t) => {
  const follower = new Peer(1, { log: [1, 1, 1], hardState: { term: 1, vote: 0, commit: 1 } })
  follower.step('MsgSnap', 2, 1, { snapshot: snapshotAt(2, 1, conf([1, 2, 3])) })
  t.match(follower.take(), [{ type: 'MsgAppResp', index: 2 }])
  t.same(follower.terms(), [1, 1, 1], 'entries behind it are kept')
  t.equal(follower.storage.snapshot().index, 0)
  t.end()
})

t.test('a snapshot whose configuration does not know this peer is not restored', (t) => {
  const outsider = new Peer(1)
  outsider.step('MsgSnap', 2, 1, { snapshot: snapshotAt(11, 1, conf([2, 3])) })
  t.match(outsider.take(), [{ type: 'MsgAppResp', index: 0 }])
  t.equal(outsider.node.raft.log.lastIndex(), 0)
  t.end()
})

t.test('a follower that was away catches up by snapshot and log, then applies like the others', (t) => {
  const cluster = group(3)
  cluster.elect(1)
  const leader = cluster.peer(1)
  cluster.isolate(3)
  for (const text of ['a', 'b', 'c']) leader.propose(text)
  cluster.settle()
  leader.storage.setSnapshot(snapshotAt(3, 1, leader.conf))
  leader.storage.compact(2)
  cluster.heal()
  for (let beat = 0; beat < 2; beat++) {
    leader.tick()
    cluster.settle()
  }
  t.same(
    cluster.peer(3).applied.map(({ index }) => index),
    [1, 4],
    'entries 2 and 3 came with the snapshot',
  )
  t.equal(cluster.peer(3).committed, 4)
  t.end()
})
