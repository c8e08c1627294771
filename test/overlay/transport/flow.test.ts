import t from 'tap'
import { Inlet, Outlet, windowBytes } from '../../../lib/overlay/transport/flow.js'
import { failure } from './support.js'

t.test('credit goes back once half of the window was taken, all of it in the end', async (t) => {
  const granted: number[] = []
  const inlet = new Inlet((bytes) => granted.push(bytes))
  const quarter = windowBytes / 4
  for (let index = 0; index < 4; index++) t.ok(inlet.push(index, quarter))
  await inlet.take()
  t.strictSame(granted, [])
  await inlet.take()
  t.strictSame(granted, [windowBytes / 2])
  await inlet.take()
  await inlet.take()
  t.strictSame(granted, [windowBytes / 2, windowBytes / 2])
})

t.test('an item sent without credit is refused', async (t) => {
  const inlet = new Inlet(() => undefined)
  t.ok(inlet.push('large', windowBytes * 2), 'one item may go over')
  t.notOk(inlet.push('more', 1))
})

t.test('a waiting reader gets the item, then the end', async (t) => {
  const inlet = new Inlet(() => undefined)
  const first = inlet.take()
  inlet.push('a', 1)
  t.strictSame(await first, { done: false, value: 'a' })
  const second = inlet.take()
  inlet.end()
  t.strictSame(await second, { done: true })
  t.strictSame(await inlet.take(), { done: true })
})

t.test('an error at the end comes after the items, a failure instead of them', async (t) => {
  const ended = new Inlet(() => undefined)
  ended.push('a', 1)
  ended.end(new Error('late'))
  t.strictSame(await ended.take(), { done: false, value: 'a' })
  t.match(await failure(ended.take()), { message: 'late' })
  const failed = new Inlet(() => undefined)
  failed.push('a', 1)
  failed.fail(new Error('now'))
  t.match(await failure(failed.take()), { message: 'now' })
})

t.test('a writer waits without credit and goes on with it, or when released', async (t) => {
  const outlet = new Outlet()
  await outlet.ready()
  outlet.spend(windowBytes)
  let ready = false
  const waiting = outlet.ready().then(() => {
    ready = true
  })
  await Promise.resolve()
  t.notOk(ready)
  outlet.grant(1)
  await waiting
  outlet.spend(1)
  const released = outlet.ready()
  outlet.release()
  await released
})
