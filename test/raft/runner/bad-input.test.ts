// What a peer is given and must not believe: options, messages, changes. What does not even decode: test/fuzz.
import t, { type Test } from 'tap'
import { encodeConfChange, MemoryStorage, type Message, makeMessage, RawNode } from '../../../lib/raft/core/index.js'
import { Raft } from '../../../lib/raft/raft.js'
import { Inbox } from '../../../lib/raft/runner/inbox.js'
import { encodeFrame, frameHead, type RaftRunnerOptions, resolveRunnerOptions } from '../../../lib/raft/runner/index.js'
import { processClock, processRandom } from '../../../lib/raft/system.js'
import { bytes, Cluster, clusterId, ListMachine, voters } from './cluster.js'

async function clusterFor(t: Test): Promise<Cluster> {
  const cluster = await Cluster.create()
  t.teardown(() => cluster.end())
  return cluster
}

const good = {
  id: 1,
  clusterId,
  stateMachine: new ListMachine(),
  transport: { send: () => true } as unknown as RaftRunnerOptions['transport'],
  clock: processClock,
  random: processRandom,
} satisfies RaftRunnerOptions

/** Options that are true or false. */
const flags: readonly string[] = ['leaseReads']

const wholeNumbers = {
  id: [1, 2 ** 48 - 1],
  tickMs: [1, 60_000],
  electionTicks: [3, 10_000],
  snapshotEveryEntries: [1, 1e9],
  snapshotEveryBytes: [1, 2 ** 40],
  snapshotBytesPerSecond: [1, 2 ** 40],
  trailingEntries: [0, 1e9],
  maxEntryBytes: [1, 8 * 1024 * 1024],
  maxPendingProposals: [1, 1e7],
  maxUncommittedBytes: [1, 2 ** 40],
  maxPendingReads: [1, 1e7],
  segmentBytes: [1, 2 ** 40],
} satisfies Partial<Record<keyof RaftRunnerOptions, readonly [number, number]>>

t.test('every number among the options is refused outside its range, by its name and with the range', (t) => {
  for (const [option, [from, to]] of Object.entries(wholeNumbers)) {
    for (const got of [
      from - 1,
      to + 1,
      -1e9,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      from + 0.5,
      String(from),
      null,
      true,
      [from],
      {},
    ]) {
      t.throws(() => resolveRunnerOptions({ ...good, [option]: got }), {
        code: 'ERR_SKEIN_INVALID_OPTION',
        message: new RegExp(`^${option}: expected a whole number from ${from} to ${to}, got `),
        detail: { option, got: Number.isNaN(got) ? Number.NaN : got },
      })
    }
    for (const value of [from, to, undefined]) {
      if (value === undefined && option === 'id') continue
      t.doesNotThrow(() => resolveRunnerOptions({ ...good, [option]: value }), `${option}: ${value}`)
    }
  }
  t.end()
})

t.test('every flag among the options is refused when it is neither true nor false', (t) => {
  for (const option of flags.filter((name) => Object.hasOwn(resolveRunnerOptions(good), name))) {
    for (const got of [0, 1, 'true', null, {}]) {
      const refusal = { code: 'ERR_SKEIN_INVALID_OPTION', message: new RegExp(`^${option}: expected `), detail: { option } }
      t.throws(() => resolveRunnerOptions({ ...good, [option]: got } as never), refusal, `${option}: ${String(got)}`)
    }
  }
  t.end()
})

t.test('everything else among the options is refused when it is not what it must be', (t) => {
  const rows: readonly [keyof RaftRunnerOptions, readonly unknown[]][] = [
    ['clusterId', ['', 'x'.repeat(20), 'a/b', 'ä', 7, null]],
    ['dir', ['', 7, null, {}]],
    ['stateMachine', [null, 7, {}, { apply() {} }]],
    ['transport', [null, 'tcp', {}]],
    ['clock', [null, Date, { now: () => 0 }]],
    ['random', [null, 0.5, {}]],
    ['files', [null, {}, 'node:fs']],
  ]
  for (const [option, values] of rows) {
    for (const got of values) {
      t.throws(
        () => resolveRunnerOptions({ ...good, [option]: got }),
        { code: 'ERR_SKEIN_INVALID_OPTION', message: new RegExp(`^${option}: expected `), detail: { option } },
        `${option}: ${String(got)}`,
      )
    }
  }
  t.end()
})

t.test('a table of options without a row for each option is no table', (t) => {
  const others = [
    'snapshotBytesPerSecond',
    'bootstrap',
    'clusterId',
    'dir',
    'stateMachine',
    'transport',
    'clock',
    'random',
    'files',
  ]
  const known = new Set([...Object.keys(wholeNumbers), ...others, ...flags])
  for (const option of Object.keys(resolveRunnerOptions(good))) t.ok(known.has(option), `${option} has a row`)
  t.end()
})

t.test('the face refuses a bad id, bad first voters and a machine that is none, by their own names', async (t) => {
  const machine = { codec: { encode: bytes, decode: String }, apply: () => 0, snapshot: () => [], restore: async () => {} }
  const options = { id: 1, clusterId, transport: good.transport, stateMachine: machine as never }
  for (const [option, values] of [
    ['id', [0, Number.NaN, '1', undefined, 2 ** 48]],
    ['bootstrap', [[], [2], [1, 1], [1, 0], [1, '2'], 'all', 7]],
    ['stateMachine', [undefined, {}, { ...machine, codec: {} }, { ...machine, restore: 1 }]],
    ['electionTicks', [1, '10']],
  ] as const) {
    for (const got of values) {
      const refused = Raft.open({ ...options, bootstrap: [1], [option]: got } as never)
      await t.rejects(refused, { code: 'ERR_SKEIN_INVALID_OPTION', detail: { option } }, `${option}: ${JSON.stringify(got)}`)
    }
  }
})

/** Peer 1 of three, a follower in term 2 whose log ends at 4, and the way messages come in. */
function peer(): { readonly node: RawNode; readonly inbox: Inbox } {
  const storage = new MemoryStorage({
    hardState: { term: 2, vote: 0, commit: 3 },
    snapshot: { index: 1, term: 1, confState: voters(1, 2, 3), data: new Uint8Array(0) },
    entries: [2, 3, 4].map((index) => ({ type: 'EntryNormal', term: 2, index, data: bytes('x') }) as const),
  })
  const node = new RawNode({ id: 1, electionTick: 10, heartbeatTick: 1, storage, checkQuorum: true, preVote: true })
  node.ready()
  node.advance()
  return { node, inbox: new Inbox({ id: 1, clusterId, dir: '/data/raft' }, node) }
}

t.test('a message that no healthy peer would send is dropped and counted, and nothing changes', (t) => {
  const snapshot = { index: 9, term: 2, confState: voters(1, 2, 3), data: new Uint8Array(0) }
  const rows: readonly [string, Message][] = [
    ['to another peer', makeMessage('MsgHeartbeat', 2, 3, 2)],
    ['in the name of a third', makeMessage('MsgHeartbeat', 3, 1, 2)],
    ['in our own name', makeMessage('MsgHeartbeat', 1, 1, 2)],
    ['of a term that uses up all terms', makeMessage('MsgVote', 2, 1, 2 ** 53 - 1, { index: 9, logTerm: 2 })],
    ['of a commit index beyond all reach', makeMessage('MsgHeartbeat', 2, 1, 2, { commit: 2 ** 50 })],
    ['that acknowledges more than there is', makeMessage('MsgAppResp', 2, 1, 2, { index: 2 ** 50 })],
    ['that proposes nothing', makeMessage('MsgProp', 2, 1, 0)],
    ['that belongs on the path of snapshots', makeMessage('MsgSnap', 2, 1, 2, { snapshot })],
  ]
  for (const [name, message] of rows) {
    const { node, inbox } = peer()
    const before = JSON.stringify(node.status())
    const from = name === 'in our own name' ? 1 : 2
    inbox.take(from, inbox.open(from, encodeFrame(frameHead(clusterId), [message])) ?? [])
    t.equal(inbox.messagesDropped, 1, name)
    t.equal(JSON.stringify(node.status()), before, `${name}: nothing changed`)
    t.notOk(node.hasReady(), `${name}: nothing to say`)
  }
  t.end()
})

t.test('an answer of an unknown peer, and a proposal where nobody leads, are dropped and counted', (t) => {
  const { inbox } = peer()
  inbox.take(9, [makeMessage('MsgAppResp', 9, 1, 2, { index: 4 })])
  inbox.take(9, [makeMessage('MsgHeartbeatResp', 9, 1, 2)])
  inbox.take(2, [makeMessage('MsgProp', 2, 1, 0, { entries: [{ type: 'EntryNormal', term: 0, index: 0, data: bytes('x') }] })])
  t.equal(inbox.messagesDropped, 3)
  t.end()
})

t.test(
  'a leader that knows more of our log than we do has proof that the log was lost: the peer stops, and says where',
  async (t) => {
    const { inbox } = peer()
    t.throws(() => inbox.take(2, [makeMessage('MsgHeartbeat', 2, 1, 2, { commit: 6 })]), {
      code: 'ERR_SKEIN_CORRUPT',
      message: /\/data\/raft: the leader says that this peer acknowledged entry 6, and its log ends at 4.*new raft id/s,
      detail: { file: '/data/raft' },
    })
    const cluster = await clusterFor(t)
    const leader = await cluster.found([1, 2, 3])
    const [follower] = cluster.peers.filter(({ id }) => id !== leader.id)
    const { term, lastIndex } = leader.runner.status()
    const message = makeMessage('MsgHeartbeat', leader.id, follower!.id, term, { commit: lastIndex + 1000 })
    follower!.runner.receive(leader.id, encodeFrame(frameHead(clusterId), [message]))
    t.match(await follower!.runner.ended, { code: 'ERR_SKEIN_CORRUPT' }, 'it ends by itself, the process does not')
    await t.rejects(follower!.runner.read(), { code: 'ERR_SKEIN_CORRUPT' })
  },
)

t.test('what is over a limit or makes no sense is refused to its proposer, and the peer goes on', async (t) => {
  const cluster = await clusterFor(t)
  const leader = await cluster.found([1, 2, 3], { maxEntryBytes: 100 })
  await t.rejects(leader.runner.propose(new Uint8Array(101)), { code: 'ERR_SKEIN_TOO_LARGE', detail: { size: 101, limit: 100 } })
  await t.rejects(leader.runner.propose(new Uint8Array(0)), { code: 'ERR_SKEIN_TOO_LARGE' })
  await t.rejects(
    leader.runner.changeConf({
      changes: [
        { type: 'r', nodeId: 1 },
        { type: 'r', nodeId: 2 },
        { type: 'r', nodeId: 3 },
      ],
    }),
    {
      code: 'ERR_SKEIN_CONF_CHANGE',
      message: /removed all voters/,
    },
  )
  for (const nodeId of [0, -1, 1.5, 2 ** 53, Number.NaN]) {
    await t.rejects(
      leader.runner.changeConf({ changes: [{ type: 'v', nodeId }] }),
      { code: 'ERR_SKEIN_CONF_CHANGE' },
      `${nodeId}`,
    )
  }
  t.throws(() => encodeConfChange({ v1: true, changes: [] }), { code: 'ERR_SKEIN_CONF_CHANGE' })
  t.equal(await leader.runner.propose(bytes('still here')), 1)
})

t.test('a broken or foreign frame of every kind is visible in the metrics', async (t) => {
  const cluster = await clusterFor(t)
  const leader = await cluster.found([1, 2, 3])
  const before = leader.runner.metrics()
  const heartbeat = makeMessage('MsgHeartbeat', 2, leader.id, 1)
  const frame = encodeFrame(frameHead(clusterId), [heartbeat])
  leader.runner.receive(2, frame.subarray(0, frame.length - 1))
  leader.runner.receive(2, Buffer.concat([Buffer.of((frame[0] as number) + 1), frame.subarray(1)]))
  leader.runner.receive(2, encodeFrame(frameHead('another'), [heartbeat]))
  leader.runner.receive(2, encodeFrame(frameHead(clusterId), [{ ...heartbeat, to: 77 }]))
  const after = leader.runner.metrics()
  t.match(
    {
      framesDropped: after.framesDropped - before.framesDropped,
      framesOfOtherVersion: after.framesOfOtherVersion - before.framesOfOtherVersion,
      framesOfOtherCluster: after.framesOfOtherCluster - before.framesOfOtherCluster,
    },
    { framesDropped: 3, framesOfOtherVersion: 1, framesOfOtherCluster: 1 },
  )
  t.ok(after.messagesDropped > before.messagesDropped)
})
