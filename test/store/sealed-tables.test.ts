import t from 'tap'
import { seededRandom } from '../../lib/base/random.js'
import { makeSealKey, TableSealing } from '../../lib/security/index.js'
import { keysUnder, MemoryStorage } from '../../lib/storage/index.js'
import { forgetTables } from '../../lib/store/forget-tables.js'
import { Store } from '../../lib/store/index.js'
import { snapshotChunks } from '../../lib/store/snapshot.js'
import type { Tables } from '../../lib/store/tables.js'
import { ManualClock } from '../../lib/testing/manual-clock.js'
import { found, openHarness, put, service } from './harness.js'

const key = { cluster: 'cluster00001', dataKey: makeSealKey() }
const marker = 'a name that tells too much'
const quiet = { clock: new ManualClock(), random: seededRandom(2) }

function bytesOf(store: Store): Buffer {
  return Buffer.concat([...snapshotChunks(store.view() as Tables)])
}

async function stored(storage: MemoryStorage): Promise<{ readonly key: Uint8Array; readonly value: Uint8Array }[]> {
  const entries = []
  for await (const entry of storage.range({})) entries.push(entry)
  return entries
}

t.test('sealed tables come back as they were, and neither keys nor values on disk show a name or a value', async (t) => {
  const storage = new MemoryStorage()
  const { store, submit } = await openHarness({ storage, sealing: new TableSealing(key) })
  await submit(found, ...service('service00001', marker.replaceAll(' ', '-'), 600))
  await submit(put(marker, marker), put('gone'))
  await submit({ op: 'kv.delete', key: 'gone' })
  await store.close()
  const entries = await stored(storage)
  t.ok(entries.length > 600)
  const bytes = Buffer.concat(entries.flatMap((entry) => [entry.key, entry.value]))
  for (const text of [marker, marker.replaceAll(' ', '-'), 'service00001', 'server.js']) t.notOk(bytes.includes(text), text)

  const again = await Store.open({ ...quiet, storage, sealing: new TableSealing(key) })
  t.same(bytesOf(again), bytesOf(store))
  t.equal(again.appliedIndex, store.appliedIndex)
  const loose = new MemoryStorage()
  const open = await openHarness({ storage: loose })
  await open.submit(put(marker, marker))
  await open.store.close()
  t.ok(Buffer.concat((await stored(loose)).map(({ value }) => value)).includes(marker), 'the same search finds it in open ones')
})

t.test('a snapshot replaces sealed tables on disk: nothing of the old ones is left', async (t) => {
  const source = await openHarness()
  await source.submit(found, ...service('service00001', 'web', 700))
  const storage = new MemoryStorage()
  const { store, submit } = await openHarness({ storage, sealing: new TableSealing(key) })
  await submit(put('old'))
  await store.restore(source.store.snapshot(), { index: 20 })
  await submit(put('new'))
  await store.close()
  const again = await Store.open({ ...quiet, storage, sealing: new TableSealing(key) })
  t.same(bytesOf(again), bytesOf(store))
  t.equal(again.view().key('old'), undefined)
})

t.test('a row that is damaged, that lies in another place, or of another key is found, with the remedy', async (t) => {
  const storage = new MemoryStorage()
  const { store, submit } = await openHarness({ storage, sealing: new TableSealing(key) })
  await submit(found, put('a', 'one'), put('b', 'two'))
  await store.close()
  const corrupt = { code: 'ERR_SKEIN_CORRUPT', message: /stored tables are damaged: .*built again from the raft log/ }
  const open = (dataKey = key.dataKey): Promise<Store> =>
    Store.open({ ...quiet, storage, sealing: new TableSealing({ ...key, dataKey }) })
  await t.rejects(open(makeSealKey()), corrupt)
  const [one, two] = (await stored(storage)).slice(-2) as [never, never] as { key: Uint8Array; value: Uint8Array }[]
  if (one === undefined || two === undefined) throw new Error('too few rows')
  for (const value of [two.value, Uint8Array.from(one.value, (byte, at) => (at === 30 ? byte ^ 1 : byte)), new Uint8Array()]) {
    await storage.batch([{ type: 'put', key: one.key, value }], { sync: false })
    await t.rejects(open(), corrupt)
  }
  await storage.batch([{ type: 'put', key: one.key, value: one.value }], { sync: false })
  t.same(bytesOf(await open()), bytesOf(store))
})

t.test('who is no manager any more forgets sealed tables without a key', async (t) => {
  const storage = new MemoryStorage()
  const { store, submit } = await openHarness({ storage, sealing: new TableSealing(key) })
  await submit(found, put('a'))
  await store.close()
  t.ok((await stored(storage)).length > 2)
  await forgetTables(storage)
  t.same(await stored(storage), [])
})

t.test('tables that lie open are cleared away by the first start that seals them: raft fills them again', async (t) => {
  const storage = new MemoryStorage()
  const before = await openHarness({ storage })
  await before.submit(found, put(marker, marker))
  await before.store.close()
  const { store, submit } = await openHarness({ storage, sealing: new TableSealing(key) })
  t.equal(store.appliedIndex, 0, 'so that raft applies everything again')
  for await (const _ of storage.range(keysUnder('store'))) t.fail('nothing is left of them')
  await submit(found)
  await store.close()
  t.equal((await Store.open({ ...quiet, storage, sealing: new TableSealing(key) })).appliedIndex, 1)
})
