import t from 'tap'
import { APPEND_THREAD, APPLY_THREAD, type Message, type RawNode, type Ready } from '../../../lib/raft/core/index.js'
import { conf, entriesOf, entry, Peer, type PeerStart, snapshotAt } from './harness.js'

/** A peer whose writes are carried out by hand. */
function asyncPeer(id: number, start: PeerStart = {}): Peer {
  return new Peer(id, { asyncStorageWrites: true, ...start })
}

/** The messages of the next Ready, local writes apart from what goes to others. */
function next(peer: Peer): { ready: Ready; append: Message | undefined; apply: Message | undefined; others: Message[] } {
  const ready = peer.node.ready()
  return {
    ready,
    append: ready.messages.find((m) => m.to === APPEND_THREAD),
    apply: ready.messages.find((m) => m.to === APPLY_THREAD),
    others: ready.messages.filter((m) => m.to > 0),
  }
}

/** Carries out a write and delivers what it answers to this peer. */
function write(peer: Peer, append: Message): void {
  if (append.snapshot !== null) peer.storage.applySnapshot(append.snapshot)
  peer.storage.append(append.entries)
  for (const m of append.responses) if (m.to === peer.id) peer.node.step(m)
}

t.test('a write must be synced for a term, a vote or an entry, and not for a commit index', (t) => {
  const voter = new Peer(2, { voters: [1, 2], hardState: { term: 1, vote: 0, commit: 0 } })
  voter.step('MsgHeartbeat', 1, 2)
  t.match(voter.node.ready(), { mustSync: true, hardState: { term: 2, vote: 0 } }, 'a term alone')
  voter.node.advance()
  voter.node.forgetLeader()
  voter.step('MsgVote', 1, 2)
  t.match(voter.node.ready(), { mustSync: true, hardState: { term: 2, vote: 1 } }, 'a vote alone')
  voter.node.advance()
  voter.step('MsgApp', 1, 2, { entries: [entry(2, 1)] })
  const appended = voter.node.ready()
  t.match(appended, { mustSync: true }, 'an entry alone')
  t.equal(appended.hardState, undefined)
  voter.storage.append(appended.entries)
  voter.node.advance()
  voter.step('MsgHeartbeat', 1, 2, { commit: 1 })
  t.match(voter.node.ready(), { mustSync: false, hardState: { commit: 1 } }, 'a commit index alone')
  t.end()
})

t.test('a Ready holds what is new, once [RawNodeConsumeReady]', (t) => {
  const leader = new Peer(1, { voters: [1] }).becomeLeader().settle()
  t.notOk(leader.node.hasReady())
  leader.propose('x')
  const first = leader.node.ready()
  t.equal(first.entries.length, 1)
  t.equal(first.softState, undefined)
  leader.storage.append(first.entries)
  t.throws(() => leader.node.ready(), { name: 'SkeinBug' }, 'not before advance')
  leader.node.advance()
  const second = leader.node.ready()
  t.same([second.entries.length, second.committedEntries.length], [0, 1])
  leader.node.advance()
  t.notOk(leader.node.hasReady())
  t.match(leader.node.ready(), { entries: [], committedEntries: [], messages: [], readStates: [], mustSync: false })
  t.end()
})

t.test('with asynchronous storage advance is a mistake', (t) => {
  const { node } = asyncPeer(1)
  t.throws(() => node.advance(), { name: 'SkeinBug' })
  t.end()
})

t.test('promises travel with the write they wait for; other messages leave at once', (t) => {
  const follower = asyncPeer(2)
  follower.step('MsgApp', 1, 1, { entries: [entry(1, 1)] })
  follower.step('MsgHeartbeat', 1, 1)
  const { append, others } = next(follower)
  t.match(others, [{ type: 'MsgHeartbeatResp' }])
  t.match(append, { term: 1, vote: 0, entries: [{ index: 1 }], responses: [{ type: 'MsgAppResp', to: 1, index: 1 }, { to: 2 }] })
  t.end()
})

t.test('a vote, given or refused, travels with the write of term and vote', (t) => {
  const voter = asyncPeer(2, { log: [1], hardState: { term: 1, vote: 0, commit: 0 } })
  voter.step('MsgVote', 1, 2, { logTerm: 1, index: 1 })
  voter.step('MsgVote', 3, 2, { logTerm: 1, index: 1 })
  const { append, others } = next(voter)
  t.same(others, [])
  const responses = [
    { type: 'MsgVoteResp', to: 1, reject: false },
    { type: 'MsgVoteResp', to: 3, reject: true },
  ]
  t.match(append, { term: 2, vote: 1, responses })
  t.end()
})

t.test('a candidate asks for votes, and has its own, only once its term, vote and log are durable', (t) => {
  // Else it could forget all three in a crash, ask again in the same term with a shorter log, and be elected by old grants.
  const candidate = asyncPeer(1)
  candidate.node.campaign()
  const { append, others } = next(candidate)
  t.same(others, [])
  const responses = [
    { type: 'MsgVoteResp', to: 1 },
    { type: 'MsgVote', to: 2 },
    { type: 'MsgVote', to: 3 },
  ]
  t.match(append, { term: 1, vote: 1, responses })
  candidate.step('MsgVoteResp', 2, 1)
  t.equal(candidate.state, 'StateCandidate')
  write(candidate, append!)
  t.equal(candidate.state, 'StateLeader')
  t.end()
})

t.test('entries committed by others are applied only once they are on this disk', (t) => {
  const follower = asyncPeer(2)
  follower.step('MsgApp', 1, 1, { entries: entriesOf([1, 1]), commit: 2 })
  const { append, apply } = next(follower)
  t.equal(apply, undefined)
  write(follower, append!)
  const after = next(follower)
  t.match(after.apply, { entries: [{ index: 1 }, { index: 2 }], responses: [{ type: 'MsgStorageApplyResp', to: 2 }] })
  t.equal(follower.node.raft.log.applied, 0)
  follower.node.step(after.apply!.responses[0]!)
  t.equal(follower.node.raft.log.applied, 2)
  t.end()
})

t.test('a confirmation of an earlier term does not make entries stable', (t) => {
  const follower = asyncPeer(2)
  follower.step('MsgApp', 1, 1, { entries: [entry(1, 1)] })
  const first = next(follower).append!
  // The entry is replaced, and comes back under a later leader, while the first write is still under way.
  follower.step('MsgApp', 3, 2, { entries: [entry(2, 1)] })
  const second = next(follower).append!
  follower.step('MsgApp', 1, 3, { entries: [entry(1, 1)] })
  const third = next(follower).append!
  write(follower, first)
  t.equal(follower.node.raft.log.unstable.length, 1, 'the second write will still replace it')
  write(follower, second)
  t.equal(follower.node.raft.log.unstable.length, 1)
  write(follower, third)
  t.equal(follower.node.raft.log.unstable.length, 0)
  t.same(follower.terms(), [1])
  t.end()
})

t.test('a confirmation within the term covers what was under way before it', (t) => {
  const follower = asyncPeer(2)
  follower.step('MsgApp', 1, 1, { entries: [entry(1, 1)] })
  const first = next(follower).append!
  follower.step('MsgHeartbeat', 3, 2)
  const second = next(follower).append!
  t.equal(second.entries.length, 0)
  write(follower, first)
  t.equal(follower.node.raft.log.unstable.length, 1, 'its confirmation came in another term')
  write(follower, second)
  t.equal(follower.node.raft.log.unstable.length, 0, 'the next write, of no entries, confirms it')
  t.end()
})

t.test('a snapshot written in an earlier term is in place all the same', (t) => {
  const follower = asyncPeer(2)
  follower.step('MsgSnap', 1, 1, { snapshot: snapshotAt(10, 1, conf([1, 2, 3])) })
  const { append } = next(follower)
  t.equal(append?.snapshot?.index, 10)
  follower.step('MsgHeartbeat', 3, 2)
  write(follower, append!)
  t.match(
    { pending: follower.node.raft.log.hasSnapshotPending, applied: follower.node.raft.log.applied },
    { pending: false, applied: 10 },
  )
  t.end()
})

t.test('entries that were being applied when a snapshot came do not turn the clock back', (t) => {
  const follower = asyncPeer(2)
  follower.step('MsgApp', 1, 1, { entries: entriesOf([1, 1]), commit: 2 })
  write(follower, next(follower).append!)
  const { apply } = next(follower)
  follower.step('MsgSnap', 1, 1, { snapshot: snapshotAt(10, 1, conf([1, 2, 3])) })
  write(follower, next(follower).append!)
  t.equal(follower.node.raft.log.applied, 10)
  follower.node.step(apply!.responses[0]!)
  t.equal(follower.node.raft.log.applied, 10)
  t.end()
})

t.test(
  'committed entries are handed out a bounded number of bytes at a time, after a restart too [CommitPagination, CommitPaginationAfterRestart]',
  (t) => {
    const hardState = { term: 1, vote: 0, commit: 5 }
    const peer = new Peer(1, { log: [1, 1, 1, 1, 1], hardState, maxCommittedSizePerReady: 32 })
    const pages: number[][] = []
    while (peer.node.hasReady()) {
      pages.push(peer.node.ready().committedEntries.map(({ index }) => index))
      peer.node.advance()
    }
    t.same(pages, [[1, 2], [3, 4], [5]])
    t.end()
  },
)

t.test('without an answer from the applier no more than the bound is handed out', (t) => {
  const hardState = { term: 1, vote: 0, commit: 3 }
  const peer = asyncPeer(1, { log: [1, 1, 1], hardState, maxCommittedSizePerReady: 32 })
  const { apply } = next(peer)
  t.equal(apply?.entries.length, 2)
  t.notOk(peer.node.hasReady())
  peer.node.step(apply!.responses[0]!)
  t.match(next(peer).apply?.entries, [{ index: 3 }])
  t.end()
})

t.test('a status shows members to the leader alone, and the cheap one agrees with it', (t) => {
  const follower: RawNode = new Peer(2).node
  t.equal(follower.status().progress.size, 0)
  const leader = new Peer(1).becomeLeader().settle()
  const { config, progress, leadTransferee, ...basic } = leader.node.status()
  t.same([...progress.keys()], [1, 2, 3])
  t.same(config, conf([1, 2, 3]))
  t.equal(leadTransferee, 0)
  t.same(leader.node.basicStatus(), basic)
  t.end()
})
