import t from 'tap'
import {
  type Entry,
  encodeConfChange,
  MemoryStorage,
  makeMessage,
  type RaftOptions,
  RawNode,
} from '../../../lib/raft/core/index.js'

const normal = { type: 'EntryNormal', data: new Uint8Array(0) } as const

/** Node 1 of three in term 2, with entries 2 to 4 of term 1, committed up to `commit`; the one at `removal` removes node 1. */
function node(commit: number, options: Partial<RaftOptions> = {}, removal?: number): RawNode {
  const confState = { voters: [1, 2, 3], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false }
  const entries = [2, 3, 4].map((index): Entry => {
    const content = index === removal ? encodeConfChange({ changes: [{ type: 'r', nodeId: 1 }] }) : normal
    return { ...content, term: 1, index }
  })
  const storage = new MemoryStorage({
    hardState: { term: 2, vote: 0, commit },
    snapshot: { index: 1, term: 1, confState, data: new Uint8Array(0) },
    entries,
  })
  return new RawNode({ id: 1, electionTick: 10, heartbeatTick: 1, storage, ...options })
}

t.test('a candidate learns from a refusal what is committed, if it has that entry', (t) => {
  const candidate = node(1)
  candidate.campaign()
  candidate.step(makeMessage('MsgVoteResp', 2, 1, 3, { reject: true, commit: 3, logTerm: 2 }))
  t.equal(candidate.basicStatus().commit, 1, 'an entry of another term is not ours')
  candidate.step(makeMessage('MsgVoteResp', 2, 1, 3, { reject: true, commit: 9, logTerm: 1 }))
  t.equal(candidate.basicStatus().commit, 1, 'an entry behind our log is not ours')
  candidate.step(makeMessage('MsgVoteResp', 2, 1, 3, { reject: true, commit: 3, logTerm: 1 }))
  t.equal(candidate.basicStatus().commit, 3)
  t.equal(candidate.basicStatus().raftState, 'StateCandidate')
  t.end()
})

t.test('a candidate that learns of a committed change of voters stands back, and does not win by votes that come later', (t) => {
  const candidate = node(1, {}, 3)
  candidate.campaign()
  candidate.step(makeMessage('MsgVoteResp', 2, 1, 3, { reject: true, commit: 3, logTerm: 1 }))
  t.equal(candidate.basicStatus().raftState, 'StateFollower')
  for (const voter of [1, 3]) candidate.step(makeMessage('MsgVoteResp', voter, 1, 3))
  t.equal(candidate.basicStatus().raftState, 'StateFollower')
  t.equal(candidate.basicStatus().vote, 1, 'its vote in this term is given')
  t.end()
})

t.test('a refusal names the last committed entry, and in elections as in etcd it does not', (t) => {
  for (const electionsAsInEtcd of [false, true]) {
    for (const [request, answer] of [
      ['MsgVote', 'MsgVoteResp'],
      ['MsgPreVote', 'MsgPreVoteResp'],
    ] as const) {
      const voter = node(3, { electionsAsInEtcd })
      voter.step(makeMessage(request, 2, 1, 3, { index: 1, logTerm: 1 }))
      const refusal = voter.ready().messages.find(({ type }) => type === answer)
      t.match(refusal, { reject: true, commit: electionsAsInEtcd ? 0 : 3, logTerm: electionsAsInEtcd ? 0 : 1 })
    }
  }
  t.end()
})

t.test('a vote request waits for the write that makes its term durable, and in elections as in etcd it does not', (t) => {
  for (const electionsAsInEtcd of [false, true]) {
    const candidate = node(1, { electionsAsInEtcd, asyncStorageWrites: true })
    candidate.campaign()
    const { messages } = candidate.ready()
    const isRequest = ({ type }: { readonly type: string }): boolean => type === 'MsgVote'
    t.equal(messages.filter(isRequest).length, electionsAsInEtcd ? 2 : 0)
    const write = messages.find(({ type }) => type === 'MsgStorageAppend')
    t.match(write, { term: 3, vote: 1 })
    t.equal(write?.responses.filter(isRequest).length, electionsAsInEtcd ? 0 : 2)
  }
  t.end()
})
