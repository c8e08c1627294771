/** Endpoint rows: who holds them, what becomes of them when tasks, nodes and messages are lost. Times are virtual. */
import t from 'tap'
import { endpointTable, scopeOf } from '../../lib/api/endpoint-rows.js'
import type { Endpoint } from '../../lib/api/types.js'
import { gossipMessageMaxBytes } from '../../lib/overlay/gossip/messages.js'
import { encode } from '../../lib/wire/index.js'
import { isOfNetworks, NetworkTown, networkA, networkB, serviceA, serviceB } from './network-town.js'

const six = ['m1', 'm2', 'm3', 'w1', 'w2', 'w3']

/** Tasks of service A on w1 and w2, of service B on w3. */
async function town(seed = 1) {
  const made = await NetworkTown.open(six, seed)
  const [a1, a2, b1] = [
    await made.runTask(serviceA, 1, 'w1'),
    await made.runTask(serviceA, 2, 'w2'),
    await made.runTask(serviceB, 1, 'w3'),
  ]
  made.run(2_000)
  return { town: made, a1, a2, b1 }
}

t.test(
  'managers hold the endpoints of all networks, a worker those its tasks are on; to others not one row is sent',
  async (t) => {
    const { town: w, a1, a2, b1 } = await town()
    for (const manager of ['m1', 'm2', 'm3']) t.same(w.shown(manager), [a1, a2, b1])
    for (const worker of ['w1', 'w2']) t.same(w.shown(worker), [a1, a2])
    t.same(w.shown('w3'), [b1])
    t.same(w.rowsTo('w3', networkA), [], 'nothing of A to a worker of B')
    t.ok(w.rowsTo('w1', networkA).length > 0)
    t.notOk(
      w.sent.some(({ to, message }) => to === 'w3' && message.scope === scopeOf(networkA)),
      'not a byte of that scope',
    )
    const relayed = w.sent.filter(
      ({ from, message }) =>
        isOfNetworks({ message }) &&
        from.startsWith('w') &&
        message.type === 'deltas' &&
        message.deltas.some(({ owner }) => owner !== from),
    )
    t.same(relayed, [], 'a worker speaks for itself alone')
  },
)

t.test(
  'a worker joins a network with its first task on it and leaves with its last; then it keeps nothing and is sent nothing',
  async (t) => {
    const { town: w, a1, a2 } = await town()
    const late = await w.runTask(serviceA, 3, 'w3')
    const knows = (id: string): boolean => w.shown(id, 'a-service').join() === [a1, a2, late].join()
    const tookMs = w.until(5_000, () => ['w1', 'w2', 'w3', 'm1'].every(knows))
    t.ok(tookMs <= 500, `all of it after ${tookMs} ms`)
    await w.report(late, 'complete')
    t.same(w.shown('w3', 'a-service'), [], 'forgotten at once')
    w.run(500)
    for (const id of ['m1', 'w1', 'w2']) t.same(w.shown(id, 'a-service'), [a1, a2])
    w.sent = []
    const other = await w.runTask(serviceA, 4, 'w1')
    w.run(10_000)
    t.same(w.rowsTo('w3', networkA), [])
    t.same(w.shown('w2', 'a-service'), [a1, a2, other])
  },
)

t.test(
  'a worker that asks before its manager has heard that it belongs to the network is answered as soon as it has',
  async (t) => {
    const { town: w } = await town()
    w.process('w3').networks.attach(networkA)
    w.run(150)
    t.same(w.shown('w3', 'a-service'), [])
    await w.runTask(serviceA, 3, 'w3')
    const tookMs = w.until(5_000, () => w.shown('w3', 'a-service').length === 3)
    t.ok(tookMs <= 300, `took ${tookMs} ms`)
  },
)

t.test('a task that is to stop is draining, a dead one is gone from every holder within 300 ms (moby#35548)', async (t) => {
  const { town: w, a1, a2 } = await town()
  await w.desire(a1, 'shutdown')
  w.run(300)
  for (const id of ['m1', 'm2', 'm3', 'w1', 'w2']) {
    const found = w.process(id).endpoints.list({ service: 'a-service' })
    t.match(found, [
      { task: a1, state: 'draining', eligible: false },
      { task: a2, state: 'ready', eligible: true },
    ])
  }
  await w.report(a1, 'failed')
  w.run(300)
  for (const id of ['m1', 'm2', 'm3', 'w2']) t.same(w.shown(id, 'a-service'), [a2], id)
})

t.test(
  'rows that a dead node could not take back are gone with it, and gone for good once raft gives it no task there (moby#36940)',
  async (t) => {
    const { town: w, a1, a2 } = await town()
    await w.crash('w1')
    for (const id of ['m1', 'w2']) t.same(w.shown(id, 'a-service'), [a1, a2], 'not known yet')
    w.member('w1', 'failed')
    for (const id of ['m1', 'm2', 'm3', 'w2']) t.same(w.shown(id, 'a-service'), [a2], id)
    // Its memory is lost, so that it never takes back what it said; raft has heard that its task is over.
    await w.report(a1, 'failed')
    w.run(5_000)
    w.start('w1')
    w.run(5_000)
    for (const id of ['m1', 'm2', 'm3', 'w2']) t.same(w.shown(id, 'a-service'), [a2], `${id} does not get them back`)
    const again = await w.runTask(serviceA, 1, 'w1')
    t.ok(
      w.until(5_000, () => ['m1', 'm3', 'w1', 'w2'].every((id) => w.shown(id, 'a-service').join() === `${again},${a2}`)) <= 2_000,
    )
  },
)

t.test('a restart that finds its task dead says so by itself, before raft has heard of it', async (t) => {
  const { town: w, a1, a2 } = await town()
  const was = w.taskOf('w1')
  await w.crash('w1')
  w.start('w1')
  w.process('w1').ownEndpoints.saw(was.task, { id: a1, state: 'failed', message: 'the peer restarted' })
  const tookMs = w.until(10_000, () => ['m1', 'm2', 'm3', 'w2'].every((id) => w.shown(id, 'a-service').join() === a2))
  t.ok(tookMs <= 3_000, `took ${tookMs} ms`)
})

t.test('a rolling restart of every node leaves nothing different within 10 s (moby#47728)', async (t) => {
  const { town: w } = await town()
  for (const id of six) {
    const tasks = w.tasksOf(id)
    await w.crash(id)
    w.run(200)
    w.start(id)
    for (const { task } of tasks) {
      await w.report(task.id, 'failed')
      await w.runTask(task.service, task.slot, id)
    }
    w.run(300)
  }
  const expected = (service: string): string =>
    six
      .flatMap((id) => w.tasksOf(id))
      .filter(({ task }) => task.service === service)
      .map(({ task }) => task.id)
      .sort()
      .join()
  const holds = (): boolean =>
    ['m1', 'm2', 'm3', 'w1', 'w2'].every((id) => w.shown(id, 'a-service').join() === expected(serviceA)) &&
    ['m1', 'm2', 'm3', 'w3'].every((id) => w.shown(id, 'b-service').join() === expected(serviceB))
  t.ok(w.until(20_000, holds) <= 10_000)
  w.run(20_000)
  t.ok(holds(), 'and it stays so')
})

t.test('when every message sent unasked is lost, endpoints arrive by comparison within 5 s (moby#53437)', async (t) => {
  const { town: w, a1, a2 } = await town()
  w.loses = ({ message }) => message.type === 'deltas' && message.push
  const next = await w.runTask(serviceA, 3, 'w1')
  const late = await w.runTask(serviceA, 4, 'w3')
  const tookMs = w.until(20_000, () => ['m1', 'm2', 'm3', 'w1', 'w2', 'w3'].every((id) => w.shown(id, 'a-service').length === 4))
  t.ok(tookMs <= 5_000, `took ${tookMs} ms`)
  t.same(w.shown('w3', 'a-service'), [a1, a2, next, late])
})

t.test('when everything is lost for two seconds after a worker was attached, it has its network 2 s later', async (t) => {
  const { town: w } = await town()
  w.loses = isOfNetworks
  await w.runTask(serviceA, 3, 'w3')
  w.run(2_000)
  t.same(w.shown('w3', 'a-service').length, 1, 'its own')
  w.loses = () => false
  t.ok(w.until(10_000, () => six.filter((id) => id !== 'w3').every((id) => w.shown(id, 'a-service').length === 3)) <= 2_000)
  t.equal(w.shown('w3', 'a-service').length, 3)
})

t.test(
  'endpoints of a node that was cut off for 3 s are back within 1 s of its return, and of one away for ten minutes too (moby#53141)',
  async (t) => {
    const { town: w, a1, a2 } = await town()
    for (const awayMs of [3_000, 600_000]) {
      w.cutOff('w1')
      w.member('w1', 'failed')
      t.same(w.shown('w2', 'a-service'), [a2], 'hidden')
      w.run(awayMs)
      w.heal()
      w.member('w1', 'alive')
      t.ok(
        w.until(5_000, () => ['m1', 'm2', 'm3', 'w1', 'w2'].every((id) => w.shown(id, 'a-service').join() === `${a1},${a2}`)) <=
          1_000,
      )
    }
  },
)

t.test('a row deleted and written again between two reads is one change of the watch (moby#50393)', async (t) => {
  const { town: w, a1 } = await town()
  const running = w.taskOf('w1')
  const stop = new AbortController()
  const watch = w.process('w2').endpoints.watch({ service: serviceA, signal: stop.signal })
  const first = (await watch.next()).value ?? []
  t.match(first, [{ prev: undefined, next: { task: a1 } }, { prev: undefined }], 'first what there is')
  w.loses = isOfNetworks
  w.process('w1').ownEndpoints.gone(a1)
  const moved = { ...running.task, spec: { ...running.task.spec, env: { PORT: '9090' } } }
  w.process('w1').ownEndpoints.saw(moved, { id: a1, state: 'running', message: '' })
  w.run(1_000)
  w.loses = () => false
  const next = watch.next()
  w.run(3_000)
  t.match((await next).value, [{ prev: { task: a1, ports: [] }, next: { task: a1, ports: [9090] } }])
  const last = watch.next()
  stop.abort()
  t.equal((await last).done, true)
})

t.test('a slow reader of the watch hears of the outcome, not of the steps, and of nothing that came back', async (t) => {
  const { town: w, a1, a2 } = await town()
  const watch = w.process('m2').endpoints.watch({ service: 'a-service' })
  await watch.next()
  w.member('w1', 'suspect')
  w.member('w1', 'alive')
  w.member('w2', 'suspect')
  t.match((await watch.next()).value, [{ prev: { task: a2, eligible: true }, next: { task: a2, eligible: false } }])
  await w.report(a1, 'failed')
  w.run(500)
  t.match((await watch.next()).value, [{ prev: { task: a1 }, next: undefined }])
  const last = watch.next()
  await w.crash('m2')
  t.equal((await last).done, true, 'a watch ends with its peer')
})

t.test('endpoints of a node that is paused or suspected are shown and not eligible', async (t) => {
  const { town: w, a1 } = await town()
  const verdict = (id: string): boolean | undefined =>
    w
      .process(id)
      .endpoints.list()
      .find(({ task }) => task === a1)?.eligible
  for (const state of ['degraded', 'suspect'] as const) {
    w.member('w1', state)
    for (const id of ['m1', 'w2']) t.equal(verdict(id), false, `${state}, as ${id} sees it`)
    t.equal(verdict('w1'), true, 'it knows better itself')
    w.member('w1', 'alive')
    t.equal(verdict('w2'), true)
  }
  await w.submit({ op: 'node.status', id: 'w1', state: 'down', message: 'silent' })
  t.equal(verdict('m1'), undefined, 'raft has given it up: hidden on managers')
  await w.submit({ op: 'node.status', id: 'w1', state: 'ready', message: 'back' })
  t.equal(verdict('m1'), true)
})

t.test('endpoints of a node that left are dropped until it starts again, of one that was removed for ever', async (t) => {
  const { town: w, a1, a2 } = await town()
  await w.crash('w1')
  w.member('w1', 'left')
  t.same(w.shown('w2', 'a-service'), [a2])
  await w.report(a1, 'failed')
  w.start('w1')
  const again = await w.runTask(serviceA, 1, 'w1')
  t.ok(w.until(5_000, () => w.shown('w2', 'a-service').join() === `${again},${a2}`) <= 2_000)
  for (const id of ['m1', 'm2', 'm3', 'w2']) w.process(id).networks.remove(['w1'])
  for (const id of ['m1', 'm2', 'm3', 'w2']) t.same(w.shown(id, 'a-service'), [a2])
  w.run(10_000)
  t.same(w.shown('w2', 'a-service'), [a2], 'it may go on speaking')
})

t.test(
  'while a worker takes 10,000 endpoints in, one made elsewhere reaches all within 1 s, in messages below their bound (moby#50193)',
  async (t) => {
    const { town: w, a1 } = await town()
    const running = w.taskOf('w1')
    for (let slot = 10; slot < 10_010; slot++) {
      const id = `${serviceA}.${slot}.1`
      w.process('w1').ownEndpoints.saw({ ...running.task, id, slot }, { id, state: 'running', message: '' })
    }
    const all = ['m1', 'm2', 'm3', 'w1', 'w2', 'w3']
    t.ok(w.until(60_000, () => ['m1', 'm2', 'm3', 'w2'].every((id) => w.shown(id, 'a-service').length === 10_002)) < 60_000)
    await w.runTask(serviceA, 3, 'w3')
    const fresh = await w.runTask(serviceA, 4, 'w2')
    const tookMs = w.until(10_000, () => all.every((id) => w.shown(id, 'a-service').includes(fresh)))
    t.ok(tookMs <= 1_000, `took ${tookMs} ms`)
    t.ok(w.until(60_000, () => w.shown('w3', 'a-service').length === 10_004) < 30_000, 'the newcomer has it all in the end')
    t.ok(w.sent.every(({ sizeBytes }) => sizeBytes <= gossipMessageMaxBytes))
    t.ok(w.shown('w3', 'a-service').includes(a1))
  },
)

t.test('without a manager a worker goes on with what it knew, and members still say who is alive', async (t) => {
  const { town: w, a1, a2 } = await town()
  for (const id of ['m1', 'm2', 'm3']) {
    await w.crash(id)
    w.member(id, 'failed')
  }
  w.run(3_600_000)
  t.same(w.shown('w1', 'a-service'), [a1, a2])
  w.member('w2', 'failed')
  t.same(w.shown('w1', 'a-service'), [a1])
  for (const id of ['m1', 'm2', 'm3']) w.start(id)
  w.member('w2', 'alive')
  t.ok(w.until(10_000, () => ['m1', 'm2', 'm3'].every((id) => w.shown(id, 'a-service').join() === `${a1},${a2}`)) <= 3_000)
})

t.test(
  'a worker with a changed program gets into no network by itself, is told nothing of it, and is not heard there',
  async (t) => {
    const { town: w, a1, a2 } = await town()
    w.sent = []
    // Its own program would do this only when told so by an assignment.
    w.process('w3').networks.attach(networkA)
    w.process('w3').networks.set(networkA, `${serviceA}.9.1`, {
      serviceName: 'a-service',
      host: '6.6.6.6',
      ports: [],
      state: 'ready',
    })
    w.run(20_000)
    t.same(w.rowsTo('w3', networkA), [])
    const owners = w.sent
      .filter(({ to, message }) => to === 'w3' && message.scope === scopeOf(networkA))
      .flatMap(({ message }) => (message.type === 'digest' ? message.owners.map(({ owner }) => owner) : []))
    t.same(
      owners.filter((owner) => owner.startsWith('w') && owner !== 'w3'),
      [],
      'nor who is there',
    )
    for (const id of ['m1', 'm2', 'm3', 'w1', 'w2']) t.same(w.shown(id, 'a-service'), [a1, a2])
    t.equal(w.process('w3').endpoints.list({ network: networkA.name }).length, 1, 'it believes itself')
  },
)

t.test('a worker cannot write, delete or tell of another’s endpoints, to managers or to workers', async (t) => {
  const { town: w, a1, a2 } = await town()
  const value = encode({ serviceName: 'a-service', host: '6.6.6.6', ports: [], state: 'ready' })
  for (const to of ['m1', 'w2']) {
    for (const row of [undefined, value]) {
      const rows = [{ table: endpointTable, key: a1, version: 50, value: row }]
      const delta = { owner: to === 'm1' ? 'w2' : 'm1', epoch: 2 ** 40, from: 0, to: 50, gc: 0, max: 50, reset: false, rows }
      w.forge('w1', to, { type: 'deltas', scope: scopeOf(networkA), deltas: [delta], push: true })
    }
  }
  for (const afterMs of [0, 50, 3_000]) {
    w.run(afterMs)
    for (const id of ['m1', 'w1', 'w2']) {
      const hosts = w.process(id).endpoints.list({ service: serviceA })
      t.same(
        hosts.map(({ task, host }) => `${task} ${host}`),
        [`${a1} 10.0.0.1`, `${a2} 10.0.0.1`],
      )
    }
  }
})

t.test(
  'what a worker goes on saying on a network it has left is taken away within some seconds, and not taken in again',
  async (t) => {
    const { town: w, a1, a2 } = await town()
    w.loses = ({ from, message }) => from === 'w1' && message.scope === scopeOf(networkA)
    await w.report(a1, 'failed')
    w.loses = () => false
    const liar = w.process('w1').networks
    liar.attach(networkA)
    const lie = { serviceName: 'a-service', host: '6.6.6.6', ports: [], state: 'ready' as const }
    liar.set(networkA, a1, lie)
    const isClean = (): boolean => ['m1', 'm2', 'm3', 'w2'].every((id) => w.shown(id, 'a-service').join() === a2)
    t.ok(w.until(20_000, isClean) <= 10_000)
    for (let port = 1; port <= 5; port++) {
      liar.set(networkA, a1, { ...lie, ports: [port] })
      w.run(2_000)
      t.ok(isClean(), 'not again')
    }
  },
)

t.test('nor does it stay there by outbidding, at whatever manager the retraction has not reached yet', async (t) => {
  const { town: w, a1, a2 } = await town()
  await w.report(a1, 'failed')
  const value = encode({ serviceName: 'a-service', host: '6.6.6.6', ports: [], state: 'ready' })
  const rows = [{ table: endpointTable, key: a1, version: 1, value }]
  let epoch = 2 ** 40
  const outbid = (forMs: number): void => {
    for (let atMs = 0; atMs < forMs; atMs += 50) {
      epoch += 10
      const delta = { owner: 'w1', epoch, from: 0, to: 1, gc: 0, max: 1, reset: false, rows }
      const message = { type: 'deltas', scope: scopeOf(networkA), deltas: [delta], push: true } as const
      for (const to of ['m1', 'm2', 'm3']) w.forge('w1', to, message)
      w.run(50)
    }
  }
  outbid(10_000)
  for (let round = 0; round < 5; round++) {
    outbid(1_000)
    for (const id of ['m1', 'm2', 'm3', 'w2']) t.same(w.shown(id, 'a-service'), [a2], id)
  }
})

t.test('on managers an endpoint counts only under its service’s name, and on its service’s networks', async (t) => {
  const { town: w, a1, b1 } = await town()
  const eligible = (of: string): readonly string[] =>
    w
      .process('m1')
      .endpoints.list()
      .filter(({ task, eligible }) => task === of && eligible)
      .map(({ serviceName, networks }) => `${serviceName} ${networks.join()}`)
  t.same(eligible(a1), ['a-service a'])
  t.same(eligible(b1), ['b-service b'])
  const w1 = w.process('w1').networks
  w1.set(networkA, a1, { serviceName: 'b-service', host: '6.6.6.6', ports: [], state: 'ready' })
  w.run(500)
  t.same(eligible(a1), [], 'it is no task of the service it names')
  await w.runTask(serviceB, 9, 'w1')
  w.run(500)
  w1.set(networkA, a1, { serviceName: 'a-service', host: '10.0.0.1', ports: [], state: 'ready' })
  w.run(500)
  t.same(eligible(a1), ['a-service a'])
  w1.set(networkB, a1, { serviceName: 'a-service', host: '6.6.6.6', ports: [], state: 'ready' })
  w.run(500)
  t.same(eligible(a1), [], 'its service is not on that network')
})

t.test('on managers an endpoint counts only where raft has put its task', async (t) => {
  const { town: w, a2 } = await town()
  const w1 = w.process('w1').networks
  w1.set(networkA, a2, { serviceName: 'a-service', host: '6.6.6.6', ports: [], state: 'ready' })
  w1.set(networkA, `${serviceA}.7.1`, { serviceName: 'a-service', host: '6.6.6.6', ports: [], state: 'ready' })
  w.run(500)
  const lies = (id: string): readonly Endpoint[] =>
    w
      .process(id)
      .endpoints.list()
      .filter(({ host }) => host === '6.6.6.6')
  t.equal(lies('m1').length, 2)
  t.ok(lies('m1').every(({ eligible }) => !eligible))
})

t.test('a network that is removed is forgotten on managers', async (t) => {
  const { town: w, b1 } = await town()
  await w.report(b1, 'failed')
  await w.submit({ op: 'service.remove', id: serviceB }, { op: 'network.remove', id: networkB.id })
  w.run(10_000)
  w.sent = []
  w.run(5_000)
  t.notOk(w.sent.some(({ message }) => message.scope === scopeOf(networkB)))
  t.ok(w.sent.some(({ message }) => message.scope === scopeOf(networkA)))
})

t.test(
  'a manager’s own task has its endpoint although its tables do not know the network yet, and for as long as it runs',
  async (t) => {
    const { town: w } = await town()
    const { networks } = w.process('m1')
    const early = { id: 'network0000c', name: 'c' }
    networks.attach(early)
    networks.set(early, `${serviceA}.8.1`, { serviceName: 'c-service', host: '10.0.0.1', ports: [], state: 'ready' })
    const isShown = (): boolean => w.shown('m1').includes(`${serviceA}.8.1`)
    await w.submit({ op: 'network.create', id: 'network0000d', name: 'd', labels: {} })
    t.ok(isShown(), 'news of another network')
    await w.submit({ op: 'network.create', ...early, labels: {} })
    await w.submit({ op: 'network.remove', id: early.id })
    t.ok(isShown(), 'removed while it runs')
    networks.detach(early)
    t.notOk(isShown())
  },
)

t.test('a peer that is no manager any more keeps no network but its own, and passes nothing on', async (t) => {
  const { town: w, a1, a2 } = await town()
  const own = await w.runTask(serviceB, 2, 'm3')
  w.run(1_000)
  await w.runTask(serviceA, 3, 'w1')
  w.process('m3').networks.become('worker')
  t.same(w.shown('m3', 'a-service'), [])
  t.ok(w.shown('m3', 'b-service').includes(own))
  w.sent = []
  await w.report(a1, 'failed')
  await w.report(a2, 'failed')
  w.run(5_000)
  const passedOn = w.sent.filter(
    ({ from, message }) =>
      from === 'm3' &&
      isOfNetworks({ message }) &&
      message.type === 'deltas' &&
      message.deltas.some(({ owner }) => owner !== 'm3'),
  )
  t.same(passedOn, [])
})

t.test('a quiet network of thirty workers costs each of them less than a kilobyte a second', async (t) => {
  const workers = Array.from({ length: 30 }, (_each, n) => `w${n + 1}`)
  const w = await NetworkTown.open(['m1', 'm2', 'm3', ...workers])
  for (const [n, worker] of workers.entries()) await w.runTask(serviceA, n + 1, worker)
  t.ok(w.until(10_000, () => [...workers, 'm1', 'm3'].every((id) => w.shown(id).length === 30)) <= 1_500)
  w.run(5_000)
  w.sent = []
  w.run(20_000)
  const [worker, manager] = ['w', 'm'].map((kind) =>
    w.sent.filter((each) => isOfNetworks(each) && each.from.startsWith(kind)).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
  )
  t.ok((worker as number) / 30 / 20 < 1_000, `${(worker as number) / 30 / 20} bytes a second each`)
  t.ok((manager as number) / 3 / 20 < 2_000, `${(manager as number) / 3 / 20} bytes a second of a manager`)
})
