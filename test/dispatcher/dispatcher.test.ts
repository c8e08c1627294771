import t from 'tap'
import type { Assignments, ManagerAddress, SessionHello } from '../../lib/api/session.js'
import { managersScope, type Rows, readTaskRow, type TaskRow, taskTable } from '../../lib/api/worker-rows.js'
import { SkeinError } from '../../lib/base/errors.js'
import { seededRandom } from '../../lib/base/random.js'
import type { DialFinding } from '../../lib/dispatcher/confirmations.js'
import { Dispatcher } from '../../lib/dispatcher/dispatcher.js'
import type { Member, Membership } from '../../lib/dispatcher/index.js'
import { Gossip } from '../../lib/overlay/gossip/index.js'
import type { Store } from '../../lib/store/store.js'
import { ManualClock } from '../../lib/testing/manual-clock.js'
import { description, found as founding, node, openHarness, service } from '../store/harness.js'

const a = 'node00000001'
const b = 'node00000002'
const hello: SessionHello = { description, address: 'h:9', reports: [] }
const never = new AbortController().signal

async function world(
  membership?: Membership,
  rows?: Rows<TaskRow>,
  found: DialFinding = 'refused',
  confirm?: () => Promise<void>,
) {
  const harness = await openHarness()
  await harness.submit(founding, ...node(a), ...node(b), ...service('service00001', 'web', 3))
  const managers: ManagerAddress[] = [{ node: 'm', address: 'm:1' }]
  let failure: SkeinError | undefined
  const submit: Store['submit'] = (ops, options) => (failure ? Promise.reject(failure) : harness.store.submit(ops, options))
  const dispatcher = new Dispatcher({
    store: { view: () => harness.store.view(), onChange: (listener) => harness.store.onChange(listener), submit },
    clock: harness.clock,
    random: seededRandom(5),
    settings: () => harness.store.view().cluster?.settings ?? { heartbeatMs: 1, graceFactor: 1, pauseToleranceMs: 1 },
    managers: () => managers,
    membership,
    rows,
    dial: async () => found,
    confirm,
  })
  const view = harness.store.view()
  const during = async <T>(work: Promise<T>): Promise<T> => {
    let settled = false
    const done = (): void => {
      settled = true
    }
    work.then(done, done)
    await turns()
    for (let tries = 0; !settled && tries < 10; tries++) {
      harness.clock.advance(10)
      await turns()
    }
    return work
  }
  return {
    ...harness,
    view,
    dispatcher,
    managers,
    fail: (error: SkeinError | undefined) => {
      failure = error
    },
    /** Registers, and lets the time pass that recording it takes. */
    open: (id: string, greeting = hello) => during(dispatcher.open(id, greeting)),
    report: (...args: Parameters<Dispatcher['report']>) => during(dispatcher.report(...args)),
    states: () => [a, b].map((id) => view.node(id)?.state),
    /** Time passes and everything it sets off runs out. */
    pass: async (ms: number) => {
      for (let passed = 0; passed < ms; passed += 50) {
        harness.clock.advance(Math.min(50, ms - passed))
        await turns()
      }
    },
  }
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate)
}

t.test('without leadership every call is refused as such', async (t) => {
  const { dispatcher } = await world()
  const refused = { code: 'ERR_SKEIN_NOT_LEADER' }
  await t.rejects(dispatcher.open(a, hello), refused)
  await t.rejects(dispatcher.beat(a, 's'), refused)
  await t.rejects(dispatcher.report(a, 's', []), refused)
  await t.rejects(dispatcher.assignments(a, 's', never).next(), refused)
  await dispatcher.stop()
})

t.test(
  'a new leader knows nobody: ready nodes are unknown, then ready when they register, or down when they could not be paused so long',
  async (t) => {
    const { dispatcher, open, states, pass, view } = await world()
    dispatcher.start()
    await pass(50)
    t.same(states(), ['unknown', 'unknown'])
    const opened = await open(a, hello)
    t.match(opened, { session: /^[0-9a-z]{12}$/, managers: [{ node: 'm' }] })
    t.ok(opened.heartbeatMs >= 750 && opened.heartbeatMs <= 1000)
    t.match(view.node(a), { state: 'ready', address: 'h:9', description })
    for (let beat = 0; beat < 35; beat++) {
      if (beat === 20) t.same(states(), ['ready', 'unknown'])
      await pass(900)
      await dispatcher.beat(a, opened.session)
    }
    t.same(states(), ['ready', 'down'])
    t.equal(view.node(b)?.message, 'no heartbeat')
    await dispatcher.stop()
  },
)

t.test(
  'a beat is told how lately a majority stood behind the leader, and the leader knows since when it told nothing',
  async (t) => {
    let isBehind = true
    const confirm = async (): Promise<void> => {
      if (!isBehind) throw new Error('no quorum')
    }
    const { dispatcher, open, pass } = await world(undefined, undefined, 'refused', confirm)
    t.equal(dispatcher.silentMs(a), 0, 'who does not lead knows of no silence')
    dispatcher.start()
    await pass(400)
    t.equal(dispatcher.silentMs(b), 400)
    const { session } = await open(a, hello)
    await pass(2_000)
    const sure = await dispatcher.beat(a, session)
    t.ok((sure.ledAgoMs as number) < 1_000)
    t.equal(dispatcher.silentMs(a), 0)
    isBehind = false
    await pass(2_500)
    t.equal(dispatcher.silentMs(a), 2_500)
    const unsure = await dispatcher.beat(a, session)
    t.equal(unsure.ledAgoMs, (sure.ledAgoMs as number) + 2_500)
    await t.rejects(dispatcher.beat(b, session), { code: 'ERR_SKEIN_SESSION_INVALID' })
    t.ok(dispatcher.silentMs(b) > 4_800, 'a refusal is no answer')
    await dispatcher.stop()
    t.equal(dispatcher.silentMs(a), 0)
  },
)

t.test('without a way to ask a majority nothing is said of it', async (t) => {
  const { dispatcher, open, pass } = await world()
  dispatcher.start()
  const { session } = await open(a, hello)
  await pass(2_000)
  t.notOk('ledAgoMs' in (await dispatcher.beat(a, session)))
  await dispatcher.stop()
})

t.test(
  'a worker silent for 4 s keeps its session and its tasks; it is degraded meanwhile, and ready at its next beat',
  async (t) => {
    const { dispatcher, open, states, pass, submit, view } = await world()
    dispatcher.start()
    await open(b, hello)
    const { session } = await open(a, hello)
    await submit({ op: 'tasks.assign', tasks: [1], nodes: [a] })
    await pass(2900)
    t.equal(states()[0], 'ready')
    await pass(1100)
    t.equal(states()[0], 'degraded')
    t.match(view.task(1), { node: a, desired: 'running', observed: 'assigned' })
    await submit({ op: 'tasks.assign', tasks: [2], nodes: [a] })
    t.equal(view.task(2)?.node, undefined, 'nothing new is placed there')
    await dispatcher.beat(a, session)
    await pass(100)
    t.equal(states()[0], 'ready')
    await dispatcher.stop()
  },
)

t.test('a worker that stays silent is down after the pause tolerance, and registers again', async (t) => {
  const { dispatcher, open, report, states, pass, clock } = await world()
  dispatcher.start()
  const other = await open(b, hello)
  const { session } = await open(a, hello)
  for (let second = 0; second < 31; second++) {
    await pass(1000)
    await dispatcher.beat(b, other.session)
  }
  t.equal(states()[0], 'down')
  await t.rejects(dispatcher.beat(a, session), { code: 'ERR_SKEIN_SESSION_INVALID', detail: { node: a } })
  await t.rejects(report(a, session, []), { code: 'ERR_SKEIN_SESSION_INVALID' })
  await open(a, hello)
  t.equal(states()[0], 'ready')
  await dispatcher.stop()
  t.equal(clock.pending, 0)
})

t.test('a new leader with the word of others leaves alone who is alive, and takes down whom two members accuse', async (t) => {
  const members = new Map<string, Member>([
    [a, { state: 'alive', accusers: 0, isRefused: false, sinceMs: 0, heardMs: 0 }],
    [b, { state: 'failed', accusers: 3, isRefused: false, sinceMs: 0, heardMs: -5_000 }],
  ])
  let tell = (): void => {}
  const observe = (changed: () => void): (() => void) => {
    tell = changed
    return () => {}
  }
  const { dispatcher, states, pass, clock } = await world({ member: (node) => members.get(node), observe })
  clock.advance(10_000)
  dispatcher.start()
  await pass(100)
  t.same(states(), ['ready', 'unknown'])
  members.set(b, { state: 'failed', accusers: 3, isRefused: false, sinceMs: clock.now(), heardMs: -5_000 })
  tell()
  await pass(2_800)
  t.same(states(), ['ready', 'unknown'])
  await pass(400)
  t.same(states(), ['degraded', 'down'], 'and who lives but does not come gets nothing new')
  await dispatcher.stop()
})

for (const found of ['accepting', 'silent', 'local'] as const) {
  t.test(`a link that broke proves nothing when a dial finds the machine ${found}`, async (t) => {
    const { dispatcher, open, states, pass } = await world(undefined, undefined, found)
    dispatcher.start()
    await open(a, hello)
    dispatcher.linkDown(a, 'reset')
    await pass(2_800)
    t.equal(states()[0], 'ready')
    await pass(1_000)
    t.equal(states()[0], 'degraded', 'its silence tells in time')
    await dispatcher.stop()
  })
}

t.test(
  'a link that broke, and nobody there when it is dialled, takes its node down in a second, unless it speaks again',
  async (t) => {
    const { dispatcher, open, states, pass } = await world()
    dispatcher.start()
    await open(a, hello)
    const { session } = await open(b, hello)
    dispatcher.linkDown(a, 'reset')
    dispatcher.linkDown(b, 'reset')
    await pass(900)
    t.same(states(), ['ready', 'ready'])
    await dispatcher.beat(b, session)
    await pass(150)
    t.same(states(), ['down', 'ready'])
    await dispatcher.stop()
  },
)

t.test('after a stall of its own the leader accuses nobody', async (t) => {
  const { dispatcher, open, states, clock, pass } = await world()
  dispatcher.start()
  const { session } = await open(a, hello)
  clock.stall(10_000)
  await turns()
  t.equal(states()[0], 'ready')
  await dispatcher.beat(a, session)
  await pass(2900)
  t.equal(states()[0], 'ready')
  await pass(3200)
  t.equal(states()[0], 'degraded', 'but silence after it counts')
  await dispatcher.stop()
})

t.test('who is not of the cluster, or was removed from it, gets no session', async (t) => {
  const { dispatcher, open, submit } = await world()
  dispatcher.start()
  await t.rejects(open('stranger0000', hello), { code: 'ERR_SKEIN_NOT_FOUND' })
  const { session } = await open(a, hello)
  await submit({ op: 'node.remove', id: a })
  await t.rejects(dispatcher.beat(a, session), { code: 'ERR_SKEIN_SESSION_INVALID' })
  await t.rejects(open(a, hello), { code: 'ERR_SKEIN_REMOVED', detail: { node: a } })
  const crooked = { ...hello, description: { ...description, pid: 'x' as unknown as number } }
  await t.rejects(open(b, crooked), { code: 'ERR_SKEIN_INVALID_SPEC', detail: { path: 'description.pid' } })
  await dispatcher.stop()
})

t.test('a node that joins later is expected like the others', async (t) => {
  const { dispatcher, submit, pass, view } = await world()
  dispatcher.start()
  await pass(2000)
  await submit({
    op: 'node.create',
    id: 'late00000000',
    name: 'late',
    role: 'worker',
    availability: 'active',
    labels: {},
    address: 'late:1',
    raftId: undefined,
  })
  t.equal(view.node('late00000000')?.state, 'unknown')
  dispatcher.linkDown('late00000000', 'reset')
  await pass(1100)
  t.equal(view.node('late00000000')?.state, 'down')
  await dispatcher.stop()
})

t.test('a worker hears its assignments as they are made, and a second stream ends the first', async (t) => {
  const { dispatcher, open, submit, managers } = await world()
  dispatcher.start()
  const { session } = await open(a, hello)
  await open(b, hello)
  const stream = dispatcher.assignments(a, session, never)
  const next = async (): Promise<Assignments> => (await stream.next()).value as Assignments
  t.match(await next(), { type: 'complete', set: [], managers })
  const waiting = next()
  await submit({ op: 'tasks.assign', tasks: [1, 2, 3], nodes: [a, b, a] })
  t.match(await waiting, {
    type: 'incremental',
    appliesTo: 1,
    resultsIn: 2,
    set: [{ id: 'service00001.1.1' }, { id: 'service00001.3.1' }],
  })
  await submit({ op: 'tasks.desire', tasks: [1], desired: 'shutdown' })
  await submit({ op: 'tasks.desire', tasks: [1], desired: 'remove' })
  t.match(
    await next(),
    { appliesTo: 2, set: [{ id: 'service00001.1.1', desired: 'remove' }] },
    'a slow reader gets the latest only',
  )
  const last = stream.next()
  const second = dispatcher.assignments(a, session, never)
  t.match((await second.next()).value, { type: 'complete', set: [{}, {}] })
  t.equal((await last).done, true)
  managers.push({ node: 'm2', address: 'm2:1' })
  const told = second.next()
  await submit({ op: 'node.update', id: b, address: 'moved:1' })
  t.match((await told).value, { type: 'incremental', set: [], managers: [{}, { node: 'm2' }] })
  await dispatcher.stop()
})

t.test('a stream ends with its session, its signal or the leadership, each in its own way', async (t) => {
  const { dispatcher, open } = await world()
  dispatcher.start()
  const first = await open(a, hello)
  await t.rejects(dispatcher.assignments(a, 'wrong', never).next(), { code: 'ERR_SKEIN_SESSION_INVALID' })
  const stream = dispatcher.assignments(a, first.session, never)
  await stream.next()
  const replaced = stream.next()
  replaced.catch(() => undefined)
  const second = await open(a, hello)
  await t.rejects(replaced, { code: 'ERR_SKEIN_SESSION_INVALID' })

  const abort = new AbortController()
  const aborted = dispatcher.assignments(a, second.session, abort.signal)
  await aborted.next()
  const ended = aborted.next()
  abort.abort()
  t.equal((await ended).done, true)

  const leading = dispatcher.assignments(a, second.session, never)
  await leading.next()
  const lost = leading.next()
  lost.catch(() => undefined)
  await dispatcher.stop()
  await t.rejects(lost, { code: 'ERR_SKEIN_NOT_LEADER' })
})

t.test('reports are recorded before they are acknowledged, rise only, and unknown tasks are to be forgotten', async (t) => {
  const { dispatcher, open, report, submit, view, log, pass } = await world()
  dispatcher.start()
  const { session } = await open(a, hello)
  await open(b, hello)
  await submit({ op: 'tasks.assign', tasks: [1, 2, 3], nodes: [a, a, b] })
  await pass(100)
  const id = 'service00001.1.1'
  const answer = await report(a, session, [
    { id, state: 'running', message: 'up' },
    { id: 'service00001.2.1', state: 'failed', message: 'x'.repeat(4000), exitCode: 3 },
    { id: 'service00009.1.1', state: 'running', message: '' },
    { id: 'nonsense', state: 'running', message: '' },
  ])
  t.same(answer, { forget: ['service00009.1.1', 'nonsense'] })
  t.match(view.taskById(id), { observed: 'running', message: 'up' })
  t.match(view.taskById('service00001.2.1'), { observed: 'failed', exitCode: 3, message: /^x{300}$/ })
  const before = log.length
  t.same(await report(a, session, [{ id, state: 'starting', message: 'late' }]), { forget: [] })
  t.equal(log.length, before, 'what is not news is not proposed')

  const foreign = report(a, session, [{ id: 'service00001.3.1', state: 'running', message: '' }])
  await t.rejects(foreign, { code: 'ERR_SKEIN_FORBIDDEN' })
  t.match(view.taskById('service00001.3.1'), { observed: 'assigned' })
  for (const state of ['orphaned', 'remove', 'pending'] as const) {
    await t.rejects(report(a, session, [{ id, state, message: '' }]), { code: 'ERR_SKEIN_BAD_MESSAGE' }, state)
  }
  await dispatcher.stop()
})

t.test('what became of the tasks of a node that was away is recorded before that it is back', async (t) => {
  const { dispatcher, open, submit, store, view } = await world()
  dispatcher.start()
  await open(a, hello)
  await submit({ op: 'tasks.assign', tasks: [1, 2], nodes: [a, a] })
  await submit({ op: 'tasks.observe', updates: [1, 2].map((task) => ({ task, state: 'running' as const, message: '' })) })
  await submit({ op: 'node.status', id: a, state: 'down', message: 'no heartbeat' })
  const seen: string[] = []
  store.onChange(() => seen.push(`${view.node(a)?.state} ${view.task(1)?.observed} ${view.task(2)?.observed}`))
  const reports = [
    { id: 'service00001.1.1', state: 'failed', message: 'the peer restarted' },
    { id: 'service00001.2.1', state: 'running', message: 'started' },
    { id: 'service00009.1.1', state: 'running', message: 'of a service that is gone' },
  ] as const
  await open(a, { ...hello, reports })
  t.same(seen, ['down failed running', 'ready failed running'])
  await dispatcher.stop()
})

t.test('a report that could not be recorded is not acknowledged, and a verdict is tried again', async (t) => {
  const { dispatcher, open, report, submit, fail, pass, states, view } = await world()
  dispatcher.start()
  const { session } = await open(a, hello)
  await submit({ op: 'tasks.assign', tasks: [1], nodes: [a] })
  await pass(100)
  const noQuorum = new SkeinError('ERR_SKEIN_NO_QUORUM', 'no majority', { voters: 3, reachable: 1 })
  fail(noQuorum)
  const news = [{ id: 'service00001.1.1', state: 'running', message: '' }] as const
  await t.rejects(report(a, session, news), noQuorum)
  await t.rejects(open(b, hello), noQuorum)
  dispatcher.linkDown(a, 'reset')
  dispatcher.linkDown(b, 'reset')
  await pass(4000)
  t.same(states(), ['ready', 'unknown'], 'nothing could be recorded')
  fail(undefined)
  await pass(1100)
  t.same(states(), ['down', 'down'], 'what was concluded meanwhile')
  await open(a, hello)
  t.equal(states()[0], 'ready')
  t.match(view.taskById('service00001.1.1'), { observed: 'assigned' })
  await dispatcher.stop()
})

t.test('leadership comes and goes many times and leaves nothing behind', async (t) => {
  const { dispatcher, open, clock, states, pass } = await world()
  for (let term = 0; term < 20; term++) {
    dispatcher.start()
    dispatcher.start()
    const { session } = await open(a, hello)
    const stream = dispatcher.assignments(a, session, never)
    await stream.next()
    dispatcher.linkDown(a, 'closed')
    await dispatcher.stop()
    await dispatcher.stop()
    await t.rejects(stream.next(), { code: 'ERR_SKEIN_NOT_LEADER' })
    t.equal(clock.pending, 0)
  }
  await pass(10_000)
  t.equal(states()[0], 'ready', 'a manager that does not lead judges nobody')
})

t.test('a new leader takes from the rows at once what happened while there was none, and then what changes', async (t) => {
  const gossip = (self: string): Gossip => {
    const made = new Gossip({ self, epoch: 1, clock: new ManualClock(), random: seededRandom(1), send, accepts: () => true })
    made.join(managersScope, { part: 'holder' })
    return made
  }
  // What the worker tells arrives at once.
  const send = (_to: string, bytes: Uint8Array): boolean => {
    atManager.receive(a, bytes)
    return true
  }
  const atManager = gossip('manager00001')
  const table = atManager.table(managersScope, taskTable, readTaskRow)
  const rows = { rows: () => table.rows(), watch: (signal: AbortSignal) => table.watch(signal), ageMs: () => 0 }
  const clock = new ManualClock()
  const worker = new Gossip({ self: a, epoch: 1, clock, random: seededRandom(2), send, accepts: () => true })
  worker.join(managersScope, { part: 'author' })
  worker.partners(managersScope, ['manager00001'])
  worker.start()
  const own = worker.table(managersScope, taskTable, readTaskRow)

  const { dispatcher, submit, pass, view, fail } = await world(undefined, rows)
  await submit({ op: 'node.status', id: a, state: 'ready', message: '' }, { op: 'tasks.assign', tasks: [1, 2], nodes: [a, a] })
  own.set('service00001.1.1', { state: 'running', message: 'up' })
  own.set('service00001.3.1', { state: 'failed', message: 'not given to it' })
  own.set('service00009.1.1', { state: 'running', message: 'unknown' })
  clock.advance(200)
  t.equal(view.task(1)?.observed, 'assigned', 'nobody leads yet')
  dispatcher.start()
  await pass(200)
  t.match(view.task(1), { observed: 'running', message: 'up' })
  t.match(view.task(3), { observed: 'pending' })
  fail(new SkeinError('ERR_SKEIN_NO_QUORUM', 'no majority', { voters: 3, reachable: 1 }))
  own.set('service00001.2.1', { state: 'running', message: '' })
  clock.advance(200)
  await pass(500)
  t.equal(view.task(2)?.observed, 'assigned')
  fail(undefined)
  await pass(1_500)
  t.equal(view.task(2)?.observed, 'running', 'looked at again')
  await dispatcher.stop()
  await worker.stop()
})
