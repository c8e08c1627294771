import t from 'tap'
import { type Deferred, deferred } from '../../lib/base/deferred.js'
import { Contacts } from '../../lib/dispatcher/contacts.js'
import { Standing } from '../../lib/dispatcher/standing.js'
import { ManualClock } from '../../lib/testing/manual-clock.js'
import { SetClock } from '../base/set-clock.js'

async function turns(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await Promise.resolve()
}

function begun(clock = new ManualClock()) {
  const rounds: Deferred<void>[] = []
  const standing = new Standing({
    clock,
    confirm: () => {
      const round = deferred()
      rounds.push(round)
      return round.promise
    },
  })
  standing.begin(1_000)
  return { clock, rounds, standing }
}

t.test('a leader is sure of itself from the beginning of the last round a majority confirmed, not from its end', async (t) => {
  const { clock, rounds, standing } = begun()
  t.equal(standing.agoMs(), undefined, 'not before the first')
  clock.advance(900)
  rounds[0]?.resolve()
  await turns()
  t.equal(standing.agoMs(), 900)
  clock.advance(100)
  t.equal(rounds.length, 2)
  t.equal(standing.agoMs(), 1_000, 'the second is not confirmed yet')
  clock.advance(50)
  rounds[1]?.resolve()
  await turns()
  t.equal(standing.agoMs(), 50)
  standing.end()
  t.equal(clock.pending, 0)
})

t.test('without a majority it grows old: one round at a time, and another after each that failed', async (t) => {
  const { clock, rounds, standing } = begun()
  rounds[0]?.resolve()
  await turns()
  clock.advance(5_000)
  t.equal(rounds.length, 2, 'the second has no answer')
  rounds[1]?.reject(new Error('no quorum'))
  await turns()
  clock.advance(1_000)
  t.equal(rounds.length, 3)
  t.equal(standing.agoMs(), 6_000)
  standing.end()
})

t.test('a leader whose machine slept is not sure of the time it slept', async (t) => {
  const clock = new SetClock()
  const { rounds, standing } = begun(clock)
  rounds[0]?.resolve()
  await turns()
  clock.aheadMs = 3_600_000
  t.equal(standing.agoMs(), 3_600_000)
  standing.end()
})

t.test('a node is silent since it was last answered, and since this leader began if it never was', async (t) => {
  const clock = new ManualClock()
  clock.advance(10_000)
  const contacts = new Contacts(clock)
  clock.advance(2_000)
  t.equal(contacts.silentMs('a'), 2_000)
  contacts.answer('a')
  clock.advance(500)
  t.same([contacts.silentMs('a'), contacts.silentMs('b')], [500, 2_500])
})
