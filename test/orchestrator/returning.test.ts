import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import type { Task, TaskState } from '../../lib/model/task.js'
import { BenchCluster, type ServiceShape } from './bench-cluster.js'

interface Lost {
  readonly cluster: BenchCluster
  readonly web: string
  /** The node that is down, with the only task. */
  readonly node: string
}

/** A service of one task on a node that went down; its replacement is planned and carried out as far as `until`. */
function lost(until: TaskState, shape: ServiceShape = {}): Lost {
  const cluster = new BenchCluster()
  cluster.node('a')
  const web = cluster.service('web', { replicas: 1, ...shape })
  cluster.settle()
  const node = cluster.wished(web)[0]?.node as string
  if (until !== 'pending') cluster.node('b')
  cluster.nodeState(node, 'down')
  cluster.plan()
  if (until !== 'pending' && until !== 'assigned') cluster.observe(cluster.wished(web)[0] as Task, until)
  return { cluster, web, node }
}

const returns: readonly (readonly [TaskState, 'goes on' | 'is stopped'])[] = [
  ['pending', 'goes on'],
  ['assigned', 'goes on'],
  ['preparing', 'goes on'],
  ['starting', 'goes on'],
  ['running', 'is stopped'],
]
for (const [replacement, outcome] of returns) {
  t.test(`a task whose node returns while its replacement is ${replacement} ${outcome}`, async (t) => {
    const { cluster, web, node } = lost(replacement)
    cluster.nodeState(node, 'ready')
    cluster.settle()
    const [task] = cluster.running(web)
    t.equal(cluster.running(web).length, 1)
    t.equal(task?.generation, outcome === 'goes on' ? 1 : 2)
    if (outcome === 'goes on') t.same(cluster.picture(web), ['1.1 running running'], 'and its replacement leaves no trace')
    else t.match(cluster.inSlot(web, 1)[0], { desired: 'shutdown', observed: 'shutdown' })
  })
}

t.test('a replacement that runs ends the wish for what it replaced, while that node is still down', async (t) => {
  const { cluster, web, node } = lost('running')
  cluster.plan()
  t.same(cluster.picture(web), ['1.1 shutdown running', '1.2 running running'])
  cluster.nodeState(node, 'ready')
  cluster.plan()
  t.same(cluster.picture(web), ['1.1 shutdown running', '1.2 running running'])
})

t.test('a task that ended while its node was away is not what comes back', async (t) => {
  const { cluster, web, node } = lost('preparing')
  cluster.observe(cluster.inSlot(web, 1)[0] as Task, 'failed', 'the peer restarted')
  cluster.nodeState(node, 'ready')
  cluster.settle()
  t.same(cluster.picture(web), ['1.1 shutdown failed', '1.2 running running'])
})

t.test('a task that went on and fails later is restarted by the policy, as if it had never been away', async (t) => {
  const { cluster, web, node } = lost('preparing', { restart: { delayMs: 5_000, attemptsMax: 1 } })
  cluster.nodeState(node, 'ready')
  cluster.plan()
  cluster.observe(cluster.inSlot(web, 1)[0] as Task, 'failed')
  const failedMs = cluster.nowMs
  cluster.settle()
  const next = cluster.wished(web)[0] as Task
  t.equal(next.startAfterMs, failedMs + 5_000, 'with the delay')
  cluster.nowMs += 5_000
  cluster.settle()
  cluster.observe(next, 'failed')
  cluster.settle()
  t.equal(cluster.wished(web).length, 0, 'and its failure counted as an attempt')
})

t.test('what is outdated, drained or no longer wanted does not come back', async (t) => {
  const updated = lost('pending')
  updated.cluster.update(updated.web, { replicas: 1, task: { command: ['next'] } })
  updated.cluster.plan()
  t.match(updated.cluster.inSlot(updated.web, 1)[0], { desired: 'shutdown' })

  const drained = lost('pending')
  drained.cluster.apply({ op: 'node.update', id: drained.node, availability: 'drain' })
  drained.cluster.plan()
  t.match(drained.cluster.inSlot(drained.web, 1)[0], { desired: 'shutdown' })

  const scaled = lost('pending')
  scaled.cluster.update(scaled.web, { replicas: 0 })
  scaled.cluster.plan()
  t.match(scaled.cluster.inSlot(scaled.web, 1)[0], { desired: 'remove' })
})

t.test('a place that is taken twice over by lost nodes keeps every attempt that may come back, and one that does', async (t) => {
  const { cluster, web, node } = lost('running')
  const second = cluster.wished(web)[0] as Task
  cluster.nodeState(second.node as string, 'down')
  cluster.plan()
  t.same(cluster.picture(web), ['1.1 running running', '1.2 running running', '1.3 running pending'])
  cluster.nodeState(node, 'ready')
  cluster.plan()
  t.same(cluster.picture(web), ['1.1 running running', '1.2 remove running'], 'whichever comes first')
})

type Step =
  | { readonly type: 'down' | 'up'; readonly node: number }
  /** Every so-manieth task gets one state further. */
  | { readonly type: 'obey'; readonly every: number }

t.test('whichever nodes come and go, a node that returns loses no running task whose place nobody else fills', async () => {
  const step: fc.Arbitrary<Step> = fc.oneof(
    fc.record({ type: fc.constantFrom('down' as const, 'up' as const), node: fc.nat(3) }),
    fc.record({ type: fc.constant('obey' as const), every: fc.integer({ min: 1, max: 3 }) }),
  )
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 6 }), fc.array(step, { maxLength: 25 }), (replicas, steps) => {
      const cluster = new BenchCluster()
      const nodes = cluster.nodes(4)
      const web = cluster.service('web', { replicas })
      cluster.settle()
      for (const step of steps) {
        if (step.type === 'obey') cluster.obey(({ handle }) => handle % step.every === 0)
        else cluster.nodeState(nodes[step.node] as string, step.type === 'up' ? 'ready' : 'down')
        // Only those: what was wished away before was replaced by one that ran.
        const wanted = cluster
          .running(web)
          .filter(
            (task) =>
              step.type === 'up' &&
              task.node === nodes[step.node] &&
              cluster.running(web).every((other) => other === task || other.slot !== task.slot),
          )
        cluster.plan()
        for (const { handle } of wanted) assert.equal(cluster.tables.task(handle)?.desired, 'running')
        const slots = cluster.wished(web).map(({ slot }) => slot)
        assert.equal(new Set(slots).size, slots.length, 'one wished task in a slot, on nodes that are there')
      }
      for (const node of nodes) cluster.nodeState(node, 'ready')
      cluster.settle()
      assert.equal(cluster.running(web).length, replicas)
      assert.equal(
        cluster.tables.taskCount() - cluster.running(web).length,
        cluster.tasks(web).filter(({ desired }) => desired === 'shutdown').length,
      )
    }),
    { numRuns: 300 },
  )
})
