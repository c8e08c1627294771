import t from 'tap'
import type { Assignments } from '../../lib/api/session.js'
import { AssignmentFeed } from '../../lib/dispatcher/assignments.js'
import type { Op } from '../../lib/model/command.js'
import { node, openHarness } from '../store/harness.js'

const here = 'node00000001'
const there = 'node00000002'
const secretBytes = 300 * 1024

const secret = (number: number): Op => ({
  op: 'secret.create',
  id: `secret00000${number}`,
  name: `s${number}`,
  labels: {},
  sealed: Uint8Array.of(number),
})
const service = (number: number, secrets: readonly string[]): Op[] => [
  { op: 'service.create', id: `service0000${number}`, spec: { name: `web${number}`, task: { command: ['true'], secrets } } },
  { op: 'tasks.create', service: `service0000${number}`, specVersion: 1, slotFrom: 1, slotTo: 1, desired: 'running' },
]

/** Task 1 needs s1 and s2 and is here; task 2 needs s2 and is here; task 3 needs s3 and is elsewhere. */
async function world() {
  const harness = await openHarness()
  await harness.submit(...node(here), ...node(there), secret(1), secret(2), secret(3), secret(4))
  await harness.submit(...service(1, ['s1', 's2']), ...service(2, ['s2']), ...service(3, ['s3']))
  await harness.submit({ op: 'tasks.assign', tasks: [1, 2, 3], nodes: [here, here, there] })
  const opened: string[] = []
  const view = harness.store.view()
  const open = (id: string): Uint8Array | undefined => {
    opened.push(id)
    const found = view.secret(id)
    return found && Uint8Array.of(...found.sealed, 0)
  }
  return { ...harness, view, opened, feedOf: (id: string) => new AssignmentFeed(id, open) }
}

const idsOf = ({ secrets = [] }: Assignments): string[] => secrets.map(({ id }) => id)

t.test('a node is sent the secrets of its own tasks, each once, and no other is even opened', async (t) => {
  const { view, feedOf, opened } = await world()
  const feed = feedOf(here)
  const message = feed.complete(view, [])
  t.same(idsOf(message), ['secret000001', 'secret000002'])
  t.same(message.secrets?.[0]?.data, Uint8Array.of(1, 0))
  t.equal(feed.difference(view, []), undefined)
  t.same(idsOf(feedOf(there).complete(view, [])), ['secret000003'])
  t.same(idsOf(feedOf('node00000009').complete(view, [])), [])
  t.same(opened, ['secret000001', 'secret000002', 'secret000003'], 'the fourth is nobody’s')
})

t.test(
  'a secret is taken back when its last task there is over or wished away, and sent again when another needs it',
  async (t) => {
    const { view, feedOf, submit } = await world()
    const feed = feedOf(here)
    feed.complete(view, [])
    await submit({ op: 'tasks.observe', updates: [{ task: 1, state: 'failed', message: '' }] })
    t.match(feed.difference(view, []), { dropSecrets: ['secret000001'], set: [], remove: [] }, 'task 2 still needs the other')
    await submit({ op: 'tasks.desire', tasks: [2], desired: 'shutdown' })
    t.match(feed.difference(view, []), { dropSecrets: ['secret000002'], set: [{ desired: 'shutdown' }] })
    await submit(
      { op: 'tasks.create', service: 'service00001', specVersion: 1, slotFrom: 1, slotTo: 1, desired: 'ready' },
      { op: 'tasks.assign', tasks: [4], nodes: [here] },
    )
    const again = feed.difference(view, [])
    t.match(again?.set, [{ desired: 'ready' }])
    t.same(idsOf(again as Assignments), ['secret000001', 'secret000002'])
    t.equal(feed.difference(view, []), undefined)
  },
)

t.test('a stream that begins anew tells every secret again, and none of a task that is over', async (t) => {
  const { view, feedOf, submit } = await world()
  const feed = feedOf(here)
  feed.complete(view, [])
  await submit({ op: 'tasks.observe', updates: [{ task: 1, state: 'complete', message: '' }] })
  t.same(idsOf(feed.complete(view, [])), ['secret000002'])
})

t.test('what cannot be opened is said to be gone instead of being waited for', async (t) => {
  const { view } = await world()
  const message = new AssignmentFeed(here, () => undefined).complete(view, [])
  t.same(message.secrets, [{ id: 'secret000001' }, { id: 'secret000002' }])
})

t.test('large secrets come in several messages, in order, none lost', async (t) => {
  const { view, submit } = await world()
  await submit({
    op: 'service.update',
    id: 'service00001',
    spec: { name: 'web1', task: { command: ['true'], secrets: ['s1', 's2', 's3', 's4'] } },
  })
  await submit(
    { op: 'tasks.create', service: 'service00001', specVersion: 2, slotFrom: 1, slotTo: 1, desired: 'running' },
    { op: 'tasks.assign', tasks: [4], nodes: [here] },
  )
  const feed = new AssignmentFeed(here, () => new Uint8Array(secretBytes))
  const told = [idsOf(feed.complete(view, []))]
  for (let next = feed.difference(view, []); next !== undefined; next = feed.difference(view, [])) {
    t.equal(next.appliesTo, told.length)
    told.push(idsOf(next))
  }
  t.same(told, [
    ['secret000001', 'secret000002'],
    ['secret000003', 'secret000004'],
  ])
})

/** Task 1 is here and needs c1 and s1, task 2 is here and needs c1, task 3 is elsewhere and needs c2. */
async function worldOfConfigs() {
  const harness = await openHarness()
  const config = (number: number): Op => ({
    op: 'config.create',
    id: `config00000${number}`,
    name: `c${number}`,
    labels: {},
    data: new Uint8Array(secretBytes).fill(number),
  })
  const using = (number: number, configs: readonly string[], secrets: readonly string[] = []): Op[] => [
    {
      op: 'service.create',
      id: `service0000${number}`,
      spec: { name: `web${number}`, task: { command: ['true'], configs, secrets } },
    },
    { op: 'tasks.create', service: `service0000${number}`, specVersion: 1, slotFrom: 1, slotTo: 1, desired: 'running' },
  ]
  await harness.submit(...node(here), ...node(there), secret(1), config(1), config(2))
  await harness.submit(...using(1, ['c1'], ['s1']), ...using(2, ['c1']), ...using(3, ['c2']))
  await harness.submit({ op: 'tasks.assign', tasks: [1, 2, 3], nodes: [here, here, there] })
  return { ...harness, view: harness.store.view() }
}

const configsOf = ({ configs = [] }: Assignments): string[] => configs.map(({ id }) => id)

t.test('a node is sent the configs of its own tasks, each once, and told to forget them when the last is over', async (t) => {
  const { view, submit } = await worldOfConfigs()
  const feed = new AssignmentFeed(here)
  const message = feed.complete(view, [])
  t.same(configsOf(message), ['config000001'])
  t.ok(Buffer.alloc(secretBytes, 1).equals(message.configs?.[0]?.data ?? Buffer.of()), 'as it is')
  t.equal(feed.difference(view, []), undefined)
  t.same(configsOf(new AssignmentFeed(there).complete(view, [])), ['config000002'])
  t.same(configsOf(new AssignmentFeed('node00000009').complete(view, [])), [])
  await submit({ op: 'tasks.observe', updates: [{ task: 1, state: 'failed', message: '' }] })
  t.equal(feed.difference(view, [])?.dropConfigs, undefined, 'task 2 still needs it')
  await submit({ op: 'tasks.desire', tasks: [2], desired: 'remove' })
  t.same(feed.difference(view, [])?.dropConfigs, ['config000001'])
  t.equal(feed.difference(view, []), undefined)
})

t.test('secrets and configs share the room of a message', async (t) => {
  const { view, submit } = await worldOfConfigs()
  await submit({
    op: 'service.update',
    id: 'service00001',
    spec: { name: 'web1', task: { command: ['true'], secrets: ['s1'], configs: ['c1', 'c2'] } },
  })
  await submit(
    { op: 'tasks.create', service: 'service00001', specVersion: 2, slotFrom: 1, slotTo: 1, desired: 'running' },
    { op: 'tasks.assign', tasks: [4], nodes: [here] },
  )
  const feed = new AssignmentFeed(here, () => new Uint8Array(secretBytes))
  const first = feed.complete(view, [])
  t.same([idsOf(first), configsOf(first)], [['secret000001'], ['config000001']])
  const second = feed.difference(view, []) as Assignments
  t.same([idsOf(second), configsOf(second)], [[], ['config000002']])
  t.equal(feed.difference(view, []), undefined)
})
