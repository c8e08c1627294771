import t from 'tap'
import { taskId } from '../../lib/model/task.js'
import { managersOf, newestTask, resolveNode, resolveService, resolveTask, taskName } from '../../lib/store/queries.js'
import { found, node, openHarness, service } from './harness.js'

async function world() {
  const harness = await openHarness()
  await harness.submit(
    found,
    ...node('aaa000000001', 'one'),
    ...node('aab000000002', 'two'),
    ...node('bbb000000003', 'three'),
    ...service('service00001', 'web', 2),
    ...service('service00002', 'service00001x', 1),
  )
  return { ...harness, view: harness.store.view() }
}

t.test('an object is found by id, by name and by a prefix that only it has', async (t) => {
  const { view } = await world()
  t.equal(resolveNode(view, 'aaa000000001').name, 'one')
  t.equal(resolveNode(view, 'one').id, 'aaa000000001')
  t.equal(resolveNode(view, 'b').id, 'bbb000000003')
  t.equal(resolveService(view, 'web').id, 'service00001')
  t.equal(resolveService(view, 'service00002').spec.name, 'service00001x')
  t.equal(resolveService(view, 'service00001').spec.name, 'web', 'an id goes before a prefix of a name')
})

t.test('a reference that means nothing or several things is refused with what to do', async (t) => {
  const { view } = await world()
  t.throws(() => resolveNode(view, 'zzz'), { code: 'ERR_SKEIN_NOT_FOUND', message: /node "zzz".*list the nodes/ })
  t.throws(() => resolveNode(view, ''), { code: 'ERR_SKEIN_NOT_FOUND' })
  t.throws(() => resolveService(view, 'nothing'), { code: 'ERR_SKEIN_NOT_FOUND', detail: { kind: 'service', ref: 'nothing' } })
  t.throws(() => resolveNode(view, 'aa'), {
    code: 'ERR_SKEIN_AMBIGUOUS',
    detail: { candidates: ['aaa000000001', 'aab000000002'] },
  })
  t.throws(() => resolveService(view, 'service'), { code: 'ERR_SKEIN_AMBIGUOUS' })
})

t.test('a task is found by its place, meaning the newest attempt there', async (t) => {
  const { view, submit } = await world()
  await submit({ op: 'tasks.create', service: 'service00001', specVersion: 1, slotFrom: 1, slotTo: 1, desired: 'ready' })
  t.equal(taskId(resolveTask(view, 'web.1')), 'service00001.1.2')
  t.equal(taskId(resolveTask(view, 'service00001.2')), 'service00001.2.1')
  t.equal(taskId(resolveTask(view, 'service00001.1.1')), 'service00001.1.1')
  t.equal(taskId(resolveTask(view, 'service00001.2.')), 'service00001.2.1')
  t.equal(newestTask(view, 'service00001', 9), undefined)
  t.throws(() => resolveTask(view, 'web.9'), { code: 'ERR_SKEIN_NOT_FOUND' })
  t.throws(() => resolveTask(view, 'service00001.1.'), { code: 'ERR_SKEIN_AMBIGUOUS' })
  await submit({ op: 'service.remove', id: 'service00001' })
  t.equal(taskName(view, resolveTask(view, 'service00001.1.2')), 'web.1', 'the name outlives the service')
})

t.test('managers are listed by id', async (t) => {
  const { view, submit } = await world()
  const manager = (id: string, raftId: number) =>
    ({
      op: 'node.create',
      id,
      name: `m-${id}`,
      role: 'manager',
      availability: 'active',
      labels: {},
      address: '',
      raftId,
    }) as const
  await submit(manager('zzz000000001', 5), manager('ccc000000001', 6))
  t.same(
    managersOf(view).map((each) => each.id),
    ['ccc000000001', 'zzz000000001'],
  )
})
