import fc from 'fast-check'
import t from 'tap'
import { seededRandom } from '../../lib/base/random.js'
import { beatPeriodMs, graceMs, provenDeadMs } from '../../lib/dispatcher/heartbeat.js'
import { Sessions } from '../../lib/dispatcher/sessions.js'

const settings = { heartbeatMs: 1000, graceFactor: 3, pauseToleranceMs: 30_000 }
const make = (): Sessions => new Sessions(seededRandom(1))

t.test('workers do not beat in step, and never later than a heartbeat apart', async (t) => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 10, max: 60_000 }), (seed, heartbeatMs) => {
      const period = beatPeriodMs({ heartbeatMs }, seededRandom(seed))
      return period >= Math.floor(heartbeatMs * 0.75) && period <= heartbeatMs
    }),
  )
  const random = seededRandom(3)
  t.ok(new Set(Array.from({ length: 20 }, () => beatPeriodMs(settings, random))).size > 10)
})

t.test('the end of a link counts for what it proves', async (t) => {
  t.equal(provenDeadMs('refused', settings), 1000)
  t.equal(provenDeadMs('reset', { heartbeatMs: 5000 }), 1000)
  t.equal(provenDeadMs('reset', { heartbeatMs: 200 }), 200)
  t.equal(provenDeadMs('closed', { heartbeatMs: 5000 }), 5000)
  t.equal(provenDeadMs('silent', settings), undefined)
  t.equal(provenDeadMs('local', settings), undefined)
  t.equal(graceMs(settings), 3000)
})

t.test('a new session makes the former one invalid', async (t) => {
  const sessions = make()
  const first = sessions.register('a', 0)
  const second = sessions.register('a', 10)
  t.not(first, second)
  t.equal(sessions.holds('a', first), false)
  t.equal(sessions.beat('a', first, 20), false)
  t.equal(sessions.beat('a', second, 20), true)
  t.equal(sessions.beat('b', second, 20), false, 'and it is of one node alone')
})

t.test('who is expected is so until it registers, and one that has a session stays registered', async (t) => {
  const sessions = make()
  sessions.expect('a', 0)
  sessions.register('b', 1000)
  sessions.expect('b', 2000)
  t.match(sessions.signs('a'), { session: 'expected', heardMs: 0 })
  t.match(sessions.signs('b'), { session: 'registered', heardMs: 1000 })
  sessions.forget('b')
  t.equal(sessions.signs('b'), undefined)
})

t.test('of several ends of a link the first of the heaviest counts, until the node is heard or dials in again', async (t) => {
  const sessions = make()
  const session = sessions.register('a', 0)
  const ended = () => sessions.signs('a')?.ended
  sessions.linkDown('a', 'closed', 10)
  sessions.linkDown('a', 'reset', 20)
  sessions.linkDown('a', 'reset', 30)
  sessions.linkDown('a', 'silent', 40)
  t.same(ended(), { evidence: 'reset', atMs: 20, isConfirmed: false })
  sessions.beat('a', session, 50)
  t.equal(ended(), undefined, 'a beat over another link proves that it lives')
  sessions.linkDown('a', 'reset', 60)
  sessions.linkUp('a')
  t.equal(ended(), undefined)
  t.equal(sessions.signs('a')?.heardMs, 50, 'but its agent has said nothing yet')
  sessions.linkDown('stranger', 'reset', 900)
  sessions.confirm('stranger')
  sessions.linkDown('a', 'reset', 70)
  sessions.confirm('a')
  t.match(ended(), { atMs: 70, isConfirmed: true })
  sessions.linkDown('a', 'refused', 80)
  t.match(ended(), { atMs: 80, isConfirmed: true }, 'a refusal is what a dial found')
})

t.test('a worker that looks for the leader and closes its link behind it is not suspected for it', async (t) => {
  const sessions = make()
  sessions.expect('a', 0)
  sessions.linkDown('a', 'closed', 10)
  t.equal(sessions.signs('a')?.ended, undefined)
  sessions.linkDown('a', 'reset', 10)
  t.same(
    sessions.signs('a')?.ended,
    { evidence: 'reset', atMs: 10, isConfirmed: false },
    'a link that breaks is a sign of death all the same',
  )
})

t.test('a session that did not come about leaves the node expected', async (t) => {
  const sessions = make()
  const session = sessions.register('a', 0)
  sessions.withdraw('a', session, 100)
  t.match(sessions.signs('a'), { session: 'expected', heardMs: 100 })
  const next = sessions.register('a', 200)
  sessions.withdraw('a', session, 300)
  t.equal(sessions.holds('a', next), true, 'a late withdrawal does not touch the next session')
})

t.test('a beat that was heard before the link ended, and is told after, does not speak for the time since', async (t) => {
  const sessions = new Sessions(seededRandom(1))
  const session = sessions.register('a', 0)
  sessions.linkDown('a', 'reset', 1_000)
  t.equal(sessions.beat('a', session, 950), true, 'it is a beat all the same')
  t.match(sessions.signs('a'), { heardMs: 950, ended: { evidence: 'reset' } })
  sessions.beat('a', session, 1_040)
  t.same(sessions.signs('a'), { session: 'registered', heardMs: 1_040, ended: undefined })
  sessions.beat('a', session, 1_020)
  t.equal(sessions.signs('a')?.heardMs, 1_040, 'beats over two ways may come in either order')
})
