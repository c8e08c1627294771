// Random commands over a small world, so that names, ids, slots and handles collide often.
import fc from 'fast-check'
import { defaultClusterSettings } from '../../lib/model/cluster.js'
import type { Op, StoreCommand } from '../../lib/model/command.js'
import type { ServiceSpec } from '../../lib/model/service.js'
import { type TaskState, taskStates } from '../../lib/model/task.js'
import { someAccess } from './access.js'

export const serviceIds = ['service00001', 'service00002', 'service00003']
export const nodeIds = ['node00000001', 'node00000002', 'node00000003']

const service = fc.constantFrom(...serviceIds)
const node = fc.constantFrom(...nodeIds)
const secret = fc.constantFrom('secret000001', 'secret000002')
const config = fc.constantFrom('config000001', 'config000002')
const network = fc.constantFrom('network00001', 'network00002', 'default')
const handles = fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 6 })
const version = fc.option(fc.integer({ min: 1, max: 40 }), { nil: undefined })

const spec: fc.Arbitrary<ServiceSpec> = fc.record({
  name: fc.constantFrom('web', 'api', 'db', 'not a name'),
  task: fc.record({
    command: fc.constantFrom(['node'], ['true'], []),
    secrets: fc.constantFrom([], [], ['password'], ['key']),
    configs: fc.constantFrom([], [], ['nginx'], [{ config: 'password', target: '/etc/password' }]),
    networks: fc.constantFrom([], ['default'], ['front'], ['front', 'back']),
  }),
  mode: fc.record({ replicas: fc.integer({ min: 0, max: 5 }) }),
})

/** Without the keys that are undefined: absent is what the types allow. */
function present<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined)) as T
}

export const op: fc.Arbitrary<Op> = fc
  .oneof(
    fc.constant({
      op: 'cluster.found' as const,
      id: 'cluster00001',
      access: someAccess,
      settings: defaultClusterSettings,
    }),
    fc.record({
      op: fc.constant('node.create' as const),
      id: node,
      name: fc.constantFrom('a', 'b', 'node00000001'),
      role: fc.constantFrom('manager' as const, 'worker' as const),
      availability: fc.constant('active' as const),
      labels: fc.constantFrom({}, { zone: 'eu' }),
      address: fc.constant('127.0.0.1:1'),
      raftId: fc.constantFrom(undefined, 7),
    }),
    fc.record({
      op: fc.constant('node.update' as const),
      id: node,
      availability: fc.constantFrom('active' as const, 'pause' as const, 'drain' as const),
      labels: fc.constantFrom({ zone: null }, { zone: 'us' }),
      ifVersion: version,
    }),
    fc.record({
      op: fc.constant('node.status' as const),
      id: node,
      state: fc.constantFrom('ready' as const, 'ready' as const, 'down' as const, 'unknown' as const),
      message: fc.constant('seen'),
    }),
    fc.record({
      op: fc.constant('node.desire' as const),
      id: node,
      role: fc.constantFrom('manager' as const, 'worker' as const),
    }),
    fc.record({
      op: fc.constant('node.become' as const),
      id: node,
      role: fc.constantFrom('manager' as const, 'worker' as const),
      raftId: fc.constantFrom(7, 8),
    }),
    fc.record({ op: fc.constant('node.remove' as const), id: node }),
    fc.record({ op: fc.constant('service.create' as const), id: service, spec }),
    fc.record({ op: fc.constant('service.update' as const), id: service, spec, ifVersion: version }),
    fc.record({ op: fc.constant('service.remove' as const), id: service }),
    fc.record({
      op: fc.constant('secret.create' as const),
      id: secret,
      name: fc.constantFrom('password', 'key', 'not a name'),
      labels: fc.constantFrom({}, { of: 'db' }),
      sealed: fc.constant(Uint8Array.of(7)),
    }),
    fc.record({ op: fc.constant('secret.update' as const), id: secret, labels: fc.constantFrom({ of: null }, { of: 'web' }) }),
    fc.record({ op: fc.constant('secret.remove' as const), id: secret }),
    fc.record({
      op: fc.constant('config.create' as const),
      id: config,
      // One of its names is a secret's too: the two have nothing to do with each other.
      name: fc.constantFrom('nginx', 'password', '-'),
      labels: fc.constantFrom({}, { of: 'web' }),
      data: fc.constantFrom(Uint8Array.of(7), new Uint8Array()),
    }),
    fc.record({ op: fc.constant('config.update' as const), id: config, labels: fc.constantFrom({ of: null }, { of: 'db' }) }),
    fc.record({ op: fc.constant('config.remove' as const), id: config }),
    fc.record({
      op: fc.constant('network.create' as const),
      id: network,
      name: fc.constantFrom('front', 'back', 'default', 'not a name'),
      labels: fc.constantFrom({}, { of: 'shop' }),
    }),
    fc.record({ op: fc.constant('network.remove' as const), id: network }),
    fc.record({
      op: fc.constant('tasks.create' as const),
      service,
      specVersion: fc.integer({ min: 1, max: 2 }),
      slotFrom: fc.integer({ min: 1, max: 3 }),
      slotTo: fc.integer({ min: 2, max: 5 }),
      desired: fc.constantFrom('ready' as const, 'running' as const),
    }),
    fc
      .array(fc.tuple(fc.integer({ min: 1, max: 30 }), node), { maxLength: 8 })
      .map((pairs) => ({ op: 'tasks.assign' as const, tasks: pairs.map(([task]) => task), nodes: pairs.map(([, id]) => id) })),
    fc.record({
      op: fc.constant('tasks.desire' as const),
      tasks: handles,
      desired: fc.constantFrom('ready' as const, 'running' as const, 'shutdown' as const, 'remove' as const),
    }),
    fc.record({
      op: fc.constant('tasks.observe' as const),
      updates: fc.array(
        fc.record({
          task: fc.integer({ min: 1, max: 30 }),
          state: fc.constantFrom<TaskState>(...taskStates.filter((state) => state !== 'remove')),
          message: fc.constant('said so'),
          exitCode: fc.constantFrom(0, 1),
        }),
        { maxLength: 6 },
      ),
    }),
    fc.record({ op: fc.constant('tasks.remove' as const), tasks: handles }),
    fc.record({
      op: fc.constant('kv.put' as const),
      key: fc.constantFrom('k', 'k1', 'l', 'x'.repeat(600)),
      value: fc.uint8Array({ maxLength: 3 }),
      ifVersion: fc.constantFrom(undefined, 'absent' as const, 3),
    }),
    fc.record({ op: fc.constant('cluster.recover' as const), keep: fc.constantFrom(...nodeIds) }),
    fc.record({ op: fc.constant('kv.delete' as const), key: fc.constantFrom('k', 'k1') }),
  )
  .map((value) => present(value) as Op)

/** A prelude that makes most later operations meaningful. */
const prelude: readonly Op[] = [
  { op: 'cluster.found', id: 'cluster00001', access: someAccess, settings: defaultClusterSettings },
  ...nodeIds.slice(0, 2).flatMap((id): Op[] => [
    { op: 'node.create', id, name: id, role: 'worker', availability: 'active', labels: {}, address: '', raftId: undefined },
    { op: 'node.status', id, state: 'ready', message: 'here' },
  ]),
  { op: 'service.create', id: 'service00001', spec: { name: 'web', task: { command: ['node'] } } },
  { op: 'tasks.create', service: 'service00001', specVersion: 1, slotFrom: 1, slotTo: 5, desired: 'running' },
]

/** Commands in order; request ids repeat now and then. */
export const commands: fc.Arbitrary<readonly StoreCommand[]> = fc
  .array(fc.tuple(fc.array(op, { minLength: 1, maxLength: 4 }), fc.integer({ min: 0, max: 60 })), { maxLength: 40 })
  .map((all) => [
    command('prelude', prelude, 0),
    ...all.map(([ops, request], index) => command(request < 5 ? `again-${request}` : `once-${index}`, ops, index + 1)),
  ])

export function command(requestId: string, ops: readonly Op[], atMs = 0): StoreCommand {
  return { requestId, atMs, by: 'leader', ops }
}
