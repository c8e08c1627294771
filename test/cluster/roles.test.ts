import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import t from 'tap'
import type { Clock } from '../../lib/base/clock.js'
import { connect, createPeer, isSkeinError, type Peer } from '../../lib/index.js'
import { LinkPool } from '../../lib/overlay/transport/index.js'
import { createPeerOver } from '../../lib/peer/peer.js'
import { systemClock } from '../../lib/peer/system-world.js'
import { Credentials, formatJoinString, KeyStore, parseJoinString } from '../../lib/security/index.js'
import { eventually, freshDir, quick, startPeer, type Teardown } from './support.js'

/** Three managers, with a directory each. */
async function managers(t: Teardown): Promise<{ readonly peers: Peer[]; readonly dirs: string[] }> {
  const dirs = [freshDir(t), freshDir(t), freshDir(t)]
  const first = await startPeer(t, { name: 'm1', dir: dirs[0] as string })
  const invitation = await first.invite('manager')
  const others = [1, 2].map((at) => startPeer(t, { name: `m${at + 1}`, dir: dirs[at] as string, join: invitation }))
  const peers = [first, ...(await Promise.all(others))]
  await becomes(first, 'm1,m2,m3', ['leader', 'voter'])
  return { peers, dirs }
}

/** Waits until these, and no others, are that in raft. */
async function becomes(asked: Peer, names: string, roles: readonly (string | undefined)[]): Promise<void> {
  await eventually(`${names} ${roles.join(' or ')}`, async () => {
    const { items } = await asked.nodes.list()
    const found = items.filter(({ raft }) => roles.includes(raft)).map(({ name }) => name)
    return found.sort().join() === names
  })
}

/** A service of one process on this node, which writes down its pid. */
async function pinned(t: Teardown, asked: Peer, node: string): Promise<{ alive(): boolean }> {
  const file = join(freshDir(t), 'pids')
  const command = ['sh', '-c', `echo $$ >> ${file}; exec sleep 1000`]
  const spec = { name: `on-${node}`, task: { command }, placement: { constraints: [`node.name == ${node}`] } }
  await asked.services.create(spec)
  await eventually('it runs', async () => existsSync(file) && (await asked.services.get(spec.name)).running === 1)
  const [pid] = pids(file)
  return {
    alive() {
      if (pid === undefined || pids(file).join() !== String(pid)) return false
      process.kill(pid, 0) // throws when there is no such process
      return true
    },
  }
}

function pids(file: string): number[] {
  return readFileSync(file, 'utf8').trim().split('\n').map(Number)
}

t.test(
  'a worker with running tasks becomes a voter, and the cluster may lose another manager',
  { timeout: 180_000 },
  async (t) => {
    const m1 = await startPeer(t, { name: 'm1' })
    const m2 = await startPeer(t, { name: 'm2', join: await m1.invite('manager') })
    const dir = freshDir(t)
    const worker = await startPeer(t, { name: 'w1', dir, join: await m1.invite('worker') })
    const task = await pinned(t, m1, 'w1')
    t.match(await m1.nodes.promote('w1'), { name: 'w1', becoming: 'manager' })
    await becomes(m1, 'm1,m2,w1', ['leader', 'voter'])
    t.match(await m1.nodes.get('w1'), { role: 'manager', becoming: undefined, state: 'ready' })
    t.equal(worker.role, 'manager')
    t.ok(task.alive(), 'its task never stopped')
    t.equal((await m1.nodes.promote('w1')).role, 'manager', 'what it is already changes nothing')

    await m2.stop()
    await eventually('writes go on', () => worker.kv.put('colour', 'blue'))
    await worker.nodes.label('w1', { zone: 'eu' }) // as a manager's peer it operates
    t.ok(task.alive())
    await worker.stop()
    const back = await startPeer(t, { dir })
    t.equal(back.role, 'manager', 'it comes back as what it became')
    await becomes(m1, 'm1,m2,w1', ['leader', 'voter'])
  },
)

t.test(
  'the leader is demoted: another leads, its tasks go on, and it operates nothing any more',
  { timeout: 180_000 },
  async (t) => {
    const { peers, dirs } = await managers(t)
    const leader = peers.find((peer) => peer.leading) as Peer
    const others = peers.filter((peer) => peer !== leader) as [Peer, Peer]
    const task = await pinned(t, leader, leader.name)
    await leader.kv.put('colour', 'blue')
    t.match(await leader.nodes.demote(leader.name), { becoming: 'worker' })
    await eventually('it is a worker', async () => leader.role === 'worker')
    await becomes(
      others[0],
      others
        .map(({ name }) => name)
        .sort()
        .join(),
      ['leader', 'voter'],
    )
    t.match(await others[0].nodes.get(leader.id), { role: 'worker', becoming: undefined, raft: undefined })
    await eventually('its raft directory is gone', async () => !existsSync(join(dirs[peers.indexOf(leader)] as string, 'raft')))
    await eventually('it reads and writes keys', async () => (await leader.kv.get('colour')) !== undefined)
    // The links it made as a manager end when it shows its next certificate, or a moment later by the others' hand.
    const drained = (): Promise<unknown> => leader.nodes.drain(others[0].id).catch((error: unknown) => error)
    await eventually('it operates nothing', async () => isSkeinError(await drained(), 'ERR_SKEIN_FORBIDDEN'))
    await eventually('its node is ready', async () => (await others[0].nodes.get(leader.id)).state === 'ready')
    t.ok(task.alive())
  },
)

t.test('a demotion that would cost the quorum is refused with the counts, and so is that of the last manager', async (t) => {
  const { peers } = await managers(t)
  const [m1, m2, m3] = peers as [Peer, Peer, Peer]
  const [stopped, stays] = m3.leading ? [m2, m3] : [m3, m2]
  await stopped.stop()
  await eventually('it is missed', async () => (await m1.clusterStatus()).quorum.reachable === 2)
  await t.rejects(m1.nodes.demote(stays.id), { code: 'ERR_SKEIN_PRECONDITION', message: /2 voters that stay only 1 answer/ })
  await m1.nodes.demote(stopped.id)
  await eventually('the dead one may go', async () => (await m1.nodes.get(stopped.id)).role === 'worker')
  await t.rejects(m1.nodes.promote(stopped.id), { code: 'ERR_SKEIN_PRECONDITION', message: /down/ })
  await m1.nodes.demote(stays.id)
  await eventually('one is left', async () => (await m1.nodes.get(stays.id)).role === 'worker')
  await t.rejects(m1.nodes.demote(m1.id), { code: 'ERR_SKEIN_PRECONDITION', message: /only voter/ })
  await m1.kv.put('still', 'here')
})

t.test('who was demoted while it was away finds out, and goes on as a worker', { timeout: 180_000 }, async (t) => {
  const { peers, dirs } = await managers(t)
  const at = peers.findLastIndex((peer) => !peer.leading)
  const [away, dir] = [peers[at] as Peer, dirs[at] as string]
  const asked = peers.find((peer) => peer.leading) as Peer
  await away.stop()
  await asked.nodes.demote(away.id)
  await eventually('it is a worker on record', async () => (await asked.nodes.get(away.id)).role === 'worker')
  const back = await createPeer({ dir, timing: quick })
  t.teardown(() => back.stop())
  await eventually('it knows', async () => back.role === 'worker')
  t.notOk(existsSync(join(dir, 'raft')))
  await eventually('its node is ready', async () => (await asked.nodes.get(away.id)).state === 'ready')
  await eventually('keys', () => back.kv.put('back', 'again'))
})

t.test(
  'demoted and promoted in one breath, again and again, it ends as a voter and nothing is lost',
  { timeout: 180_000 },
  async (t) => {
    const { peers } = await managers(t)
    const asked = peers.find((peer) => peer.leading) as Peer
    const moved = peers.find((peer) => !peer.leading) as Peer
    const task = await pinned(t, asked, moved.name)
    for (let round = 0; round < 5; round++) {
      await asked.kv.put('round', String(round))
      await eventually('demoted', () => asked.nodes.demote(moved.id))
      // Another moment each time: before raft let it go, after its record changed, after it noticed.
      for (let look = 0; look < round * 3; look++) await asked.nodes.get(moved.id)
      await asked.nodes.promote(moved.id)
    }
    await becomes(asked, 'm1,m2,m3', ['leader', 'voter'])
    await eventually('it knows', async () => moved.role === 'manager')
    const value = await eventually('it reads', async () => await moved.kv.get('round'))
    t.equal(Buffer.from(value.value).toString(), '4')
    t.ok(task.alive())
  },
)

t.test('a demoted manager’s old key is good for nothing but a new certificate, at managers and at workers', async (t) => {
  const { peers, dirs } = await managers(t)
  const at = peers.findLastIndex((peer) => !peer.leading)
  const [demoted, asked] = [peers[at] as Peer, peers.find((peer) => peer.leading) as Peer]
  const worker = await startPeer(t, { name: 'w1', join: await asked.invite('worker') })
  await demoted.stop() // while it runs nobody else gets a link under its id
  const old = await new KeyStore(dirs[at] as string).read(undefined)
  if (old?.certificate === undefined) throw new Error('it had a certificate')
  const own = { certificate: old.certificate, keys: old.keys }
  const thief = LinkPool.client(
    {
      node: demoted.id,
      credentials: new Credentials({ own, trust: old.trust }, Date.now),
      admit: () => undefined,
      handlers: new Map(),
      onRaftFrame: () => undefined,
    },
    { clock: systemClock, random: Math.random },
  )
  t.teardown(() => thief.stop())
  const ask = async (peer: Peer, verb: string, params: unknown): Promise<unknown> => {
    const link = await thief.dial(peer.address, { purpose: 'bulk' })
    return await link.call(verb, params, { deadlineMs: 5_000 }).finally(() => link.close('asked'))
  }
  const envelope = { params: {}, requestId: 'r', deadlineMs: 1_000, forwarded: false }
  await eventually('before, it may', () => ask(asked, 'control.nodes.list', envelope))
  const held = await thief.dial(asked.address, { purpose: 'bulk' })
  await asked.nodes.demote(demoted.id)
  const isRefused = (peer: Peer, verb: string, params: unknown) => async () => {
    const refusal = await ask(peer, verb, params).catch((error: unknown) => error)
    return isSkeinError(refusal, 'ERR_SKEIN_FORBIDDEN') && refusal.detail.role === 'demoted'
  }
  await eventually('managers refuse it', isRefused(asked, 'control.nodes.list', envelope))
  await eventually('what it held before is closed', async () => !held.isUp)
  await eventually('workers refuse it', isRefused(worker, 'agent.logs', { task: 'x', request: { follow: false } }))
})

/** This machine's clock, which knows its periods and waits that nobody ended. */
class CountingClock implements Clock {
  readonly #pending = new Set<object>()

  get pending(): number {
    return this.#pending.size
  }

  now(): number {
    return systemClock.now()
  }

  wallMs(): number {
    return systemClock.wallMs()
  }

  after(delayMs: number, act: () => void): () => void {
    const timer = {}
    this.#pending.add(timer)
    const cancel = systemClock.after(delayMs, () => {
      this.#pending.delete(timer)
      act()
    })
    return this.#ending(timer, cancel)
  }

  every(periodMs: number, act: () => void): () => void {
    const timer = {}
    this.#pending.add(timer)
    return this.#ending(timer, systemClock.every(periodMs, act))
  }

  #ending(timer: object, cancel: () => void): () => void {
    return () => {
      this.#pending.delete(timer)
      cancel()
    }
  }
}

t.test('a manager stopped in the middle of its demotion leaves no timer behind', async (t) => {
  const m1 = await startPeer(t, { name: 'm1' })
  const clock = new CountingClock()
  const m2 = await createPeerOver({ clock }, { name: 'm2', timing: quick, join: await m1.invite('manager') })
  t.teardown(() => m2.stop())
  await becomes(m1, 'm1,m2', ['leader', 'voter'])
  t.ok(clock.pending > 0)
  await m1.nodes.demote('m2')
  // At once, while what it was is still being thrown away.
  while (m2.role === 'manager') await setImmediate()
  await m2.stop()
  t.equal(clock.pending, 0)
})

t.test('a watch at a manager that is demoted goes on where it was', async (t) => {
  const { peers } = await managers(t)
  const moved = peers.find((peer) => !peer.leading) as Peer
  const asked = peers.find((peer) => peer.leading) as Peer
  const seen: string[] = []
  const stop = new AbortController()
  const watching = (async () => {
    for await (const change of moved.watch({ kinds: ['kv'], signal: stop.signal }))
      if (change.type === 'set') seen.push(change.object.id)
  })()
  await asked.kv.put('before', '1')
  await eventually('it is seen', async () => seen.includes('before'))
  await asked.nodes.demote(moved.id)
  await asked.kv.put('during', '2')
  await eventually('it is a worker', async () => moved.role === 'worker')
  await asked.kv.put('after', '3')
  await eventually('all is seen', async () => seen.join() === 'before,during,after')
  stop.abort()
  await watching
})

t.test('an operator linked to a manager that is demoted goes on with another one', async (t) => {
  const { peers } = await managers(t)
  const asked = peers.find((peer) => peer.leading) as Peer
  const moved = peers.find((peer) => !peer.leading) as Peer
  const { token } = parseJoinString(await asked.invite('manager'))
  await using operator = await connect(formatJoinString({ token, addresses: [moved.address, asked.address] }))
  await operator.nodes.label(asked.id, { round: '1' })
  await operator.nodes.demote(moved.id)
  await eventually('it is a worker', async () => moved.role === 'worker')
  t.match(await operator.nodes.label(asked.id, { round: '2' }), { labels: { round: '2' } })
})

t.test('a promoted worker’s endpoints are seen all the time', async (t) => {
  const m1 = await startPeer(t, { name: 'm1', availability: 'drain' })
  const worker = await startPeer(t, { name: 'w1', join: await m1.invite('worker') })
  await m1.networks.create({ name: 'a' })
  await m1.services.create({ name: 'web', task: { command: ['sleep', '1000'], networks: ['a'] } })
  const states = (peer: Peer): string =>
    peer.endpoints
      .list({ service: 'web' })
      .map(({ name, state }) => `${name} ${state}`)
      .join()
  for (const peer of [m1, worker]) await eventually('one', async () => states(peer) === 'web.1 ready')
  const seen = new Set<string>()
  const stop = new AbortController()
  const watching = (async () => {
    for await (const changes of m1.endpoints.watch({ service: 'web', signal: stop.signal }))
      for (const { next } of changes) seen.add(next === undefined ? 'gone' : 'there')
  })()
  await m1.nodes.promote('w1')
  await becomes(m1, 'm1,w1', ['leader', 'voter'])
  for (const peer of [m1, worker]) await eventually('still one', async () => states(peer) === 'web.1 ready')
  await m1.nodes.demote('w1')
  await eventually('it is a worker again', async () => worker.role === 'worker')
  for (const peer of [m1, worker]) await eventually('still one', async () => states(peer) === 'web.1 ready')
  t.notOk(seen.has('gone'), 'it was never taken away')
  stop.abort()
  await watching
})
