import fc from 'fast-check'
import t from 'tap'
import { seededRandom } from '../../lib/base/random.js'
import { beatPeriodMs, graceMs, linkGraceMs } from '../../lib/dispatcher/heartbeat.js'
import { Sessions } from '../../lib/dispatcher/sessions.js'

const settings = { heartbeatMs: 1000, graceFactor: 3 }
const make = (): Sessions => new Sessions(() => settings, seededRandom(1))

t.test('workers do not beat in step, and never later than a heartbeat apart', async (t) => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 10, max: 60_000 }), (seed, heartbeatMs) => {
      const period = beatPeriodMs({ heartbeatMs, graceFactor: 3 }, seededRandom(seed))
      return period >= Math.floor(heartbeatMs * 0.75) && period <= heartbeatMs
    }),
  )
  const random = seededRandom(3)
  t.ok(new Set(Array.from({ length: 20 }, () => beatPeriodMs(settings, random))).size > 10)
})

t.test('silence is forgiven for a grace, and no longer', async (t) => {
  const sessions = make()
  const session = sessions.register('a', 0)
  t.same(sessions.expire(2999), [])
  t.equal(sessions.beat('a', session, 2999), true)
  t.same(sessions.expire(5998), [])
  t.same(sessions.expire(5999), ['a'])
  t.equal(sessions.beat('a', session, 6000), false, 'a session that ended does not come back')
  t.equal(sessions.standing('a'), 'gone')
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

t.test('who is expected has a grace to register', async (t) => {
  const sessions = make()
  sessions.expect('a', 0)
  sessions.expect('b', 0)
  sessions.register('b', 1000)
  sessions.expect('b', 2000)
  t.equal(sessions.standing('a'), 'expected')
  t.equal(sessions.standing('b'), 'registered')
  t.equal(sessions.nextDeadlineMs(), 3000)
  t.same(sessions.expire(3000), ['a'])
  t.equal(sessions.nextDeadlineMs(), 4000)
})

t.test('the end of a link counts for what it proves', async (t) => {
  t.equal(linkGraceMs('refused', settings), 1000)
  t.equal(linkGraceMs('reset', { heartbeatMs: 5000, graceFactor: 3 }), 1000)
  t.equal(linkGraceMs('reset', { heartbeatMs: 200, graceFactor: 3 }), 200)
  t.equal(linkGraceMs('closed', { heartbeatMs: 5000, graceFactor: 3 }), 5000)
  t.equal(linkGraceMs('silent', settings), undefined)
  t.equal(linkGraceMs('local', settings), undefined)
  t.equal(graceMs(settings), 3000)

  const sessions = make()
  const session = sessions.register('a', 0)
  sessions.linkDown('a', 'silent', 10)
  t.equal(sessions.nextDeadlineMs(), 3000)
  sessions.linkDown('a', 'reset', 10)
  t.equal(sessions.nextDeadlineMs(), 1010)
  sessions.linkDown('a', 'closed', 500)
  t.equal(sessions.nextDeadlineMs(), 1010, 'a grace is never lengthened by it')
  sessions.beat('a', session, 900)
  t.equal(sessions.nextDeadlineMs(), 3900, 'a beat over another link proves that it lives')
  sessions.linkDown('stranger', 'reset', 900)
})

t.test('a worker that looks for the leader and closes its link behind it keeps its whole grace', async (t) => {
  const sessions = make()
  sessions.expect('a', 0)
  sessions.linkDown('a', 'closed', 10)
  t.equal(sessions.nextDeadlineMs(), 3000)
  sessions.linkDown('a', 'reset', 10)
  t.equal(sessions.nextDeadlineMs(), 1010, 'a link that breaks is a sign of death all the same')
})

t.test('a session that did not come about leaves the node expected', async (t) => {
  const sessions = make()
  const session = sessions.register('a', 0)
  sessions.withdraw('a', session, 100)
  t.equal(sessions.standing('a'), 'expected')
  t.equal(sessions.nextDeadlineMs(), 3100)
  const next = sessions.register('a', 200)
  sessions.withdraw('a', session, 300)
  t.equal(sessions.holds('a', next), true, 'a late withdrawal does not touch the next session')
})

t.test('after a stall of the judge nobody is judged for a heartbeat', async (t) => {
  const sessions = make()
  sessions.register('a', 0)
  sessions.register('b', 9000)
  sessions.excuse(10_000)
  t.same(sessions.expire(10_999), [])
  t.same(sessions.expire(11_000), ['a'])
  t.equal(sessions.nextDeadlineMs(), 12_000)
})

t.test('a node is down only when nothing of it came for the grace that holds, whatever the order of events', async (t) => {
  const event = fc.record({
    kind: fc.constantFrom('beat' as const, 'register' as const, 'pass' as const),
    node: fc.constantFrom('a', 'b', 'c'),
    waitMs: fc.integer({ min: 0, max: 1500 }),
  })
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60 }), (events) => {
      const sessions = make()
      const current = new Map<string, string>()
      const lastSeen = new Map<string, number>()
      let nowMs = 0
      for (const { kind, node, waitMs } of events) {
        nowMs += waitMs
        for (const down of sessions.expire(nowMs)) {
          if (nowMs - (lastSeen.get(down) ?? 0) < 3000) return false
          lastSeen.delete(down)
        }
        for (const [alive, seen] of lastSeen) if (nowMs - seen >= 3000 && sessions.standing(alive) !== 'gone') return false
        if (kind === 'register') current.set(node, sessions.register(node, nowMs))
        if (kind === 'register' || (kind === 'beat' && sessions.beat(node, current.get(node) ?? '', nowMs)))
          lastSeen.set(node, nowMs)
      }
      return true
    }),
  )
  t.pass('on every sequence')
})
