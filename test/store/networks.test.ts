import t from 'tap'
import type { Op } from '../../lib/model/command.js'
import { defaultNetwork, networksMax, networksOfClusterMax } from '../../lib/model/network.js'
import { resolveNetwork, snapshotChunks, tablesFromChunks } from '../../lib/store/index.js'
import { brokenInvariants } from '../../lib/store/invariants.js'
import { packRow, unpackRow } from '../../lib/store/row-codec.js'
import { found, openHarness } from './harness.js'

const id = 'network00001'
const front: Op = { op: 'network.create', id, name: 'front', labels: { of: 'shop' } }
const back: Op = { op: 'network.create', id: 'network00002', name: 'back', labels: {} }
const byDefault = [{ id: 'default', name: 'default' }]

const web = (networks?: readonly string[]): Op => ({
  op: 'service.create',
  id: 'service00001',
  spec: { name: 'web', task: { command: ['true'], ...(networks && { networks }) } },
})

async function world(...ops: Op[]) {
  const harness = await openHarness()
  await harness.submit(found, ...ops)
  return { ...harness, view: harness.store.view() }
}

t.test('the default network is there from the beginning, cannot be made a second time, and cannot be removed', async (t) => {
  const { submit, view } = await world()
  t.same([...view.networks()], [defaultNetwork])
  await t.rejects(submit({ ...front, name: 'default' }), { code: 'ERR_SKEIN_ALREADY_EXISTS', message: /network default exists/ })
  await t.rejects(submit({ ...front, id: 'default' }), { code: 'ERR_SKEIN_ALREADY_EXISTS' })
  const removal = submit({ op: 'network.remove', id: 'default' })
  await t.rejects(removal, {
    code: 'ERR_SKEIN_PRECONDITION',
    message: /default cannot be removed: services that name no network/,
  })
  t.equal(view.networkByName('default'), defaultNetwork)
})

t.test('a network is found by id, name and prefix; its name is taken until it is removed', async (t) => {
  const { submit, view } = await world(front)
  for (const ref of [id, 'front', 'network0']) t.match(resolveNetwork(view, ref), { id, name: 'front', labels: { of: 'shop' } })
  t.throws(() => resolveNetwork(view, 'nothing'), { code: 'ERR_SKEIN_NOT_FOUND' })
  await t.rejects(submit({ ...back, name: 'front' }), { code: 'ERR_SKEIN_ALREADY_EXISTS', message: /choose another name/ })
  await t.rejects(submit({ ...back, id }), { code: 'ERR_SKEIN_ALREADY_EXISTS' })
  await submit({ op: 'network.remove', id })
  t.equal(view.networkByName('front'), undefined)
  await t.rejects(submit({ op: 'network.remove', id }), { code: 'ERR_SKEIN_NOT_FOUND' })
  await submit({ ...back, name: 'front' })
  t.equal(view.networkByName('front')?.id, 'network00002')
})

t.test('names and labels that are not allowed are refused', async (t) => {
  const { submit, view } = await world()
  for (const name of ['', '-x', 'x-', 'a b', 'a/b', '../x', 'x'.repeat(64)])
    await t.rejects(submit({ ...front, name }), { code: 'ERR_SKEIN_INVALID_SPEC' }, JSON.stringify(name))
  await t.rejects(submit({ ...front, labels: { 'a b': 'c' } }), { code: 'ERR_SKEIN_INVALID_SPEC' })
  t.same([...view.networks()], [defaultNetwork])
})

t.test(
  'a service belongs to the networks it names, or else to the default one; unknown and doubled names are refused',
  async (t) => {
    const { submit, view } = await world(front, back)
    await t.rejects(submit(web(['front', 'nobody'])), {
      code: 'ERR_SKEIN_NOT_FOUND',
      message: /network nobody: there is none; create it before/,
      detail: { kind: 'network', ref: 'nobody' },
    })
    const twice = { code: 'ERR_SKEIN_INVALID_SPEC', detail: { path: 'task.networks[1]', got: 'front' } }
    await t.rejects(submit(web(['front', 'front'])), twice)
    await t.rejects(submit(web(['a b'])), { code: 'ERR_SKEIN_INVALID_SPEC', detail: { path: 'task.networks[0]' } })
    const many = Array.from({ length: networksMax + 1 }, (_each, n) => `n${n}`)
    await t.rejects(submit(web(many)), { code: 'ERR_SKEIN_INVALID_SPEC', message: /at most 16 networks/ })
    t.equal(view.serviceByName('web'), undefined)
    await submit(web())
    t.same(view.spec('service00001', 1)?.task.networks, byDefault)
    const named = { name: 'web', task: { command: ['true'], networks: ['default'] } }
    await submit({ op: 'service.update', id: 'service00001', spec: named })
    t.equal(view.service('service00001')?.specVersion, 1, 'the default, written out, is the same')
    await submit({
      op: 'service.update',
      id: 'service00001',
      spec: { ...named, task: { ...named.task, networks: ['back', 'front'] } },
    })
    t.equal(view.service('service00001')?.specVersion, 2, 'tasks of other networks are other tasks')
    t.same(view.spec('service00001', 2)?.task.networks, [
      { id: 'network00002', name: 'back' },
      { id, name: 'front' },
    ])
  },
)

t.test('a network in use is not removed, and the refusal names who uses it', async (t) => {
  const { submit, view } = await world(front, web(['front']))
  await t.rejects(submit({ op: 'network.remove', id }), {
    code: 'ERR_SKEIN_PRECONDITION',
    message: /front is used by web; update or/,
  })
  await submit({ op: 'service.remove', id: 'service00001' })
  await submit({ op: 'network.remove', id })
  t.equal(view.network(id), undefined)
})

t.test('a cluster has so many networks and no more; where one goes there is room for another', async (t) => {
  const made = Array.from({ length: networksOfClusterMax - 1 }, (_, at): Op => {
    return { op: 'network.create', id: `net${String(at).padStart(9, '0')}`, name: `net-${at}`, labels: {} }
  })
  const { submit, view } = await world(...made)
  t.equal([...view.networks()].length, networksOfClusterMax, 'the default one is counted')
  await t.rejects(submit(front), { code: 'ERR_SKEIN_TOO_LARGE', message: /remove those that no service uses/ })
  await submit({ op: 'network.remove', id: 'net000000007' })
  await submit(front)
  t.equal(view.networkByName('front')?.id, id)
})

t.test('networks pass through a snapshot; specs written before there were any belong to the default one', async (t) => {
  const { store, view } = await world(front, web(['front']))
  const tables = await tablesFromChunks(
    (async function* () {
      yield* snapshotChunks(store.view() as never)
    })(),
  )
  t.same([...tables.networks()], [...view.networks()])
  t.equal(tables.networkByName('front')?.id, id)
  t.same(brokenInvariants(tables), [])
  const row = packRow({ kind: 'spec', key: 'service00001/1', record: tables.spec('service00001', 1) }) as unknown[]
  const task = (row[2] as unknown[][])[2] as unknown[]
  // Networks, and what came after them.
  task.splice(-2)
  t.match(unpackRow(row, 'row'), { record: { task: { networks: byDefault, driver: 'process' } } })
})

t.test('who watches is told of networks that come and go', async (t) => {
  const { submit, store } = await world()
  const told: unknown[] = []
  store.onChange((changes) => told.push(...changes.map(({ type, kind }) => `${type} ${kind}`)))
  await submit(front)
  await submit({ op: 'network.remove', id })
  t.same(told, ['set network', 'removed network'])
})
