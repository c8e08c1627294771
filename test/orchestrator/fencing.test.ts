/** Services whose tasks stop themselves without a manager: a replacement starts when the one before is certainly over, never earlier. */
import t from 'tap'
import type { Task } from '../../lib/model/task.js'
import { fencedAfterMs } from '../../lib/orchestrator/index.js'
import { plainTask } from '../../lib/testing/plain-task.js'
import { BenchCluster, type ServiceShape } from './bench-cluster.js'

const task = { command: ['x'], selfFenceAfterMs: 20_000, stopGraceMs: 1_000 }
/** (20 s + 1 s) by a clock that is a hundredth slow, measured by one that is a hundredth fast, and 2 s to be killed in. */
const overAfterMs = 23_425

interface Lone {
  readonly cluster: BenchCluster
  readonly web: string
  /** Its only task, which runs. */
  readonly first: Task
  readonly node: string
  /** The node has not been answered since now. */
  cut(): void
  pass(ms: number): void
  /** Whether the replacement is wished to run. */
  starts(): boolean
}

function lone(shape: ServiceShape = {}, taskHistory?: number): Lone {
  const cluster = new BenchCluster(taskHistory === undefined ? {} : { taskHistory })
  cluster.node('a')
  const web = cluster.service('web', { replicas: 1, task, ...shape })
  cluster.settle()
  cluster.node('b')
  const first = cluster.running(web)[0] as Task
  const node = first.node as string
  let cutAtMs: number | undefined
  cluster.silence = (id) => (id === node && cutAtMs !== undefined ? cluster.nowMs - cutAtMs : 0)
  return {
    cluster,
    web,
    first,
    node,
    cut: () => {
      cutAtMs = cluster.nowMs
    },
    pass: (ms) => {
      cluster.nowMs += ms
      cluster.settle()
    },
    starts: () => cluster.tasks(web).some(({ generation, desired }) => generation > first.generation && desired === 'running'),
  }
}

t.test('the wait is the time without a manager, the grace, what clocks may differ by and what a kill takes', async (t) => {
  t.equal(fencedAfterMs({ ...plainTask, stopGraceMs: 1_000 }, 20_000), overAfterMs)
  for (const [drift, own] of [
    [0.99, 1.01],
    [1, 1.01],
    [0.99, 1],
  ] as const)
    t.ok(overAfterMs / own > 21_000 / drift, `the worker's clock at ${drift}, ours at ${own}`)
})

t.test('a task on a node that is down is replaced when its time is over: prepared before, started then', async (t) => {
  const { cluster, web, node, cut, pass, starts } = lone()
  cut()
  cluster.nowMs += 8_000
  cluster.nodeState(node, 'down')
  cluster.settle()
  t.same(cluster.picture(web), ['1.1 running running', '1.2 ready ready'])
  t.equal(cluster.wakeAtMs(), cluster.nowMs - 8_000 + overAfterMs, 'it knows when to look again')
  pass(overAfterMs - 8_001)
  t.notOk(starts())
  pass(1)
  t.ok(starts())
})

t.test('one that need not be fenced is replaced at once', async (t) => {
  const { cluster, node, starts } = lone({ task: { command: ['x'] } })
  cluster.nodeState(node, 'down')
  cluster.settle()
  t.ok(starts())
})

t.test('a new leader counts from its own beginning', async (t) => {
  const { cluster, node, pass, starts } = lone()
  cluster.nodeState(node, 'down')
  pass(overAfterMs - 1)
  const beganAtMs = cluster.nowMs
  cluster.silence = () => cluster.nowMs - beganAtMs
  pass(overAfterMs - 1)
  t.notOk(starts())
  pass(1)
  t.ok(starts())
})

t.test('a wall clock that is set ahead by a day starts nothing', async (t) => {
  const { cluster, node, cut, starts } = lone()
  cut()
  cluster.nodeState(node, 'down')
  cluster.settle()
  const silent = cluster.silence(node)
  cluster.silence = () => silent
  cluster.nowMs += 86_400_000
  cluster.settle()
  t.notOk(starts())
})

t.test('its own word that it is over ends the wait', async (t) => {
  const { cluster, node, first, cut, pass, starts } = lone({ restart: { delayMs: 0 } })
  cut()
  cluster.nodeState(node, 'down')
  cluster.settle()
  t.notOk(starts())
  cluster.observe(first, 'shutdown', 'fenced')
  pass(1)
  t.ok(starts())
})

t.test('back before its time is over, it goes on, and its replacement leaves no trace', async (t) => {
  const { cluster, web, node, cut, pass } = lone()
  cut()
  cluster.nodeState(node, 'down')
  pass(overAfterMs - 1_000)
  cluster.silence = () => 0
  cluster.nodeState(node, 'ready')
  cluster.settle()
  t.same(cluster.picture(web), ['1.1 running running'])
})

t.test('a node that is drained, or a service that is updated, while the node is silent: the same wait', async (t) => {
  for (const change of ['drain', 'update'] as const) {
    const { cluster, web, node, cut, pass, starts } = lone()
    cut()
    cluster.nodeState(node, 'degraded')
    if (change === 'drain') cluster.apply({ op: 'node.update', id: node, availability: 'drain' })
    else cluster.update(web, { replicas: 1, task: { ...task, command: ['y'] } })
    const isSilent = (task: Task): boolean => task.node !== node
    cluster.plan()
    for (let at = 0; at < overAfterMs - 1; at += 1_000) {
      t.notOk(starts(), `${change} after ${at} ms`)
      cluster.nowMs += Math.min(1_000, overAfterMs - 1 - at)
      cluster.plan()
      cluster.obey(isSilent)
      cluster.plan()
    }
    t.notOk(starts(), change)
    // A predecessor whose node is not down is waited for at least a minute besides, as any other.
    pass(60_000)
    t.ok(starts(), change)
  }
})

t.test('on a node that is heard it is waited for without an end, other than one that is not fenced', async (t) => {
  for (const isFenced of [true, false]) {
    const { cluster, web, node, starts } = lone({ task: isFenced ? task : { command: ['x'], stopGraceMs: 1_000 } })
    cluster.apply({ op: 'node.update', id: node, availability: 'drain' })
    const obeys = (task: Task): boolean => task.node !== node
    cluster.plan()
    for (let minute = 0; minute < 10; minute++) {
      cluster.nowMs += 60_000
      cluster.obey(obeys)
      cluster.plan()
    }
    t.equal(starts(), !isFenced)
    cluster.settle()
    t.ok(starts(), 'and starts when it is over')
    t.equal(cluster.running(web).length, 1)
  }
})

t.test('a node removed by force may run its task for as long as before, and no history is too short to know it', async (t) => {
  for (const taskHistory of [undefined, 0]) {
    const { cluster, node, cut, pass, starts } = lone({}, taskHistory)
    cut()
    cluster.nowMs += 5_000
    cluster.apply({ op: 'node.remove', id: node })
    cluster.settle()
    for (const ms of [1_000, 10_000, overAfterMs - 16_001]) {
      pass(ms)
      t.notOk(starts())
    }
    pass(1)
    t.ok(starts())
  }
})

t.test('a slot that is given up and taken again waits for what it had', async (t) => {
  const { cluster, web, node, cut, pass, starts } = lone()
  cut()
  cluster.nodeState(node, 'down')
  cluster.settle()
  cluster.update(web, { replicas: 0, task })
  cluster.settle()
  cluster.update(web, { replicas: 1, task })
  cluster.settle()
  t.notOk(starts())
  pass(overAfterMs)
  t.ok(starts())
})

t.test('what counts is what the task was started with, not what its service says now', async (t) => {
  const { cluster, web, node, cut, pass, starts } = lone()
  cut()
  cluster.nodeState(node, 'down')
  cluster.update(web, { replicas: 1, task: { command: ['x'] } })
  cluster.settle()
  t.notOk(starts())
  pass(overAfterMs)
  t.ok(starts())
})

t.test('a node that no longer meets its constraints stops it first, instead of having it called over', async (t) => {
  const { cluster, web, node, first, starts } = lone({ placement: { constraints: ['node.labels.disk != hdd'] } })
  cluster.apply({ op: 'node.update', id: node, labels: { disk: 'hdd' } })
  const obeys = (task: Task): boolean => task.node !== node
  cluster.plan()
  cluster.obey(obeys)
  cluster.plan()
  t.match(cluster.inSlot(web, 1)[0], { desired: 'shutdown', observed: 'running' })
  t.notOk(starts())
  cluster.observe(first, 'shutdown')
  cluster.settle()
  t.ok(starts())
})
