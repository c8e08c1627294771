import t from 'tap'
import type { Task } from '../../lib/model/task.js'
import { BenchCluster } from './bench-cluster.js'

const nodesOf = (tasks: readonly Task[]): (string | undefined)[] => tasks.map(({ node }) => node?.slice(0, 2))
const slotsOf = (tasks: readonly Task[]): number[] => tasks.map(({ slot }) => slot)

/** Three nodes, a service of `replicas` tasks that all run. */
function running(replicas: number, shape = {}): { cluster: BenchCluster; web: string } {
  const cluster = new BenchCluster()
  cluster.nodes(3)
  const web = cluster.service('web', { replicas, ...shape })
  cluster.settle()
  t.equal(cluster.running(web).length, replicas)
  return { cluster, web }
}

t.test('a new service gets its slots from 1 in one operation', async (t) => {
  const cluster = new BenchCluster()
  const web = cluster.service('web', { replicas: 1_000 })
  t.same(cluster.planServices(), [
    { op: 'tasks.create', service: web, specVersion: 1, slotFrom: 1, slotTo: 1_000, desired: 'running' },
  ])
  t.same(cluster.planServices(), [])
})

t.test('scaling up fills the lowest free slots and touches no other task', async (t) => {
  const { cluster, web } = running(4)
  const [, second] = cluster.wished(web) as [Task, Task]
  cluster.apply({ op: 'tasks.desire', tasks: [second.handle], desired: 'remove' })
  cluster.observe(second, 'shutdown')
  cluster.apply({ op: 'tasks.remove', tasks: [second.handle] })
  const before = cluster.tasks(web)
  cluster.update(web, { replicas: 6 })
  t.same(
    cluster.planServices().map((op) => op.op === 'tasks.create' && [op.slotFrom, op.slotTo]),
    [
      [2, 2],
      [5, 6],
    ],
  )
  t.same(
    cluster.tasks(web).filter(({ handle }) => before.some((old) => old.handle === handle)),
    before,
  )
})

t.test('scaling down takes from the most crowded nodes, high slots first', async (t) => {
  const { cluster, web } = running(7)
  t.same(nodesOf(cluster.wished(web)), ['n0', 'n1', 'n2', 'n0', 'n1', 'n2', 'n0'])
  cluster.update(web, { replicas: 6 })
  cluster.plan()
  t.same(slotsOf(cluster.wished(web)), [1, 2, 3, 4, 5, 6], 'n0 had three')
  cluster.update(web, { replicas: 3 })
  cluster.plan()
  t.same(nodesOf(cluster.wished(web)), ['n0', 'n1', 'n2'])
  t.same(cluster.tasks(web).filter(({ desired }) => desired === 'remove').length, 4, 'wished removed until they have ended')
  cluster.settle()
  t.equal(cluster.tasks(web).length, 3, 'and then forgotten')
})

t.test('scaling down prefers what does not run and what has no node', async (t) => {
  const cluster = new BenchCluster()
  cluster.nodes(2)
  const web = cluster.service('web', { replicas: 5, placement: { maxPerNode: 2 } })
  cluster.plan()
  const [one, two, three] = cluster.wished(web) as Task[]
  t.equal(cluster.wished(web)[4]?.node, undefined)
  for (const task of [two, three]) cluster.observe(task as Task, 'running')
  cluster.update(web, { replicas: 4, placement: { maxPerNode: 2 } })
  cluster.planServices()
  t.same(slotsOf(cluster.wished(web)), [1, 2, 3, 4], 'the one without a node went first')
  cluster.update(web, { replicas: 2, placement: { maxPerNode: 2 } })
  cluster.planServices()
  t.same(slotsOf(cluster.wished(web)), [2, 3], 'running ones stay, one per node')
  t.equal(one?.observed, 'assigned')
})

t.test('scaling to zero and back gives new generations, started only when the old task has ended', async (t) => {
  const { cluster, web } = running(1)
  cluster.update(web, { replicas: 0 })
  cluster.plan()
  cluster.update(web, { replicas: 1 })
  cluster.plan()
  t.same(cluster.picture(web), ['1.1 remove running', '1.2 ready assigned'])
  cluster.observe(cluster.inSlot(web, 1)[0] as Task, 'shutdown')
  cluster.plan()
  t.same(cluster.picture(web), ['1.2 running assigned'])
})

t.test('a removed service leaves nothing behind once its tasks have ended', async (t) => {
  const { cluster, web } = running(3)
  cluster.apply({ op: 'service.remove', id: web })
  cluster.plan()
  t.equal(cluster.tasks(web).length, 3)
  cluster.settle()
  t.equal(cluster.tables.taskCount(), 0)
})

t.test('tasks of a down node are replaced at once elsewhere, without delay and without waiting', async (t) => {
  const { cluster, web } = running(3)
  const [lost] = cluster.wished(web) as [Task]
  cluster.nodeState(lost.node as string, 'down')
  cluster.plan()
  const [old, next] = cluster.inSlot(web, 1) as [Task, Task]
  t.match(old, { desired: 'running', observed: 'running' }, 'it may come back until another runs in its place')
  t.match(next, { desired: 'running', observed: 'assigned', startAfterMs: undefined, generation: 2 })
  t.not(next.node, lost.node)
  cluster.settle()
  cluster.nodeState(lost.node as string, 'ready')
  cluster.settle()
  t.same(cluster.picture(web), ['1.1 shutdown shutdown', '1.2 running running', '2.1 running running', '3.1 running running'])
})

t.test('tasks of a removed node are replaced at once', async (t) => {
  const { cluster, web } = running(3)
  cluster.apply({ op: 'node.remove', id: cluster.wished(web)[0]?.node as string })
  cluster.plan()
  t.same(cluster.picture(web).slice(0, 2), ['1.1 shutdown orphaned', '1.2 running assigned'])
})

t.test('tasks of a draining node move, each starting when the old one has stopped', async (t) => {
  const { cluster, web } = running(3)
  const node = cluster.wished(web)[0]?.node as string
  cluster.apply({ op: 'node.update', id: node, availability: 'drain' })
  cluster.plan()
  t.same(cluster.picture(web).slice(0, 2), ['1.1 shutdown running', '1.2 ready assigned'])
  cluster.settle()
  t.equal(cluster.running(web).length, 3)
  t.same(
    [...cluster.tables.tasksOfNode(node)].map(({ observed }) => observed),
    ['shutdown'],
  )
})

t.test('a drained node that then goes down holds its replacements up no longer', async (t) => {
  const { cluster, web } = running(1)
  const node = cluster.wished(web)[0]?.node as string
  cluster.apply({ op: 'node.update', id: node, availability: 'drain' })
  cluster.plan()
  cluster.nodeState(node, 'down')
  cluster.plan()
  t.same(cluster.picture(web), ['1.1 shutdown running', '1.2 running assigned'])
})

for (const quiet of ['pause', 'unknown'] as const) {
  t.test(`tasks of a node that is in ${quiet} stay`, async (t) => {
    const { cluster, web } = running(3)
    const id = cluster.wished(web)[0]?.node as string
    if (quiet === 'pause') cluster.apply({ op: 'node.update', id, availability: 'pause' })
    else cluster.nodeState(id, 'unknown')
    t.same(cluster.pass(), [])
  })
}

t.test('two tasks wished to run in one slot become one: that which got further', async (t) => {
  const { cluster, web } = running(1)
  cluster.apply({ op: 'tasks.create', service: web, specVersion: 1, slotFrom: 1, slotTo: 1, desired: 'running' })
  cluster.plan()
  t.same(cluster.picture(web), ['1.1 running running'])
})

t.test('a plan cut off after its first operation is completed by the next plan', async (t) => {
  const { cluster, web } = running(2)
  cluster.observe(cluster.wished(web)[0] as Task, 'failed')
  cluster.apply({ op: 'tasks.desire', tasks: [cluster.wished(web)[0]?.handle as number], desired: 'shutdown' })
  t.match(cluster.planServices(), [{ op: 'tasks.create', slotFrom: 1, desired: 'ready', startAfterMs: cluster.nowMs + 5_000 }])
})

t.test('when every node is gone tasks wait, and run again when one returns', async (t) => {
  const { cluster, web } = running(2)
  const nodes = [...cluster.tables.nodes()].map(({ id }) => id)
  for (const id of nodes) cluster.nodeState(id, 'down')
  cluster.plan()
  t.same(
    cluster.wished(web).map(({ observed }) => observed),
    ['pending', 'pending'],
  )
  cluster.nodeState(nodes[0] as string, 'ready')
  cluster.settle()
  t.equal(cluster.running(web).length, 2)
})
