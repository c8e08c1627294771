import t, { type Test } from 'tap'
import { deferred } from '../../../lib/base/deferred.js'
import {
  APPEND_THREAD,
  type Entry,
  MemoryStorage,
  type Message,
  type MessageFields,
  makeMessage,
} from '../../../lib/raft/core/index.js'
import { Appender } from '../../../lib/raft/runner/appender.js'
import { RaftDisk } from '../../../lib/raft/wal/index.js'
import { ManualClock } from '../../../lib/testing/index.js'
import { FaultyDisk, systemError } from '../wal/faulty-disk.js'
import { voters } from './cluster.js'

const open = (files: FaultyDisk) => RaftDisk.open({ dir: '/data', clusterId: 'c1u2s3t4e5r6', nodeId: 1, files })

function entry(index: number, term = 1): Entry {
  return { type: 'EntryNormal', term, index, data: Buffer.from(`entry ${index}`) }
}

/** A write of the core; its response carries the name. (Acknowledgements would outdate one another.) */
function write(name: number, term: number, fields: MessageFields = {}): Message {
  const response = makeMessage('MsgVoteResp', 1, 2, 1, { index: name })
  return makeMessage('MsgStorageAppend', 1, APPEND_THREAD, term, { ...fields, responses: [response] })
}

async function setUp(t: Test) {
  const files = new FaultyDisk()
  const { disk } = await open(files)
  const storage = new MemoryStorage()
  const log: string[] = []
  const turn = { next: deferred() }
  const appender = new Appender(disk, storage, { term: 0, vote: 0, commit: 0 }, new ManualClock(), {
    respond: (responses) => log.push(...responses.map(({ index }) => `${index}`)),
    restore: async ({ index }) => void log.push(`restore ${index}`),
    marked: ({ index }, outcome) => void log.push(`mark ${index} ${outcome}`),
    turn: () => turn.next.resolve(),
    wake: () => turn.next.resolve(),
    failed: (error) => {
      log.push(`failed ${(error as { code?: string }).code}`)
      turn.next.resolve()
    },
  })
  t.teardown(() => appender.stop().catch(() => undefined)) // a failed disk was the point of the test
  const done = async () => {
    await turn.next.promise
    turn.next = deferred()
  }
  return { files, disk, storage, appender, log, done }
}

t.test('all that queues while a write is under way shares the next one, in order', async (t) => {
  const { disk, storage, appender, log, done } = await setUp(t)
  appender.push(write(1, 1, { vote: 1, entries: [entry(1)] }))
  appender.kick()
  t.strictSame([log, storage.lastIndex()], [[], 0], 'nothing is promised or seen before the sync')
  for (const name of [2, 3, 4]) appender.push(write(name, 0, { entries: [entry(name)] }))
  await done()
  while (log.length < 4) await done()
  t.strictSame(log, ['1', '2', '3', '4'])
  t.equal(storage.lastIndex(), 4)
  t.equal(disk.metrics.appends, 2)
})

t.test('a commit index alone costs no write: it rides with the next one, or with the end', async (t) => {
  const { files, disk, storage, appender, log, done } = await setUp(t)
  appender.push(write(1, 1, { vote: 1, entries: [entry(1), entry(2)] }))
  appender.kick()
  await done()
  appender.push(write(2, 1, { vote: 1, commit: 1 }))
  appender.kick()
  t.strictSame(log, ['1', '2'], 'answered at once')
  t.equal(disk.metrics.appends, 1)
  t.equal(storage.initialState().hardState?.commit, 1)
  await done()
  appender.push(write(3, 0, { entries: [entry(3)] }))
  appender.kick()
  await done()
  t.equal((await open(files)).contents.hardState?.commit, 1)
  appender.push(write(4, 1, { vote: 1, commit: 3 }))
  appender.kick()
  await done()
  await appender.stop()
  t.equal((await open(files)).contents.hardState?.commit, 3)
})

t.test('a vote is written before it is given', async (t) => {
  const { files, appender, log, done } = await setUp(t)
  appender.push(write(1, 5, { vote: 3 }))
  appender.kick()
  t.strictSame(log, [])
  await done()
  t.strictSame(log, ['1'])
  t.strictSame((await open(files)).contents.hardState, { term: 5, vote: 3, commit: 0 })
})

t.test('an installed snapshot comes before its entries, and what queued behind it waits for the state machine', async (t) => {
  const { files, disk, storage, appender, log, done } = await setUp(t)
  const meta = { index: 9, term: 2, confState: voters(1, 2) }
  await disk.saveSnapshot(meta, [Buffer.from('state')])
  const snapshot = { ...meta, data: new Uint8Array(0) }
  appender.push(write(1, 2, { entries: [entry(1)] }))
  appender.push(write(2, 2, { commit: 9, snapshot, entries: [entry(10, 2)] }))
  appender.push(write(3, 2, { commit: 9, entries: [entry(11, 2)] }))
  appender.mark({ ...meta, index: 8 })
  while (!log.includes('3')) await done()
  t.strictSame(log, ['1', 'restore 9', '2', '3', 'mark 8 stale'])
  t.strictSame([storage.firstIndex(), storage.lastIndex()], [10, 11])
  const { contents } = await open(files)
  t.match(contents, { snapshot: { index: 9 }, hardState: { term: 2, commit: 9 } })
  t.strictSame(
    contents.entries.map(({ index }) => index),
    [10, 11],
  )
})

t.test('after a failed sync nothing more is answered', async (t) => {
  const { files, appender, log, done } = await setUp(t)
  files.fault = ({ verb }) => (verb === 'sync' ? systemError('EIO', 'fdatasync') : undefined)
  appender.push(write(1, 1, { entries: [entry(1)] }))
  appender.kick()
  await done()
  files.fault = () => undefined
  appender.push(write(2, 1, { entries: [entry(2)] }))
  appender.kick()
  await appender.stop()
  t.strictSame(log, ['failed ERR_SKEIN_STORAGE'])
})
