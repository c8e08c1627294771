import { join } from 'node:path'
import t from 'tap'
import { SkeinError } from '../../lib/base/errors.js'
import { seededRandom } from '../../lib/base/random.js'
import { LevelStorage, MemoryStorage, makeKey, type Storage } from '../../lib/storage/index.js'
import { encodeCommand } from '../../lib/store/command-codec.js'
import { snapshotChunks } from '../../lib/store/snapshot.js'
import { Store } from '../../lib/store/store.js'
import type { Tables } from '../../lib/store/tables.js'
import { transact } from '../../lib/store/transaction.js'
import { ManualClock } from '../../lib/testing/manual-clock.js'
import { encode } from '../../lib/wire/codec.js'
import { command } from './commands.js'
import { found, node, openHarness, put, service } from './harness.js'

const quiet = { clock: new ManualClock(), random: seededRandom(9) }

function bytesOf(store: Store): Buffer {
  return Buffer.concat([...snapshotChunks(store.view() as Tables)])
}

t.test('a submit answers with the version, and a refusal is thrown by its code', async (t) => {
  const { store, submit } = await openHarness()
  t.equal(await submit(found), 1)
  t.equal(await submit(...service('service00001', 'web', 2)), 2)
  await t.rejects(submit(...service('service00002', 'web', 1)), {
    name: 'SkeinError',
    code: 'ERR_SKEIN_ALREADY_EXISTS',
    detail: { kind: 'service', name: 'web' },
  })
  t.equal(store.view().taskCount(), 2)
  t.equal(await submit(), 3, 'nothing to do is done')
  t.equal(store.view().cluster?.createdAtMs, 1_000_000, 'stamped with the wall clock of the proposer')
  const follower = await Store.open(quiet)
  await t.rejects(follower.submit([put('k')], { by: 'client' }), { code: 'ERR_SKEIN_NOT_LEADER' })
})

t.test('the same request id is applied once', async (t) => {
  const { store, log } = await openHarness()
  const options = { by: 'client', requestId: 'mine' }
  const first = await store.submit([put('k', 'a')], options)
  t.same(await store.submit([put('k', 'b')], options), first)
  t.equal(log.length, 2)
  t.equal(Buffer.from(store.view().key('k')?.value ?? []).toString(), 'a')
})

t.test('bytes that are no command are refused alike and still count as applied', async (t) => {
  const store = await Store.open(quiet)
  t.match(store.apply(encode({ hello: 1 }), { index: 4 }), { ok: false, code: 'ERR_SKEIN_BAD_MESSAGE' })
  t.equal(store.appliedIndex, 4)
  store.applied(6)
  t.equal(store.appliedIndex, 6, 'entries of raft itself count too')
  t.throws(() => store.apply(encodeCommand(command('r', [put('k')])), { index: 6 }), { name: 'SkeinBug' })
})

t.test('what was applied is there again after closing and opening, at the same index', async (t) => {
  const storage = new MemoryStorage()
  const { store, submit } = await openHarness({ storage })
  await submit(found, ...node('node00000001'), ...service('service00001', 'web', 3), put('k'))
  await submit({ op: 'tasks.assign', tasks: [1, 2], nodes: ['node00000001', 'node00000001'] })
  await submit({ op: 'tasks.remove', tasks: [3] }, { op: 'kv.delete', key: 'k' })
  store.applied(9)
  await store.close()
  t.equal(await store.ended, undefined)

  const again = await Store.open({ ...quiet, storage })
  t.equal(again.appliedIndex, 9)
  t.same(bytesOf(again), bytesOf(store))
})

t.test('tables on a real disk are there again, from the middle of a write too', async (t) => {
  const dir = join(t.testdir(), 'state')
  const storage = await LevelStorage.open(dir)
  const { store, clock, submit } = await openHarness({ storage })
  await submit(found, ...node('node00000001'), ...service('service00001', 'web', 50))
  await store.restore(store.snapshot(), { index: 7 })
  await submit(put('k'))
  clock.advance(50)
  await store.close()
  await storage.close()
  const reopened = await LevelStorage.open(dir)
  t.teardown(() => reopened.close())
  const again = await Store.open({ ...quiet, storage: reopened })
  t.equal(again.appliedIndex, 8)
  t.same(bytesOf(again), bytesOf(store))
})

t.test('rows and applied index reach the disk in one batch, and every batch alone is a whole state', async (t) => {
  const storage = new RecordingStorage()
  const { store, clock, submit } = await openHarness({ storage })
  await submit(put('a'))
  await submit(put('b'))
  t.same(storage.batches, [], 'nothing is written before the delay')
  clock.advance(50)
  await storage.settled()
  t.equal(storage.batches.length, 1, 'changes of some milliseconds go together')
  await submit(put('a', 'again'), put('c'))
  clock.advance(50)
  await storage.settled()
  t.equal(storage.batches.length, 2)

  for (const [count, applied] of [
    [1, 2],
    [2, 3],
  ] as const) {
    const replayed = new MemoryStorage()
    for (const batch of storage.batches.slice(0, count)) await replayed.batch(batch, { sync: false })
    t.equal((await Store.open({ ...quiet, storage: replayed })).appliedIndex, applied)
  }
  await store.close()
})

t.test('a failed write ends the store for its owner to see, and closing still works', async (t) => {
  const storage = new RecordingStorage()
  const { store, clock, submit } = await openHarness({ storage })
  const broken = new SkeinError('ERR_SKEIN_STORAGE', 'disk full', { file: 'x' })
  storage.failure = broken
  await submit(put('a'))
  clock.advance(50)
  t.equal(await store.ended, broken)
  await submit(put('b'))
  await store.close()
  t.equal(clock.pending, 0)
})

t.test('a restore replaces tables, disk and watchers; a damaged snapshot changes nothing', async (t) => {
  const source = await openHarness()
  await source.submit(found, ...service('service00001', 'web', 2))
  const storage = new MemoryStorage()
  const { store, submit } = await openHarness({ storage })
  await submit(put('old'))
  const heard: unknown[] = []
  store.onChange((changes, version) => heard.push([changes.length, version]))
  const watch = store.watch()[Symbol.asyncIterator]()
  t.match((await watch.next()).value, { type: 'mark', version: 1 })

  const before = bytesOf(store)
  const half = [...source.store.view().tasks()].length
  t.equal(half, 2)
  async function* cut() {
    for await (const chunk of source.store.snapshot()) yield chunk.subarray(0, chunk.length - 1)
  }
  await t.rejects(store.restore(cut(), { index: 20 }), { code: 'ERR_SKEIN_BAD_MESSAGE' })
  await t.rejects(store.restore(source.store.snapshot(), { index: 0 }), { code: 'ERR_SKEIN_BAD_MESSAGE' })
  t.same(bytesOf(store), before)

  await store.restore(source.store.snapshot(), { index: 20 })
  t.equal(store.appliedIndex, 20)
  t.equal(store.view().key('old'), undefined)
  t.equal(store.view().serviceByName('web')?.id, 'service00001')
  t.same(heard, [[0, 20]])
  t.match((await watch.next()).value, { type: 'resync', version: 20 })
  await submit(put('new'))
  await store.close()

  const again = await Store.open({ ...quiet, storage })
  t.equal(again.appliedIndex, 21)
  t.same(bytesOf(again), bytesOf(store))
})

t.test('a rewrite cut short at any batch opens as empty or as whole, never as a mixture', async (t) => {
  const source = await openHarness()
  await source.submit(found, ...service('service00001', 'web', 700))
  const storage = new RecordingStorage()
  const { store, submit } = await openHarness({ storage })
  await submit(put('old'))
  await store.restore(source.store.snapshot(), { index: 5 })
  await store.close()
  t.ok(storage.batches.length > 4, 'it took several batches')
  const seen = new Set<number>()
  for (let count = 0; count <= storage.batches.length; count++) {
    const replayed = new MemoryStorage()
    for (const batch of storage.batches.slice(0, count)) await replayed.batch(batch, { sync: false })
    const opened = await Store.open({ ...quiet, storage: replayed })
    seen.add(opened.appliedIndex)
    if (opened.appliedIndex === 0) t.same([...(opened.view() as Tables).rows()].length, 1, 'nothing but the counters')
    if (opened.appliedIndex === 5) t.same(bytesOf(opened), bytesOf(store))
  }
  t.same([...seen].sort(), [0, 1, 5])
})

t.test('tables that do not decode or hold together are named as damaged', async (t) => {
  const storage = new MemoryStorage()
  const { store, submit } = await openHarness({ storage })
  await submit(found, ...service('service00001', 'web', 1))
  await store.close()
  const specRow = makeKey('store', 'row', 4, 'service00001/1')
  t.ok(await storage.get(specRow))
  await storage.batch([{ type: 'delete', key: specRow }], { sync: false })
  await t.rejects(Store.open({ ...quiet, storage }), { code: 'ERR_SKEIN_CORRUPT', message: /its spec is gone.*raft log/ })
  await storage.batch([{ type: 'put', key: specRow, value: Uint8Array.of(0xc1) }], { sync: false })
  await t.rejects(Store.open({ ...quiet, storage }), { code: 'ERR_SKEIN_CORRUPT', message: /does not decode/ })
})

t.test('listeners hear every batch once, and no more after they stop', async (t) => {
  const { store } = await openHarness()
  const heard: [string[], number][] = []
  const stop = store.onChange((changes, version) =>
    heard.push([changes.map((change) => `${change.type} ${change.kind} ${change.version}`), version]),
  )
  for (const [at, key] of ['a', 'b'].entries()) store.apply(encodeCommand(command(key, [put(key)])), { index: at + 1 })
  t.same(heard, [], 'not before the batch is whole')
  store.applied(2)
  store.applied(3)
  t.same(heard, [[['set kv 1', 'set kv 2'], 2]])
  stop()
  store.apply(encodeCommand(command('c', [put('c')])), { index: 4 })
  store.applied(4)
  t.equal(heard.length, 1)
})

t.test(
  'a transaction is one command, tries again on a conflict when asked, and submits nothing when its work throws',
  async (t) => {
    const { store, submit, log } = await openHarness()
    await submit(put('n', '0'))
    let meddle = true
    const increment = (retriesMax: number) =>
      transact(
        {
          view: () => store.view(),
          submit: async (ops, options) => {
            // Someone else is faster, once.
            if (meddle) await submit(put('n', '10'))
            meddle = false
            return store.submit(ops, options)
          },
        },
        ({ view, add }) => {
          const { value, version } = view.key('n') as { value: Uint8Array; version: number }
          const next = String(Number(Buffer.from(value).toString()) + 1)
          add({ op: 'kv.put', key: 'n', value: Uint8Array.from(Buffer.from(next)), ifVersion: version }, put('seen', next))
          return next
        },
        { by: 'client', requestId: 'r', retriesMax },
      )
    await t.rejects(increment(0), { code: 'ERR_SKEIN_VERSION_CONFLICT' })
    meddle = true
    t.match(await increment(1), { value: '11' })
    t.equal(Buffer.from(store.view().key('seen')?.value ?? []).toString(), '11')
    const before = log.length
    const failing = transact(
      store,
      ({ add }) => {
        add(put('x'))
        throw new Error('changed my mind')
      },
      { by: 'client' },
    )
    await t.rejects(failing, { message: 'changed my mind' })
    t.equal(log.length, before)
  },
)

/** Remembers batches, and fails when told to. */
class RecordingStorage extends MemoryStorage implements Storage {
  readonly batches: Parameters<Storage['batch']>[0][] = []
  failure: unknown
  override async batch(...args: Parameters<Storage['batch']>): Promise<void> {
    if (this.failure !== undefined) throw this.failure
    await super.batch(...args)
    this.batches.push(args[0])
  }
  /** Every write begun so far is done. */
  async settled(): Promise<void> {
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
  }
}
