import t from 'tap'
import { type Deferred, deferred } from '../../lib/base/deferred.js'
import { StatusBatch } from '../../lib/dispatcher/status-batch.js'
import { ManualClock } from '../../lib/testing/manual-clock.js'

/** Proposals stay open until answered. */
function make(options: { readonly itemsMax?: number; readonly waitingMax?: number } = {}) {
  const clock = new ManualClock()
  const proposed: { readonly values: readonly number[]; readonly answer: Deferred<void> }[] = []
  const batch = new StatusBatch<string, number>({
    clock,
    merge: Math.max,
    propose: (values) => {
      const answer = deferred()
      proposed.push({ values, answer })
      return answer.promise
    },
    ...options,
  })
  return { clock, batch, proposed, values: () => proposed.map((each) => each.values) }
}

const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 5; turn++) await Promise.resolve()
}

t.test('the first status after a pause goes at once, the next ones together after the delay', async (t) => {
  const { clock, batch, proposed, values } = make()
  const first = batch.add([['a', 1]])
  t.same(values(), [[1]])
  proposed[0]?.answer.resolve()
  await first
  await turns()
  clock.advance(10)
  const later = Promise.all([batch.add([['b', 2]]), batch.add([['c', 3]])])
  clock.advance(39)
  t.equal(proposed.length, 1)
  clock.advance(1)
  t.same(values()[1], [2, 3])
  proposed[1]?.answer.resolve()
  await later
  clock.advance(1000)
  const quiet = batch.add([['d', 4]])
  t.same(values()[2], [4], 'quiet again: at once again')
  proposed[2]?.answer.resolve()
  await quiet
  t.equal(clock.pending, 0)
})

t.test('one status per key goes, the merged one, and whoever reported it waits for that', async (t) => {
  const { clock, batch, proposed, values } = make()
  const under = batch.add([['x', 0]])
  const two = [batch.add([['a', 5]]), batch.add([['a', 3]])]
  clock.advance(60)
  t.equal(proposed.length, 1, 'one proposal at a time')
  proposed[0]?.answer.resolve()
  await under
  await turns()
  t.same(values()[1], [5])
  proposed[1]?.answer.resolve()
  await Promise.all(two)
})

t.test('a full batch does not wait for the delay, and goes in proposals of the bound', async (t) => {
  const { batch, proposed, values } = make({ itemsMax: 2 })
  const first = batch.add([['a', 1]])
  const rest = batch.add([
    ['b', 2],
    ['c', 3],
    ['d', 4],
  ])
  proposed[0]?.answer.resolve()
  await first
  await turns()
  t.same(values(), [[1], [2, 3]])
  proposed[1]?.answer.resolve()
  await turns()
  t.same(values()[2], [4])
  proposed[2]?.answer.resolve()
  await rest
})

t.test('past its bound it refuses, and what fails is told to everybody whose status it was', async (t) => {
  const { batch, proposed, clock } = make({ waitingMax: 2 })
  const first = batch.add([['a', 1]])
  const waiting = batch.add([
    ['b', 1],
    ['c', 1],
  ])
  await t.rejects(batch.add([['d', 1]]), { code: 'ERR_SKEIN_BUSY' })
  proposed[0]?.answer.reject(new Error('no quorum'))
  await t.rejects(first, { message: 'no quorum' })
  await turns()
  clock.advance(50)
  proposed[1]?.answer.resolve()
  await waiting
})

t.test('closing refuses what waits and what comes, and waits for what is under way', async (t) => {
  const { batch, proposed, clock } = make()
  const first = batch.add([['a', 1]])
  const waiting = batch.add([['b', 1]])
  const reason = new Error('over')
  let closed = false
  const closing = batch.close(reason).then(() => {
    closed = true
  })
  await t.rejects(waiting, reason)
  await t.rejects(batch.add([['c', 1]]), reason)
  await turns()
  t.equal(closed, false)
  proposed[0]?.answer.resolve()
  await Promise.all([first, closing])
  t.equal(clock.pending, 0)
  t.equal(proposed.length, 1)
})
