import { deepStrictEqual } from 'node:assert'
import fc from 'fast-check'
import t from 'tap'
import type { Assignments } from '../../lib/api/session.js'
import { AssignmentFeed } from '../../lib/dispatcher/assignments.js'
import { applyCommand } from '../../lib/store/apply.js'
import { Tables } from '../../lib/store/tables.js'
import { commands, nodeIds } from '../store/commands.js'
import { node, openHarness, service } from '../store/harness.js'

const here = 'node00000001'
const managers = [{ node: 'm', address: 'm:1' }]

async function world() {
  const harness = await openHarness()
  await harness.submit(...node(here), ...node('node00000002'), ...service('service00001', 'web', 3))
  await harness.submit({ op: 'tasks.assign', tasks: [1, 2, 3], nodes: [here, here, 'node00000002'] })
  return { ...harness, view: harness.store.view(), feed: new AssignmentFeed(here) }
}

const ids = (tasks: Assignments['set']): string[] => tasks.map(({ id, desired }) => `${id} ${desired}`)

t.test('a worker is told everything of its own once, with what it needs to run it', async (t) => {
  const { view, feed } = await world()
  const message = feed.complete(view, managers)
  t.match(message, { type: 'complete', appliesTo: 0, resultsIn: 1, remove: [], managers })
  t.same(ids(message.set), ['service00001.1.1 running', 'service00001.2.1 running'])
  t.match(message.set[0], {
    service: 'service00001',
    serviceName: 'web',
    slot: 1,
    spec: { driver: 'process', command: ['node', 'server.js'] },
  })
  t.equal(feed.difference(view, managers), undefined)
})

t.test('after that only what a worker cares about', async (t) => {
  const { view, feed, submit } = await world()
  feed.complete(view, managers)
  await submit({ op: 'tasks.observe', updates: [{ task: 1, state: 'running', message: '' }] })
  t.equal(feed.difference(view, managers), undefined, 'its own report is no news to it')
  await submit({ op: 'tasks.desire', tasks: [1], desired: 'shutdown' })
  t.match(feed.difference(view, managers), {
    type: 'incremental',
    appliesTo: 1,
    resultsIn: 2,
    set: [{ desired: 'shutdown' }],
    remove: [],
  })
  await submit({ op: 'tasks.observe', updates: [{ task: 1, state: 'shutdown', message: '' }] })
  t.equal(feed.difference(view, managers), undefined, 'its lines stay readable after its end')
  t.match(new AssignmentFeed('node00000001').complete(view, managers).set, [{ id: 'service00001.1.1', ended: 'shutdown' }, {}])
  await submit({ op: 'tasks.remove', tasks: [1] })
  t.match(
    feed.difference(view, managers),
    { appliesTo: 2, resultsIn: 3, set: [], remove: ['service00001.1.1'] },
    'until it is removed',
  )
  await submit({ op: 'tasks.remove', tasks: [2] })
  t.match(feed.difference(view, managers), { appliesTo: 3, resultsIn: 4, remove: ['service00001.2.1'] })
  const moved = [{ node: 'm', address: 'm:2' }]
  t.match(feed.difference(view, moved), { appliesTo: 4, resultsIn: 5, set: [], remove: [], managers: moved })
  t.equal(feed.difference(view, moved), undefined)
})

t.test('a worker that applies every message has what a complete message would say, whatever happened', async (t) => {
  fc.assert(
    fc.property(commands, fc.infiniteStream(fc.boolean()), (all, looks) => {
      const tables = new Tables()
      const id = nodeIds[0] as string
      const feed = new AssignmentFeed(id)
      const agent = new Map<string, string>()
      let sequence = 0
      const take = (message: Assignments | undefined): void => {
        if (message === undefined) return
        deepStrictEqual(message.appliesTo, message.type === 'complete' ? 0 : sequence)
        sequence = message.resultsIn
        for (const task of message.set) agent.set(task.id, task.desired)
        for (const gone of message.remove) deepStrictEqual(agent.delete(gone), true)
      }
      take(feed.complete(tables, managers))
      for (const [at, each] of all.entries()) {
        applyCommand(tables, each, at + 1)
        if (looks.next().value === true) take(feed.difference(tables, managers))
      }
      take(feed.difference(tables, managers))
      const expected = new AssignmentFeed(id).complete(tables, managers).set.map((task) => [task.id, task.desired] as const)
      deepStrictEqual([...agent].sort(), expected.sort())
    }),
    { numRuns: 150 },
  )
  t.pass('on every sequence')
})
