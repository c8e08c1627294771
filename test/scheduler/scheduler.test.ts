import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import type { Op } from '../../lib/model/command.js'
import type { Task } from '../../lib/model/task.js'
import { describeReason, groupKeyOf, type PlacementReport, planPlacement, summaryOf } from '../../lib/scheduler/index.js'
import { BenchCluster, type ServiceShape } from '../orchestrator/bench-cluster.js'

const mebibyte = 2 ** 20

/** A service whose tasks exist and wait. */
function pending(cluster: BenchCluster, name: string, shape: ServiceShape): string {
  const service = cluster.service(name, shape)
  cluster.planServices()
  return service
}

function place(cluster: BenchCluster): ReadonlyMap<string, PlacementReport> {
  const plan = planPlacement(cluster.tables, cluster.nowMs)
  if (plan.ops.length > 0) cluster.apply(...plan.ops)
  return plan.explanations
}

function perNode(tasks: readonly Task[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { node } of tasks) if (node !== undefined) counts[node] = (counts[node] ?? 0) + 1
  return counts
}

function onlyReport(reports: ReadonlyMap<string, PlacementReport>): PlacementReport {
  t.equal(reports.size, 1)
  return [...reports.values()][0] as PlacementReport
}

t.test('tasks spread evenly, and a second plan has nothing to add', async (t) => {
  const cluster = new BenchCluster()
  cluster.nodes(3)
  const web = pending(cluster, 'web', { replicas: 7 })
  t.equal(place(cluster).size, 0)
  t.same(perNode(cluster.tasks(web)), { n00000000000: 3, n10000000000: 2, n20000000000: 2 })
  t.same(planPlacement(cluster.tables, cluster.nowMs), { ops: [], explanations: new Map(), more: false })
})

t.test('fewest tasks of the service come before fewest tasks in all', async (t) => {
  const cluster = new BenchCluster()
  const [a, b] = cluster.nodes(2) as [string, string]
  pending(cluster, 'other', { replicas: 4, placement: { constraints: [`node.id == ${a}`] } })
  place(cluster)
  const web = pending(cluster, 'web', { replicas: 2 })
  place(cluster)
  t.same(perNode(cluster.tasks(web)), { [a]: 1, [b]: 1 })
  const one = pending(cluster, 'one', { replicas: 1 })
  place(cluster)
  t.same(perNode(cluster.tasks(one)), { [b]: 1 }, 'the emptier node when the service is nowhere')
})

t.test('a task wished ready is placed too, so that it can prepare', async (t) => {
  const cluster = new BenchCluster()
  cluster.nodes(1)
  const web = cluster.service('web')
  cluster.apply({ op: 'tasks.create', service: web, specVersion: 1, slotFrom: 1, slotTo: 1, desired: 'ready' })
  place(cluster)
  t.equal(cluster.tasks(web)[0]?.observed, 'assigned')
})

t.test('a task wished shutdown is not placed', async (t) => {
  const cluster = new BenchCluster()
  cluster.nodes(1)
  const web = pending(cluster, 'web', {})
  cluster.apply({ op: 'tasks.desire', tasks: cluster.tasks(web).map(({ handle }) => handle), desired: 'shutdown' })
  t.same(planPlacement(cluster.tables, 0).ops, [])
})

t.test('what a task still holds is not given twice, even when it is on its way out', async (t) => {
  const cluster = new BenchCluster()
  cluster.node('n', { memoryBytes: 64 * mebibyte })
  const task = { command: ['true'], resources: { reserve: { memoryBytes: 64 * mebibyte } } }
  const old = pending(cluster, 'old', { task })
  place(cluster)
  const [holder] = cluster.tasks(old) as [Task]
  cluster.observe(holder, 'running')
  cluster.apply({ op: 'service.remove', id: old })
  const next = pending(cluster, 'next', { task })
  t.equal(place(cluster).size, 1, 'the old one has not ended')
  cluster.observe(holder, 'shutdown')
  t.equal(place(cluster).size, 0)
  t.equal(cluster.tasks(next)[0]?.observed, 'assigned')
})

t.test('a task on its way out leaves its place under maxPerNode: stop-first replaces in place', async (t) => {
  const cluster = new BenchCluster()
  cluster.node('n')
  const web = pending(cluster, 'web', { placement: { maxPerNode: 1 } })
  place(cluster)
  const [old] = cluster.tasks(web) as [Task]
  cluster.apply({ op: 'tasks.desire', tasks: [old.handle], desired: 'shutdown' })
  cluster.apply({ op: 'tasks.create', service: web, specVersion: 1, slotFrom: 1, slotTo: 1, desired: 'ready' })
  t.equal(place(cluster).size, 0)
})

t.test('a node where the version failed five times in five minutes comes last, and returns after that', async (t) => {
  const cluster = new BenchCluster({ taskHistory: 10 })
  const [bad, good] = cluster.nodes(2) as [string, string]
  const web = cluster.service('web', { replicas: 1 })
  const fail = (count: number): void => {
    for (let n = 0; n < count; n++) {
      cluster.apply({ op: 'tasks.create', service: web, specVersion: 1, slotFrom: 9, slotTo: 9, desired: 'running' })
      const task = cluster.inSlot(web, 9).at(-1) as Task
      cluster.apply({ op: 'tasks.assign', tasks: [task.handle], nodes: [bad] })
      cluster.observe(task, 'failed')
    }
  }
  const wherePlaced = (): string | undefined => {
    cluster.apply({ op: 'tasks.create', service: web, specVersion: 1, slotFrom: 1, slotTo: 1, desired: 'running' })
    place(cluster)
    const task = cluster.inSlot(web, 1).at(-1) as Task
    cluster.observe(task, 'complete')
    return task.node === undefined ? cluster.tables.task(task.handle)?.node : task.node
  }
  fail(4)
  t.equal(wherePlaced(), bad, 'four failures change nothing')
  fail(1)
  t.equal(wherePlaced(), good)
  cluster.nowMs += 5 * 60_000 + 1
  t.equal(wherePlaced(), bad)
})

t.test('spread preferences even out label values before nodes', async (t) => {
  const cluster = new BenchCluster()
  for (const name of ['a1', 'a2', 'a3']) cluster.node(name, { labels: { zone: 'a' } })
  cluster.node('b1', { labels: { zone: 'b' } })
  const web = pending(cluster, 'web', { replicas: 6, placement: { spread: ['node.labels.zone'] } })
  place(cluster)
  t.same(perNode(cluster.tasks(web)), { a10000000000: 1, a20000000000: 1, a30000000000: 1, b10000000000: 3 })
})

t.test('every reason is told, with counts that sum to the nodes looked at', async (t) => {
  const cluster = new BenchCluster()
  const small = ['s1', 's2', 's3'].map((name, index) =>
    cluster.node(name, { labels: { disk: 'ssd' }, memoryBytes: (10 + index) * mebibyte }),
  )
  t.equal(small.length, 3)
  cluster.apply({ op: 'node.update', id: cluster.node('d1', { labels: { disk: 'ssd' } }), availability: 'drain' })
  cluster.apply({ op: 'node.update', id: cluster.node('p1', { labels: { disk: 'ssd' } }), availability: 'pause' })
  cluster.nodeState(cluster.node('x1'), 'down')
  cluster.nodeState(cluster.node('u1'), 'unknown')
  cluster.node('h1')
  cluster.node('h2', { labels: { disk: 'hdd' } })
  cluster.node('i1', { drivers: ['inline'] })
  cluster.node('c1', { cpus: 0.5, labels: { disk: 'ssd' } })
  const web = pending(cluster, 'web', {
    replicas: 2,
    task: { command: ['true'], resources: { reserve: { cpus: 1, memoryBytes: 64 * mebibyte } } },
    placement: { constraints: ['node.labels.disk == ssd'] },
  })
  const report = onlyReport(place(cluster))
  t.equal(report.group, groupKeyOf(cluster.tasks(web)[0] as Task))
  t.equal(report.unplaced, 2)
  t.equal(report.evaluated, 11)
  t.equal(
    report.reasons.reduce((sum, { nodes }) => sum + nodes, 0),
    report.evaluated,
  )
  t.equal(
    summaryOf(report),
    'no suitable node: 3 nodes lack memory (need 64 MiB, most free 12 MiB); constraint node.labels.disk == ssd not met by 2 nodes; ' +
      "1 node down; 1 node not heard of yet; 1 node drained; 1 node paused; 1 node lacks the driver 'process'; " +
      '1 node lacks CPU (need 1, most free 0.5)',
  )
  t.same(report.reasons[0]?.names, ['s1', 's2', 's3'])
  t.same(planPlacement(cluster.tables, cluster.nowMs).ops, [], 'reasons are never written')
})

t.test('a group that fits in part is placed in part, and the rest explained as the nodes are now', async (t) => {
  const cluster = new BenchCluster()
  cluster.nodes(2)
  const web = pending(cluster, 'web', { replicas: 5, placement: { maxPerNode: 2 } })
  const report = onlyReport(place(cluster))
  t.match(report, { placed: 4, unplaced: 1, evaluated: 2 })
  t.equal(summaryOf(report), 'no suitable node: 2 nodes have the most tasks allowed per node (2)')
  t.equal(cluster.tasks(web).filter(({ observed }) => observed === 'pending').length, 1)
})

t.test('without nodes, and with a constraint of one node, the words are singular and true', async (t) => {
  const empty = new BenchCluster()
  pending(empty, 'web', {})
  t.equal(summaryOf(onlyReport(place(empty))), 'no suitable node: the cluster has no nodes')
  const one = new BenchCluster()
  one.node('n', { memoryBytes: mebibyte })
  pending(one, 'web', { task: { command: ['x'], resources: { reserve: { memoryBytes: 1.5 * 2 ** 30 } } } })
  const { reasons } = onlyReport(place(one))
  t.equal(reasons.map(describeReason).join(), '1 node lacks memory (need 1.5 GiB, most free 1 MiB)')
})

t.test('two groups of one service share maxPerNode', async (t) => {
  const cluster = new BenchCluster()
  cluster.nodes(2)
  const placement = { maxPerNode: 1 }
  const web = pending(cluster, 'web', { replicas: 2, placement })
  cluster.update(web, { replicas: 2, placement, task: { command: ['new'] } })
  cluster.apply({ op: 'tasks.create', service: web, specVersion: 2, slotFrom: 3, slotTo: 3, desired: 'running' })
  const report = onlyReport(place(cluster))
  t.equal(report.group, `${web}.2`)
  t.same(perNode(cluster.tasks(web)), { n00000000000: 1, n10000000000: 1 })
})

t.test('older services come first when room is short', async (t) => {
  const cluster = new BenchCluster()
  cluster.node('n', { cpus: 1 })
  const task = { command: ['x'], resources: { reserve: { cpus: 1 } } }
  const older = pending(cluster, 'zz', { task })
  pending(cluster, 'aa', { task })
  place(cluster)
  t.equal(cluster.tasks(older)[0]?.observed, 'assigned')
})

t.test('told to yield after each group, the plans together equal the whole plan', async (t) => {
  const make = (): BenchCluster => {
    const cluster = new BenchCluster()
    cluster.nodes(4)
    for (const name of ['a', 'b', 'c']) pending(cluster, name, { replicas: 5 })
    return cluster
  }
  const whole = make()
  place(whole)
  const sliced = make()
  let plans = 0
  for (let more = true; more; plans++) {
    const plan = planPlacement(sliced.tables, sliced.nowMs, { shouldYield: () => true })
    if (plan.ops.length > 0) sliced.apply(...plan.ops)
    more = plan.more
  }
  t.equal(plans, 4, 'three groups, and one look that finds nothing')
  const picture = (cluster: BenchCluster) => [...cluster.tables.tasks()].map(({ handle, node }) => `${handle} ${node}`)
  t.same(picture(sliced), picture(whole))
})

t.test('whatever the cluster: capacity holds, constraints hold, as much as fits is placed, and counts sum up', async () => {
  const nodeShape = fc.record({ cpus: fc.integer({ min: 0, max: 4 }), zone: fc.constantFrom('a', 'b'), ready: fc.boolean() })
  const serviceShape = fc.record({
    replicas: fc.nat(8),
    cpus: fc.nat(2),
    zone: fc.option(fc.constantFrom('a', 'b')),
    maxPerNode: fc.nat(2),
    spread: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(nodeShape, { maxLength: 6 }), fc.array(serviceShape, { maxLength: 4 }), (nodes, services) => {
      const cluster = new BenchCluster()
      for (const [index, { cpus, zone, ready }] of nodes.entries()) {
        const id = cluster.node(`n${index}`, { cpus, labels: { zone } })
        if (!ready) cluster.nodeState(id, 'down')
      }
      for (const [index, { replicas, cpus, zone, maxPerNode, spread }] of services.entries()) {
        pending(cluster, `s${index}`, {
          replicas,
          task: { command: ['x'], ...(cpus > 0 && { resources: { reserve: { cpus } } }) },
          placement: {
            constraints: zone === null ? [] : [`node.labels.zone == ${zone}`],
            maxPerNode,
            spread: spread ? ['node.labels.zone'] : [],
          },
        })
      }
      const first = planPlacement(cluster.tables, cluster.nowMs)
      assert.deepEqual(planPlacement(cluster.tables, cluster.nowMs), first, 'the same view gives the same plan')
      if (first.ops.length > 0) cluster.apply(...(first.ops as Op[]))
      assert.deepEqual(planPlacement(cluster.tables, cluster.nowMs).ops, [], 'what can be placed is placed at once')
      for (const report of first.explanations.values()) {
        assert.equal(
          report.reasons.reduce((sum, { nodes: count }) => sum + count, 0),
          report.evaluated,
        )
        assert.ok(report.unplaced > 0)
      }
      for (const [index, { cpus, zone, ready }] of nodes.entries()) {
        const here = [...cluster.tables.tasksOfNode(`n${index}`.padEnd(12, '0'))]
        const used = here.reduce((sum, { service }) => sum + (services[Number(service[1])]?.cpus ?? 0), 0)
        assert.ok(used <= cpus, 'no node is given more than it has')
        assert.ok(ready || here.length === 0)
        for (const [at, service] of services.entries()) {
          const mine = here.filter((task) => task.service === `s${at}`.padEnd(12, '0')).length
          assert.ok(service.maxPerNode === 0 || mine <= service.maxPerNode)
          assert.ok(service.zone === null || service.zone === zone || mine === 0)
        }
      }
    }),
    { numRuns: 300 },
  )
})
