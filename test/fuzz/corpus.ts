/** Valid messages of every decoder, to be spoilt. */
import fc from 'fast-check'
import type { EndpointRow } from '../../lib/api/endpoint-rows.js'
import type { LoadRow, TaskRow } from '../../lib/api/worker-rows.js'
import type { NodeId } from '../../lib/base/ids.js'
import { seededRandom } from '../../lib/base/random.js'
import { encodeGossip, type GossipMessage } from '../../lib/overlay/gossip/messages.js'
import { encodePacket, type SwimMessage } from '../../lib/overlay/swim/index.js'
import { Handshake, type Self } from '../../lib/overlay/transport/handshake.js'
import { encodeRpc, type RpcMessage } from '../../lib/overlay/transport/rpc-messages.js'
import { type Entry, encodeConfChange, type Message, type MessageType, makeMessage } from '../../lib/raft/core/index.js'
import { encodeFrame, frameHead } from '../../lib/raft/runner/index.js'
import { MemoryFiles, RaftDisk } from '../../lib/raft/wal/index.js'
import { formatJoinString, makeSecret } from '../../lib/security/index.js'
import { applyCommand, encodeCommand, snapshotChunks, Tables } from '../../lib/store/index.js'
import { channels, encode, framesOf } from '../../lib/wire/index.js'
import { commands } from '../store/commands.js'

export const head = frameHead('c1u2s3t4e5r6')
const conf = { voters: [1, 2, 3], votersOutgoing: [1, 2], learners: [4], learnersNext: [], autoLeave: true }

export function entry(index: number, term = 2, text = `entry ${index}`): Entry {
  return { type: 'EntryNormal', term, index, data: Buffer.from(text) }
}

const confEntry: Entry = {
  ...encodeConfChange({
    changes: [
      { type: 'v', nodeId: 4 },
      { type: 'r', nodeId: 1 },
    ],
  }),
  term: 2,
  index: 7,
}

/** One of each kind, as peer 2 says it to peer 1 in term 2 of a group of three. */
export const raftMessages: readonly Message[] = [
  makeMessage('MsgProp', 2, 1, 0, { entries: [entry(0, 0)] }),
  makeMessage('MsgApp', 2, 1, 2, { index: 5, logTerm: 2, commit: 6, entries: [entry(6), confEntry] }),
  makeMessage('MsgApp', 2, 1, 2, { index: 3, logTerm: 1, commit: 3 }),
  makeMessage('MsgAppResp', 2, 1, 2, { index: 4 }),
  makeMessage('MsgAppResp', 2, 1, 2, { index: 5, reject: true, rejectHint: 3, logTerm: 1 }),
  makeMessage('MsgVote', 2, 1, 3, { index: 9, logTerm: 2 }),
  makeMessage('MsgVoteResp', 2, 1, 2),
  makeMessage('MsgVoteResp', 2, 1, 2, { reject: true, commit: 4, logTerm: 2 }),
  makeMessage('MsgSnap', 2, 1, 2, { snapshot: { index: 12, term: 2, confState: conf, data: new Uint8Array(0) } }),
  makeMessage('MsgHeartbeat', 2, 1, 2, { commit: 4, context: new Uint8Array(8).fill(1) }),
  makeMessage('MsgHeartbeatResp', 2, 1, 2, { context: new Uint8Array([0, 0, 0, 0, 0, 0, 0, 1]) }),
  makeMessage('MsgTransferLeader', 3, 1, 0),
  makeMessage('MsgTimeoutNow', 2, 1, 2),
  makeMessage('MsgReadIndex', 2, 1, 0, { entries: [entry(0, 0, 'read 1')] }),
  makeMessage('MsgReadIndexResp', 2, 1, 2, { index: 4, entries: [entry(0, 0, 'read 1')] }),
  makeMessage('MsgPreVote', 2, 1, 3, { index: 9, logTerm: 2 }),
  makeMessage('MsgPreVoteResp', 2, 1, 3),
]

export const messageTypes: readonly MessageType[] = [...new Set(raftMessages.map(({ type }) => type))]

export const raftFrames: readonly Uint8Array[] = [
  ...raftMessages.map((message) => encodeFrame(head, [message])),
  encodeFrame(head, raftMessages),
  encodeFrame(head, []),
]

export const confChanges: readonly Entry[] = [
  confEntry,
  { ...encodeConfChange({ v1: true, changes: [{ type: 'l', nodeId: 2 ** 48 - 1 }] }), term: 1, index: 1 },
  { ...encodeConfChange({ transition: 'implicit', changes: [{ type: 'v', nodeId: 3 }] }), term: 1, index: 1 },
]

export const wireFrames: readonly Uint8Array[] = [
  ...framesOf(1, channels.control, Uint8Array.of(1)),
  ...framesOf(1, channels.rpc, Buffer.from('a call')),
  ...framesOf(1, channels.raft, new Uint8Array(70_000).fill(7)),
]

export const rpcMessages: readonly Uint8Array[] = (
  [
    { type: 'call', id: 2, mode: 'stream', method: 'service.list', params: { filter: ['a', 1, null] }, deadlineMs: 5_000 },
    { type: 'call', id: 4, mode: 'up', method: 'raft.snapshot', params: [1, 2], deadlineMs: 0 },
    { type: 'result', id: 2, value: { rows: [{ id: 'x', at: new Date(5) }] } },
    { type: 'error', id: 2, code: 'ERR_SKEIN_BUSY', message: 'too much', detail: { limit: 'calls' } },
    { type: 'cancel', id: 2 },
    { type: 'item', id: 2, value: new Uint8Array(20) },
    { type: 'credit', id: 2, grantedBytes: 65_536 },
    { type: 'end', id: 2 },
  ] satisfies readonly RpcMessage[]
).map(encodeRpc)

const member = (state: 'alive' | 'suspect' | 'dead') => ({
  id: 'aaaaaaaaaaaa' as NodeId,
  epoch: 7,
  incarnation: 3,
  state,
  profileVersion: 2,
  profile:
    state === 'alive' ? ({ version: 2, address: '10.0.0.1:7946', lanes: 'both', meta: new Uint8Array(12) } as const) : undefined,
  accusations: state === 'alive' ? [] : [{ by: 'bbbbbbbbbbbb' as NodeId, saw: 'refused' } as const],
})

export const memberPackets: readonly Uint8Array[] = (
  [
    { type: 'ping', seq: 1, digest: 2 },
    { type: 'ack', seq: 1, digest: 2, coordinate: { position: new Array<number>(8).fill(1.5), heightMs: 0.5, error: 1 } },
    { type: 'ping-req', seq: 1, target: 'bbbbbbbbbbbb' as NodeId, remainingMs: 400 },
    { type: 'nack', seq: 1 },
    { type: 'gossip' },
    { type: 'sync', buckets: new Uint32Array(16).fill(3) },
    { type: 'briefs', count: 16, buckets: [1, 2], briefs: [member('alive'), member('dead')] },
    { type: 'pull', ids: ['aaaaaaaaaaaa' as NodeId] },
  ] satisfies readonly SwimMessage[]
).map((message) =>
  encodePacket({
    to: 'aaaaaaaaaaaa' as NodeId,
    from: 'bbbbbbbbbbbb' as NodeId,
    epoch: 1,
    incarnation: 1,
    message,
    records: [member('alive'), member('suspect'), member('dead')],
  }),
)

export const gossipRows: readonly Uint8Array[] = (
  [
    { state: 'running', message: 'started', exitCode: 0 },
    {
      count: 1,
      cpu: 0.5,
      memoryFreeBytes: 1e9,
      unreservedCpuNanos: 1e9,
      unreservedMemoryBytes: 1e9,
      tasks: 3,
      lagMs: 0.2,
    },
    { serviceName: 'web', host: '10.0.0.1', ports: [80, 8080], state: 'draining' },
  ] satisfies readonly (TaskRow | LoadRow | EndpointRow)[]
).map((row) => encode(row))

const gossipRow = { table: 'load', key: 'cpu', version: 4, value: new Uint8Array(9) }
const gossipDelta = { owner: 'aaaaaaaaaaaa', epoch: 1, from: 2, to: 5, gc: 1, max: 6, reset: false, rows: [gossipRow] }
export const gossipMessages: readonly Uint8Array[] = (
  [
    {
      type: 'deltas',
      scope: 'managers',
      deltas: [gossipDelta, gossipDelta],
      push: false,
      more: { of: 'buckets', buckets: [1, 255] },
    },
    {
      type: 'digest',
      scope: 'managers',
      range: { of: 'all' },
      answer: 'wants-answer',
      owners: [{ owner: 'aaaaaaaaaaaa', epoch: 1, gc: 0, max: 6 }],
    },
    { type: 'buckets', scope: 'managers', hashes: new Uint8Array(2_048).fill(3) },
  ] satisfies readonly GossipMessage[]
).map(encodeGossip)

const storeHistories = fc.sample(commands, { numRuns: 12, seed: 7 })

export const storeCommands: readonly Uint8Array[] = storeHistories.flat().map(encodeCommand)

/** The tables after some history. */
export function tablesAfter(history: number): Tables {
  const tables = new Tables()
  storeHistories[history]?.forEach((command, at) => void applyCommand(tables, command, at + 1))
  return tables
}

export const storeSnapshots: readonly Uint8Array[] = [-1, 0, 1, 2].map((history) =>
  Buffer.concat([...snapshotChunks(tablesAfter(history))]),
)

export const joinStrings: readonly string[] = (['manager', 'worker'] as const).map((role) =>
  formatJoinString({
    token: { role, root: '5a'.repeat(32), secret: makeSecret(seededRandom(1)) },
    addresses: ['10.0.0.1:2377', '[fe80::1]:2377', 'host.example:1'],
  }),
)

const nodeOf = (side: 'dialler' | 'acceptor'): string => (side === 'dialler' ? 'aaaaaaaaaaaa' : 'bbbbbbbbbbbb')

export const handshakeSelf = (side: 'dialler' | 'acceptor'): Self => ({
  node: nodeOf(side),
  versions: { min: 1, max: 1 },
  instance: side,
  purpose: 'all',
  chain: [new Uint8Array(300).fill(side === 'dialler' ? 1 : 2)],
  remote: 'there:1',
  identify: () => ({
    node: nodeOf(side === 'dialler' ? 'acceptor' : 'dialler'),
    role: 'manager',
    cluster: 'cccccccccccc',
    key: 'key of the other',
  }),
  admit: () => undefined,
})

/** Everything that was said in a good handshake, by who heard it. */
export const handshake: Readonly<Record<'dialler' | 'acceptor', readonly Uint8Array[]>> = recordHandshake()

function recordHandshake(): Record<'dialler' | 'acceptor', readonly Uint8Array[]> {
  const ends = {
    dialler: new Handshake('dialler', handshakeSelf('dialler')),
    acceptor: new Handshake('acceptor', handshakeSelf('acceptor')),
  }
  const heard: Record<'dialler' | 'acceptor', Uint8Array[]> = { dialler: [], acceptor: [] }
  const waiting = [
    ...ends.dialler.start().send.map((message) => ({ to: 'acceptor' as const, message })),
    ...ends.acceptor.start().send.map((message) => ({ to: 'dialler' as const, message })),
  ] as { to: 'dialler' | 'acceptor'; message: Uint8Array }[]
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    const { to, message } = next
    heard[to].push(message)
    const from = to === 'dialler' ? 'acceptor' : 'dialler'
    for (const answer of ends[to].receive(message).send) waiting.push({ to: from, message: answer })
  }
  return heard
}

export const walOwner = { clusterId: 'c1u2s3t4e5r6', nodeId: 4 }

/** Files of a raft directory: several segments, a snapshot. */
export async function raftFiles(): Promise<ReadonlyMap<string, Uint8Array>> {
  const files = new MemoryFiles()
  const { disk } = await RaftDisk.open({ dir: '/data', ...walOwner, files, segmentBytes: 700, growBytes: 1024 })
  for (let index = 1; index <= 12; index++) {
    await disk.append([{ entries: [entry(index, 1)], hardState: { term: 1, vote: 1, commit: index - 1 } }])
  }
  await disk.saveSnapshot({ index: 5, term: 1, confState: conf }, [Buffer.from('state'), Buffer.alloc(300, 7)])
  await disk.append([{ snapshot: { kind: 'taken', index: 5, term: 1, confState: conf } }])
  await disk.append([{ entries: [entry(12, 3), confEntryAt(13)], hardState: { term: 3, vote: 2, commit: 11 } }])
  await disk.close()
  const found = new Map<string, Uint8Array>()
  for (const folder of ['/data/log', '/data/snapshots']) {
    for (const name of await files.list(folder)) {
      const file = await files.open(`${folder}/${name}`)
      found.set(`${folder}/${name}`, await file.read(0, await file.size()))
    }
  }
  return found
}

function confEntryAt(index: number): Entry {
  return { ...confEntry, index, term: 3 }
}
