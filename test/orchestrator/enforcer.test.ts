import t from 'tap'
import type { Task } from '../../lib/model/task.js'
import { BenchCluster } from './bench-cluster.js'

const gibibyte = 2 ** 30

function running(constraints: readonly string[], replicas = 2): { cluster: BenchCluster; web: string } {
  const cluster = new BenchCluster()
  for (const name of ['n0', 'n1', 'n2']) cluster.node(name, { labels: { disk: 'ssd' } })
  const web = cluster.service('web', { replicas, placement: { constraints }, restart: { attemptsMax: 1, delayMs: 60_000 } })
  cluster.settle()
  return { cluster, web }
}

t.test('a node that no longer meets the constraints loses the task, which moves without delay or attempt', async (t) => {
  const { cluster, web } = running(['node.labels.disk == ssd'])
  for (let move = 1; move <= 3; move++) {
    const { node } = cluster.wished(web)[0] as Task
    cluster.apply({ op: 'node.update', id: node as string, labels: { disk: 'hdd' } })
    cluster.settle()
    t.match(cluster.inSlot(web, 1).at(-2), { observed: 'rejected', message: 'assigned node no longer meets constraints' })
    t.match(cluster.wished(web)[0], { observed: 'running', generation: move + 1 })
    t.not(cluster.wished(web)[0]?.node, node)
    cluster.apply({ op: 'node.update', id: node as string, labels: { disk: 'ssd' } })
    cluster.settle()
  }
})

t.test('other labels, a paused node and tasks without constraints are let be', async (t) => {
  const { cluster } = running(['node.labels.disk == ssd'])
  cluster.service('free', { replicas: 3 })
  cluster.settle()
  cluster.apply({ op: 'node.update', id: 'n00000000000', labels: { zone: 'eu' } })
  cluster.apply({ op: 'node.update', id: 'n10000000000', availability: 'pause', labels: { disk: 'hdd' } })
  t.same(cluster.pass(), [])
})

t.test('a changed service moves by rolling update, not by force', async (t) => {
  const { cluster, web } = running([], 3)
  cluster.apply({ op: 'node.update', id: 'n00000000000', labels: { disk: 'nvme' } })
  cluster.update(web, { replicas: 3, placement: { constraints: ['node.labels.disk == nvme'] } })
  cluster.plan()
  t.equal(cluster.running(web).length, 2, 'one at a time')
  t.equal(
    cluster.tasks(web).some(({ observed }) => observed === 'rejected'),
    false,
  )
  cluster.settle()
  t.same([...new Set(cluster.running(web).map(({ node }) => node))], ['n00000000000'])
})

t.test('a task let stay under a new placement is judged by that one', async (t) => {
  const { cluster, web } = running(['node.labels.disk == ssd'], 1)
  const node = cluster.wished(web)[0]?.node as string
  cluster.update(web, { placement: { constraints: ['node.role == worker'] }, restart: { attemptsMax: 1, delayMs: 60_000 } })
  cluster.apply({ op: 'node.update', id: node, labels: { disk: 'hdd' } })
  t.same(cluster.pass(), [])
})

t.test('when a node shrinks the youngest reservations leave until the rest fits, always the same', async (t) => {
  const shrink = (): string[] => {
    const cluster = new BenchCluster()
    const id = cluster.node('n', { memoryBytes: 4 * gibibyte })
    const task = { command: ['x'], resources: { reserve: { memoryBytes: gibibyte } } }
    const web = cluster.service('web', { replicas: 4, task })
    cluster.service('free', { replicas: 1 })
    cluster.settle()
    const { description } = cluster.tables.node(id) ?? {}
    if (description === undefined) throw new Error('no description')
    const resources = { cpuNanos: 1e9, memoryBytes: 2 * gibibyte }
    cluster.apply({ op: 'node.status', id, state: 'ready', message: 'smaller', description: { ...description, resources } })
    cluster.pass()
    return cluster
      .tasks(web)
      .filter(({ generation }) => generation === 1)
      .map(({ slot, observed }) => `${slot} ${observed}`)
  }
  t.same(shrink(), ['1 running', '2 running', '3 rejected', '4 rejected'])
  t.same(shrink(), shrink())
})
