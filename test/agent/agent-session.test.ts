import t from 'tap'
import { SkeinError } from '../../lib/base/errors.js'
import { bench } from './bench.js'
import { aTask, complete, incremental, settle } from './fakes.js'

const notLeader = (): SkeinError => new SkeinError('ERR_SKEIN_NOT_LEADER', 'not the leader', { leader: undefined })

t.test('a complete message stops whatever it does not list', async (t) => {
  const { agent, manager, driver, loseLeader } = bench(t)
  manager.first = complete([aTask('web.1.1'), aTask('web.2.1')])
  await agent.start()
  await manager.until(() => manager.stateOf('web.2.1') === 'running' && manager.stateOf('web.1.1') === 'running')
  manager.first = complete([aTask('web.2.1')])
  loseLeader()
  await manager.until(() => manager.streams === 2)
  await settle()
  t.same(driver.unit('web.1.1').calls, ['start', 'stop', 'remove'])
  t.same(driver.unit('web.2.1').calls, ['start'])
})

t.test('a gap in the sequence opens the stream again, in the same session', async (t) => {
  const { agent, manager } = bench(t)
  manager.first = complete([], 5)
  await agent.start()
  await manager.until(() => manager.streams === 1)
  manager.push(incremental(5, { set: [aTask('web.1.1')] }))
  await manager.until(() => manager.stateOf('web.1.1') === 'running')
  manager.first = complete([aTask('web.1.1'), aTask('web.2.1')], 9)
  manager.push(incremental(7, { set: [aTask('web.3.1')] }))
  await manager.until(() => manager.stateOf('web.2.1') === 'running')
  t.equal(manager.streams, 2)
  t.equal(manager.hellos.length, 1, 'no new session')
  t.equal(manager.stateOf('web.3.1'), undefined, 'the message after the gap was not applied')
})

t.test('a stream that does not begin with everything ends the session instead of looping', async (t) => {
  const { agent, manager, clock } = bench(t)
  manager.first = incremental(3, {})
  await agent.start()
  await manager.until(() => manager.streams === 1)
  await settle()
  t.equal(agent.session, undefined)
  manager.first = complete([aTask('web.1.1')])
  clock.advance(100)
  await manager.until(() => manager.stateOf('web.1.1') === 'running')
  t.equal(manager.hellos.length, 2)
})

t.test('it beats as often as it is told, and obeys a change', async (t) => {
  const { agent, manager, clock } = bench(t)
  await agent.start()
  await manager.until(() => manager.streams === 1)
  clock.advance(999)
  await settle()
  t.equal(manager.beats.length, 0)
  manager.heartbeatMs = 200
  clock.advance(1)
  await manager.until(() => manager.beats.length === 1)
  await settle()
  clock.advance(200)
  await manager.until(() => manager.beats.length === 2)
  t.same(manager.beats, ['s1', 's1'])
})

t.test('a session the manager no longer knows is replaced by a new one, and everything is reported again', async (t) => {
  const { agent, manager, clock } = bench(t)
  manager.first = complete([aTask('web.1.1'), aTask('web.2.1')])
  await agent.start()
  await manager.until(() => manager.stateOf('web.1.1') === 'running' && manager.stateOf('web.2.1') === 'running')
  await settle()
  manager.reports.length = 0
  manager.beatError = new SkeinError('ERR_SKEIN_SESSION_INVALID', 'expired', { node: 'n' })
  clock.advance(1_000)
  await manager.until(() => manager.beats.length === 1)
  manager.beatError = undefined
  await settle()
  clock.advance(100)
  await manager.until(() => manager.reports.length > 0)
  t.same(manager.reports[0]?.map(({ id, state }) => `${id} ${state}`).sort(), ['web.1.1 running', 'web.2.1 running'])
  t.equal(agent.session, 's2')
})

t.test('tasks run on while there is no session', async (t) => {
  const test = bench(t)
  const { agent, manager, driver, clock, loseLeader } = test
  manager.first = complete([aTask('web.1.1')])
  await agent.start()
  await manager.until(() => manager.stateOf('web.1.1') === 'running')
  test.connectError = new SkeinError('ERR_SKEIN_UNREACHABLE', 'nobody answers', { address: '127.0.0.1:1' })
  loseLeader()
  for (let i = 0; i < 50; i++) {
    await settle(3)
    clock.advance(2_000)
  }
  t.equal(agent.session, undefined)
  t.equal(driver.running.size, 1)
  t.same(driver.calls, ['prepare web.1.1', 'start web.1.1'])
  // What happened meanwhile is told when someone listens again.
  driver.unit('web.1.1').exit({ code: 9 })
  test.connectError = undefined
  await settle()
  clock.advance(2_000)
  await manager.until(() => manager.stateOf('web.1.1') === 'failed')
  t.equal(manager.reportOf('web.1.1')?.exitCode, 9)
})

t.test('a lost leader costs no wait; one that is lost again before a session opened does', async (t) => {
  const { agent, manager, loseLeader, links, clock } = bench(t)
  await agent.start()
  await manager.until(() => manager.streams === 1)
  loseLeader()
  await manager.until(() => manager.streams === 2)
  t.equal(links.length, 2, 'at once, without the clock going on')
  manager.openError = notLeader()
  loseLeader()
  await settle()
  t.equal(links.length, 3, 'at once, but only once')
  clock.advance(100)
  await settle()
  t.equal(links.length, 4)
})

t.test(
  'a manager that names the leader costs no wait; managers that name each other are not asked in a tight loop',
  async (t) => {
    const { agent, manager, links, clock } = bench(t)
    manager.openError = new SkeinError('ERR_SKEIN_NOT_LEADER', 'ask m2', { leader: 'm2', address: '127.0.0.1:7002' })
    await agent.start()
    await settle()
    t.equal(links.length, 5, 'three redirections and one hurry after the first, without the clock going on')
    manager.openError = undefined
    clock.advance(100)
    await manager.until(() => manager.streams === 1)
    t.equal(links.length, 6)
  },
)

t.test('failures in a row wait longer and longer, up to two seconds, and a session resets it', async (t) => {
  const test = bench(t)
  const { agent, manager, clock, links } = test
  test.connectError = new Error('nobody')
  await agent.start()
  const waits: number[] = []
  for (let i = 0; i < 9; i++) {
    const tries = links.length
    let waited = 0
    await settle(3)
    while (links.length === tries) {
      clock.advance(10)
      waited += 10
      await settle(3)
    }
    waits.push(waited)
  }
  const bounds = [100, 200, 400, 800, 1600, 2000, 2000, 2000, 2000]
  for (const [i, bound] of bounds.entries()) {
    const wait = waits[i] ?? 0
    t.ok(wait >= bound / 2 - 10 && wait <= bound + 10, `wait ${i} is ${wait} of ${bound}`)
  }
  t.not(new Set(waits.slice(5)).size, 1, 'with jitter')
  test.connectError = undefined
  clock.advance(2_000)
  await manager.until(() => manager.streams === 1)
  manager.beatError = new Error('link error')
  clock.advance(1_000)
  await settle()
  const tries = links.length
  clock.advance(100)
  await settle()
  t.equal(links.length, tries + 1, 'the first wait again')
})

t.test('a report that fails is sent again in the next session, lower states never', async (t) => {
  const { agent, manager, driver, clock } = bench(t)
  manager.reportError = new Error('link error')
  manager.first = complete([aTask('web.1.1')])
  await agent.start()
  await manager.until(() => manager.reports.length === 1)
  await settle()
  driver.unit('web.1.1').exit({ code: 4 })
  await settle()
  manager.reportError = undefined
  manager.reports.length = 0
  clock.advance(100)
  await manager.until(() => manager.reports.length > 0)
  t.same(manager.reports[0], [{ id: 'web.1.1', state: 'failed', message: 'exited with code 4', exitCode: 4 }])
})

t.test('an open, a beat or a report without an answer ends the session in bounded time', async (t) => {
  for (const verb of ['open', 'beat', 'report'] as const) {
    const { agent, manager, clock, links } = bench(t)
    const answer = manager[verb].bind(manager) as (...args: never[]) => Promise<never>
    let calls = 0
    Object.assign(manager, { [verb]: (...args: never[]) => (++calls === 1 ? new Promise(() => {}) : answer(...args)) })
    manager.first = complete([aTask('web.1.1')])
    await agent.start()
    for (let i = 0; i < 200 && links.length < 2; i++) {
      await settle(2)
      clock.advance(100)
    }
    t.equal(links.length, 2, verb)
  }
})

t.test('a leader that is busy is asked again when it said, not before', async (t) => {
  const { agent, manager, clock } = bench(t)
  manager.openError = new SkeinError('ERR_SKEIN_BUSY', 'too many', { limit: 'sessions', retryAfterMs: 7_000 })
  await agent.start()
  await manager.until(() => manager.hellos.length === 1)
  await settle()
  clock.advance(6_999)
  await settle()
  t.equal(manager.hellos.length, 1)
  manager.openError = undefined
  clock.advance(701)
  await manager.until(() => manager.hellos.length === 2)
})

t.test('a stream the manager ends ends the session', async (t) => {
  const { agent, manager, clock } = bench(t)
  await agent.start()
  await manager.until(() => manager.streams === 1)
  manager.endStream()
  await settle()
  clock.advance(100)
  await manager.until(() => manager.streams === 2)
  t.equal(manager.hellos.length, 2)
})
