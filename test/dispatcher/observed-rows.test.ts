import fc from 'fast-check'
import t from 'tap'
import type { TaskReport } from '../../lib/api/session.js'
import { reportedStates } from '../../lib/api/session.js'
import { loadPeriodMs, readTaskRow } from '../../lib/api/worker-rows.js'
import { findInRows, freshLoad, type ObservedRow } from '../../lib/dispatcher/observed-rows.js'
import { canAdvance, isTerminal, type TaskState, taskId } from '../../lib/model/task.js'
import { read } from '../../lib/wire/decode.js'
import { found, node, openHarness, service } from '../store/harness.js'

const nodes = ['node00000001', 'node00000002', 'node00000003']

async function world() {
  const harness = await openHarness()
  await harness.submit(found, ...nodes.flatMap((id) => node(id)), ...service('service00001', 'web', 6))
  await harness.submit(...nodes.map((id) => ({ op: 'node.status', id, state: 'ready', message: '' }) as const))
  await harness.submit({ op: 'tasks.assign', tasks: [1, 2, 3, 4], nodes: [nodes[0], nodes[0], nodes[1], nodes[1]] as string[] })
  return { ...harness, view: harness.store.view() }
}

const row = (owner: string, key: string, state: TaskReport['state']): ObservedRow => ({
  owner,
  key,
  value: { state, message: 'm' },
})

t.test('a row of an unknown task creates nothing', async (t) => {
  const { view } = await world()
  const before = view.taskCount()
  t.same(findInRows([row(nodes[0] as string, 'service00009.1.1', 'running')], view), [])
  t.equal(view.taskCount(), before)
})

t.test('of what a worker says of a task no more goes into a record than an honest one would say', async (t) => {
  const { message } = read(readTaskRow, { state: 'running', message: 'x'.repeat(16_000) })
  t.equal(message, 'x'.repeat(300))
})

t.test('a row counts only from the node the task was given to', async (t) => {
  const { view } = await world()
  t.same(findInRows([row(nodes[1] as string, 'service00001.1.1', 'failed')], view), [])
  t.match(findInRows([row(nodes[0] as string, 'service00001.1.1', 'failed')], view), [{ task: 1, state: 'failed' }])
})

t.test('a row of an earlier attempt says nothing of the present one', async (t) => {
  const { view, submit } = await world()
  await submit({ op: 'tasks.desire', tasks: [1], desired: 'remove' }, { op: 'tasks.remove', tasks: [1] })
  await submit({ op: 'tasks.create', service: 'service00001', specVersion: 1, slotFrom: 1, slotTo: 1, desired: 'running' })
  const again = [...view.tasksOfSlot('service00001', 1)].at(-1)
  t.equal(again?.generation, 2)
  await submit({ op: 'tasks.assign', tasks: [again?.handle ?? 0], nodes: [nodes[0] as string] })
  t.same(findInRows([row(nodes[0] as string, 'service00001.1.1', 'failed')], view), [], 'nor does it bring the removed one back')
})

t.test('a task that is over stays over, and one that runs is not starting again', async (t) => {
  const { view, submit } = await world()
  await submit({
    op: 'tasks.observe',
    updates: [
      { task: 1, state: 'failed', message: '' },
      { task: 2, state: 'running', message: '' },
    ],
  })
  const own = nodes[0] as string
  t.same(findInRows([row(own, 'service00001.1.1', 'running'), row(own, 'service00001.2.1', 'starting')], view), [])
  t.match(findInRows([row(own, 'service00001.2.1', 'complete')], view), [{ task: 2, state: 'complete' }])
})

t.test('load is believed for three periods by our own clock, and is unknown after', async (t) => {
  const load = { count: 1, cpu: 0.5, memoryFreeBytes: 1, unreservedCpuNanos: 1, unreservedMemoryBytes: 1, tasks: 0, lagMs: 1 }
  t.equal(freshLoad(load, 3 * loadPeriodMs), load)
  t.equal(freshLoad(load, 3 * loadPeriodMs + 1), undefined)
  t.equal(freshLoad(undefined, 1), undefined)
  t.equal(freshLoad(load, undefined), undefined)
})

t.test(
  'whatever rows there are: only known tasks of their own node rise, and looked at again nothing is left to do',
  async (t) => {
    const { view, submit } = await world()
    const ids = [...view.tasks()].map(taskId)
    const any = fc.record({
      owner: fc.constantFrom(...nodes, 'stranger0001'),
      key: fc.constantFrom(...ids, 'service00001.1.2', 'service00002.1.1', 'nonsense'),
      value: fc.record({ state: fc.constantFrom<TaskState>(...reportedStates), message: fc.constant('m') }),
    })
    const batches = fc.sample(fc.array(any, { maxLength: 12 }), { numRuns: 200, seed: 11 })
    for (const rows of batches) {
      const before = new Map([...view.tasks()].map((task) => [task.handle, task]))
      const updates = findInRows(rows, view)
      for (const { task: handle, state } of updates) {
        const was = before.get(handle)
        if (was === undefined || !canAdvance(was.observed, state) || (isTerminal(was.observed) !== false && !isTerminal(state)))
          t.fail(`task ${handle} to ${state}`)
        if (!rows.some(({ owner, key }) => was !== undefined && owner === was.node && key === taskId(was)))
          t.fail(`task ${handle}: not its node`)
      }
      if (updates.length > 0) await submit({ op: 'tasks.observe', updates })
      for (const task of view.tasks()) {
        const was = before.get(task.handle)
        if (was === undefined || (task.observed !== was.observed && !canAdvance(was.observed, task.observed)))
          t.fail('a state fell')
      }
      const again = findInRows(rows, view).filter(({ task, state }) =>
        updates.some((one) => one.task === task && one.state === state),
      )
      t.same(again, [], 'what was recorded is not recorded twice')
    }
    t.equal([...view.tasks()].length, ids.length, 'nothing was created')
  },
)
