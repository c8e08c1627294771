import t from 'tap'
import type { Op } from '../../lib/model/command.js'
import { payloadBytesMax } from '../../lib/model/payload.js'
import { resolveConfig, snapshotChunks, tablesFromChunks } from '../../lib/store/index.js'
import { brokenInvariants } from '../../lib/store/invariants.js'
import { found, openHarness } from './harness.js'

const id = 'config000001'
const data = Buffer.from('worker_processes 4;')
const nginx: Op = { op: 'config.create', id, name: 'nginx.conf', labels: { of: 'web' }, data }

const web = (configs: readonly (string | { config: string; target?: string })[]): Op => ({
  op: 'service.create',
  id: 'service00001',
  spec: { name: 'web', task: { command: ['true'], configs } },
})

async function world(...ops: Op[]) {
  const harness = await openHarness()
  await harness.submit(found, ...ops)
  return { ...harness, view: harness.store.view() }
}

t.test('a config is found by id, name and prefix; its name is taken, its data never change', async (t) => {
  const { submit, view } = await world(nginx)
  for (const ref of [id, 'nginx.conf', 'config0']) t.match(resolveConfig(view, ref), { id, name: 'nginx.conf' })
  t.same(Buffer.from(resolveConfig(view, id).data), data)
  t.throws(() => resolveConfig(view, 'nothing'), { code: 'ERR_SKEIN_NOT_FOUND', detail: { kind: 'config', ref: 'nothing' } })
  await t.rejects(submit({ ...nginx, id: 'config000002' }), { code: 'ERR_SKEIN_ALREADY_EXISTS', message: /^config nginx\.conf/ })
  await t.rejects(submit({ ...nginx, name: 'other' }), { code: 'ERR_SKEIN_ALREADY_EXISTS' })
  await submit({ op: 'config.update', id, labels: { of: null, tier: 'front' } })
  t.same(view.config(id)?.labels, { tier: 'front' })
  t.same(Buffer.from(resolveConfig(view, id).data), data)
  await submit({ op: 'config.remove', id })
  t.same([...view.configs()], [])
  t.equal(view.configByName('nginx.conf'), undefined)
  for (const op of ['config.remove', 'config.update'] as const)
    await t.rejects(submit({ op, id, labels: {} }), { code: 'ERR_SKEIN_NOT_FOUND' })
})

t.test('a secret and a config may have the same name and are not taken for each other', async (t) => {
  const secret: Op = { op: 'secret.create', id: 'secret000001', name: 'nginx.conf', labels: {}, sealed: Uint8Array.of(1) }
  const { submit, view } = await world(nginx, secret, web(['nginx.conf']))
  t.match(view.spec('service00001', 1)?.task, { configs: [{ id, target: 'nginx.conf' }], secrets: [] })
  await submit({ op: 'secret.remove', id: 'secret000001' })
  t.equal(view.configByName('nginx.conf')?.id, id)
})

t.test('names, labels and sizes that are not allowed are refused, and nothing is kept of them', async (t) => {
  const { submit, view } = await world()
  for (const name of ['', '-x', 'a b', 'a/b', 'x'.repeat(65)])
    await t.rejects(submit({ ...nginx, name }), { code: 'ERR_SKEIN_INVALID_SPEC' }, JSON.stringify(name))
  await t.rejects(submit({ ...nginx, labels: { 'a b': 'c' } }), { code: 'ERR_SKEIN_INVALID_SPEC' })
  await t.rejects(submit({ ...nginx, data: new Uint8Array() }), { code: 'ERR_SKEIN_INVALID_SPEC', detail: { path: 'data' } })
  const tooLarge = submit({ ...nginx, data: new Uint8Array(payloadBytesMax.config + 1) })
  await t.rejects(tooLarge, { code: 'ERR_SKEIN_TOO_LARGE', detail: { what: 'config', limit: 1_024_000 } })
  t.same([...view.configs()], [])
  await submit({ ...nginx, data: new Uint8Array(payloadBytesMax.config) })
  t.equal(view.config(id)?.data.length, payloadBytesMax.config)
})

t.test('a service names configs that exist, by paths that lead only down and are not in each other’s way', async (t) => {
  const { submit, view } = await world(nginx)
  await t.rejects(submit(web(['nginx.conf', 'nobody'])), {
    code: 'ERR_SKEIN_NOT_FOUND',
    message: /config nobody: there is none; create it before/,
    detail: { kind: 'config', ref: 'nobody' },
  })
  const at = (...targets: string[]) => targets.map((target) => ({ config: 'nginx.conf', target }))
  const refused = [
    ...['../up', 'a/../b', './a', 'a/.', '..', '/', 'a/', '//a', 'a//b', 'a b', 'a\0', '', 'x'.repeat(256)].map((each) =>
      at(each),
    ),
    at('a', 'a'),
    at('/a', 'a'),
    at('a', 'a/b'),
    at('a/b/c', 'a/b'),
  ]
  for (const configs of refused) {
    const detail = { path: /^task\.configs\[\d\]/ }
    await t.rejects(submit(web(configs)), { code: 'ERR_SKEIN_INVALID_SPEC', detail }, JSON.stringify(configs))
  }
  await submit(web(['nginx.conf', ...at('/etc/nginx/nginx.conf', 'etc/nginx/.hidden', '..data/a', 'etc/nginx-2')]))
  t.same(
    view.spec('service00001', 1)?.task.configs.map(({ target }) => target),
    ['nginx.conf', 'etc/nginx/nginx.conf', 'etc/nginx/.hidden', '..data/a', 'etc/nginx-2'],
  )
})

t.test('a config in use is not removed, and the refusal names who uses it; a service that gave it up lets go', async (t) => {
  const { submit, view } = await world(nginx, web(['nginx.conf']))
  await t.rejects(submit({ op: 'config.remove', id }), {
    code: 'ERR_SKEIN_PRECONDITION',
    message: /config nginx\.conf is used by web; update or remove/,
  })
  await submit({ op: 'service.update', id: 'service00001', spec: { name: 'web', task: { command: ['true'] } } })
  t.equal(view.service('service00001')?.specVersion, 2, 'other configs are other tasks')
  await submit({ op: 'config.remove', id })
  t.equal(view.config(id), undefined)
})

t.test('configs pass through a snapshot', async (t) => {
  const { store, view } = await world(nginx, web(['nginx.conf']))
  const tables = await tablesFromChunks(
    (async function* () {
      yield* snapshotChunks(store.view() as never)
    })(),
  )
  t.same([...tables.configs()], [...view.configs()])
  t.equal(tables.configByName('nginx.conf')?.id, id)
  t.same(tables.spec('service00001', 1)?.task.configs, [{ id, target: 'nginx.conf' }])
  t.same(brokenInvariants(tables), [])
})
