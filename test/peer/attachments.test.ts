import t from 'tap'
import type { Op } from '../../lib/model/command.js'
import { Attachments } from '../../lib/peer/attachments.js'
import { found, node, openHarness } from '../store/harness.js'

const id = 'network0000a'

async function world() {
  const { store, submit } = await openHarness()
  const clock = { nowMs: 0 }
  const lately = { nowMs: () => clock.nowMs, forMs: 5_000 }
  const followed = new Attachments(lately)
  const news: boolean[] = []
  followed.reset(store.view())
  store.onChange((changes) => news.push(followed.follow(store.view(), changes)))
  await submit(found, ...node('n1'), ...node('n2'), { op: 'network.create', id, name: 'a', labels: {} })
  const spec = { name: 'web', task: { command: ['x'], networks: ['a', 'default'] } }
  await submit({ op: 'service.create', id: 'service00001', spec })
  const create: Op = { op: 'tasks.create', service: 'service00001', specVersion: 1, slotFrom: 1, slotTo: 3, desired: 'running' }
  await submit(create)
  const observe = (task: number, state: 'running' | 'failed'): Promise<number> =>
    submit({ op: 'tasks.observe', updates: [{ task, state, message: '' }] })
  /** The same as one that has followed from the beginning and one that looks at the whole now. */
  const nodes = (network: string): string => {
    const anew = new Attachments(lately)
    anew.reset(store.view())
    const [one, other] = [followed, anew].map((each) => [...each.nodes(network)].sort().join())
    t.equal(one, other, 'followed and looked at anew are the same')
    return one as string
  }
  /** Whether somebody came or went since the last time. */
  const isNews = (): boolean => news.splice(0).includes(true)
  return { submit, observe, nodes, isNews, followed, clock }
}

t.test('a node belongs to the networks of its tasks from their assignment to the end of the last of them', async (t) => {
  const { submit, observe, nodes, isNews, followed } = await world()
  t.equal(nodes(id), '', 'a task that waits is on no node')
  isNews()
  await submit({ op: 'tasks.assign', tasks: [1, 2, 3], nodes: ['n1', 'n1', 'n2'] })
  t.equal(nodes(id), 'n1,n2')
  t.equal(nodes('default'), 'n1,n2')
  t.ok(isNews())
  await observe(1, 'running')
  await observe(1, 'failed')
  t.notOk(isNews(), 'another of its tasks goes on')
  t.ok(followed.has(id, 'n1'))
  await observe(2, 'failed')
  t.ok(isNews())
  t.equal(nodes(id), 'n2')
  t.notOk(followed.has(id, 'n1'))
})

t.test('a node that left is known to have done so for a while, by the clock of who looks', async (t) => {
  const { submit, observe, followed, clock } = await world()
  await submit({ op: 'tasks.assign', tasks: [1, 2], nodes: ['n1', 'n2'] })
  t.notOk(followed.hasLeftLately(id, 'n1'), 'it is there')
  for (const task of [1, 2]) {
    clock.nowMs += 4_000
    await observe(task, 'running')
    await observe(task, 'failed')
  }
  t.ok(followed.hasLeftLately(id, 'n1'))
  t.notOk(followed.hasLeftLately(id, 'n3'), 'one that was never there')
  clock.nowMs += 1_000
  t.notOk(followed.hasLeftLately(id, 'n1'))
  t.ok(followed.hasLeftLately(id, 'n2'))
  await submit({ op: 'tasks.assign', tasks: [3], nodes: ['n1'] })
  await observe(3, 'running')
  await observe(3, 'failed')
  t.ok(followed.hasLeftLately(id, 'n1'), 'and again')
})

t.test(
  'nodes that are removed, and services that are removed with tasks that go on, change no more than they should',
  async (t) => {
    const { submit, observe, nodes } = await world()
    await submit({ op: 'tasks.assign', tasks: [1, 2], nodes: ['n1', 'n2'] })
    await submit({ op: 'node.remove', id: 'n2' })
    t.equal(nodes(id), 'n1', 'its tasks are over')
    await submit({ op: 'service.remove', id: 'service00001' })
    t.equal(nodes(id), 'n1', 'its task is to stop, and has not yet')
    await observe(1, 'running')
    await observe(1, 'failed')
    await submit({ op: 'tasks.remove', tasks: [1, 2, 3] })
    t.equal(nodes(id), '')
  },
)
