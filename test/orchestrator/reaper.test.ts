import t from 'tap'
import type { Task } from '../../lib/model/task.js'
import { orphanAfterMs } from '../../lib/orchestrator/reaper.js'
import { BenchCluster, type ServiceShape } from './bench-cluster.js'

function crashing(taskHistory: number, crashes: number, shape: ServiceShape = { restart: { delayMs: 0 } }) {
  const cluster = new BenchCluster({ taskHistory })
  cluster.nodes(1)
  const web = cluster.service('web', shape)
  cluster.settle()
  for (let crash = 0; crash < crashes; crash++) {
    cluster.observe(cluster.inSlot(web, 1).at(-1) as Task, 'failed')
    cluster.nowMs += 1
    cluster.settle()
  }
  return { cluster, web }
}

const generations = (cluster: BenchCluster, web: string): number[] => cluster.inSlot(web, 1).map(({ generation }) => generation)

t.test('of each slot the newest ended tasks are kept, as many as the setting says', async (t) => {
  const { cluster, web } = crashing(3, 6)
  t.same(generations(cluster, web), [4, 5, 6, 7])
})

t.test('a history of none keeps only what runs', async (t) => {
  const { cluster, web } = crashing(0, 3)
  t.same(generations(cluster, web), [4])
})

t.test('the last task of a slot at rest is kept, even with no history', async (t) => {
  const { cluster, web } = crashing(0, 3, { restart: { delayMs: 0, attemptsMax: 2 } })
  t.same(generations(cluster, web), [1, 2, 3], 'with what its attempts are counted by')
  const finished = crashing(0, 1, { restart: { when: 'none' } })
  t.same(generations(finished.cluster, finished.web), [1])
})

t.test('attempts of an older spec version are not kept for counting', async (t) => {
  const { cluster, web } = crashing(1, 2, { restart: { delayMs: 0, attemptsMax: 5 } })
  t.same(generations(cluster, web), [1, 2, 3])
  cluster.update(web, { restart: { delayMs: 0, attemptsMax: 5 }, task: { command: ['v2'] } })
  cluster.settle()
  t.same(generations(cluster, web), [3, 4])
})

t.test('a task to be removed stays until it has ended', async (t) => {
  const { cluster, web } = crashing(5, 1)
  cluster.update(web, { replicas: 0 })
  cluster.plan()
  t.same(cluster.picture(web), ['1.2 remove running'])
  cluster.settle()
  t.same(cluster.picture(web), [])
})

t.test('on a down node, a task to be removed waits for the node to return', async (t) => {
  const { cluster, web } = crashing(5, 0)
  const [node] = [...cluster.tables.nodes()].map(({ id }) => id) as [string]
  cluster.nodeState(node, 'down')
  cluster.apply({ op: 'service.remove', id: web })
  cluster.plan()
  t.same(cluster.picture(web), ['1.1 remove running'])
  cluster.nodeState(node, 'ready')
  cluster.settle()
  t.equal(cluster.tables.taskCount(), 0)
})

t.test('on a down node, tasks are given up after 24 hours, not earlier', async (t) => {
  const { cluster, web } = crashing(5, 0)
  const [node] = [...cluster.tables.nodes()].map(({ id }) => id) as [string]
  cluster.nodeState(node, 'down')
  const downMs = cluster.nowMs
  cluster.plan()
  t.same(cluster.picture(web), ['1.1 running running', '1.2 running pending'])
  t.equal(cluster.wakeAtMs(), downMs + orphanAfterMs)
  cluster.nowMs = downMs + orphanAfterMs - 1
  t.same(cluster.pass(), [])
  cluster.nowMs++
  cluster.plan()
  t.same(cluster.picture(web), ['1.1 shutdown orphaned', '1.2 running pending'])
})

t.test('tasks of a removed service on a removed node are forgotten', async (t) => {
  const { cluster, web } = crashing(5, 0)
  const [node] = [...cluster.tables.nodes()].map(({ id }) => id) as [string]
  cluster.apply({ op: 'service.remove', id: web }, { op: 'node.remove', id: node })
  cluster.plan()
  t.equal(cluster.tables.taskCount(), 0)
})
