/** Tables, dispatcher, reconciler and agents together, on one virtual clock: what becomes of tasks whose worker was away. */
import t from 'tap'
import { Agent } from '../../lib/agent/index.js'
import { deferred } from '../../lib/base/deferred.js'
import { seededRandom } from '../../lib/base/random.js'
import { Dispatcher } from '../../lib/dispatcher/index.js'
import { Reconciler } from '../../lib/orchestrator/index.js'
import { shared } from '../../lib/peer/shared-storage.js'
import { MemoryStorage } from '../../lib/storage/index.js'
import { FakeDriver } from '../agent/fakes.js'
import { found, node, openHarness } from '../store/harness.js'

const a = 'node00000001'
const b = 'node00000002'

async function world(t: { teardown(act: () => unknown): void }) {
  const { store, clock, submit } = await openHarness()
  await submit(found)
  const dispatcher = new Dispatcher({
    store,
    clock,
    random: seededRandom(1),
    settings: () => ({ heartbeatMs: 1_000, graceFactor: 3, pauseToleranceMs: 30_000 }),
    managers: () => [],
  })
  const reconciler = new Reconciler({
    view: () => store.view(),
    onChange: (listener) => store.onChange(listener),
    submit: (ops) => store.submit(ops, { by: 'leader' }),
    clock,
  })
  dispatcher.start()
  reconciler.start()
  t.teardown(async () => {
    await reconciler.stop()
    await dispatcher.stop()
  })

  const pass = async (ms: number): Promise<void> => {
    for (let passedMs = 0; passedMs < ms; passedMs += 100) {
      clock.advance(100)
      for (let turn = 0; turn < 8; turn++) await new Promise(setImmediate)
    }
  }

  /** A worker whose way to the leader can be cut. */
  const worker = async (id: string, storage = new MemoryStorage()) => {
    if (store.view().node(id) === undefined) await submit(...node(id))
    const driver = new FakeDriver()
    let way = new AbortController()
    let healed = deferred()
    healed.resolve()
    const agent = new Agent({
      node: id,
      description: async () => ({
        hostname: id,
        os: 'linux',
        arch: 'x64',
        pid: 1,
        resources: { cpuNanos: 2e9, memoryBytes: 2 ** 30 },
        drivers: ['fake'],
      }),
      address: `${id}:1`,
      drivers: [driver],
      storage: shared(storage),
      clock,
      random: seededRandom(2),
      connect: async () => {
        await healed.promise
        return { api: dispatcher, closed: way.signal }
      },
    })
    await agent.start()
    return {
      agent,
      driver,
      storage,
      starts: () => driver.calls.filter((call) => call.startsWith('start ')),
      cut: () => {
        healed = deferred()
        way.abort()
        way = new AbortController()
      },
      heal: () => healed.resolve(),
      stop: async () => {
        const stopped = agent.stop()
        await pass(2_000)
        await stopped
      },
    }
  }
  const serve = async (replicas: number): Promise<void> => {
    const task = { driver: 'fake', command: ['x'] }
    await submit({ op: 'service.create', id: 'service00001', spec: { name: 'web', mode: { replicas }, task } })
    await pass(2_000)
  }
  const picture = (): string[] =>
    [...store.view().tasks()].map(
      ({ slot, generation, desired, observed, node }) => `${slot}.${generation} ${desired} ${observed} ${node ?? '-'}`,
    )
  return { worker, pass, serve, picture, submit, state: (id: string) => store.view().node(id)?.state }
}

t.test('a worker that was down and returns goes on with its task, when nothing took its place', async (t) => {
  const { worker, pass, serve, picture, state } = await world(t)
  const one = await worker(a)
  await serve(1)
  t.same(picture(), [`1.1 running running ${a}`])
  one.cut()
  await pass(35_000)
  t.equal(state(a), 'down')
  t.same(picture(), [`1.1 running running ${a}`, '1.2 running pending -'])
  one.heal()
  await pass(5_000)
  t.equal(state(a), 'ready')
  t.same(picture(), [`1.1 running running ${a}`])
  t.equal(one.starts().length, 1)
  t.equal(one.driver.running.size, 1, 'and it never stopped')
  await one.stop()
})

t.test('a worker that returns after its task was replaced stops it: one runs in its place', async (t) => {
  const { worker, pass, serve, picture } = await world(t)
  const one = await worker(a)
  await serve(1)
  const two = await worker(b)
  one.cut()
  await pass(35_000)
  t.match(picture(), [`1.1 shutdown running ${a}`, `1.2 running running ${b}`])
  t.equal(one.driver.running.size, 1, 'the isolated one runs on meanwhile')
  one.heal()
  await pass(5_000)
  t.match(picture(), [`1.1 shutdown shutdown ${a}`, `1.2 running running ${b}`])
  t.equal(one.driver.running.size, 0)
  t.equal(two.driver.running.size, 1)
  await one.stop()
  await two.stop()
})

t.test('a worker that returns as a new process, its task gone with the old one, is not taken for one that kept it', async (t) => {
  const { worker, pass, serve, picture, submit } = await world(t)
  const one = await worker(a)
  await serve(1)
  one.cut()
  await one.stop()
  await pass(35_000)
  t.same(picture(), [`1.1 running running ${a}`, '1.2 running pending -'])
  const again = await worker(a, one.storage)
  await pass(500)
  t.match(picture()[0], '1.1 shutdown failed')
  await pass(5_000)
  t.match(picture()[1], `1.2 running running ${a}`)
  t.same(again.starts(), ['start service00001.1.2'], 'the lost attempt is not made again')
  await submit({ op: 'service.remove', id: 'service00001' })
  await pass(1_000)
  await again.stop()
})
