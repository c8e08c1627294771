import { deepStrictEqual } from 'node:assert'
import fc from 'fast-check'
import t from 'tap'
import type { Op, Outcome } from '../../lib/model/command.js'
import { canAdvance, rank, type Task, taskId } from '../../lib/model/task.js'
import { applyCommand } from '../../lib/store/apply.js'
import { brokenInvariants } from '../../lib/store/invariants.js'
import { requestsKept, Tables } from '../../lib/store/tables.js'
import { someAccess } from './access.js'
import { command, commands } from './commands.js'

const web = { name: 'web', task: { command: ['node', 'server.js'] }, mode: { replicas: 3 } }

class World {
  readonly tables = new Tables()
  #index = 0
  apply(...ops: Op[]): Outcome {
    this.#index++
    return applyCommand(this.tables, command(`r${this.#index}`, ops, this.#index * 10), this.#index).outcome
  }
  node(id: string): void {
    this.apply(
      {
        op: 'node.create',
        id,
        name: `name-${id}`,
        role: 'worker',
        availability: 'active',
        labels: {},
        address: 'a:1',
        raftId: undefined,
      },
      { op: 'node.status', id, state: 'ready', message: 'here' },
    )
  }
  states(): string[] {
    return Array.from(
      this.tables.tasks(),
      (task) => `${task.slot}.${task.generation} ${task.observed}/${task.desired} ${task.node ?? '-'}`,
    )
  }
}

function founded(): World {
  const world = new World()
  world.apply({
    op: 'cluster.found',
    id: 'c',
    access: someAccess,
    settings: { heartbeatMs: 1000, graceFactor: 3, pauseToleranceMs: 30_000, taskHistory: 5 },
  })
  world.node('node00000001')
  world.node('node00000002')
  world.apply({ op: 'service.create', id: 'service00001', spec: web })
  return world
}

const makeTasks = (slotFrom: number, slotTo: number): Op => ({
  op: 'tasks.create',
  service: 'service00001',
  specVersion: 1,
  slotFrom,
  slotTo,
  desired: 'running',
})

t.test('two replicas that apply the same commands are equal row by row', async (t) => {
  fc.assert(
    fc.property(commands, (all) => {
      const [a, b] = [new Tables(), new Tables()]
      for (const [at, each] of all.entries()) {
        deepStrictEqual(applyCommand(a, each, at + 1), applyCommand(b, structuredClone(each), at + 1))
      }
      deepStrictEqual([...a.rows()], [...b.rows()])
    }),
    { numRuns: 200 },
  )
  t.pass('on every sequence')
})

t.test('after any sequence of commands every invariant holds', async (t) => {
  fc.assert(
    fc.property(commands, (all) => {
      const tables = new Tables()
      for (const [at, each] of all.entries()) {
        applyCommand(tables, each, at + 1)
        deepStrictEqual(brokenInvariants(tables), [])
      }
    }),
    { numRuns: 200 },
  )
  t.pass('on every sequence')
})

t.test('observed and desired states never fall, a node once given stays, and a task id is never given twice', async (t) => {
  fc.assert(
    fc.property(commands, (all) => {
      const tables = new Tables()
      const ever = new Set<string>()
      for (const [at, each] of all.entries()) {
        for (const change of applyCommand(tables, each, at + 1).changes) {
          if (change.kind !== 'task' || change.type === 'removed') continue
          const { object, was } = change
          if (was === undefined) {
            deepStrictEqual(ever.has(taskId(object)), false)
            ever.add(taskId(object))
            continue
          }
          const rises = object.observed === was.observed || canAdvance(was.observed, object.observed)
          deepStrictEqual(rises && rank(object.desired) >= rank(was.desired), true)
          if (was.node !== undefined) deepStrictEqual(object.node, was.node)
        }
      }
    }),
    { numRuns: 200 },
  )
  t.pass('on every sequence')
})

t.test('a refused command leaves every public row as it was', async (t) => {
  let refused = 0
  fc.assert(
    fc.property(commands, (all) => {
      const tables = new Tables()
      for (const [at, each] of all.entries()) {
        const before = publicRows(tables)
        const { outcome, changes } = applyCommand(tables, each, at + 1)
        if (outcome.ok) continue
        refused++
        deepStrictEqual(changes, [])
        deepStrictEqual(publicRows(tables), before)
      }
    }),
    { numRuns: 100 },
  )
  t.ok(refused > 100, `the generator made ${refused} refused commands`)
})

function publicRows(tables: Tables) {
  return [...tables.rows()].filter((row) => row.kind !== 'request' && row.kind !== 'counters')
}

t.test('a request id answers again with its first outcome and changes nothing', async (t) => {
  const tables = new Tables()
  const put = (value: number): Op => ({ op: 'kv.put', key: 'k', value: Uint8Array.of(value) })
  const first = applyCommand(tables, command('same', [put(1)]), 1)
  t.same(first.outcome, { ok: true, version: 1 })
  const second = applyCommand(tables, command('same', [put(2)]), 2)
  t.same(second, { outcome: first.outcome, changes: [], rows: [] })
  t.same(tables.key('k')?.value, Uint8Array.of(1))
  t.equal(tables.version, 2)

  const no: Op = { op: 'service.remove', id: 'nobody000000' }
  t.match(applyCommand(tables, command('no', [no]), 3).outcome, { ok: false, code: 'ERR_SKEIN_NOT_FOUND' })
  t.match(applyCommand(tables, command('no', [put(3)]), 4).outcome, { ok: false, code: 'ERR_SKEIN_NOT_FOUND' })
})

t.test('exactly the last 4,096 requests are remembered', async (t) => {
  const tables = new Tables()
  const put: Op = { op: 'kv.put', key: 'k', value: new Uint8Array() }
  for (let index = 1; index <= requestsKept; index++) applyCommand(tables, command(`r${index}`, [put]), index)
  t.same(tables.outcomeOf('r1'), { ok: true, version: 1 })
  applyCommand(tables, command('one more', [put]), requestsKept + 1)
  t.equal(tables.outcomeOf('r1'), undefined)
  t.same(tables.outcomeOf('r2'), { ok: true, version: 2 })
  t.equal([...tables.rows()].filter((row) => row.kind === 'request').length, requestsKept)
})

t.test('all operations of a command happen or none does', async (t) => {
  const world = founded()
  const before = [...world.tables.tasks()]
  const outcome = world.apply(
    makeTasks(1, 3),
    { op: 'kv.put', key: 'k', value: Uint8Array.of(1) },
    { op: 'service.remove', id: 'x' },
  )
  t.match(outcome, { ok: false, code: 'ERR_SKEIN_NOT_FOUND', message: /service x/ })
  t.same([...world.tables.tasks()], before)
  t.equal(world.tables.key('k'), undefined)
  world.apply(makeTasks(1, 1))
  t.equal(world.tables.taskById('service00001.1.1')?.handle, 1, 'handles and generations of the refused command were not used up')
})

t.test('one range operation makes a task in every slot, and a generation is never given twice', async (t) => {
  const world = founded()
  world.apply(makeTasks(1, 3))
  t.same(world.states(), ['1.1 pending/running -', '2.1 pending/running -', '3.1 pending/running -'])
  const task = world.tables.taskById('service00001.2.1') as Task
  world.apply({ op: 'tasks.remove', tasks: [task.handle] })
  world.apply(makeTasks(2, 2))
  t.same(world.states(), ['1.1 pending/running -', '2.2 pending/running -', '3.1 pending/running -'])
  t.equal(world.tables.taskById('service00001.2.2')?.handle, 4)
})

t.test('an assignment is checked again when it commits', async (t) => {
  const world = founded()
  world.apply(makeTasks(1, 4))
  world.apply({ op: 'node.update', id: 'node00000002', availability: 'drain' })
  world.apply({ op: 'tasks.desire', tasks: [3], desired: 'shutdown' })
  const nodes = ['node00000001', 'node00000002', 'node00000001', 'gone00000000', 'node00000001']
  t.match(world.apply({ op: 'tasks.assign', tasks: [1, 2, 3, 4, 99], nodes }), { ok: true })
  t.same(world.states(), [
    '1.1 assigned/running node00000001',
    '2.1 pending/running -',
    '3.1 pending/shutdown -',
    '4.1 pending/running -',
  ])
  t.match(world.apply({ op: 'tasks.assign', tasks: [1], nodes: [] }), { ok: false, code: 'ERR_SKEIN_INVALID_OPTION' })
})

t.test('a lower observation is skipped and keeps message and exit code', async (t) => {
  const world = founded()
  world.apply(makeTasks(1, 2), { op: 'tasks.assign', tasks: [1], nodes: ['node00000001'] })
  world.apply({ op: 'tasks.observe', updates: [{ task: 1, state: 'failed', message: 'exit 3', exitCode: 3 }] })
  world.apply({ op: 'tasks.observe', updates: [{ task: 1, state: 'running', message: 'late' }] })
  t.match(world.tables.task(1), { observed: 'failed', message: 'exit 3', exitCode: 3 })
  world.apply({ op: 'tasks.observe', updates: [{ task: 2, state: 'running', message: 'without a node' }] })
  t.match(world.tables.task(2), { observed: 'pending' })
  t.match(world.apply({ op: 'tasks.observe', updates: [{ task: 1, state: 'remove', message: '' }] }), { ok: false })
})

t.test('removing a service takes the record at once; its tasks go to remove and still know their name', async (t) => {
  const world = founded()
  world.apply(makeTasks(1, 2))
  world.apply({ op: 'service.remove', id: 'service00001' })
  t.equal(world.tables.serviceByName('web'), undefined)
  t.same(world.states(), ['1.1 pending/remove -', '2.1 pending/remove -'])
  t.equal(world.tables.spec('service00001', 1)?.name, 'web')
  t.match(world.apply({ op: 'service.create', id: 'service00001', spec: web }), { ok: false, code: 'ERR_SKEIN_ALREADY_EXISTS' })
  t.match(world.apply({ op: 'service.create', id: 'service00002', spec: web }), { ok: true }, 'the name is free again')
  world.apply({ op: 'tasks.remove', tasks: [1, 2] })
  t.equal(world.tables.spec('service00001', 1), undefined)
  t.equal(world.tables.lastGeneration('service00001', 1), 0)
})

t.test(
  'scaling keeps the spec version and raises the version; a changed task raises both; the same spec raises none',
  async (t) => {
    const world = founded()
    const service = () => world.tables.service('service00001')
    const created = service()?.version as number
    world.apply({ op: 'service.update', id: 'service00001', spec: { ...web, mode: { replicas: 5 } }, ifVersion: created })
    t.match(service(), { specVersion: 1, previous: { mode: { replicas: 3 } } })
    t.ok((service()?.version as number) > created)
    t.equal(world.tables.spec('service00001', 1)?.mode.replicas, 5, 'the resolved spec follows')
    t.match(world.apply({ op: 'service.update', id: 'service00001', spec: web, ifVersion: created }), {
      ok: false,
      code: 'ERR_SKEIN_VERSION_CONFLICT',
      detail: { expected: created },
    })

    world.apply(makeTasks(1, 1))
    const scaled = service()?.version
    t.equal(service()?.version, scaled, 'tasks do not raise it')
    world.apply({ op: 'service.update', id: 'service00001', spec: { ...web, task: { command: ['other'] } } })
    t.equal(service()?.specVersion, 2)
    t.same(world.tables.spec('service00001', 1)?.task.command, ['node', 'server.js'], 'kept while a task refers to it')
    world.apply({ op: 'tasks.remove', tasks: [1] })
    t.equal(world.tables.spec('service00001', 1), undefined)

    const version = service()?.version
    world.apply({ op: 'service.update', id: 'service00001', spec: { ...web, task: { command: ['other'] } } })
    t.equal(service()?.version, version)
    t.match(world.apply({ op: 'service.update', id: 'service00001', spec: { ...web, name: 'other' } }), {
      ok: false,
      code: 'ERR_SKEIN_PRECONDITION',
    })
  },
)

t.test('names of services are unique and a bad spec is refused with its path', async (t) => {
  const world = founded()
  t.match(world.apply({ op: 'service.create', id: 'service00002', spec: web }), {
    ok: false,
    code: 'ERR_SKEIN_ALREADY_EXISTS',
    detail: { name: 'web' },
  })
  const bad = { name: 'api', task: { commnad: ['x'] } } as unknown as typeof web
  t.match(world.apply({ op: 'service.create', id: 'service00002', spec: bad }), {
    ok: false,
    code: 'ERR_SKEIN_INVALID_SPEC',
    detail: { path: 'task.commnad' },
  })
})

t.test('recovery keeps one manager and every worker; the other managers are refused for ever', async (t) => {
  const world = founded()
  const manager = (id: string, raftId: number): Op => ({
    op: 'node.create',
    id,
    name: id,
    role: 'manager',
    availability: 'active',
    labels: {},
    address: '',
    raftId,
  })
  const managers = [manager('node00000003', 77), manager('node00000004', 78), manager('node00000005', 79)]
  for (const each of managers) world.apply(each)
  t.match(world.apply({ op: 'cluster.recover', keep: 'node00000001' }), { ok: false, code: 'ERR_SKEIN_PRECONDITION' }, 'a worker')
  t.match(world.apply({ op: 'cluster.recover', keep: 'node00000009' }), { ok: false, code: 'ERR_SKEIN_NOT_FOUND' })
  t.match(world.apply({ op: 'cluster.recover', keep: 'node00000004' }), { ok: true })
  t.same(
    [...world.tables.nodes()].map(({ id }) => id),
    ['node00000001', 'node00000002', 'node00000004'],
  )
  t.same(world.tables.cluster?.removedNodes, ['node00000003', 'node00000005'])
  t.same(world.tables.cluster?.removedRaftIds, [77, 79])
  t.match(world.apply(manager('node00000003', 80)), { ok: false, code: 'ERR_SKEIN_REMOVED' })
})

t.test('removing a node orphans what had not ended there and refuses its ids for ever', async (t) => {
  const world = founded()
  const create: Op = {
    op: 'node.create',
    id: 'node00000003',
    name: 'm',
    role: 'manager',
    availability: 'active',
    labels: {},
    address: '',
    raftId: 77,
  }
  world.apply(create, { op: 'node.status', id: 'node00000003', state: 'ready', message: '' })
  world.apply(makeTasks(1, 2), { op: 'tasks.assign', tasks: [1, 2], nodes: ['node00000003', 'node00000003'] })
  world.apply({ op: 'tasks.observe', updates: [{ task: 2, state: 'complete', message: 'done' }] })
  world.apply({ op: 'node.remove', id: 'node00000003' })
  t.same(world.states(), ['1.1 orphaned/running node00000003', '2.1 complete/running node00000003'])
  t.same(world.tables.cluster?.removedNodes, ['node00000003'])
  t.same(world.tables.cluster?.removedRaftIds, [77])
  t.match(world.apply(create), { ok: false, code: 'ERR_SKEIN_REMOVED', detail: { node: 'node00000003' } })
  t.match(world.apply({ ...create, id: 'node00000004' }), { ok: false, code: 'ERR_SKEIN_REMOVED' }, 'its raft id as well')
  t.match(
    world.apply({ op: 'node.status', id: 'node00000003', state: 'ready', message: '' }),
    { ok: true },
    'a late report is skipped',
  )
})

t.test('no two nodes share a name, not even with one that is down', async (t) => {
  const world = founded()
  world.apply({ op: 'node.status', id: 'node00000001', state: 'down', message: '' })
  const twin: Op = {
    op: 'node.create',
    id: 'node00000009',
    name: 'name-node00000001',
    role: 'worker',
    availability: 'active',
    labels: {},
    address: '',
    raftId: undefined,
  }
  const taken = { ok: false, code: 'ERR_SKEIN_ALREADY_EXISTS', detail: { kind: 'node', name: 'name-node00000001' } }
  t.match(world.apply(twin), taken)
  t.match(world.apply({ op: 'node.update', id: 'node00000002', name: 'name-node00000001' }), taken)
  t.match(world.apply({ op: 'node.update', id: 'node00000001', name: 'name-node00000001' }), { ok: true }, 'its own it may keep')
  world.apply({ op: 'node.remove', id: 'node00000001' })
  t.match(world.apply(twin), { ok: true }, 'free again once that node is removed')
})

t.test('what is observed of a node is no conflict for its operator', async (t) => {
  const world = founded()
  const { version } = world.tables.node('node00000001') as { version: number }
  world.apply({ op: 'node.status', id: 'node00000001', state: 'down', message: 'silent' })
  world.apply({ op: 'node.update', id: 'node00000001', address: 'b:2' })
  t.match(world.tables.node('node00000001'), { state: 'down', address: 'b:2', version })
  t.match(world.apply({ op: 'node.update', id: 'node00000001', labels: { zone: 'eu' }, ifVersion: version }), { ok: true })
  t.match(world.apply({ op: 'node.update', id: 'node00000001', labels: { zone: null }, ifVersion: version }), {
    ok: false,
    code: 'ERR_SKEIN_VERSION_CONFLICT',
  })
  world.apply({ op: 'node.update', id: 'node00000001', labels: { zone: null, disk: 'ssd' } })
  t.same(world.tables.node('node00000001')?.labels, { disk: 'ssd' })
})

t.test('a key is put under a condition, listed by prefix in order, and bounded', async (t) => {
  const world = new World()
  const put = (key: string, ifVersion?: number | 'absent'): Outcome =>
    world.apply({ op: 'kv.put', key, value: Uint8Array.of(1), ...(ifVersion !== undefined && { ifVersion }) })
  t.same(put('b/2', 'absent'), { ok: true, version: 1 })
  t.match(put('b/2', 'absent'), { ok: false, code: 'ERR_SKEIN_VERSION_CONFLICT', detail: { current: { version: 1 } } })
  t.match(put('b/9', 5), { ok: false, code: 'ERR_SKEIN_VERSION_CONFLICT' })
  t.match(put('b/2', 1), { ok: true })
  for (const key of ['b/10', 'a', 'c', 'b']) put(key)
  t.same(
    Array.from(world.tables.keys('b/'), (each) => each.key),
    ['b/10', 'b/2'],
  )
  t.match(put('é'.repeat(257)), { ok: false, code: 'ERR_SKEIN_TOO_LARGE', detail: { size: 514, limit: 512 } })
  const tooLarge = world.apply({ op: 'kv.put', key: 'k', value: new Uint8Array(1024 * 1024 + 1) })
  t.match(tooLarge, { ok: false, code: 'ERR_SKEIN_TOO_LARGE', detail: { what: 'value' } })
  t.match(world.apply({ op: 'kv.delete', key: 'b/2' }, { op: 'kv.delete', key: 'nothing' }), { ok: true })
  t.equal(world.tables.key('b/2'), undefined)
})

t.test('an operation of a newer version is refused, not guessed', async (t) => {
  const world = new World()
  for (const op of ['volumes.create', 'constructor', '__proto__']) {
    t.match(world.apply({ op } as unknown as Op), { ok: false, code: 'ERR_SKEIN_BAD_MESSAGE' })
  }
})

t.test('one change is told per object, from what it was before the command to what it is after', async (t) => {
  const tables = founded().tables
  const ops: Op[] = [
    makeTasks(1, 1),
    { op: 'tasks.assign', tasks: [1], nodes: ['node00000001'] },
    { op: 'kv.put', key: 'k', value: Uint8Array.of(1) },
  ]
  const { changes } = applyCommand(tables, command('x', [...ops, { op: 'kv.delete', key: 'k' }]), 50)
  t.match(changes, [{ type: 'set', kind: 'task', version: 50, object: { observed: 'assigned' }, was: undefined }])
  t.equal(changes.length, 1, 'a key that came and went within one command is no change')
  t.ok(Object.isFrozen(tables.task(1)))
  t.ok(Object.isFrozen(tables.spec('service00001', 1)?.task.command))
})
