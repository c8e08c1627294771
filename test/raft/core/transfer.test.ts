import t from 'tap'
import { type Group, group, type Peer } from './harness.js'

function elected(count = 3, start: Parameters<typeof group>[1] = {}): Group {
  const cluster = group(count, start)
  cluster.elect(1)
  return cluster
}

function leads(cluster: Group, id: number): boolean {
  return cluster.peer(id).state === 'StateLeader' && cluster.peers.every((peer) => peer.node.raft.lead === id)
}

/** Asks 1 to hand over to 3, which does not hear of it. */
function stuckTransfer(start: Parameters<typeof group>[1] = {}): Group {
  const cluster = elected(3, start)
  cluster.isolate(3)
  cluster.peer(1).node.transferLeader(3)
  cluster.settle()
  return cluster
}

function transferee(peer: Peer): number {
  return peer.node.status().leadTransferee
}

t.test(
  '§3.10: leadership goes to an up-to-date follower at once, and back [LeaderTransferToUpToDateNode, LeaderTransferBack]',
  (t) => {
    for (const start of [{}, { preVote: true, checkQuorum: true }]) {
      const cluster = elected(3, start)
      cluster.peer(1).node.transferLeader(2)
      cluster.settle()
      t.ok(leads(cluster, 2))
      cluster.peer(2).node.transferLeader(1)
      cluster.settle()
      t.ok(leads(cluster, 1))
    }
    t.end()
  },
)

t.test('a follower asked to hand over passes the request on [LeaderTransferToUpToDateNodeFromFollower]', (t) => {
  const cluster = elected()
  cluster.peer(2).node.transferLeader(3)
  const [m] = cluster.peer(2).take()
  t.match(m, { type: 'MsgTransferLeader', from: 3, to: 1, term: 1 })
  cluster.deliver(m!)
  cluster.settle()
  t.ok(leads(cluster, 3))
  t.end()
})

t.test('a follower that lags gets the log first [LeaderTransferToSlowFollower]', (t) => {
  const cluster = elected()
  cluster.isolate(3)
  cluster.peer(1).propose('x')
  cluster.settle()
  cluster.heal()
  cluster.peer(1).node.transferLeader(3)
  t.equal(transferee(cluster.peer(1)), 3)
  cluster.settle()
  cluster.peer(1).tick()
  cluster.settle()
  t.ok(leads(cluster, 3))
  t.same(cluster.peer(3).terms(), [1, 1, 2])
  t.end()
})

t.test('a follower whose entries are compacted gets a snapshot first [LeaderTransferAfterSnapshot]', (t) => {
  const cluster = elected()
  const leader = cluster.peer(1)
  cluster.isolate(3)
  for (const text of ['x', 'y']) leader.propose(text)
  cluster.settle()
  leader.storage.setSnapshot({ index: 3, term: 1, confState: leader.conf, data: Buffer.from('state') })
  leader.storage.compact(3)
  cluster.heal()
  leader.tick()
  leader.node.transferLeader(3)
  cluster.settle()
  t.ok(leads(cluster, 3))
  t.equal(cluster.peer(3).storage.snapshot().index, 3)
  t.end()
})

t.test(
  'while leadership is handed over proposals are refused; after an election timeout it is given up [LeaderTransferIgnoreProposal, LeaderTransferTimeout]',
  (t) => {
    const cluster = stuckTransfer()
    const leader = cluster.peer(1)
    t.equal(leader.proposalRefused(), 'transferring')
    leader.tick(9)
    t.equal(transferee(leader), 3)
    leader.tick()
    t.equal(transferee(leader), 0)
    t.equal(leader.proposalRefused(), undefined)
    t.equal(leader.state, 'StateLeader')
    t.end()
  },
)

t.test('a transfer has a whole election timeout, whenever it begins', (t) => {
  const cluster = elected()
  const leader = cluster.peer(1)
  cluster.isolate(3)
  leader.tick(7)
  leader.node.transferLeader(3)
  leader.tick(9)
  t.equal(transferee(leader), 3)
  leader.tick()
  t.equal(transferee(leader), 0)
  t.end()
})

t.test('asking again does not prolong a transfer [LeaderTransferSecondTransferToSameNode]', (t) => {
  const cluster = stuckTransfer()
  const leader = cluster.peer(1)
  leader.tick(5)
  leader.node.transferLeader(3)
  leader.tick(5)
  t.equal(transferee(leader), 0)
  t.end()
})

t.test('a second target replaces the first; asking for oneself calls it off [LeaderTransferSecondTransferToAnotherNode]', (t) => {
  const cluster = stuckTransfer()
  cluster.peer(1).node.transferLeader(2)
  cluster.settle()
  t.equal(cluster.peer(2).state, 'StateLeader')
  const other = stuckTransfer().peer(1)
  other.node.transferLeader(1)
  t.equal(transferee(other), 0)
  t.equal(other.proposalRefused(), undefined)
  t.end()
})

t.test(
  'nobody hands over to a learner, an outsider or oneself [LeaderTransferToSelf, LeaderTransferToNonExistingNode, LeaderTransferToLearner]',
  (t) => {
    const cluster = elected(3, { learners: [4] })
    for (const id of [1, 4, 9]) {
      cluster.peer(1).node.transferLeader(id)
      t.equal(transferee(cluster.peer(1)), 0, `${id}`)
    }
    cluster.settle()
    t.ok(leads(cluster, 1))
    t.end()
  },
)

t.test('an election that someone else wins ends a transfer [LeaderTransferReceiveHigherTermVote]', (t) => {
  const cluster = stuckTransfer()
  cluster.heal()
  cluster.elect(2)
  t.ok(leads(cluster, 2))
  t.equal(transferee(cluster.peer(1)), 0)
  t.end()
})

t.test('a target that is removed or made a learner is no target [LeaderTransferRemoveNode, LeaderTransferDemoteNode]', (t) => {
  for (const type of ['r', 'l'] as const) {
    const cluster = stuckTransfer()
    const leader = cluster.peer(1)
    leader.node.applyConfChange({ changes: [{ type, nodeId: 3 }] })
    t.equal(transferee(leader), 0)
  }
  t.end()
})

t.test(
  'whoever is told to campaign does so without asking around, and is heard though there is a leader [LeaderTransferWithCheckQuorum]',
  (t) => {
    const cluster = elected(3, { preVote: true, checkQuorum: true })
    cluster.peer(1).node.transferLeader(2)
    const types: string[] = []
    cluster.lost = (m) => {
      types.push(m.type)
      return false
    }
    cluster.settle()
    t.notOk(types.includes('MsgPreVote'))
    t.ok(leads(cluster, 2))
    t.end()
  },
)
