/**
 * One test for each behaviour that chapter 3 of the Raft thesis (Ongaro 2014) asks of a server. Sections are those of the thesis.
 */
import t, { type Test } from 'tap'
import { seededRandom } from '../../lib/base/random.js'
import type { Message } from '../../lib/raft/core/index.js'
import { entriesOf, entry, Group, Peer, type PeerStart } from '../raft/core/harness.js'

type Role = 'StateFollower' | 'StateCandidate' | 'StateLeader'

/** A peer of three in a role at a term. */
function inRole(role: Role, term: number): Peer {
  if (role === 'StateFollower') return new Peer(1, { hardState: { term, vote: 0, commit: 0 } })
  const peer = new Peer(1, { hardState: { term: term - 1, vote: 0, commit: 0 } })
  if (role === 'StateLeader') return peer.becomeLeader().settle()
  peer.node.campaign()
  return peer.settle()
}

/** A leader at `term` of voters 1 to `size`, with its first entry not yet acknowledged by the others. */
function leaderOf(size: number, start: PeerStart = {}): Peer {
  const voters = Array.from({ length: size }, (_, at) => at + 1)
  return new Peer(1, { voters, ...start }).becomeLeader().settle()
}

function to(messages: readonly Message[]): number[] {
  return messages.map((m) => m.to)
}

function refuted(t: Test, role: Role): void {
  const peer = inRole(role, 2)
  peer.step('MsgApp', 2, 3)
  t.match({ state: peer.state, term: peer.term, lead: peer.node.raft.lead }, { state: 'StateFollower', term: 3, lead: 2 })
  t.end()
}

t.test('§3.3: a follower takes over a higher term it hears of [FollowerUpdateTermFromMessage]', (t) =>
  refuted(t, 'StateFollower'),
)
t.test('§3.3: a candidate that hears of a higher term becomes a follower at it [CandidateUpdateTermFromMessage]', (t) =>
  refuted(t, 'StateCandidate'),
)
t.test('§3.3: a leader that hears of a higher term becomes a follower at it [LeaderUpdateTermFromMessage]', (t) =>
  refuted(t, 'StateLeader'),
)

t.test('§3.3: a message of a lower term changes nothing, in whatever role [RejectStaleTermMessage]', (t) => {
  for (const role of ['StateFollower', 'StateCandidate', 'StateLeader'] as const) {
    const peer = inRole(role, 2)
    const before = { ...peer.node.basicStatus(), log: peer.terms(), elapsed: peer.node.raft.electionElapsed }
    peer.step('MsgApp', 2, 1, { entries: [entry(1, 1)], commit: 1 })
    t.same({ ...peer.node.basicStatus(), log: peer.terms(), elapsed: peer.node.raft.electionElapsed }, before, role)
    t.same(peer.take(), [], `${role} does not answer`)
  }
  t.end()
})

t.test('§3.4: a server starts as a follower without a leader [StartAsFollower]', (t) => {
  const peer = new Peer(1)
  t.match(peer.node.basicStatus(), { raftState: 'StateFollower', term: 0, lead: 0 })
  t.end()
})

t.test('§3.4: a leader sends heartbeats to all others every heartbeat interval [LeaderBcastBeat]', (t) => {
  const leader = new Peer(1, { heartbeatTick: 3 }).becomeLeader().settle()
  leader.step('MsgAppResp', 2, 1, { index: 1 })
  leader.take()
  leader.tick(2)
  t.same(leader.take(), [], 'not before the interval is over')
  leader.tick()
  const beats = leader.take()
  t.same(to(beats), [2, 3])
  t.ok(
    beats.every((m) => m.type === 'MsgHeartbeat' && m.term === 1),
    'all are heartbeats of the term',
  )
  t.ok(
    beats.every((m) => m.index === 0 && m.logTerm === 0 && m.entries.length === 0),
    'without a place in the log',
  )
  t.same(
    beats.map((m) => m.commit),
    [1, 0],
    'no commit index beyond what the follower is known to have',
  )
  t.end()
})

function campaigns(t: Test, role: 'StateFollower' | 'StateCandidate'): void {
  const peer = inRole(role, 2)
  const before = peer.term
  let ticks = 0
  while (peer.term === before && ticks++ < 20) peer.tick()
  t.ok(ticks >= 10 && ticks < 20, `an election begins after ${ticks} ticks, within [10, 20)`)
  t.match(
    peer.node.basicStatus(),
    { raftState: 'StateCandidate', term: before + 1, vote: 1 },
    'one term on, having voted for itself',
  )
  const messages = peer.take()
  t.same(to(messages), [2, 3], 'it asks everyone else')
  t.ok(messages.every((m) => m.type === 'MsgVote' && m.term === before + 1))
  t.end()
}

t.test('§3.4: a follower that hears nothing for an election timeout begins an election [FollowerStartElection]', (t) =>
  campaigns(t, 'StateFollower'),
)
t.test('§3.4: a candidate whose election comes to nothing begins another [CandidateStartNewElection]', (t) =>
  campaigns(t, 'StateCandidate'),
)

t.test(
  '§3.4: a candidate wins with a majority of all voters, loses when none is possible, and else waits [LeaderElectionInOneRoundRPC]',
  (t) => {
    const rows: [size: number, granted: number[], refused: number[], expected: Role][] = [
      [1, [], [], 'StateLeader'],
      [3, [2, 3], [], 'StateLeader'],
      [3, [2], [], 'StateLeader'],
      [5, [2, 3, 4, 5], [], 'StateLeader'],
      [5, [2, 3, 4], [], 'StateLeader'],
      [5, [2, 3], [], 'StateLeader'],
      [3, [], [2, 3], 'StateFollower'],
      [5, [], [2, 3, 4, 5], 'StateFollower'],
      [5, [2], [3, 4, 5], 'StateFollower'],
      [3, [], [], 'StateCandidate'],
      [5, [2], [], 'StateCandidate'],
      [5, [], [2, 3], 'StateCandidate'],
      [5, [], [], 'StateCandidate'],
    ]
    for (const [size, granted, refused, expected] of rows) {
      const peer = new Peer(1, { voters: Array.from({ length: size }, (_, at) => at + 1) })
      peer.node.campaign()
      peer.take()
      for (const from of granted) peer.step('MsgVoteResp', from, 1)
      for (const from of refused) peer.step('MsgVoteResp', from, 1, { reject: true })
      t.equal(peer.state, expected, `${size} voters, ${granted.length} others for, ${refused.length} against`)
      t.equal(peer.term, 1)
    }
    t.end()
  },
)

t.test('§3.4: a voter gives one vote a term, to the first who asks, again if asked again [FollowerVote]', (t) => {
  const rows: [vote: number, candidate: number, refused: boolean][] = [
    [0, 2, false],
    [0, 3, false],
    [2, 2, false],
    [3, 3, false],
    [2, 3, true],
    [3, 2, true],
  ]
  for (const [vote, candidate, refused] of rows) {
    const voter = new Peer(1, { hardState: { term: 1, vote, commit: 0 } })
    voter.step('MsgVote', candidate, 1)
    const answers = voter.take()
    t.match(
      answers,
      [{ type: 'MsgVoteResp', to: candidate, term: 1, reject: refused }],
      `voted for ${vote}, asked by ${candidate}`,
    )
    t.equal(voter.storage.initialState().hardState?.vote, vote || candidate, 'and the vote is on disk before the answer leaves')
  }
  t.end()
})

t.test('§3.4: a candidate that hears from a leader of its term or a later one gives way [CandidateFallback]', (t) => {
  for (const term of [2, 3]) {
    const peer = inRole('StateCandidate', 2)
    peer.step('MsgApp', 2, term)
    t.match(peer.node.basicStatus(), { raftState: 'StateFollower', term, lead: 2 })
  }
  t.end()
})

function timeoutsVary(t: Test, role: 'StateFollower' | 'StateCandidate'): void {
  const electionTick = 10
  const random = seededRandom(1)
  const seen = new Set<number>()
  for (let round = 0; round < 50 * electionTick; round++) {
    const peer = new Peer(1, { electionTick, random })
    if (role === 'StateCandidate') peer.node.campaign()
    const before = peer.term
    let ticks = 0
    while (peer.term === before) {
      peer.tick()
      ticks++
    }
    seen.add(ticks)
  }
  t.same(
    [...seen].sort((a, b) => a - b),
    Array.from({ length: electionTick }, (_, at) => electionTick + at),
    'every timeout in [10, 20) occurs and no other',
  )
  t.end()
}

t.test('§3.4: the election timeouts of followers are random [FollowerElectionTimeoutRandomized]', (t) =>
  timeoutsVary(t, 'StateFollower'),
)
t.test('§3.4: the election timeouts of candidates are random [CandidateElectionTimeoutRandomized]', (t) =>
  timeoutsVary(t, 'StateCandidate'),
)

function collisionsAreRare(t: Test, role: 'StateFollower' | 'StateCandidate'): void {
  const random = seededRandom(7)
  const voters = [1, 2, 3, 4, 5]
  const rounds = 1000
  let collisions = 0
  for (let round = 0; round < rounds; round++) {
    const peers = voters.map((id) => new Peer(id, { voters, random }))
    for (const peer of peers) if (role === 'StateCandidate') peer.node.campaign()
    const before = peers[0]!.term
    while (peers.every((peer) => peer.term === before)) for (const peer of peers) peer.tick()
    if (peers.filter((peer) => peer.term > before).length > 1) collisions++
  }
  t.ok(collisions <= 0.3 * rounds, `${collisions} of ${rounds} rounds see two servers time out at once`)
  t.end()
}

t.test('§3.4: in most rounds a single follower times out first [FollowersElectionTimeoutNonconflict]', (t) =>
  collisionsAreRare(t, 'StateFollower'),
)
t.test('§3.4: in most rounds a single candidate times out first [CandidatesElectionTimeoutNonconflict]', (t) =>
  collisionsAreRare(t, 'StateCandidate'),
)

t.test('§3.5: a leader appends a command to its log and sends it to all others at once [LeaderStartReplication]', (t) => {
  const leader = leaderOf(3)
  leader.replicate('', [2, 3])
  leader.propose('some data')
  const before = leader.committed
  const messages = leader.take()
  const expected = { index: before, logTerm: 1, commit: before, entries: [{ term: 1, index: before + 1 }] }
  t.match(messages, [
    { type: 'MsgApp', to: 2, ...expected },
    { type: 'MsgApp', to: 3, ...expected },
  ])
  t.equal(Buffer.from(messages[0]!.entries[0]!.data).toString(), 'some data')
  t.end()
})

t.test(
  '§3.5: an entry stored on a majority is committed, applied, and announced with the next messages [LeaderCommitEntry]',
  (t) => {
    const leader = leaderOf(3)
    leader.replicate('', [2, 3])
    const before = leader.committed
    const messages = leader.replicate('some data', [2, 3])
    t.equal(leader.committed, before + 1)
    t.equal(leader.applied.at(-1)?.data.toString(), 'some data')
    const announced = messages.filter((m) => m.commit === before + 1)
    t.same([...new Set(to(announced))].sort(), [2, 3])
    t.end()
  },
)

t.test(
  '§3.5: an entry is committed exactly when a majority, the leader among it, has stored it [LeaderAcknowledgeCommit]',
  (t) => {
    const rows: [size: number, acks: number[], committed: boolean][] = [
      [1, [], true],
      [3, [], false],
      [3, [2], true],
      [3, [2, 3], true],
      [5, [], false],
      [5, [2], false],
      [5, [2, 3], true],
      [5, [2, 3, 4], true],
      [5, [2, 3, 4, 5], true],
    ]
    for (const [size, acks, committed] of rows) {
      const leader = leaderOf(size)
      leader.replicate('', [2, 3, 4, 5].slice(0, size - 1))
      const before = leader.committed
      leader.replicate('some data', acks)
      t.equal(leader.committed > before, committed, `${size} servers, stored by ${acks.length} others`)
    }
    t.end()
  },
)

t.test(
  '§3.5: committing an entry commits all entries before it, those of former leaders too [LeaderCommitPrecedingEntries]',
  (t) => {
    for (const log of [[], [2], [1, 2], [1]]) {
      const leader = new Peer(1, { log, hardState: { term: 2, vote: 0, commit: 0 } }).becomeLeader().settle()
      leader.replicate('some data', [2])
      t.same(
        leader.applied.map(({ term, index }) => [term, index]),
        [...log, 3, 3].map((term, at) => [term, at + 1]),
        `log of terms [${log}]`,
      )
    }
    t.end()
  },
)

t.test('§3.5: a follower applies an entry, in log order, once it learns that it is committed [FollowerCommitEntry]', (t) => {
  for (const [count, commit] of [
    [1, 1],
    [2, 2],
    [2, 1],
  ] as const) {
    const follower = new Peer(1)
    follower.step('MsgApp', 2, 1, { entries: entriesOf(Array(count).fill(1)), commit })
    follower.take()
    t.equal(follower.committed, commit)
    t.same(
      follower.applied.map(({ index }) => index),
      Array.from({ length: commit }, (_, at) => at + 1),
    )
  }
  t.end()
})

t.test(
  '§3.5: a follower refuses entries whose predecessor it does not have, and says where the logs may meet [FollowerCheckMsgApp]',
  (t) => {
    const rows: [prevTerm: number, prevIndex: number, index: number, reject: boolean, hint: number, hintTerm: number][] = [
      [0, 0, 1, false, 0, 0],
      [1, 1, 1, false, 0, 0],
      [2, 2, 2, false, 0, 0],
      [1, 2, 2, true, 1, 1],
      [3, 3, 3, true, 2, 2],
    ]
    for (const [logTerm, prevIndex, index, reject, rejectHint, hintTerm] of rows) {
      const follower = new Peer(1, { log: [1, 2], hardState: { term: 2, vote: 0, commit: 1 } })
      follower.step('MsgApp', 2, 2, { logTerm, index: prevIndex })
      t.match(
        follower.take(),
        [{ type: 'MsgAppResp', to: 2, term: 2, index, reject, rejectHint, logTerm: hintTerm }],
        `entries after term ${logTerm}, index ${prevIndex}`,
      )
    }
    t.end()
  },
)

t.test('§3.5: a follower replaces what conflicts, keeps what does not, and writes nothing twice [FollowerAppendEntries]', (t) => {
  const rows: [prevTerm: number, prevIndex: number, sent: number[], log: number[], written: number[]][] = [
    [2, 2, [3], [1, 2, 3], [3]],
    [1, 1, [3, 4], [1, 3, 4], [3, 4]],
    [0, 0, [1], [1, 2], []],
    [0, 0, [1, 3], [1, 3], [3]],
    [0, 0, [3], [3], [3]],
  ]
  for (const [logTerm, index, sent, log, written] of rows) {
    const follower = new Peer(1, { log: [1, 2], hardState: { term: 2, vote: 0, commit: 0 } })
    follower.step('MsgApp', 2, 4, { logTerm, index, entries: entriesOf(sent, index + 1) })
    t.same(follower.terms(), log, `terms [${sent}] after ${index}`)
    t.same(
      follower.node.ready().entries.map(({ term }) => term),
      written,
    )
  }
  t.end()
})

t.test('§3.5: a leader brings every log of Figure 3.6 into step with its own [LeaderSyncFollowerLog]', (t) => {
  const leading = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6]
  const logs = [
    [1, 1, 1, 4, 4, 5, 5, 6, 6],
    [1, 1, 1, 4],
    [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
    [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
    [1, 1, 1, 4, 4, 4, 4],
    [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
  ]
  for (const log of logs) {
    const hardState = { term: 8, vote: 0, commit: 0 }
    const leader = new Peer(1, { log: leading, hardState: { ...hardState, commit: leading.length } })
    const follower = new Peer(2, { log, hardState: { ...hardState, term: 7 } })
    // The third server, an empty one, gives the vote that a follower with a longer log refuses.
    const cluster = new Group([leader, follower, new Peer(3)])
    cluster.elect(1)
    leader.propose('')
    cluster.settle()
    t.same(follower.terms(), [...leading, 9, 9], `from terms [${log}]`)
    t.equal(follower.committed, leader.committed)
  }
  t.end()
})

t.test('§3.6.1: a vote request tells where the candidate’s log ends [VoteRequest]', (t) => {
  for (const log of [[2], [1, 2]]) {
    const peer = new Peer(1, { log, hardState: { term: 2, vote: 0, commit: 0 } })
    peer.node.campaign()
    const expected = { type: 'MsgVote', term: 3, index: log.length, logTerm: 2 }
    t.match(peer.take(), [
      { to: 2, ...expected },
      { to: 3, ...expected },
    ])
  }
  t.end()
})

t.test('§3.6.1: a voter refuses a candidate whose log is less up to date than its own [Voter]', (t) => {
  const rows: [log: number[], logTerm: number, index: number, reject: boolean][] = [
    [[1], 1, 1, false],
    [[1], 1, 2, false],
    [[1, 1], 1, 1, true],
    [[1], 2, 1, false],
    [[1], 2, 2, false],
    [[1, 1], 2, 1, false],
    [[2], 1, 1, true],
    [[2], 1, 2, true],
    [[2, 1], 1, 1, true],
    [[1, 2], 1, 5, true],
  ]
  for (const [log, logTerm, index, reject] of rows) {
    const voter = new Peer(1, { log })
    voter.step('MsgVote', 2, 3, { logTerm, index })
    t.match(voter.take(), [{ type: 'MsgVoteResp', reject }], `log of terms [${log}] against term ${logTerm} at ${index}`)
  }
  t.end()
})

t.test(
  '§3.6.2: only entries of the leader’s own term are committed by counting [LeaderOnlyCommitsLogFromCurrentTerm, CannotCommitWithoutNewTermEntry]',
  (t) => {
    const rows: [acked: number, committed: number][] = [
      [1, 0],
      [2, 0],
      [3, 3],
    ]
    for (const [acked, committed] of rows) {
      const leader = new Peer(1, { log: [1, 2], hardState: { term: 2, vote: 0, commit: 0 } }).becomeLeader().settle()
      leader.step('MsgAppResp', 2, 3, { index: acked })
      t.equal(leader.committed, committed, `a majority has stored the log up to ${acked}`)
    }
    t.end()
  },
)

t.test('§3.6.2: the leader of Figure 3.7 does not commit an old entry that another leader then replaces', (t) => {
  const voters = [1, 2, 3, 4, 5]
  const logs = [[1, 2], [1, 2], [1, 2], [1], [1, 3]]
  const cluster = new Group(logs.map((log, at) => new Peer(at + 1, { voters, log, hardState: { term: 3, vote: 0, commit: 1 } })))
  // (c): server 1 leads in term 4. The entry of term 2 is on three of five servers; the one of term 4 is nowhere else.
  cluster.lost = (m) => m.to === 5 || m.entries.some(({ term }) => term === 4)
  cluster.elect(1)
  t.equal(cluster.peer(1).state, 'StateLeader')
  for (const from of [2, 3]) cluster.peer(1).step('MsgAppResp', from, 4, { index: 2 })
  t.equal(cluster.peer(1).committed, 1, 'a majority has the entry of term 2, and it is not committed')
  // (d): server 5 wins with its later entry and replaces that of term 2 everywhere.
  cluster.isolate(1)
  cluster.elect(5)
  cluster.elect(5)
  t.equal(cluster.peer(5).state, 'StateLeader')
  for (const id of [2, 3, 4, 5]) {
    t.same(cluster.peer(id).terms(), [1, 3, cluster.peer(5).term])
    t.notOk(
      cluster.peer(id).applied.some(({ term }) => term === 2),
      'nobody has applied what was replaced',
    )
  }
  t.end()
})
