import t from 'tap'
import type { Task } from '../../lib/model/task.js'
import { isCurrent } from '../../lib/orchestrator/index.js'
import { BenchCluster, type ServiceShape } from './bench-cluster.js'

function running(shape: ServiceShape): { cluster: BenchCluster; web: string } {
  const cluster = new BenchCluster()
  cluster.node('eu1', { labels: { zone: 'eu' } })
  cluster.node('eu2', { labels: { zone: 'eu' } })
  cluster.node('us1', { labels: { zone: 'us' } })
  const web = cluster.service('web', shape)
  cluster.settle()
  return { cluster, web }
}

const versions = (cluster: BenchCluster, web: string): number[] => cluster.wished(web).map(({ specVersion }) => specVersion)

t.test('a new spec replaces one running slot at a time, the next only when the replacement runs', async (t) => {
  const { cluster, web } = running({ replicas: 3 })
  cluster.update(web, { replicas: 3, task: { command: ['v2'] } })
  const seen: string[] = []
  for (let round = 0; round < 30; round++) {
    cluster.plan()
    const up = cluster.running(web).length
    t.ok(up >= 2, 'never more than one slot down')
    seen.push(versions(cluster, web).join(''))
    if (!cluster.obey()) break
  }
  t.same([...new Set(seen)], ['211', '221', '222'])
  t.equal(cluster.running(web).length, 3)
})

t.test('the old task stops before the new one starts', async (t) => {
  const { cluster, web } = running({ replicas: 1 })
  cluster.update(web, { task: { command: ['v2'] } })
  cluster.plan()
  t.same(cluster.picture(web), ['1.1 shutdown running', '1.2 ready assigned'])
  const [old, next] = cluster.inSlot(web, 1) as [Task, Task]
  cluster.observe(next, 'ready')
  t.same(cluster.pass(), [], 'prepared, and waiting')
  cluster.observe(old, 'shutdown')
  cluster.plan()
  t.equal(cluster.inSlot(web, 1).at(-1)?.desired, 'running')
})

t.test('a broken spec stops at the first slot; a fixed one goes there first and then on', async (t) => {
  const { cluster, web } = running({ replicas: 3 })
  cluster.update(web, { replicas: 3, task: { command: ['broken'] } })
  cluster.plan()
  for (let crash = 0; crash < 4; crash++) {
    const task = cluster.inSlot(web, 1).at(-1) as Task
    for (const old of cluster.inSlot(web, 1)) if (old.handle !== task.handle) cluster.observe(old, 'shutdown')
    cluster.observe(task, 'rejected', 'no such command')
    cluster.plan()
    cluster.nowMs += 5_000
    cluster.plan()
  }
  t.same(versions(cluster, web), [2, 1, 1], 'two slots still serve')
  cluster.update(web, { replicas: 3, task: { command: ['fixed'] } })
  cluster.plan()
  t.same(versions(cluster, web), [3, 1, 1])
  cluster.settle()
  t.same(versions(cluster, web), [3, 3, 3])
})

t.test('slots that do not run are replaced at once, all of them', async (t) => {
  const cluster = new BenchCluster()
  const web = cluster.service('web', { replicas: 4 })
  cluster.plan()
  cluster.update(web, { replicas: 4, task: { command: ['v2'] } })
  cluster.plan()
  t.same(versions(cluster, web), [2, 2, 2, 2])
  t.equal(cluster.tasks(web).length, 4, 'what never ran is no history')
})

t.test('a slot that waits for a node for the first time does not hold the update up', async (t) => {
  const { cluster, web } = running({ replicas: 3, placement: { maxPerNode: 1 } })
  cluster.update(web, { replicas: 4, placement: { maxPerNode: 1 } })
  cluster.settle()
  t.equal(cluster.wished(web)[3]?.observed, 'pending')
  cluster.update(web, { replicas: 4, placement: { maxPerNode: 1 }, task: { command: ['v2'] } })
  cluster.settle()
  t.same(versions(cluster, web), [2, 2, 2, 2])
  t.equal(cluster.running(web).length, 3)
})

t.test('a spec that no node can take stops at the first slot, even when no history is kept', async (t) => {
  const cluster = new BenchCluster({ taskHistory: 0 })
  cluster.nodes(3)
  const web = cluster.service('web', { replicas: 3 })
  cluster.settle()
  cluster.update(web, { replicas: 3, task: { command: ['v2'], resources: { reserve: { cpus: 100 } } } })
  cluster.settle()
  t.same(versions(cluster, web), [2, 1, 1])
  t.equal(cluster.running(web).length, 2)
})

t.test('scaling and labels restart nothing', async (t) => {
  const { cluster, web } = running({ replicas: 3 })
  const before = cluster.tasks(web)
  cluster.update(web, { replicas: 5, labels: { team: 'a' } })
  cluster.settle()
  t.same(cluster.tasks(web).slice(0, 3), before)
})

t.test('another placement moves only the tasks it excludes, one at a time', async (t) => {
  const { cluster, web } = running({ replicas: 3 })
  cluster.update(web, { replicas: 3, placement: { constraints: ['node.labels.zone == eu'] } })
  cluster.settle()
  t.same(
    cluster.wished(web).map(({ node, generation }) => `${node?.slice(0, 3)} ${generation}`),
    ['eu1 1', 'eu2 1', 'eu1 2'],
  )
  t.ok(cluster.running(web).every((task) => isCurrent(cluster.tables, task)))
})

t.test('a lower maxPerNode moves only what is too much', async (t) => {
  const cluster = new BenchCluster()
  const [first] = cluster.nodes(1) as [string]
  const web = cluster.service('web', { replicas: 3 })
  cluster.settle()
  cluster.node('n1')
  cluster.node('n2')
  cluster.update(web, { replicas: 3, placement: { maxPerNode: 1 } })
  cluster.settle()
  t.same(
    cluster.running(web).map(({ node, generation }) => [node === first, generation]),
    [
      [false, 2],
      [false, 2],
      [true, 1],
    ],
  )
})

t.test('a restart policy alone restarts nothing and holds from now on', async (t) => {
  const { cluster, web } = running({ replicas: 2 })
  cluster.update(web, { replicas: 2, restart: { delayMs: 100 } })
  t.same(cluster.pass(), [])
  cluster.observe(cluster.wished(web)[0] as Task, 'failed')
  cluster.settle()
  cluster.observe(cluster.inSlot(web, 1).at(-1) as Task, 'failed')
  cluster.planServices()
  t.equal(cluster.inSlot(web, 1).at(-1)?.startAfterMs, cluster.nowMs + 100)
})

t.test('a spec that changes back midway leaves the untouched slots alone', async (t) => {
  const { cluster, web } = running({ replicas: 3 })
  cluster.update(web, { replicas: 3, task: { command: ['v2'] } })
  cluster.plan()
  cluster.update(web, { replicas: 3 })
  cluster.settle()
  t.same(
    cluster.wished(web).map(({ generation }) => generation),
    [3, 1, 1],
  )
})
