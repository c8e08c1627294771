import t from 'tap'
import type { StoreChange } from '../../lib/store/changes.js'
import { markEveryMs, queuedMax, retainedMax, Watchers } from '../../lib/store/watch.js'
import { ManualClock } from '../../lib/testing/manual-clock.js'
import { node, openHarness, put } from './harness.js'

type Iterator = AsyncIterator<StoreChange>

async function take(iterator: Iterator, count: number): Promise<string[]> {
  const taken: string[] = []
  while (taken.length < count) {
    const { value, done } = await iterator.next()
    if (done === true) return [...taken, 'end']
    taken.push(said(value))
  }
  return taken
}

function said(change: StoreChange): string {
  if (change.type === 'mark' || change.type === 'resync') return `${change.type} ${change.version}`
  const key = change.kind === 'kv' ? ` ${(change.type === 'set' ? change.object : change.was).key}` : ''
  return `${change.type} ${change.kind}${key} ${change.version}`
}

t.test('a watch begins with a mark, tells changes in order with what was before, and marks every 10 s of silence', async (t) => {
  const { store, clock, submit } = await openHarness()
  await submit(put('before'))
  const watch = store.watch()[Symbol.asyncIterator]()
  t.same(await take(watch, 1), ['mark 1'])
  await submit(put('a', '1'))
  await submit(put('a', '2'), { op: 'kv.delete', key: 'before' })
  t.match((await watch.next()).value, { type: 'set', kind: 'kv', version: 2, was: undefined })
  t.match((await watch.next()).value, { type: 'set', kind: 'kv', version: 3, was: { version: 2 }, object: { version: 3 } })
  t.same(await take(watch, 1), ['removed kv before 3'])
  const next = take(watch, 1)
  clock.advance(markEveryMs)
  t.same(await next, ['mark 3'])
  await store.close()
  t.same(await take(watch, 1), ['end'])
  t.equal(clock.pending, 0, 'nothing is left behind')
})

t.test('a watch without since misses nothing between the call and its first look', async (t) => {
  const { store, submit } = await openHarness()
  const watch = store.watch()[Symbol.asyncIterator]()
  await submit(put('a'))
  t.same(await take(watch, 2), ['set kv a 1', 'mark 1'])
})

t.test('a watch goes on after the version it names', async (t) => {
  const { store, submit } = await openHarness()
  for (const key of ['a', 'b', 'c']) await submit(put(key))
  t.same(await take(store.watch({ since: 1 })[Symbol.asyncIterator](), 3), ['set kv b 2', 'set kv c 3', 'mark 3'])
  t.same(await take(store.watch({ since: 3 })[Symbol.asyncIterator](), 1), ['mark 3'])
})

t.test('a watch of some kinds hears only those', async (t) => {
  const { store, submit } = await openHarness()
  const watch = store.watch({ kinds: ['node'], since: 0 })[Symbol.asyncIterator]()
  await submit(put('a'))
  await submit(...node('node00000001'))
  t.same(await take(watch, 2), ['set node 2', 'mark 2'])
})

t.test('a watch ends when its signal fires, even while it waits', async (t) => {
  const { store, clock } = await openHarness()
  const abort = new AbortController()
  const watch = store.watch({ signal: abort.signal })[Symbol.asyncIterator]()
  await take(watch, 1)
  const next = watch.next()
  abort.abort()
  t.same(await next, { value: undefined, done: true })
  t.equal(clock.pending, 0)
})

t.test('a reader that is too slow gets one resync instead of what it lost, then goes on', async (t) => {
  const { store, submit } = await openHarness()
  const watch = store.watch()[Symbol.asyncIterator]()
  t.same(await take(watch, 1), ['mark 0'])
  const many = Array.from({ length: queuedMax + 1 }, (_, index) => put(`k${index}`))
  for (let at = 0; at < many.length; at += 1000) await submit(...many.slice(at, at + 1000))
  await submit(put('more'))
  const { version } = store.view()
  t.same(await take(watch, 1), [`resync ${version}`])
  await submit(put('after'))
  t.same(await take(watch, 1), [`set kv after ${version + 1}`])
})

t.test('a version older than what is retained is answered with a resync, and one just within it is not', async (t) => {
  const clock = new ManualClock()
  const watchers = new Watchers(clock, 100)
  const change = (version: number) => ({
    type: 'set' as const,
    kind: 'kv' as const,
    version,
    object: { key: 'k', value: new Uint8Array(), version },
    was: undefined,
  })
  t.same(await take(watchers.watch({ since: 99 })[Symbol.asyncIterator](), 1), ['resync 100'], 'before this store was opened')
  for (let version = 101; version <= 101 + 2 * retainedMax; version++) watchers.publish([change(version)], version)
  const last = watchers.version
  t.same(await take(watchers.watch({ since: last - retainedMax })[Symbol.asyncIterator](), 1), [
    `set kv k ${last - retainedMax + 1}`,
  ])
  t.same(await take(watchers.watch({ since: last - retainedMax - 1 })[Symbol.asyncIterator](), 1), [`resync ${last}`])
})

t.test('a watch that its reader leaves takes nothing with it', async (t) => {
  const { store, clock, submit } = await openHarness()
  await submit(put('a'))
  for await (const change of store.watch({ since: 0 })) {
    t.equal(change.type, 'set')
    break
  }
  t.equal(clock.pending, 0)
})

t.test(
  'a watch whose reader went away between two changes, without a word, ends with its signal or with the store',
  async (t) => {
    const { store, clock } = await openHarness()
    const before = clock.pending
    const abort = new AbortController()
    await take(store.watch({ signal: abort.signal })[Symbol.asyncIterator](), 1)
    abort.abort()
    t.equal(clock.pending, before, 'its timer is gone with the signal')
    await take(store.watch()[Symbol.asyncIterator](), 1)
    await store.close()
    t.equal(clock.pending, 0, 'and with the store')
  },
)
