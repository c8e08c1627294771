import t from 'tap'
import { deferred } from '../../lib/base/deferred.js'
import { SkeinError } from '../../lib/base/errors.js'
import { inlineDriver } from '../../lib/drivers/index.js'
import { bench } from './bench.js'
import { aTask, complete, FakeDriver, FakeUnit, incremental, settle } from './fakes.js'

t.test('an agent introduces its node, runs what it is assigned and reports every state it reached', async (t) => {
  const { agent, manager, driver } = bench(t)
  manager.first = complete([aTask('web.1.1')])
  await agent.start()
  await manager.until(() => manager.stateOf('web.1.1') === 'running')
  t.match(manager.hellos[0], { address: '127.0.0.1:7000', description: { drivers: ['fake'], resources: { cpuNanos: 2e9 } } })
  t.equal(agent.session, 's1')
  driver.unit('web.1.1').exit({ code: 0 })
  await manager.until(() => manager.stateOf('web.1.1') === 'complete')
  t.same(manager.reportOf('web.1.1'), { id: 'web.1.1', state: 'complete', message: 'finished', exitCode: 0 })
  t.same(driver.calls, ['prepare web.1.1', 'start web.1.1'])
})

t.test('an assignment for a driver the node does not have is rejected, naming those it has', async (t) => {
  const { agent, manager } = bench(t)
  manager.first = complete([aTask('web.1.1', 'running', 'docker')])
  await agent.start()
  await manager.until(() => manager.stateOf('web.1.1') === 'rejected')
  t.equal(manager.reportOf('web.1.1')?.message, 'this node has no driver "docker"; it has: fake')
})

t.test('a refusal while preparing rejects, one while starting fails, both with the reason', async (t) => {
  const { agent, manager, driver } = bench(t)
  driver.prepareError = new Error('command "foo" not found on PATH')
  manager.first = complete([aTask('web.1.1')])
  await agent.start()
  await manager.until(() => manager.stateOf('web.1.1') === 'rejected')
  t.equal(manager.reportOf('web.1.1')?.message, 'command "foo" not found on PATH')
  driver.prepareError = undefined
  driver.startError = new Error('no such interpreter')
  manager.push(incremental(1, { set: [aTask('web.1.2')] }))
  await manager.until(() => manager.stateOf('web.1.2') === 'failed')
  t.equal(manager.reportOf('web.1.2')?.message, 'no such interpreter')
})

t.test('a task wished ready is prepared, and started only when it is wished running', async (t) => {
  const { agent, manager, driver } = bench(t)
  manager.first = complete([aTask('web.1.2', 'ready')])
  await agent.start()
  await manager.until(() => manager.stateOf('web.1.2') === 'ready')
  await settle()
  t.same(driver.calls, ['prepare web.1.2'])
  manager.push(incremental(1, { set: [aTask('web.1.2', 'running')] }))
  await manager.until(() => manager.stateOf('web.1.2') === 'running')
  t.equal(driver.running.size, 1)
})

t.test('a task wished shutdown is stopped and reported as such; a lower wish later does not wake it', async (t) => {
  const { agent, manager, driver } = bench(t)
  manager.first = complete([aTask('web.1.1')])
  await agent.start()
  await manager.until(() => manager.stateOf('web.1.1') === 'running')
  manager.push(incremental(1, { set: [aTask('web.1.1', 'shutdown')] }))
  await manager.until(() => manager.stateOf('web.1.1') === 'shutdown')
  manager.push(incremental(2, { set: [aTask('web.1.1', 'running')] }))
  await settle()
  t.equal(driver.running.size, 0)
  t.same(driver.calls, ['prepare web.1.1', 'start web.1.1', 'stop web.1.1'])
})

t.test('a shutdown cancels a preparation that takes for ever, and what it makes later is thrown away', async (t) => {
  const { agent, manager, driver } = bench(t)
  const gate = deferred()
  driver.prepareGate = gate
  manager.first = complete([aTask('web.1.1')])
  await agent.start()
  await manager.until(() => manager.stateOf('web.1.1') === 'preparing')
  manager.push(incremental(1, { set: [aTask('web.1.1', 'shutdown')] }))
  await manager.until(() => manager.stateOf('web.1.1') === 'shutdown')
  gate.resolve()
  await settle()
  t.same(driver.calls, ['prepare web.1.1', 'remove web.1.1'])
})

t.test('removed tasks are stopped, removed and forgotten, also on disk', async (t) => {
  const { agent, manager, driver, again } = bench(t)
  manager.first = complete([aTask('web.1.1'), aTask('web.2.1')])
  await agent.start()
  await manager.until(() => manager.stateOf('web.1.1') === 'running' && manager.stateOf('web.2.1') === 'running')
  manager.push(incremental(1, { remove: ['web.1.1'] }))
  await settle()
  t.same(driver.unit('web.1.1').calls, ['start', 'stop', 'remove'])
  t.same(
    agent.tasks().map(({ id }) => id),
    ['web.2.1'],
  )
  await agent.stop({ drain: 'leave-tasks' })
  const next = again()
  await next.start()
  t.same(
    next.tasks().map(({ id }) => id),
    ['web.2.1'],
  )
})

t.test('what the cluster does not know is stopped and forgotten', async (t) => {
  const { agent, manager, driver } = bench(t)
  manager.first = complete([aTask('web.1.1')])
  await agent.start()
  await manager.until(() => manager.stateOf('web.1.1') === 'running')
  await settle()
  manager.forget = ['web.1.1', 'never.heard.of']
  manager.push(incremental(1, { set: [aTask('web.2.1')] }))
  await manager.until(() => manager.stateOf('web.2.1') === 'running')
  await settle()
  t.same(driver.unit('web.1.1').calls, ['start', 'stop', 'remove'])
  t.same(
    agent.tasks().map(({ id }) => id),
    ['web.2.1'],
  )
})

t.test('a restarted agent takes over what its driver still runs, without starting it again', async (t) => {
  const { agent, manager, driver, again } = bench(t)
  manager.first = complete([aTask('web.1.1')])
  await agent.start()
  await manager.until(() => manager.stateOf('web.1.1') === 'running')
  await agent.stop({ drain: 'leave-tasks' })
  t.equal(driver.running.size, 1, 'left running')
  const unit = driver.unit('web.1.1')
  driver.recoverable.set('web.1.1', unit)
  manager.reports.length = 0
  const next = again()
  await next.start()
  await manager.until(() => manager.stateOf('web.1.1') === 'running')
  t.same(driver.recoverAsked, ['web.1.1'])
  t.same(driver.calls, ['prepare web.1.1', 'start web.1.1'])
  unit.exit({ code: 0 })
  await manager.until(() => manager.stateOf('web.1.1') === 'complete')
})

t.test('a restarted agent says of what ran and is gone that it failed, and does not run it again', async (t) => {
  const { agent, manager, again } = bench(t)
  manager.first = complete([aTask('web.1.1'), aTask('web.2.1', 'ready')])
  await agent.start()
  await manager.until(() => manager.stateOf('web.1.1') === 'running' && manager.stateOf('web.2.1') === 'ready')
  await agent.stop({ drain: 'leave-tasks' })
  manager.reports.length = 0
  const driver = new FakeDriver()
  const next = again(driver)
  await next.start()
  await manager.until(() => manager.stateOf('web.1.1') === 'failed')
  t.equal(manager.reportOf('web.1.1')?.message, 'the peer restarted')
  await settle()
  t.same(driver.calls, ['prepare web.2.1'], 'what had not begun goes on')
  manager.push(incremental(1, { set: [aTask('web.2.1', 'running'), aTask('web.1.2')] }))
  await manager.until(() => manager.stateOf('web.2.1') === 'running' && manager.stateOf('web.1.2') === 'running')
  t.notOk(driver.calls.includes('start web.1.1'))
})

t.test('a restart finds the wish as it was last told', async (t) => {
  const { agent, manager, driver, again } = bench(t)
  manager.first = complete([aTask('web.1.1')])
  await agent.start()
  await manager.until(() => manager.stateOf('web.1.1') === 'running')
  driver.stopGate = deferred()
  manager.push(incremental(1, { set: [aTask('web.1.1', 'shutdown')] }))
  await settle()
  t.ok(driver.calls.includes('stop web.1.1'), 'it is being stopped')
  // The peer dies here: nothing of the first agent is awaited.
  manager.reports.length = 0
  const next = again(new FakeDriver())
  await next.start()
  t.match(next.tasks(), [{ id: 'web.1.1', state: 'shutdown', message: 'the peer restarted' }])
})

t.test('an agent whose state was wiped stops nothing it does not know and runs what it is told', async (t) => {
  const { agent, manager, driver } = bench(t)
  manager.first = complete([aTask('web.1.7')])
  await agent.start()
  await manager.until(() => manager.stateOf('web.1.7') === 'running')
  t.same(driver.recoverAsked, [])
  t.same(driver.calls, ['prepare web.1.7', 'start web.1.7'])
})

t.test('a task is remembered as starting before it is started', async (t) => {
  const { agent, manager, driver, storage, again } = bench(t)
  manager.first = complete([aTask('web.1.1', 'ready')])
  await agent.start()
  await manager.until(() => manager.stateOf('web.1.1') === 'ready')
  storage.failure = new Error('disk full')
  manager.push(incremental(1, { set: [aTask('web.1.1', 'running')] }))
  t.match(await agent.ended, { message: 'disk full' })
  t.same(driver.calls, ['prepare web.1.1'], 'not started')
  storage.failure = undefined
  const next = again()
  await next.start()
  t.match(next.tasks(), [{ state: 'ready' }])
})

t.test('a unit that cannot be stopped is not called stopped until it is', async (t) => {
  const { agent, manager, driver, clock } = bench(t)
  manager.first = complete([aTask('web.1.1')])
  await agent.start()
  await manager.until(() => manager.stateOf('web.1.1') === 'running')
  driver.stopErrors = 2
  manager.push(incremental(1, { set: [aTask('web.1.1', 'shutdown')] }))
  await settle()
  t.equal(manager.stateOf('web.1.1'), 'running')
  clock.advance(500)
  await settle()
  t.equal(manager.stateOf('web.1.1'), 'running')
  clock.advance(1_000)
  await manager.until(() => manager.stateOf('web.1.1') === 'shutdown')
  t.equal(driver.running.size, 0)
})

t.test('a task assigned again while it is on its way out begins anew only when it is gone', async (t) => {
  const { agent, manager, driver } = bench(t)
  manager.first = complete([aTask('web.1.1')])
  await agent.start()
  await manager.until(() => manager.stateOf('web.1.1') === 'running')
  const gate = deferred()
  driver.stopGate = gate
  manager.push(incremental(1, { remove: ['web.1.1'] }))
  manager.push(incremental(2, { set: [aTask('web.1.1')] }))
  await settle()
  t.same(driver.calls, ['prepare web.1.1', 'start web.1.1', 'stop web.1.1'])
  driver.stopGate = undefined
  gate.resolve()
  await settle()
  t.same(driver.calls.slice(3), ['remove web.1.1', 'prepare web.1.1', 'start web.1.1'])
  t.equal(driver.running.size, 1)
})

t.test('stop says goodbye, stops all tasks side by side, then closes drivers and disk', async (t) => {
  const { agent, manager, driver, storage } = bench(t)
  const tasks = ['web.1.1', 'web.2.1', 'web.3.1'].map((id) => aTask(id))
  manager.first = complete([...tasks, aTask('web.4.1', 'ready')])
  await agent.start()
  await manager.until(() => tasks.every(({ id }) => manager.stateOf(id) === 'running') && manager.stateOf('web.4.1') === 'ready')
  const gate = deferred()
  driver.stopGate = gate
  const stopped = agent.stop()
  await settle()
  t.same(manager.left, ['s1'], 'the manager replaces its tasks without waiting for silence')
  t.equal(driver.calls.filter((call) => call.startsWith('stop')).length, 4, 'all at once')
  t.equal(driver.closed, 0)
  gate.resolve()
  await stopped
  t.equal(driver.running.size, 0)
  t.equal(driver.closed, 1)
  t.equal(manager.stateOf('web.1.1'), 'running', 'no end is reported that could be taken for a crash')
  t.match(agent.tasks(), [
    { id: 'web.1.1', state: 'failed', message: 'the peer stopped' },
    {},
    {},
    { id: 'web.4.1', state: 'rejected', message: 'the peer stopped' },
  ])
  t.equal(await agent.ended, undefined)
  const writes = storage.writes
  await agent.stop()
  t.equal(storage.writes, writes, 'a second stop does nothing')
})

t.test('stop gives up on a manager that does not listen, and on a unit that cannot be stopped', async (t) => {
  const { agent, manager, driver, clock } = bench(t)
  manager.first = complete([aTask('web.1.1')])
  await agent.start()
  await manager.until(() => manager.stateOf('web.1.1') === 'running')
  await settle()
  manager.leaveGate = deferred()
  driver.stopErrors = 100
  let isStopped = false
  const stopped = agent.stop().then(() => {
    isStopped = true
  })
  for (let i = 0; i < 100 && !isStopped; i++) {
    await settle(3)
    clock.advance(100)
  }
  await stopped
  t.match(agent.tasks(), [
    { state: 'failed', message: 'the peer stopped; the task could not be stopped: the runtime does not answer' },
  ])
  t.equal(clock.pending, 0, 'no timer is left behind')
})

t.test('a node that was removed from the cluster stops its tasks and ends with the reason', async (t) => {
  const { agent, manager, driver, loseLeader } = bench(t)
  manager.first = complete([aTask('web.1.1')])
  await agent.start()
  await manager.until(() => manager.stateOf('web.1.1') === 'running')
  manager.openError = new SkeinError('ERR_SKEIN_REMOVED', 'removed', { node: 'n' })
  loseLeader()
  t.match(await agent.ended, { code: 'ERR_SKEIN_REMOVED' })
  t.equal(driver.running.size, 0)
})

t.test('lines of a task are handed out, of an unknown one refused', async (t) => {
  const { agent, manager } = bench(t)
  manager.first = complete([aTask('web.1.1')])
  await agent.start()
  await manager.until(() => manager.stateOf('web.1.1') === 'running')
  const lines: string[] = []
  for await (const { text } of agent.logs('web.1.1')) lines.push(text)
  t.same(lines, ['line of web.1.1'])
  t.throws(() => agent.logs('web.9.9'), { code: 'ERR_SKEIN_NOT_FOUND', detail: { kind: 'task', ref: 'web.9.9' } })
})

t.test('whoever follows the lines of a task that is being prepared gets them when it runs', async (t) => {
  const { agent, manager, driver } = bench(t)
  const gate = deferred()
  driver.prepareGate = gate
  manager.first = complete([aTask('web.1.1')])
  await agent.start()
  await manager.until(() => manager.stateOf('web.1.1') === 'preparing')
  for await (const line of agent.logs('web.1.1')) t.fail(`no line yet, but ${line.text}`)
  const followed = (async () => {
    for await (const { text } of agent.logs('web.1.1', { follow: true })) return text
    return undefined
  })()
  gate.resolve()
  t.equal(await followed, 'line of web.1.1')
})

t.test('a driver that cannot say what it left running keeps the agent from starting', async (t) => {
  const driver = new FakeDriver()
  driver.recover = async () => {
    throw new SkeinError('ERR_SKEIN_DIR_UNUSABLE', 'cannot use /data', { dir: '/data' })
  }
  const { agent } = bench(t, { drivers: [driver] })
  await t.rejects(agent.start(), { code: 'ERR_SKEIN_DIR_UNUSABLE' })
})

t.test('a real driver runs under it, from assignment to exit code', async (t) => {
  const functions = { work: async () => 3 }
  const { agent, manager } = bench(t, { drivers: [inlineDriver({ functions })] })
  manager.first = complete([aTask('web.1.1', 'running', 'inline')])
  await agent.start()
  await manager.until(() => manager.stateOf('web.1.1') === 'failed')
  t.equal(manager.reportOf('web.1.1')?.exitCode, 3)
})

t.test('two agents never run one attempt twice, however the first ended', async (t) => {
  const { agent, manager, driver, again } = bench(t)
  manager.first = complete([aTask('web.1.1')])
  await agent.start()
  await manager.until(() => manager.stateOf('web.1.1') === 'running')
  await agent.stop()
  t.equal(driver.running.size, 0)
  const next = again()
  await next.start()
  await manager.until(() => manager.hellos.length === 2)
  t.match(manager.hellos[1]?.reports, [{ id: 'web.1.1', state: 'failed' }], 'how it ended comes with the first word')
  await settle()
  t.equal(driver.calls.filter((call) => call === 'start web.1.1').length, 1)
  t.ok(driver.unit('web.1.1') instanceof FakeUnit)
})
