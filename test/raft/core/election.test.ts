import t from 'tap'
import { makeMessage } from '../../../lib/raft/core/index.js'
import { conf, entry, Group, group, Peer, snapshotAt } from './harness.js'

const TRANSFER = Buffer.from('CampaignTransfer')

t.test('a learner votes: it may not know yet that it was made a voter [LearnerCanVote]', (t) => {
  const learner = new Peer(2, { voters: [1], learners: [2] })
  learner.step('MsgVote', 1, 2, { logTerm: 11, index: 11 })
  t.match(learner.take(), [{ type: 'MsgVoteResp', to: 1, term: 2, reject: false }])
  t.end()
})

t.test(
  'neither a learner nor an outsider campaigns, whatever it is told [LearnerCampaign, TransferNonMember, NonPromotableVoterWithCheckQuorum]',
  (t) => {
    for (const peer of [new Peer(2, { voters: [1], learners: [2] }), new Peer(3, { voters: [1, 2] })]) {
      peer.tick(50)
      peer.node.campaign()
      peer.step('MsgTimeoutNow', 1, 1)
      t.same([peer.state, peer.take().filter((m) => m.type === 'MsgVote')], ['StateFollower', []])
    }
    t.end()
  },
)

t.test('granting a vote restarts the election clock; refusing one, or granting a pre-vote, does not', (t) => {
  const rows: [type: 'MsgVote' | 'MsgPreVote', logTerm: number, elapsed: number][] = [
    ['MsgVote', 1, 0],
    ['MsgVote', 0, 0], // a higher term restarts it, too: that of a new follower
    ['MsgPreVote', 1, 5],
  ]
  for (const [type, logTerm, elapsed] of rows) {
    const voter = new Peer(1, { log: [1] })
    voter.tick(5)
    voter.step(type, 2, 1, { logTerm, index: 1 })
    t.equal(voter.node.raft.electionElapsed, elapsed, `${type}, last term ${logTerm}`)
  }
  const sameTerm = new Peer(1, { log: [1], hardState: { term: 1, vote: 0, commit: 0 } })
  sameTerm.tick(5)
  sameTerm.step('MsgVote', 2, 1, { logTerm: 0, index: 0 })
  t.equal(sameTerm.node.raft.electionElapsed, 5, 'a refused vote of the present term')
  sameTerm.step('MsgVote', 3, 1, { logTerm: 1, index: 1 })
  t.equal(sameTerm.node.raft.electionElapsed, 0, 'a granted vote of the present term')
  t.end()
})

t.test('within a term the vote stays, whatever role is lost', (t) => {
  const follower = new Peer(1, { hardState: { term: 2, vote: 2, commit: 0 } })
  follower.step('MsgApp', 3, 2)
  t.equal(follower.node.raft.vote, 2, 'a leader of the term does not clear it')
  const loser = new Peer(1)
  loser.node.campaign()
  loser.take()
  for (const from of [2, 3]) loser.step('MsgVoteResp', from, 1, { reject: true })
  t.match(loser.node.basicStatus(), { raftState: 'StateFollower', term: 1, vote: 1 }, 'a lost election does not')
  loser.step('MsgVote', 2, 1, { logTerm: 5, index: 5 })
  t.match(loser.take(), [{ type: 'MsgVoteResp', reject: true }])
  const leader = new Peer(1, { checkQuorum: true }).becomeLeader().settle()
  leader.tick(20)
  t.match(leader.node.basicStatus(), { raftState: 'StateFollower', term: 1, vote: 1 }, 'a leader that steps down keeps it')
  t.end()
})

t.test('a vote is refused to a second candidate although the first one is only a peer that asked', (t) => {
  const voter = new Peer(1)
  voter.step('MsgVote', 2, 1)
  voter.step('MsgVote', 3, 1)
  t.match(voter.take(), [
    { to: 2, reject: false },
    { to: 3, reject: true },
  ])
  t.end()
})

t.test('no vote is given in a term whose leader is known', (t) => {
  const follower = new Peer(1)
  follower.step('MsgHeartbeat', 2, 1)
  follower.take()
  follower.step('MsgVote', 3, 1, { logTerm: 9, index: 9 })
  t.match(follower.take(), [{ type: 'MsgVoteResp', to: 3, reject: true }])
  t.end()
})

t.test('the own vote counts only once it is durable', (t) => {
  const alone = new Peer(1, { voters: [1] })
  alone.node.campaign()
  const ready = alone.node.ready()
  t.equal(alone.state, 'StateCandidate', 'the vote is not written yet')
  t.match(ready, { hardState: { term: 1, vote: 1 }, mustSync: true })
  alone.node.advance()
  t.equal(alone.state, 'StateLeader')
  t.end()
})

t.test('an own vote that comes after the election was lost changes nothing [CandidateSelfVoteAfterLostElection]', (t) => {
  for (const preVote of [false, true]) {
    const peer = new Peer(1, { preVote })
    peer.node.campaign()
    peer.node.ready()
    peer.step('MsgHeartbeat', 2, 1)
    peer.node.advance() // delivers the own vote
    t.match(peer.node.basicStatus(), { raftState: 'StateFollower', lead: 2, term: 1 })
    peer.step('MsgVoteResp', 3, 1)
    t.equal(peer.state, 'StateFollower')
  }
  t.end()
})

t.test(
  'an own pre-vote that comes after the election began is no vote [CandidateDeliversPreCandidateSelfVoteAfterBecomingCandidate]',
  (t) => {
    const peer = new Peer(1, { voters: [1, 2, 3], preVote: true })
    peer.node.campaign()
    peer.node.ready()
    for (const from of [2, 3]) peer.step('MsgPreVoteResp', from, 1)
    t.equal(peer.state, 'StateCandidate', 'the pre-votes of the others sufficed')
    peer.node.advance() // delivers the own pre-vote
    peer.step('MsgPreVoteResp', 2, 1)
    t.equal(peer.state, 'StateCandidate')
    t.end()
  },
)

t.test('§9.6: a pre-candidate that cannot win leaves term and vote as they are [DuelingPreCandidates]', (t) => {
  const cluster = group(3, { preVote: true })
  cluster.elect(1)
  cluster.isolate(3)
  cluster.peer(3).tick(200)
  cluster.settle()
  t.match(cluster.peer(3).node.basicStatus(), { raftState: 'StatePreCandidate', term: 1, lead: 0 })
  cluster.heal()
  cluster.peer(1).propose('x')
  cluster.peer(1).tick()
  cluster.settle()
  t.match(cluster.peer(3).node.basicStatus(), { raftState: 'StateFollower', term: 1, lead: 1 })
  t.equal(cluster.peer(1).state, 'StateLeader', 'its return has disturbed nobody')
  t.end()
})

t.test('§9.6: a pre-vote wins a real election', (t) => {
  const cluster = group(3, { preVote: true })
  cluster.elect(2)
  t.match(cluster.peer(2).node.basicStatus(), { raftState: 'StateLeader', term: 1 })
  t.end()
})

t.test('a split vote ends with the next timeout, with pre-votes too [PreVoteWithSplitVote]', (t) => {
  const cluster = group(3, { preVote: true })
  cluster.elect(1)
  cluster.isolate(1)
  for (const id of [2, 3]) cluster.peer(id).tick(30)
  cluster.settle()
  for (let round = 0; round < 20 && cluster.peers.every(({ id, state }) => id === 1 || state !== 'StateLeader'); round++) {
    for (const id of [2, 3]) cluster.peer(id).tick()
    cluster.settle()
  }
  t.equal(cluster.peers.filter(({ id, state }) => id !== 1 && state === 'StateLeader').length, 1)
  t.end()
})

t.test('with pre-votes and check-quorum a leader that is cut off is replaced, and no sooner [PreVoteWithCheckQuorum]', (t) => {
  const cluster = group(3, { preVote: true, checkQuorum: true })
  cluster.elect(1)
  cluster.isolate(1)
  cluster.elect(2)
  t.match(cluster.peer(2).node.basicStatus(), { raftState: 'StatePreCandidate', term: 1 }, '3 has just heard the leader')
  cluster.peer(3).node.setRandomizedElectionTimeout(19) // it does not ask by itself
  cluster.peer(3).tick(10)
  cluster.elect(2)
  t.match(cluster.peer(2).node.basicStatus(), { raftState: 'StateLeader', term: 2 })
  t.equal(cluster.peer(3).node.basicStatus().lead, 2)
  t.end()
})

t.test('a peer left at a higher term from before there were pre-votes costs one election [PreVoteMigration]', (t) => {
  const start = { preVote: true, log: [1, 1], hardState: { term: 2, vote: 0, commit: 2 } }
  const cluster = group(3, start)
  Object.assign(cluster, {
    peers: [...cluster.peers.slice(0, 2), new Peer(3, { ...start, log: [1], hardState: { term: 7, vote: 3, commit: 1 } })],
  })
  cluster.isolate(3)
  cluster.elect(1)
  t.match(cluster.peer(1).node.basicStatus(), { raftState: 'StateLeader', term: 3 })
  cluster.heal()
  cluster.peer(1).tick()
  cluster.settle()
  t.match(cluster.peer(1).node.basicStatus(), { raftState: 'StateFollower', term: 7 }, 'it says its term, and cannot win')
  cluster.elect(3)
  t.not(cluster.peer(3).state, 'StateLeader')
  cluster.elect(1)
  t.match(cluster.peer(1).node.basicStatus(), { raftState: 'StateLeader', term: 8 })
  t.same(cluster.peer(3).terms(), cluster.peer(1).terms())
  t.end()
})

t.test(
  'a pre-vote of a lower term is answered, so that its sender learns the term [NodeWithSmallerTermCanCompleteElection]',
  (t) => {
    const voter = new Peer(1, { hardState: { term: 3, vote: 0, commit: 0 } })
    voter.step('MsgPreVote', 2, 2)
    t.match(voter.take(), [{ type: 'MsgPreVoteResp', to: 2, term: 3, reject: true }])
    const asker = new Peer(2, { preVote: true, hardState: { term: 1, vote: 0, commit: 0 } })
    asker.node.campaign()
    asker.step('MsgPreVoteResp', 1, 3, { reject: true })
    t.match(asker.node.basicStatus(), { raftState: 'StateFollower', term: 3 })
    t.end()
  },
)

t.test(
  '§4.2.3: whoever hears a leader ignores candidates for an election timeout, but not the leader’s successor [LeaderSupersedingWithCheckQuorum]',
  (t) => {
    for (const type of ['MsgVote', 'MsgPreVote'] as const) {
      const voter = new Peer(1, { checkQuorum: true })
      voter.step('MsgHeartbeat', 2, 1)
      voter.take()
      voter.tick(9)
      voter.step(type, 3, 9)
      t.same([voter.take(), voter.term], [[], 1], `${type} is not even answered`)
      voter.step(type, 3, 9, { context: TRANSFER })
      t.match(voter.take(), [{ to: 3, reject: false, term: 9 }], `${type} on behalf of the leader`)
    }
    const late = new Peer(1, { checkQuorum: true, random: () => 0.9 })
    late.step('MsgHeartbeat', 2, 1)
    late.take()
    late.tick(10)
    late.step('MsgVote', 3, 9)
    t.match(late.take(), [{ to: 3, reject: false }], 'after an election timeout it listens')
    t.end()
  },
)

t.test(
  '§6.2: a leader that hears no quorum for an election timeout steps down, one that does stays [LeaderStepdownWhenQuorumActive, LeaderStepdownWhenQuorumLost]',
  (t) => {
    const leader = new Peer(1, { voters: [1, 2, 3, 4, 5], checkQuorum: true }).becomeLeader().settle()
    for (let round = 0; round < 5; round++) {
      for (const from of [2, 3]) leader.step('MsgHeartbeatResp', from, 1)
      leader.tick(10)
      t.equal(leader.state, 'StateLeader')
    }
    leader.step('MsgHeartbeatResp', 2, 1) // two of five
    leader.tick(10)
    t.match(leader.node.basicStatus(), { raftState: 'StateFollower', lead: 0, term: 1 })
    t.end()
  },
)

t.test(
  'a candidate stuck at a higher term is freed: the leader hears of its term and steps down [FreeStuckCandidateWithCheckQuorum, DisruptiveFollower]',
  (t) => {
    const cluster = group(3, { checkQuorum: true })
    cluster.elect(1)
    cluster.isolate(3)
    for (let round = 0; round < 3; round++) cluster.elect(3)
    cluster.heal()
    t.ok(cluster.peer(3).term > cluster.peer(1).term)
    cluster.peer(1).tick()
    cluster.settle()
    t.equal(cluster.peer(1).term, cluster.peer(3).term)
    t.equal(cluster.peer(1).state, 'StateFollower')
    t.end()
  },
)

t.test('a server with a higher term and a shorter log does not win, and does not hold up who can [DuelingCandidates]', (t) => {
  const cluster = group(3)
  cluster.isolate(3)
  cluster.elect(1)
  cluster.peer(1).propose('x')
  cluster.settle()
  for (let round = 0; round < 3; round++) cluster.elect(3)
  cluster.heal()
  cluster.elect(3)
  t.equal(cluster.peer(3).state, 'StateFollower')
  cluster.elect(1)
  t.equal(cluster.peer(1).state, 'StateLeader')
  t.same(cluster.peer(3).terms(), cluster.peer(1).terms())
  t.end()
})

t.test(
  'a peer with a committed configuration change that it has not applied does not campaign [ConfChangeCheckBeforeCampaign]',
  (t) => {
    const change = { ...entry(1, 2, 'v4'), type: 'EntryConfChangeV2' as const }
    for (const kind of ['timeout', 'transfer'] as const) {
      const peer = new Peer(1, { maxCommittedSizePerReady: 1 })
      peer.step('MsgApp', 2, 1, { entries: [entry(1, 1), change], commit: 2 })
      t.equal(peer.node.raft.log.applied, 0)
      if (kind === 'timeout') peer.node.campaign()
      else peer.step('MsgTimeoutNow', 2, 1)
      t.equal(peer.state, 'StateFollower', kind)
      peer.settle()
      peer.node.campaign()
      t.equal(peer.state, 'StateCandidate', 'applied, it does')
    }
    t.end()
  },
)

t.test('in a joint configuration both halves elect', (t) => {
  const joint = { ...conf([1, 2, 3]), votersOutgoing: [1, 4, 5] }
  const peer = new Peer(1, { snapshot: snapshotAt(5, 1, joint) })
  peer.node.campaign()
  t.same(
    peer.take().map((m) => m.to),
    [2, 3, 4, 5],
    'both are asked',
  )
  for (const from of [2, 3]) peer.step('MsgVoteResp', from, 1)
  t.equal(peer.state, 'StateCandidate', 'all of one half do not suffice')
  peer.step('MsgVoteResp', 4, 1)
  t.equal(peer.state, 'StateLeader')
  t.end()
})

t.test('two candidates of one term never both win', (t) => {
  const cluster = group(3)
  cluster.lost = (m) => (m.from === 1 && m.to === 3) || (m.from === 3 && m.to === 1)
  cluster.peer(1).node.campaign()
  cluster.peer(3).node.campaign()
  cluster.settle()
  t.same(
    cluster.peers.filter(({ state }) => state === 'StateLeader').map(({ id, term }) => [id, term]),
    [[1, 1]],
    'the one whose request came first',
  )
  t.end()
})

t.test('local messages, responses of strangers and messages without a term are refused at the door', (t) => {
  const { node } = new Peer(1)
  for (const type of ['MsgHup', 'MsgBeat', 'MsgCheckQuorum', 'MsgStorageAppendResp', 'MsgUnreachable'] as const) {
    t.throws(() => node.step(makeMessage(type, 2, 1, 0)), { code: 'ERR_STEP_LOCAL_MSG' }, type)
  }
  for (const type of ['MsgAppResp', 'MsgVoteResp', 'MsgHeartbeatResp', 'MsgReadIndexResp'] as const) {
    t.throws(() => node.step(makeMessage(type, 9, 1, 1)), { code: 'ERR_STEP_PEER_NOT_FOUND' }, type)
  }
  for (const type of ['MsgApp', 'MsgHeartbeat', 'MsgSnap', 'MsgVote', 'MsgTimeoutNow', 'MsgAppResp'] as const) {
    t.throws(() => node.step(makeMessage(type, 2, 1, 0)), { code: 'ERR_SKEIN_BAD_MESSAGE', detail: { path: 'term' } }, type)
  }
  t.match(node.basicStatus(), { term: 0, lead: 0 })
  t.end()
})

t.test('a follower that forgets its leader stays in its term, may vote, and remembers at the next heartbeat', (t) => {
  const follower = new Peer(1, { checkQuorum: true })
  follower.step('MsgHeartbeat', 2, 1)
  follower.take()
  follower.node.forgetLeader()
  t.match(follower.node.basicStatus(), { lead: 0, term: 1, raftState: 'StateFollower' })
  t.equal(follower.proposalRefused(), 'no-leader')
  follower.step('MsgPreVote', 3, 2)
  t.match(follower.take(), [{ type: 'MsgPreVoteResp', reject: false }])
  follower.step('MsgHeartbeat', 2, 1)
  t.equal(follower.node.raft.lead, 2)
  t.end()
})

t.test('a follower on whose silence lease reads rely does not forget its leader', (t) => {
  const follower = new Peer(1, { checkQuorum: true, readOnlyOption: 'lease' })
  follower.step('MsgHeartbeat', 2, 1)
  follower.node.forgetLeader()
  t.equal(follower.node.raft.lead, 2)
  t.end()
})

t.test('a late vote of a lost election is no pre-vote', (t) => {
  const peer = new Peer(1, { preVote: true })
  peer.node.campaign()
  peer.take()
  peer.step('MsgPreVoteResp', 2, 1)
  peer.take()
  t.match(peer.node.basicStatus(), { raftState: 'StateCandidate', term: 1 })
  peer.node.campaign()
  peer.take()
  t.match(peer.node.basicStatus(), { raftState: 'StatePreCandidate', term: 1 })
  for (const from of [2, 3]) peer.step('MsgVoteResp', from, 1)
  t.match(peer.node.basicStatus(), { raftState: 'StatePreCandidate', term: 1 })
  t.end()
})

t.test('a vote of an earlier term does not count in a later one', (t) => {
  const candidate = new Peer(1).settle()
  for (const term of [1, 2]) {
    candidate.node.campaign()
    candidate.take()
    t.same([candidate.state, candidate.term], ['StateCandidate', term])
  }
  for (const from of [2, 3]) candidate.step('MsgVoteResp', from, 1)
  t.equal(candidate.state, 'StateCandidate')
  candidate.step('MsgVoteResp', 2, 2)
  t.equal(candidate.state, 'StateLeader')
  t.end()
})

t.test('an election timeout can be set for a test', (t) => {
  const cluster = new Group([new Peer(1, { voters: [1] })])
  cluster.peer(1).node.setRandomizedElectionTimeout(3)
  cluster.peer(1).tick(2)
  t.equal(cluster.peer(1).term, 0)
  cluster.peer(1).tick()
  t.equal(cluster.peer(1).term, 1)
  t.end()
})
