/** What networks and clocks do to running clusters, on real links of one process: nothing is restarted that need not be. */
import { once } from 'node:events'
import { createServer } from 'node:net'
import t from 'tap'
import { inlineDriver, type Peer, type PeerOptions } from '../../lib/index.js'
import { UdpSocket } from '../../lib/overlay/datagram/index.js'
import { tcpTriage } from '../../lib/overlay/swim/index.js'
import { everybody, LinkFaults, parseAddress, WsTransport } from '../../lib/overlay/transport/index.js'
import { createPeerOver } from '../../lib/peer/index.js'
import { systemClock } from '../../lib/peer/system-world.js'
import { eventually, freshDir, quick, type Teardown } from './support.js'

const untilAborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))

/** A node of a cluster: its directory and its network outlive its process. */
class Place {
  readonly faults = new LinkFaults()
  readonly name: string
  readonly #dir: string
  #peer: Peer | undefined

  constructor(name: string, dir: string) {
    this.name = name
    this.#dir = dir
  }

  get peer(): Peer {
    if (this.#peer === undefined) throw new Error(`${this.name} does not run`)
    return this.#peer
  }

  async start(options: PeerOptions = {}): Promise<Peer> {
    const functions = { web: ({ signal }: { signal: AbortSignal }) => untilAborted(signal) }
    this.#peer = await createPeerOver(
      {
        transport: this.faults.over(new WsTransport({ clock: systemClock })),
        datagrams: async (address) => this.faults.losing(await UdpSocket.bind(address)),
        triage: this.faults.trying(tcpTriage(systemClock), systemClock),
      },
      { name: this.name, dir: this.#dir, timing: quick, drivers: [inlineDriver({ functions })], ...options },
    )
    return this.#peer
  }

  async stop(): Promise<void> {
    await this.#peer?.stop()
  }
}

interface Town {
  readonly managers: readonly Place[]
  readonly workers: readonly Place[]
  readonly places: readonly Place[]
}

async function found(t: Teardown, managerCount: number, workerCount: number, timing = quick): Promise<Town> {
  const placesOf = (kind: string, count: number): Place[] =>
    Array.from({ length: count }, (_each, at) => new Place(`${kind}${at + 1}`, freshDir(t)))
  const [managers, workers] = [placesOf('m', managerCount), placesOf('w', workerCount)]
  const places = [...managers, ...workers]
  t.teardown(() => Promise.all(places.map((place) => place.stop())))
  const first = await (managers[0] as Place).start({ timing })
  const join = { m: await first.invite('manager'), w: await first.invite('worker') }
  await Promise.all([
    ...managers.slice(1).map((place) => place.start({ join: join.m, timing })),
    ...workers.map((place) => place.start({ join: join.w, timing })),
  ])
  await eventually('all are ready and vote', async () => {
    const { quorum } = await first.clusterStatus()
    return quorum.voters === managerCount && (await areReady(first, places.length))
  })
  return { managers, workers, places }
}

async function areReady(peer: Peer, count: number): Promise<boolean> {
  const { items } = await peer.nodes.list()
  return items.length === count && items.every(({ state }) => state === 'ready')
}

/** Ids of every attempt there ever was, and of those that run. */
async function attempts(peer: Peer): Promise<{ readonly all: readonly string[]; readonly running: readonly string[] }> {
  const { items } = await peer.tasks.list({ service: 'web' })
  const running = items.filter(({ observed, desired }) => observed === 'running' && desired === 'running')
  return { all: items.map(({ id }) => id).sort(), running: running.map(({ id }) => id).sort() }
}

async function deployWeb(peer: Peer, replicas: number): Promise<void> {
  await peer.services.create({ name: 'web', mode: { replicas }, task: { driver: 'inline', command: ['web'] } })
  await eventually('all run', async () => (await attempts(peer)).running.length === replicas)
}

const leaderOf = ({ managers }: Town): Promise<Place> =>
  eventually('a leader', async () => managers.find(({ peer }) => peer.leading))

/** Takes the port a stopped peer listened on, so that it must find another. */
async function occupy(t: Teardown, address: string): Promise<void> {
  const { host, port } = parseAddress(address)
  const server = createServer((socket) => socket.destroy()).listen(port, host)
  await once(server, 'listening')
  t.teardown(() => new Promise((resolve) => server.close(resolve)))
}

const membersOf = ({ peer }: Place): unknown => peer.metrics().skein_members

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
  const town = await found(t, 3, 1, { tickMs: 100, electionTicks: 10 })
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
