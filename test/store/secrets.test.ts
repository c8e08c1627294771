import t from 'tap'
import type { Op } from '../../lib/model/command.js'
import { checkPayload, payloadBytesMax } from '../../lib/model/payload.js'
import { sealingBytesMax } from '../../lib/model/secret.js'
import { resolveSecret, snapshotChunks, tablesFromChunks } from '../../lib/store/index.js'
import { brokenInvariants } from '../../lib/store/invariants.js'
import { packRow, unpackRow } from '../../lib/store/row-codec.js'
import { found, openHarness } from './harness.js'

const id = 'secret000001'
const sealed = Uint8Array.of(1, 2, 3)
const password: Op = { op: 'secret.create', id, name: 'db-password', labels: { of: 'db' }, sealed }

const web = (secrets: readonly (string | { secret: string; target?: string })[]): Op => ({
  op: 'service.create',
  id: 'service00001',
  spec: { name: 'web', task: { command: ['true'], secrets } },
})

async function world(...ops: Op[]) {
  const harness = await openHarness()
  await harness.submit(found, ...ops)
  return { ...harness, view: harness.store.view() }
}

t.test('a secret is found by id, name and prefix; its name is taken, its value never changes', async (t) => {
  const { submit, view } = await world(password)
  for (const ref of [id, 'db-password', 'secret0']) t.match(resolveSecret(view, ref), { id, name: 'db-password', sealed })
  t.throws(() => resolveSecret(view, 'nothing'), { code: 'ERR_SKEIN_NOT_FOUND' })
  await t.rejects(submit({ ...password, id: 'secret000002' }), { code: 'ERR_SKEIN_ALREADY_EXISTS', message: /db-password/ })
  await t.rejects(submit({ ...password, name: 'other' }), { code: 'ERR_SKEIN_ALREADY_EXISTS' })
  await submit({ op: 'secret.update', id, labels: { of: null, tier: 'front' } })
  t.match(view.secret(id), { labels: { tier: 'front' }, sealed, createdAtMs: view.secret(id)?.createdAtMs })
  t.notOk('of' in (view.secret(id)?.labels ?? {}))
  await submit({ op: 'secret.remove', id })
  t.same([...view.secrets()], [])
  t.equal(view.secretByName('db-password'), undefined)
  for (const op of ['secret.remove', 'secret.update'] as const)
    await t.rejects(submit({ op, id, labels: {} }), { code: 'ERR_SKEIN_NOT_FOUND' })
})

t.test('names, labels and sizes that are not allowed are refused, and nothing is kept of them', async (t) => {
  const { submit, view } = await world()
  for (const name of ['', '-x', 'x-', 'a b', 'a/b', '../x', 'x'.repeat(65)])
    await t.rejects(submit({ ...password, name }), { code: 'ERR_SKEIN_INVALID_SPEC' }, JSON.stringify(name))
  await t.rejects(submit({ ...password, labels: { 'a b': 'c' } }), { code: 'ERR_SKEIN_INVALID_SPEC' })
  const tooLarge = new Uint8Array(payloadBytesMax.secret + sealingBytesMax + 1)
  await t.rejects(submit({ ...password, sealed: tooLarge }), { code: 'ERR_SKEIN_TOO_LARGE', detail: { what: 'secret' } })
  t.throws(() => checkPayload('secret', new Uint8Array(payloadBytesMax.secret + 1)), { code: 'ERR_SKEIN_TOO_LARGE' })
  t.throws(() => checkPayload('secret', new Uint8Array()), { code: 'ERR_SKEIN_INVALID_SPEC', detail: { path: 'data' } })
  for (const data of [undefined, null, 7, 'hunter2', ['hunter2'], { length: 3 }]) {
    t.throws(() => checkPayload('secret', data), { code: 'ERR_SKEIN_INVALID_SPEC', detail: { path: 'data', got: undefined } })
  }
  t.equal(checkPayload('secret', new Uint8Array(payloadBytesMax.secret)).length, 512_000)
  t.same([...view.secrets()], [])
})

t.test('a service names secrets that exist, each under a target of its own; its tasks keep to the ids', async (t) => {
  const { submit, view } = await world(password)
  await t.rejects(submit(web(['db-password', 'nobody'])), {
    code: 'ERR_SKEIN_NOT_FOUND',
    detail: { kind: 'secret', ref: 'nobody' },
  })
  t.equal(view.serviceByName('web'), undefined)
  for (const secrets of [
    ['db-password', 'db-password'],
    [{ secret: 'db-password', target: '../up' }],
    [{ secret: 'a', target: '' }],
    ['a b'],
  ])
    await t.rejects(
      submit(web(secrets)),
      { code: 'ERR_SKEIN_INVALID_SPEC', detail: { path: /^task\.secrets\[\d\]/ } },
      String(secrets),
    )
  await submit(web(['db-password', { secret: 'db-password', target: 'copy.txt' }]))
  t.same(view.spec('service00001', 1)?.task.secrets, [
    { id, target: 'db-password' },
    { id, target: 'copy.txt' },
  ])
})

t.test('a secret in use is not removed, and the refusal names who uses it; a service that gave it up lets go', async (t) => {
  const { submit, view } = await world(password, web(['db-password']))
  await t.rejects(submit({ op: 'secret.remove', id }), { code: 'ERR_SKEIN_PRECONDITION', message: /db-password is used by web;/ })
  await submit({ op: 'service.update', id: 'service00001', spec: { name: 'web', task: { command: ['true'] } } })
  t.equal(view.service('service00001')?.specVersion, 2, 'other secrets are other tasks')
  await submit({ op: 'secret.remove', id })
  t.equal(view.secret(id), undefined)
})

t.test('secrets pass through a snapshot; specs written before there were any have none, nor configs', async (t) => {
  const { store, view } = await world(password, web(['db-password']))
  const tables = await tablesFromChunks(
    (async function* () {
      yield* snapshotChunks(store.view() as never)
    })(),
  )
  t.same([...tables.secrets()], [...view.secrets()])
  t.same(tables.secretByName('db-password')?.id, id)
  t.same(brokenInvariants(tables), [])
  const row = packRow({ kind: 'spec', key: 'service00001/1', record: tables.spec('service00001', 1) }) as unknown[]
  const task = (row[2] as unknown[][])[2] as unknown[]
  task.splice(-2)
  t.match(unpackRow(row, 'row'), { record: { task: { secrets: [], configs: [], driver: 'process' } } })
})
