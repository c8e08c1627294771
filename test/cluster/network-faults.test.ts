/** What networks and clocks do to running clusters, on real links of one process: nothing is restarted that need not be. */
import { once } from 'node:events'
import { createServer } from 'node:net'
import t from 'tap'
import type { Peer } from '../../lib/index.js'
import { everybody, parseAddress } from '../../lib/overlay/transport/index.js'
import { systemClock } from '../../lib/peer/system-world.js'
import { areReady, attempts, deployWeb, found, leaderOf, membersOf, type Place } from './places.js'
import { eventually, type Teardown } from './support.js'

/** Takes the port a stopped peer listened on, so that it must find another. */
async function occupy(t: Teardown, address: string): Promise<void> {
  const { host, port } = parseAddress(address)
  const server = createServer((socket) => socket.destroy()).listen(port, host)
  await once(server, 'listening')
  t.teardown(() => new Promise((resolve) => server.close(resolve)))
}

t.test(
  'a manager that comes back at another address is found there, and counts for the quorum',
  { timeout: 180_000 },
  async (t) => {
    const town = await found(t, 3, 0)
    const leader = await leaderOf(town)
    const [moved, other] = town.managers.filter((each) => each !== leader) as [Place, Place]
    const before = moved.peer.address
    await moved.stop()
    await occupy(t, before)
    await moved.start()
    t.not(moved.peer.address, before)
    await eventually('its record says where it is', async () =>
      (await leader.peer.nodes.list()).items.some(({ name, address }) => name === moved.name && address === moved.peer.address),
    )
    // Now it is needed: without it two of three would be missing.
    await other.stop()
    await eventually('a write is taken by the two that are left', async () => {
      await leader.peer.kv.put('after', 'the move', { deadlineMs: 2_000 })
      return true
    })
  },
)

t.test(
  'a worker that comes back at another address gets tasks there, and every member knows where it is',
  { timeout: 180_000 },
  async (t) => {
    const town = await found(t, 1, 2)
    const [leader, [moved]] = [await leaderOf(town), town.workers as [Place, Place]]
    await deployWeb(leader.peer, 3)
    const before = moved.peer.address
    await moved.stop()
    await occupy(t, before)
    await moved.start()
    const now = moved.peer.address
    t.not(now, before)
    await eventually('its record says where it is', async () =>
      (await leader.peer.nodes.list()).items.some(
        ({ name, address, state }) => name === moved.name && address === now && state === 'ready',
      ),
    )
    await leader.peer.services.scale('web', 6)
    await eventually('tasks run there again', async () => {
      const { items } = await leader.peer.tasks.list({ service: 'web' })
      return items.some(
        ({ nodeName, observed, desired }) => nodeName === moved.name && observed === 'running' && desired === 'running',
      )
    })
    await eventually('all are members', async () => town.places.every((place) => membersOf(place) === 3))
  },
)

t.test('after a rolling restart of all nodes everybody knows the same', { timeout: 180_000 }, async (t) => {
  const town = await found(t, 3, 2)
  await deployWeb((await leaderOf(town)).peer, 5)
  for (const [at, place] of town.places.entries()) {
    await place.stop()
    await place.start()
    const { peer } = await leaderOf(town)
    await peer.kv.put(`round-${at}`, place.name)
  }
  const leader = await leaderOf(town)
  await eventually('five run on five nodes that are ready', async () => {
    const { running } = await attempts(leader.peer)
    return running.length === 5 && (await areReady(leader.peer, 5))
  })
  for (const { peer } of town.managers) {
    await eventually('it has applied every write', async () => (await peer.kv.get('round-4', { stale: true })) !== undefined)
    for (const at of town.places.keys()) t.ok(await peer.kv.get(`round-${at}`, { stale: true }))
  }
  await eventually('everybody counts five members', async () => town.places.every((place) => membersOf(place) === 5))
  const rows = (peer: Peer): Promise<string> =>
    peer.nodes
      .list()
      .then(({ items }) => JSON.stringify(items.map(({ id, address, state, role }) => [id, address, state, role]).sort()))
  t.equal(new Set(await Promise.all(town.places.map(({ peer }) => rows(peer)))).size, 1, 'and tells the same of every node')
})

t.test('a worker that hears nobody, is heard by nobody, or both, for 4 s keeps its tasks', { timeout: 180_000 }, async (t) => {
  const town = await found(t, 3, 2)
  const { peer } = await leaderOf(town)
  await deployWeb(peer, 5)
  const before = await attempts(peer)
  const [deaf, mute] = town.workers as [Place, Place]
  for (const [place, fault] of [
    [deaf, 'deaf'],
    [mute, 'mute'],
    [deaf, 'silent'],
  ] as const) {
    place.faults.set(everybody, fault)
    const healMs = performance.now() + 4_000
    await eventually('four seconds are over', async () => performance.now() >= healMs)
    place.faults.heal(everybody)
    await eventually(`${place.name} is ready again`, async () => areReady(peer, 5))
    t.same(await attempts(peer), before, `${fault}: no attempt more, and the same ones run`)
  }
})

t.test('clocks that jump an hour ahead, and then two hours back, change nothing', { timeout: 180_000 }, async (t) => {
  // Elections of a second: a machine that is busy with other tests must not look like a clock that jumped.
  const town = await found(t, 3, 1, { options: { timing: { tickMs: 100, electionTicks: 10 } } })
  const leader = await leaderOf(town)
  await deployWeb(leader.peer, 4)
  const before = await attempts(leader.peer)
  const { term } = await leader.peer.clusterStatus()
  // The clock that every peer of this process reads; tap goes by its own.
  const clock = systemClock as { wallMs: () => number }
  const trueWallMs = clock.wallMs
  t.teardown(() => {
    clock.wallMs = trueWallMs
  })
  for (const [at, hours] of [1, -1, 0].entries()) {
    clock.wallMs = () => trueWallMs() + hours * 3_600_000
    await leader.peer.kv.put(`jump-${at}`, 'taken')
    // Long enough for heartbeats, probes and comparisons of rows under the new time.
    const endMs = performance.now() + 3_000
    await eventually('three seconds are over', async () => performance.now() >= endMs)
    t.ok(await areReady(leader.peer, 4), `${hours} h: all are ready`)
    t.same(await attempts(leader.peer), before, `${hours} h: nothing was restarted`)
    t.equal((await leader.peer.clusterStatus()).term, term, `${hours} h: the same leader`)
    t.ok(
      town.places.every((place) => membersOf(place) === 4),
      `${hours} h: nobody was given up`,
    )
  }
})
