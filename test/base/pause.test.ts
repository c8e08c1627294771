import { getEventListeners } from 'node:events'
import t from 'tap'
import { pause } from '../../lib/base/pause.js'
import { ManualClock } from '../../lib/testing/manual-clock.js'

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Whether it is over. */
function watched(wait: Promise<void>): { isOver: boolean } {
  const watch = { isOver: false }
  void wait.then(() => {
    watch.isOver = true
  })
  return watch
}

t.test('a pause lasts as long as it is told, and leaves nothing behind', async (t) => {
  const clock = new ManualClock()
  const { signal } = new AbortController()
  const watch = watched(pause(clock, 1_000, signal))
  clock.advance(999)
  await turn()
  t.notOk(watch.isOver)
  clock.advance(1)
  await turn()
  t.ok(watch.isOver)
  t.equal(getEventListeners(signal, 'abort').length, 0)
  const plain = watched(pause(clock, 10))
  clock.advance(10)
  await turn()
  t.ok(plain.isOver, 'without a signal too')
})

t.test('a signal ends a pause early, and one that has fired before lets none begin', async (t) => {
  const clock = new ManualClock()
  const stop = new AbortController()
  const watch = watched(pause(clock, 1_000, stop.signal))
  stop.abort()
  await turn()
  t.ok(watch.isOver)
  t.equal(clock.pending, 0)
  const late = watched(pause(clock, 1_000, stop.signal))
  await turn()
  t.ok(late.isOver)
  t.equal(clock.pending, 0)
  t.equal(getEventListeners(stop.signal, 'abort').length, 0)
})
