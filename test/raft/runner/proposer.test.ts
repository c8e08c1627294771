import t from 'tap'
import { MemoryStorage, type Message, RawNode } from '../../../lib/raft/core/index.js'
import { resolveRunnerOptions } from '../../../lib/raft/runner/options.js'
import { Proposals } from '../../../lib/raft/runner/proposals.js'
import { Proposer } from '../../../lib/raft/runner/proposer.js'
import { voters } from './cluster.js'

/** A leader of two whose follower never answers, in front of a core that shows what it sends. */
function leader({ maxPendingProposals = 1000, maxUncommittedBytes = 1 << 20 } = {}) {
  const storage = new MemoryStorage({ snapshot: { index: 1, term: 1, confState: voters(1, 2), data: new Uint8Array(0) } })
  const node = new RawNode({
    id: 1,
    electionTick: 10,
    heartbeatTick: 1,
    storage,
    maxUncommittedEntriesSize: maxUncommittedBytes,
    disableProposalForwarding: true,
  })
  const options = resolveRunnerOptions({
    id: 1,
    clusterId: 'test',
    stateMachine: {
      appliedIndex: 0,
      apply: () => undefined,
      applied: () => undefined,
      snapshot: () => [],
      restore: async () => undefined,
    },
    transport: { send: () => true, sendSnapshotPiece: () => Promise.reject(new Error('none')) },
    clock: { now: () => 0, wallMs: () => 0, after: () => () => undefined, every: () => () => undefined },
    random: () => 0.5,
    maxPendingProposals,
  })
  const proposals = new Proposals(options.clock)
  const drain = (): readonly Message[] => {
    const sent: Message[] = []
    while (node.hasReady()) {
      const ready = node.ready()
      storage.append(ready.entries)
      if (ready.hardState !== undefined) storage.setHardState(ready.hardState)
      sent.push(...ready.messages.filter(({ type }) => type === 'MsgApp'))
      node.advance()
    }
    return sent
  }
  node.campaign()
  drain()
  node.step({ ...(node.raft.messages[0] ?? voteGranted(node)) })
  drain()
  // The follower has the first entry, so that the rest streams.
  node.step({ ...voteGranted(node), type: 'MsgAppResp', index: node.lastIndex() })
  drain()
  return { node, proposals, proposer: new Proposer(node, options, proposals), drain }
}

function voteGranted(node: RawNode): Message {
  const term = node.basicStatus().term
  return {
    type: 'MsgVoteResp',
    from: 2,
    to: 1,
    term,
    logTerm: 0,
    index: 0,
    entries: [],
    commit: 0,
    vote: 0,
    snapshot: null,
    reject: false,
    rejectHint: 0,
    context: null,
    responses: [],
  }
}

const command = (sizeBytes = 10): Uint8Array => new Uint8Array(sizeBytes).fill(1)

t.test('commands of one turn are one append message, in the order they came, each with its own index', async (t) => {
  const { node, proposals, proposer, drain } = leader()
  const before = node.lastIndex()
  const outcomes = [1, 2, 3].map((size) => proposer.command(command(size), {}))
  t.equal(node.lastIndex(), before, 'nothing is proposed before the flush')
  proposer.flush()
  const [sent, ...others] = drain()
  t.same(
    sent?.entries.map(({ data }) => data.length),
    [1, 2, 3],
  )
  t.same(others, [])
  const { term } = node.basicStatus()
  for (const at of [2, 0, 1]) proposals.resolve(before + 1 + at, term, `result ${at}`)
  t.same(await Promise.all(outcomes), ['result 0', 'result 1', 'result 2'])
})

t.test('what one message should not carry goes in several, and a change of members behind all commands before it', async (t) => {
  const { node, proposer, drain } = leader()
  const before = node.lastIndex()
  const all = Array.from({ length: 5 }, () => proposer.command(command(20_000), {}))
  const change = proposer.put(() => node.proposeConfChange({ changes: [{ type: 'l', nodeId: 3 }] }), {})
  t.equal(node.lastIndex(), before + 6)
  t.same(
    drain().map(({ entries }) => entries.map(({ index }) => index - before)),
    [[1, 2], [3, 4], [5], [6]],
  )
  void Promise.allSettled([...all, change])
})

t.test('where not all fit, those that fit are proposed and each of the others hears why', async (t) => {
  const { node, proposer } = leader({ maxUncommittedBytes: 2500 })
  const before = node.lastIndex()
  // With nothing under way, anything fits.
  void proposer.command(command(500), {})
  proposer.flush()
  const outcomes = [900, 1500, 600].map((size) => proposer.command(command(size), {}))
  const refused = t.rejects(outcomes[1] as Promise<unknown>, { code: 'ERR_SKEIN_BUSY' })
  proposer.flush()
  await refused
  t.equal(node.lastIndex(), before + 3, 'the one behind the refused one still fits')
})

t.test('a caller that goes before the flush is never proposed; one that goes behind it does not know', async (t) => {
  const { node, proposer } = leader()
  const before = node.lastIndex()
  const [early, late] = [new AbortController(), new AbortController()]
  const gone = t.rejects(proposer.command(command(), { signal: early.signal }), { code: 'ERR_SKEIN_ABORTED' })
  const unknown = t.rejects(proposer.command(command(), { signal: late.signal, requestId: 'mine' }), {
    code: 'ERR_SKEIN_OUTCOME_UNKNOWN',
    detail: { requestId: 'mine' },
  })
  early.abort()
  proposer.flush()
  t.equal(node.lastIndex(), before + 1)
  late.abort()
  await Promise.all([gone, unknown])
})

t.test('commands that wait for the flush count as pending, and are refused by name at the end', async (t) => {
  const { node, proposer } = leader({ maxPendingProposals: 2 })
  const before = node.lastIndex()
  const waiting = [1, 2].map(() => t.rejects(proposer.command(command(), {}), new Error('the end')))
  t.throws(() => proposer.command(command(), {}), { code: 'ERR_SKEIN_BUSY', detail: { limit: 'maxPendingProposals' } })
  proposer.refuse(new Error('the end'))
  await Promise.all(waiting)
  proposer.flush()
  t.equal(node.lastIndex(), before, 'nothing of it is proposed')
})

t.test('a peer that does not lead refuses each command, with who does', async (t) => {
  const { node, proposer } = leader()
  const outcomes = [1, 2].map(() =>
    t.rejects(proposer.command(command(), {}), { code: 'ERR_SKEIN_NOT_LEADER', detail: { leader: '2' } }),
  )
  node.step({ ...voteGranted(node), type: 'MsgHeartbeat', term: node.basicStatus().term + 1 })
  proposer.flush()
  await Promise.all(outcomes)
})
