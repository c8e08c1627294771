import t from 'tap'
import { type Deferred, deferred } from '../../lib/base/deferred.js'
import type { Op } from '../../lib/model/command.js'
import type { Task } from '../../lib/model/task.js'
import { Reconciler } from '../../lib/orchestrator/index.js'
import { summaryOf } from '../../lib/scheduler/index.js'
import type { View } from '../../lib/store/view.js'
import { BenchCluster } from './bench-cluster.js'
import { VirtualClock } from './virtual-clock.js'

/** A reconciler over real tables: what it submits is applied, unless the test says otherwise. */
class Bench {
  readonly cluster = new BenchCluster()
  readonly clock = new VirtualClock()
  readonly submitted: (readonly Op[])[] = []
  readonly log: string[] = []
  readonly #listeners = new Set<() => void>()
  /** When set, called instead of applying. */
  onSubmit: ((ops: readonly Op[]) => Promise<unknown>) | undefined
  view: () => View = () => this.cluster.tables
  caughtUp: () => Promise<void> = async () => undefined
  readonly reconciler = new Reconciler({
    view: () => this.view(),
    onChange: (listener) => {
      this.#listeners.add(listener)
      return () => this.#listeners.delete(listener)
    },
    submit: async (ops) => {
      this.submitted.push(ops)
      if (this.onSubmit !== undefined) return await this.onSubmit(ops)
      this.apply(...ops)
      return { ok: true, version: 1 }
    },
    caughtUp: () => this.caughtUp(),
    clock: this.clock,
    logger: (message) => this.log.push(message),
  })

  get listeners(): number {
    return this.#listeners.size
  }

  apply(...ops: readonly Op[]): void {
    this.cluster.nowMs = this.clock.wallMs()
    this.cluster.apply(...ops)
    this.changed()
  }

  changed(): void {
    for (const listener of this.#listeners) listener()
  }

  async start(): Promise<this> {
    this.reconciler.start()
    await this.clock.advance(1)
    return this
  }
}

t.test(
  'nothing is planned before the tables hold all that earlier leaders decided, however often that has to be asked',
  async (t) => {
    const bench = new Bench()
    bench.cluster.nodes(2)
    const asked: Deferred<void>[] = []
    bench.caughtUp = () => {
      const one = deferred()
      asked.push(one)
      return one.promise
    }
    bench.cluster.service('web', { replicas: 1 })
    await bench.start()
    asked[0]?.reject(new Error('no quorum'))
    await bench.clock.advance(1_000)
    t.same([bench.submitted.length, asked.length, bench.log], [0, 2, ['no quorum']])
    // What the leader before decided, and this one sees only now.
    bench.apply({ op: 'tasks.create', service: 'web000000000', specVersion: 1, slotFrom: 1, slotTo: 1, desired: 'running' })
    asked[1]?.resolve()
    await bench.clock.advance(1_000)
    t.same(
      bench.cluster.tasks('web000000000').map(({ generation }) => generation),
      [1],
    )
    t.equal(asked.length, 2, 'once is enough')
    await bench.reconciler.stop()
  },
)

t.test('a reconciler that is stopped before it has caught up ends, and has planned nothing', async (t) => {
  const bench = new Bench()
  bench.cluster.nodes(1)
  bench.cluster.service('web')
  bench.caughtUp = () => deferred().promise
  await bench.start()
  await bench.reconciler.stop()
  t.equal(bench.submitted.length, 0)
  t.equal(await bench.reconciler.ended, undefined)
})

t.test('it fills a service, places it, and then sleeps', async (t) => {
  const bench = new Bench()
  bench.cluster.nodes(3)
  const web = bench.cluster.service('web', { replicas: 3 })
  await bench.start()
  await bench.clock.advance(10)
  t.same(
    bench.cluster.tasks(web).map(({ observed }) => observed),
    ['assigned', 'assigned', 'assigned'],
  )
  const commands = bench.submitted.length
  t.equal(commands, 2, 'one command to create, one to assign')
  await bench.clock.advance(300_000)
  t.equal(bench.submitted.length, commands)
  t.equal(bench.clock.timers, 1, 'one alarm is set')
  await bench.reconciler.stop()
})

t.test('while nothing changes it looks at the tables once a minute', async (t) => {
  const bench = new Bench()
  bench.cluster.nodes(3)
  bench.cluster.service('web', { replicas: 3 })
  await bench.start()
  await bench.clock.advance(10_000)
  let planners = 0
  bench.view = () => {
    planners++
    return bench.cluster.tables
  }
  await bench.clock.advance(10 * 60_000)
  t.equal(planners, 10 * 4, 'four planners each time')
  await bench.reconciler.stop()
})

t.test('a change wakes it; many changes at once wake it once', async (t) => {
  const bench = await new Bench().start()
  await bench.clock.advance(10)
  let passes = 0
  bench.view = () => {
    passes++
    return bench.cluster.tables
  }
  for (let n = 0; n < 100; n++) bench.changed()
  await bench.clock.advance(10)
  t.equal(passes, 4, 'four planners, one pass')
  await bench.reconciler.stop()
})

t.test('it wakes by itself when a delay is over', async (t) => {
  const bench = new Bench()
  bench.cluster.nodes(1)
  const web = bench.cluster.service('web', { restart: { delayMs: 5_000 } })
  await bench.start()
  await bench.clock.advance(10)
  const [task] = bench.cluster.tasks(web) as [Task]
  bench.apply({ op: 'tasks.observe', updates: [{ task: task.handle, state: 'failed', message: 'exit code 1' }] })
  await bench.clock.advance(4_990)
  t.equal(bench.cluster.wished(web)[0]?.desired, 'ready')
  await bench.clock.advance(20)
  t.equal(bench.cluster.wished(web)[0]?.desired, 'running')
  await bench.reconciler.stop()
})

t.test('one command is under way at a time', async (t) => {
  const bench = new Bench()
  bench.cluster.nodes(1)
  for (const name of ['a', 'b', 'c']) bench.cluster.service(name, { replicas: 4_000 })
  let open: Deferred<unknown> | undefined
  bench.onSubmit = (ops) => {
    t.equal(open, undefined, 'the one before was answered')
    const answer = deferred<unknown>()
    open = answer
    t.ok(ops.length > 0)
    return answer.promise
  }
  await bench.start()
  for (let commands = 1; commands <= 3; commands++) {
    await bench.clock.advance(1_000)
    t.equal(bench.submitted.length, commands)
    const answer = open as unknown as Deferred<unknown>
    bench.cluster.apply(...(bench.submitted.at(-1) ?? []))
    open = undefined
    answer.resolve({ ok: true })
    await bench.clock.advance(0)
  }
  await bench.reconciler.stop()
})

for (const [name, fail] of [
  ['a command that fails', () => Promise.reject(new Error('no quorum'))],
  ['a command that is refused', () => Promise.resolve({ ok: false, code: 'ERR_SKEIN_NOT_FOUND', message: 'no quorum' })],
] as const) {
  t.test(`after ${name} it waits longer each time, and then plans anew`, async (t) => {
    const bench = new Bench()
    bench.cluster.nodes(1)
    const web = bench.cluster.service('web')
    bench.onSubmit = fail
    await bench.start()
    t.equal(bench.submitted.length, 1)
    bench.changed()
    await bench.clock.advance(90)
    t.equal(bench.submitted.length, 1, 'a change does not shorten the wait')
    await bench.clock.advance(10_000)
    const tries = bench.submitted.length
    t.ok(tries > 4 && tries < 12, `${tries} tries in 10 s`)
    t.match(bench.log[0], /no quorum/)
    bench.onSubmit = undefined
    await bench.clock.advance(5_000)
    t.equal(bench.cluster.tasks(web).length, 1)
    await bench.reconciler.stop()
  })
}

t.test('after stop nothing runs, fires or listens, even with a command under way', async (t) => {
  const bench = new Bench()
  bench.cluster.nodes(1)
  bench.cluster.service('web')
  bench.onSubmit = () => new Promise(() => undefined)
  await bench.start()
  t.equal(bench.submitted.length, 1)
  await bench.reconciler.stop()
  await bench.reconciler.stop()
  t.equal(await bench.reconciler.ended, undefined)
  t.equal(bench.listeners, 0)
  t.equal(bench.clock.timers, 0)
  bench.changed()
  await bench.clock.advance(600_000)
  t.equal(bench.submitted.length, 1)
})

t.test('stopped while asleep, and stopped before it began', async (t) => {
  const bench = await new Bench().start()
  await bench.clock.advance(10)
  await bench.reconciler.stop()
  t.equal(bench.clock.timers, 0)
  const unused = new Bench()
  await unused.reconciler.stop()
  t.throws(() => unused.reconciler.start(), /started once/)
})

t.test('a planner that fails ends the loop loudly', async (t) => {
  const bench = new Bench()
  bench.view = () => {
    throw new Error('broken invariant')
  }
  await bench.start()
  t.match(await bench.reconciler.ended, /broken invariant/)
  t.match(bench.log, [/broken invariant/])
  t.equal(bench.listeners, 0)
  await bench.reconciler.stop()
})

t.test('it knows why a task waits, and forgets it when the task is placed', async (t) => {
  const bench = new Bench()
  const node = bench.cluster.node('n', { labels: { disk: 'hdd' } })
  const web = bench.cluster.service('web', { placement: { constraints: ['node.labels.disk == ssd'] } })
  await bench.start()
  await bench.clock.advance(10)
  const [task] = bench.cluster.tasks(web) as [Task]
  const report = bench.reconciler.why(task.handle)
  t.equal(report && summaryOf(report), 'no suitable node: constraint node.labels.disk == ssd not met by 1 node')
  t.equal(bench.submitted.length, 1, 'nothing was written about it')
  bench.apply({ op: 'node.update', id: node, labels: { disk: 'ssd' } })
  await bench.clock.advance(10)
  t.equal(bench.reconciler.why(task.handle), undefined)
  t.equal(bench.cluster.tasks(web)[0]?.observed, 'assigned')
  await bench.reconciler.stop()
})

t.test('a long plan lets others run every 8 ms', async (t) => {
  const bench = new Bench()
  for (const letter of 'abcdefghijklmnopqrst') bench.cluster.service(letter, { replicas: 0 })
  // Looking at a service takes 3 ms here.
  const slow = new Proxy(bench.cluster.tables, {
    get(tables, name) {
      if (name === 'service') bench.clock.spend(3)
      const found: unknown = Reflect.get(tables, name, tables)
      return typeof found === 'function' ? found.bind(tables) : found
    },
  })
  bench.view = () => slow
  let [ranMs, longestMs] = [0, 0]
  bench.clock.every(1, () => {
    longestMs = Math.max(longestMs, bench.clock.now() - ranMs)
    ranMs = bench.clock.now()
  })
  await bench.start()
  await bench.clock.advance(500)
  t.ok(longestMs >= 8, 'it did plan for longer than a slice')
  t.ok(longestMs <= 20, `nobody waited longer than a slice and one service: ${longestMs} ms`)
  await bench.reconciler.stop()
})

t.test('the next leader goes on where the last one stopped', async (t) => {
  const bench = new Bench()
  bench.cluster.nodes(2)
  const web = bench.cluster.service('web', { replicas: 2 })
  let left = 1
  bench.onSubmit = (ops) => {
    if (left-- <= 0) return Promise.reject(new Error('no longer leader'))
    bench.apply(...ops)
    return Promise.resolve({ ok: true })
  }
  await bench.start()
  await bench.clock.advance(10)
  await bench.reconciler.stop()
  t.same(
    bench.cluster.tasks(web).map(({ observed }) => observed),
    ['pending', 'pending'],
  )
  bench.cluster.plan()
  t.same(
    bench.cluster.tasks(web).map(({ observed }) => observed),
    ['assigned', 'assigned'],
  )
})
