// Whatever a peer, a disk or a user hands in: it decodes, or is refused by a SkeinError. Nothing else is thrown, nothing hangs,
// no claimed length is believed. Seeded: SKEIN_FUZZ_SEED repeats or varies a run.
import t, { type Test } from 'tap'
import { readEndpointRow } from '../../lib/api/endpoint-rows.js'
import { readLoadRow, readTaskRow } from '../../lib/api/worker-rows.js'
import { SkeinError } from '../../lib/base/errors.js'
import { below, pick, type Random, seededRandom } from '../../lib/base/random.js'
import { decodeGossip, rowMaxBytes } from '../../lib/overlay/gossip/messages.js'
import { decodePacket, encodePacket } from '../../lib/overlay/swim/index.js'
import { Handshake } from '../../lib/overlay/transport/handshake.js'
import { decodeRpc } from '../../lib/overlay/transport/rpc-messages.js'
import { decodeConfChange, MemoryStorage, type Message, RawNode } from '../../lib/raft/core/index.js'
import { Inbox } from '../../lib/raft/runner/inbox.js'
import { decodeFrame, encodeFrame } from '../../lib/raft/runner/index.js'
import { decodeRecordBody, decodeSnapshotMeta, encodeBatches, encodeSeal, encodeSnapshotMeta } from '../../lib/raft/wal/batch.js'
import { MemoryFiles, RaftDisk, Snapshots } from '../../lib/raft/wal/index.js'
import { scanRecords } from '../../lib/raft/wal/record.js'
import { decodeSegmentHeader, segmentHeaderBytes } from '../../lib/raft/wal/segment.js'
import { parseJoinString, parseToken } from '../../lib/security/index.js'
import { applyCommand, decodeCommand, tablesFromChunks } from '../../lib/store/index.js'
import { Assembler, decode, type Reader, read, readFrame } from '../../lib/wire/index.js'
import * as corpus from './corpus.js'
import { mutateBytes, mutateValue } from './mutate.js'

const seed = Number(process.env.SKEIN_FUZZ_SEED ?? 20_250_101)
/** What all tests of this file have tried together. */
let inputs = 0

interface Tally {
  decoded: number
  refused: number
}

/** Tries `times` mutated inputs; anything thrown but a SkeinError of one of `codes` fails the test and shows the input. */
async function fuzz(
  t: Test,
  {
    times,
    codes,
    spoil,
    use,
  }: {
    readonly times: number
    readonly codes: readonly string[]
    readonly spoil: (random: Random) => Uint8Array
    readonly use: (input: Uint8Array, random: Random) => unknown
  },
): Promise<void> {
  const tally: Tally = { decoded: 0, refused: 0 }
  const random = seededRandom(seed)
  for (let at = 0; at < times; at++) {
    const input = spoil(random)
    inputs++
    try {
      const used = use(input, random)
      if (used instanceof Promise) await used
      tally.decoded++
    } catch (error) {
      if (error instanceof SkeinError && codes.includes(error.code)) {
        tally.refused++
        continue
      }
      t.fail(`seed ${seed}, input ${at} (${Buffer.from(input).toString('hex').slice(0, 400)}): ${String(error)}`, { error })
      return
    }
  }
  // Mutations that only ever fail at the first byte would test nothing.
  t.ok(tally.decoded > times / 100, `${tally.decoded} of ${times} decoded`)
  t.ok(tally.refused > times / 20, `${tally.refused} of ${times} refused`)
}

function bytesOf(list: readonly Uint8Array[]): (random: Random) => Uint8Array {
  return (random) => mutateBytes(pick(random, list) as Uint8Array, random, list)
}

/** Half of them spoilt as bytes, half as values behind `headBytes` bytes that stay. */
function packedOf(list: readonly Uint8Array[], headBytes = 0): (random: Random) => Uint8Array {
  return (random) => {
    const bytes = pick(random, list) as Uint8Array
    if (below(random, 2) === 0) return mutateBytes(bytes, random, list)
    return Buffer.concat([bytes.subarray(0, headBytes), mutateValue(bytes.subarray(headBytes), random)])
  }
}

const badMessage = 'ERR_SKEIN_BAD_MESSAGE'
const frameCodes = [badMessage, 'ERR_SKEIN_WIRE_VERSION', 'ERR_SKEIN_OTHER_CLUSTER']

t.test('raft frames', (t) =>
  fuzz(t, {
    times: 45_000,
    codes: frameCodes,
    spoil: packedOf(corpus.raftFrames, corpus.head.length),
    use: (input) => {
      // What is read can be said again: no field holds what the encoder would not know.
      decodeFrame(corpus.head, encodeFrame(corpus.head, decodeFrame(corpus.head, input)))
    },
  }),
)

t.test('configuration changes', (t) =>
  fuzz(t, {
    times: 8_000,
    codes: [badMessage],
    spoil: bytesOf(corpus.confChanges.map(({ data }) => data)),
    use: (data, random) =>
      decodeConfChange({ ...(pick(random, corpus.confChanges) as (typeof corpus.confChanges)[number]), data }),
  }),
)

t.test('a raft peer steps, drops or refuses whatever well-formed messages say', async (t) => {
  const nodes = [makeNode(), makeNode({ leads: true })]
  const taken = { stepped: 0, dropped: 0 }
  await fuzz(t, {
    times: 20_000,
    // That the log has lost what was acknowledged is no message's fault: the peer stops, by this error.
    codes: [...frameCodes, 'ERR_SKEIN_CORRUPT'],
    spoil: (random) => {
      const message = { ...(pick(random, corpus.raftMessages) as Message) } as Record<string, unknown>
      const edits = [1, 2, 5, 6, 40, 2 ** 31, 2 ** 33, 2 ** 48, 2 ** 53 - 1, 0]
      for (let times = below(random, 3); times >= 0; times--) {
        const field = pick(random, [
          'term',
          'logTerm',
          'index',
          'commit',
          'vote',
          'rejectHint',
          'from',
          'type',
          'reject',
        ]) as string
        if (field === 'type') message[field] = pick(random, corpus.messageTypes)
        else if (field === 'reject') message[field] = below(random, 2) === 0
        else if (field === 'from') message[field] = 1 + below(random, 5)
        else message[field] = pick(random, edits)
      }
      return encodeFrame(corpus.head, [message as unknown as Message])
    },
    use: (input, random) => {
      const at = below(random, nodes.length)
      const { node, inbox } = nodes[at] as (typeof nodes)[number]
      const messages = decodeFrame(corpus.head, input)
      const before = inbox.messagesDropped
      for (const message of messages) inbox.take(message.from, [{ ...message, to: 1 }])
      if (inbox.messagesDropped > before) taken.dropped++
      else taken.stepped++
      settle(node)
      node.tick()
      // A new one before this one is lost to terms far ahead, so that others are met in ordinary states.
      if (below(random, 5) === 0) nodes[at] = makeNode({ leads: at === 1 })
    },
  })
  t.ok(taken.stepped > 1_000 && taken.dropped > 1_000, `${taken.stepped} stepped, ${taken.dropped} dropped`)
})

/** Peer 1 of three in term 2, with three entries. */
function makeNode({ leads = false } = {}): { readonly node: RawNode; readonly inbox: Inbox } {
  const confState = { voters: [1, 2, 3], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false }
  const storage = new MemoryStorage({
    hardState: { term: 2, vote: 0, commit: 3 },
    snapshot: { index: 1, term: 1, confState, data: new Uint8Array(0) },
    entries: [2, 3, 4].map((index) => corpus.entry(index, index === 2 ? 1 : 2)),
  })
  const node = new RawNode({
    id: 1,
    electionTick: 10,
    heartbeatTick: 1,
    storage,
    checkQuorum: true,
    preVote: true,
    random: () => 0.5,
  })
  const inbox = new Inbox({ id: 1, clusterId: 'c1u2s3t4e5r6', dir: '/data' }, node)
  if (leads) {
    node.campaign()
    settle(node, storage)
    const { term } = node.basicStatus()
    node.step({ ...(corpus.raftMessages.at(-1) as Message), term: term + 1 })
    settle(node, storage)
    node.step({ ...(corpus.raftMessages.at(-1) as Message), type: 'MsgVoteResp', term: term + 1 })
    settle(node, storage)
  }
  storages.set(node, storage)
  return { node, inbox }
}

const storages = new WeakMap<RawNode, MemoryStorage>()

/** Does what a Ready asks for, as far as it concerns storage. */
function settle(node: RawNode, storage = storages.get(node)): void {
  for (let rounds = 0; node.hasReady() && rounds < 20; rounds++) {
    const ready = node.ready()
    if (ready.snapshot !== undefined) storage?.applySnapshot(ready.snapshot)
    if (ready.entries.length > 0) storage?.append(ready.entries)
    node.advance()
  }
}

t.test('frames of links, put together to messages', (t) =>
  fuzz(t, {
    times: 15_000,
    codes: [badMessage],
    spoil: bytesOf(corpus.wireFrames.map((frame) => frame.subarray(0, 200))),
    use: (input, random) => {
      const assembler = new Assembler()
      const frame = readFrame(input)
      for (let times = below(random, 4); times >= 0; times--) assembler.add(frame)
    },
  }),
)

t.test('calls', (t) =>
  fuzz(t, { times: 20_000, codes: [badMessage], spoil: packedOf(corpus.rpcMessages), use: (input) => decodeRpc(input) }),
)

t.test('packets of membership; what is read can be said again', (t) =>
  fuzz(t, {
    times: 20_000,
    codes: [badMessage],
    spoil: bytesOf(corpus.memberPackets),
    use: (input) => {
      const packet = decodePacket(input)
      decodePacket(encodePacket(packet))
    },
  }),
)

t.test('messages of gossip', (t) =>
  fuzz(t, { times: 20_000, codes: [badMessage], spoil: packedOf(corpus.gossipMessages), use: (input) => decodeGossip(input) }),
)

t.test('rows of gossip: tasks, load and endpoints', (t) => {
  const readers: readonly Reader<unknown>[] = [readTaskRow, readLoadRow, readEndpointRow]
  return fuzz(t, {
    times: 6_000,
    codes: [badMessage],
    spoil: packedOf(corpus.gossipRows),
    use: (input, random) => read(pick(random, readers) as Reader<unknown>, decode(input, rowMaxBytes), 'row'),
  })
})

t.test('handshakes: a bad message ends them, and is never an exception', async (t) => {
  const outcomes = { failed: 0, open: 0 }
  for (const side of ['dialler', 'acceptor'] as const) {
    const random = seededRandom(seed)
    const heard = corpus.handshake[side]
    for (let times = 0; times < 3_000; times++) {
      inputs++
      const machine = new Handshake(side, corpus.handshakeSelf(side))
      machine.start()
      const bad = below(random, heard.length)
      for (const [at, message] of heard.entries()) {
        const isPacked = at > 0 && below(random, 2) === 0
        const spoilt = at !== bad ? message : isPacked ? mutateValue(message, random) : mutateBytes(message, random, heard)
        const { outcome } = machine.receive(spoilt)
        if (outcome === undefined) continue
        if (outcome.type === 'failed') outcomes.failed++
        break
      }
      outcomes.open++
    }
  }
  t.ok(outcomes.failed > 3_000, JSON.stringify(outcomes))
})

t.test('commands of the store; those that decode are applied or refused, never an exception', (t) => {
  const tables = corpus.tablesAfter(3)
  let index = tables.version
  return fuzz(t, {
    times: 14_000,
    codes: [badMessage, 'ERR_SKEIN_INVALID_SPEC'],
    spoil: packedOf(corpus.storeCommands),
    use: (input) => void applyCommand(tables, decodeCommand(input), ++index),
  })
})

t.test('snapshots of the store, whole and cut anywhere', (t) =>
  fuzz(t, {
    times: 4_000,
    codes: [badMessage],
    spoil: (random) => {
      const whole = Buffer.from(pick(random, corpus.storeSnapshots) as Uint8Array)
      // Damage in the strings and blobs at the end of a row often does no harm; that is what passes.
      if (below(random, 10) > 0) return mutateBytes(whole, random, corpus.storeSnapshots)
      return whole
    },
    use: (input, random) => tablesFromChunks(cut(input, below(random, input.length + 1))),
  }),
)

async function* cut(bytes: Uint8Array, at: number): AsyncGenerator<Uint8Array> {
  yield bytes.subarray(0, at)
  yield bytes.subarray(at)
}

t.test('join strings and tokens', (t) => {
  const texts = corpus.joinStrings.map((text) => Buffer.from(text))
  return fuzz(t, {
    times: 8_000,
    codes: ['ERR_SKEIN_BAD_JOIN_STRING'],
    spoil: bytesOf(texts),
    use: (input, random) => {
      const text = Buffer.from(input).toString()
      return below(random, 4) === 0 ? parseToken(text.slice(8)) : parseJoinString(text)
    },
  })
})

t.test('records of the log and heads of snapshots, behind a checksum that fits', (t) => {
  const conf = { voters: [1, 2], votersOutgoing: [], learners: [3], learnersNext: [], autoLeave: false }
  const bodies = [
    encodeSeal(),
    encodeBatches([]),
    encodeBatches([
      { entries: [corpus.entry(1), corpus.entry(2)], hardState: { term: 2, vote: 1, commit: 1 } },
      { hardState: { term: 3, vote: 0, commit: 2 } },
    ]),
    encodeBatches([{ snapshot: { kind: 'installed', index: 9, term: 2, confState: conf } }]),
  ]
  const metas = [encodeSnapshotMeta({ index: 9, term: 2, confState: conf })]
  return fuzz(t, {
    times: 8_000,
    codes: [badMessage],
    spoil: packedOf([...bodies, ...metas]),
    use: (input, random) => (below(random, 3) === 0 ? decodeSnapshotMeta(input) : decodeRecordBody(input)),
  })
})

t.test('segments of the log: read as far as they are good', async (t) => {
  const segments = [...(await corpus.raftFiles())].filter(([path]) => path.endsWith('.wal')).map(([, bytes]) => bytes)
  await fuzz(t, {
    times: 8_000,
    codes: ['ERR_SKEIN_CORRUPT'],
    spoil: bytesOf(segments),
    use: (input) => {
      const bytes = Buffer.from(input)
      const header = decodeSegmentHeader(bytes)
      const { records, tail } = scanRecords(
        bytes,
        Math.min(segmentHeaderBytes, bytes.length),
        header.state === 'good' ? header.crc : 0,
      )
      for (const { payload } of records) decodeRecordBody(payload)
      if (tail.offset > bytes.length + 7) throw new Error('it reads past the end')
      if (tail.state === 'corrupt') throw new SkeinError('ERR_SKEIN_CORRUPT', tail.why, { file: 'segment' })
    },
  })
})

t.test('raft directories: opened with a prefix of what they held, or refused with file and remedy', async (t) => {
  const files = await corpus.raftFiles()
  const names = [...files.keys()]
  const log = names.filter((name) => name.endsWith('.wal'))
  const whole = [...files.values()]
  await fuzz(t, {
    times: 4_000,
    codes: ['ERR_SKEIN_CORRUPT', 'ERR_SKEIN_OTHER_CLUSTER', 'ERR_SKEIN_DIR_UNUSABLE'],
    spoil: (random) => {
      spoiltName = pick(random, below(random, 4) === 0 ? names : log) as string
      return mutateBytes(files.get(spoiltName) as Uint8Array, random, whole)
    },
    use: async (input) => {
      const disk = new MemoryFiles()
      for (const [name, bytes] of files) await (await disk.create(name)).write(name === spoiltName ? input : bytes, 0)
      try {
        const opened = await RaftDisk.open({ dir: '/data', ...corpus.walOwner, files: disk })
        for (const { index, data } of opened.contents.entries) {
          if (index < 12 && !Buffer.from(data).equals(corpus.entry(index).data)) throw new Error(`entry ${index} has changed`)
        }
        if (opened.contents.snapshot !== undefined) for await (const _ of opened.disk.readSnapshot(opened.contents.snapshot));
        await opened.disk.close()
      } catch (error) {
        if (error instanceof SkeinError && error.code === 'ERR_SKEIN_CORRUPT' && !/under a new raft id/.test(error.message))
          throw new Error(`no remedy: ${error.message}`)
        throw error
      }
    },
  })
})

let spoiltName = ''

t.test('a claim of four billion bytes or items takes no memory', async (t) => {
  const claim = [0xff, 0xff, 0xff, 0xff]
  const claims = [0xc6, 0xdb, 0xdd, 0xdf, 0xc9].map((token) => Buffer.from([token, ...claim]))
  const record = Buffer.alloc(64)
  record.writeUInt32LE(0x0fff_ffff, 0)
  record.writeUInt32LE(~0x0fff_ffff >>> 0, 4)
  const files = new MemoryFiles()
  const snapshot = Buffer.concat([Buffer.from('skeinsn1'), record])
  await (await files.create(`/s/${'5'.padStart(16, '0')}-1.snapshot`)).write(snapshot, 0)
  const snapshots = await Snapshots.open({ dir: '/s', files })
  const before = process.memoryUsage()
  for (let times = 0; times < 20; times++) {
    for (const bytes of claims) {
      for (const decoder of [
        () => decodeFrame(corpus.head, Buffer.concat([corpus.head, bytes])),
        () => decodeRpc(bytes),
        () => decodeCommand(bytes),
        () => decodeRecordBody(bytes),
      ]) {
        t.throws(decoder, { code: badMessage })
      }
      await t.rejects(tablesFromChunks(cut(Buffer.concat([Buffer.from(claim), bytes]), 3)), { code: badMessage })
    }
    t.throws(() => readFrame(Buffer.from([1, 1, 0, 0, ...claim, 1])), { code: badMessage })
    t.equal(scanRecords(record, 0, 0).records.length, 0)
    await t.rejects(snapshots.meta({ index: 5, term: 1 }), { code: 'ERR_SKEIN_CORRUPT' })
  }
  const after = process.memoryUsage()
  t.ok(after.arrayBuffers - before.arrayBuffers < 64 * 2 ** 20, 'no buffer of a claimed size was made')
})

t.test('the inputs tried are the hundred thousand that were promised', async (t) => {
  t.ok(inputs >= 100_000, `${inputs} inputs`)
})
