import t from 'tap'
import type { AssignedTask } from '../../lib/api/session.js'
import { inlineDriver } from '../../lib/drivers/index.js'
import { keysUnder } from '../../lib/storage/keyspace.js'
import { bench } from './bench.js'
import { aTask, complete, incremental, settle } from './fakes.js'

const text = 'a secret known to this test'
const secretIn = (): { id: string; data: Uint8Array } => ({ id: 'secret000001', data: Buffer.from(text) })
const isGone = (data: Uint8Array): boolean => data.every((byte) => byte === 0)

function needy(id: string, driver = 'fake'): AssignedTask {
  const task = aTask(id, 'running', driver)
  return { ...task, spec: { ...task.spec, secrets: [{ id: 'secret000001', target: 'password' }] } }
}

t.test('a task is prepared when its secrets have come, and not before', async (t) => {
  const { agent, manager, driver } = bench(t)
  manager.first = complete([needy('web.1.1'), aTask('web.2.1')])
  await agent.start()
  await manager.until(() => manager.stateOf('web.2.1') === 'running')
  t.same(driver.calls, ['prepare web.2.1', 'start web.2.1'], 'the other does not wait for it')
  manager.push({ ...incremental(1, {}), secrets: [secretIn()] })
  await manager.until(() => manager.stateOf('web.1.1') === 'running')
})

t.test('a function finds its secrets in its context; they are overwritten there when it has ended', async (t) => {
  let seen: Uint8Array | undefined
  let read = ''
  const driver = inlineDriver({
    functions: {
      work: async ({ secrets }) => {
        seen = secrets.get('password')
        read = Buffer.from(seen ?? []).toString()
      },
    },
  })
  const { agent, manager } = bench(t, { drivers: [driver] })
  manager.first = { ...complete([needy('web.1.1', 'inline')]), secrets: [secretIn()] }
  await agent.start()
  await manager.until(() => manager.stateOf('web.1.1') === 'complete')
  t.equal(read, text)
  t.ok(seen !== undefined && isGone(seen))
})

t.test('the agent forgets a secret when the manager says that no task here needs it', async (t) => {
  const { agent, manager } = bench(t)
  const secret = secretIn()
  manager.first = { ...complete([needy('web.1.1')]), secrets: [secret] }
  await agent.start()
  await manager.until(() => manager.stateOf('web.1.1') === 'running')
  t.notOk(isGone(secret.data))
  manager.push({ ...incremental(1, {}), dropSecrets: [secret.id] })
  await settle()
  t.ok(isGone(secret.data))
})

t.test('a stream that begins anew without a task takes its secret along', async (t) => {
  const { agent, manager } = bench(t)
  const secret = secretIn()
  manager.first = { ...complete([needy('web.1.1')]), secrets: [secret] }
  await agent.start()
  await manager.until(() => manager.stateOf('web.1.1') === 'running')
  manager.first = complete([aTask('web.2.1')])
  manager.push(incremental(7, {})) // a gap: the agent asks for everything again
  await manager.until(() => manager.stateOf('web.2.1') === 'running')
  t.equal(agent.session, 's1', 'in the same session')
  t.ok(isGone(secret.data))
})

t.test('without a session it keeps only the secrets of tasks that are not over; when it stops, none', async (t) => {
  const world = bench(t)
  const { agent, manager, driver } = world
  const [kept, over] = [secretIn(), { id: 'secret000002', data: Buffer.from(text) }]
  const ending = needy('web.2.1')
  const second = { ...ending, spec: { ...ending.spec, secrets: [{ id: over.id, target: 'other' }] } }
  manager.first = { ...complete([needy('web.1.1'), second]), secrets: [kept, over] }
  await agent.start()
  await manager.until(() => manager.stateOf('web.1.1') === 'running' && manager.stateOf('web.2.1') === 'running')
  driver.unit('web.2.1').exit({ code: 0 })
  await manager.until(() => manager.stateOf('web.2.1') === 'complete')
  t.notOk(isGone(over.data), 'until somebody says so, or nobody can')
  world.connectError = new Error('nobody leads')
  world.loseLeader()
  await settle()
  t.ok(isGone(over.data))
  t.notOk(isGone(kept.data))
  await agent.stop()
  t.ok(isGone(kept.data))
})

t.test('what an agent remembers on disk names secrets by id and holds no value', async (t) => {
  const { agent, manager, storage } = bench(t)
  manager.first = { ...complete([needy('web.1.1')]), secrets: [secretIn()] }
  await agent.start()
  await manager.until(() => manager.stateOf('web.1.1') === 'running')
  const rows: Buffer[] = []
  for await (const { value } of storage.open().range(keysUnder('agent'))) rows.push(Buffer.from(value))
  t.ok(Buffer.concat(rows).includes('secret000001'))
  t.notOk(Buffer.concat(rows).includes(text.slice(0, 8)))
})

const configIn = () => ({ id: 'config000001', data: Buffer.from('listen 80;') })

function configured(id: string, driver = 'fake'): AssignedTask {
  const task = needy(id, driver)
  return { ...task, spec: { ...task.spec, configs: [{ id: 'config000001', target: 'etc/app.conf' }] } }
}

t.test('a task is prepared when both its secrets and its configs have come', async (t) => {
  const { agent, manager, driver } = bench(t)
  manager.first = { ...complete([configured('web.1.1'), needy('web.2.1')]), secrets: [secretIn()] }
  await agent.start()
  await manager.until(() => manager.stateOf('web.2.1') === 'running')
  t.same(driver.calls, ['prepare web.2.1', 'start web.2.1'])
  manager.push({ ...incremental(1, {}), configs: [configIn()] })
  await manager.until(() => manager.stateOf('web.1.1') === 'running')
})

t.test('a function finds its configs in its context, as copies that are nobody else’s', async (t) => {
  const read: string[] = []
  const driver = inlineDriver({
    functions: {
      work: async ({ configs }) => {
        read.push(Buffer.from(configs.get('etc/app.conf') ?? []).toString())
        configs.get('etc/app.conf')?.fill(0)
      },
    },
  })
  const { agent, manager } = bench(t, { drivers: [driver] })
  manager.first = { ...complete([configured('web.1.1', 'inline')]), secrets: [secretIn()], configs: [configIn()] }
  await agent.start()
  await manager.until(() => manager.stateOf('web.1.1') === 'complete')
  manager.push(incremental(1, { set: [configured('web.2.1', 'inline')] }))
  await manager.until(() => manager.stateOf('web.2.1') === 'complete')
  t.same(read, ['listen 80;', 'listen 80;'])
})

t.test('a config the cluster cannot give refuses the task, naming it', async (t) => {
  const { agent, manager } = bench(t)
  manager.first = { ...complete([configured('web.1.1')]), secrets: [secretIn()], configs: [{ id: 'config000001' }] }
  await agent.start()
  await manager.until(() => manager.stateOf('web.1.1') === 'rejected')
  t.match(manager.reportOf('web.1.1'), { message: /config etc\/app\.conf \(config000001\): the cluster has it no more/ })
})

t.test('the agent forgets a config when the manager says so, and a task that comes later waits for it again', async (t) => {
  const { agent, manager, driver } = bench(t)
  const config = configIn()
  manager.first = { ...complete([configured('web.1.1')]), secrets: [secretIn()], configs: [config] }
  await agent.start()
  await manager.until(() => manager.stateOf('web.1.1') === 'running')
  manager.push({ ...incremental(1, {}), dropConfigs: [config.id] })
  await settle()
  t.ok(isGone(config.data))
  manager.push(incremental(2, { set: [configured('web.2.1')] }))
  await settle()
  t.notOk(driver.calls.includes('prepare web.2.1'))
  manager.push({ ...incremental(3, {}), configs: [configIn()] })
  await manager.until(() => manager.stateOf('web.2.1') === 'running')
})
