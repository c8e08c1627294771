import t from 'tap'
import { afterFairly, judgeSilence } from '../../../lib/overlay/transport/lateness.js'
import { ManualClock } from '../../../lib/testing/manual-clock.js'

t.test('a timer in time acts at once', async (t) => {
  const clock = new ManualClock()
  let acted = false
  afterFairly(clock, 100, () => {
    acted = true
  })
  clock.advance(100)
  t.ok(acted)
})

t.test('a timer late after a stall gives the loop a turn, in which it can be cancelled', async (t) => {
  const clock = new ManualClock()
  const acted: string[] = []
  const cancel = afterFairly(clock, 100, () => acted.push('cancelled'))
  afterFairly(clock, 100, () => acted.push('kept'))
  clock.stall(1000)
  t.strictSame(acted, [])
  cancel()
  clock.advance(50)
  t.strictSame(acted, ['kept'])
  t.equal(clock.pending, 0)
})

t.test('silence is judged only by a check that ran in time', async (t) => {
  const view = { nowMs: 10_000, dueMs: 10_000, heardMs: 1000, silentAfterMs: 8000 }
  t.equal(judgeSilence(view), 'silent')
  t.equal(judgeSilence({ ...view, heardMs: 2001 }), 'heard')
  t.equal(judgeSilence({ ...view, dueMs: 9000 }), 'late')
  t.equal(judgeSilence({ ...view, dueMs: 9000, heardMs: 9000 }), 'heard')
})
