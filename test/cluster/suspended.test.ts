/** A machine that sleeps: its process stands still, nothing passes to or from it, and when it wakes its wall clock is an hour on. */
import t from 'tap'
import { connect, type Peer, type PeerOptions, type ServiceSpec } from '../../lib/index.js'
import { UdpSocket } from '../../lib/overlay/datagram/index.js'
import { tcpTriage } from '../../lib/overlay/swim/index.js'
import { LinkFaults, WsTransport } from '../../lib/overlay/transport/index.js'
import { createPeerOver } from '../../lib/peer/peer.js'
import { systemClock } from '../../lib/peer/system-world.js'
import { formatJoinString, parseJoinString } from '../../lib/security/index.js'
import { Laptop } from './laptop.js'
import { eventually, quick, type Teardown } from './support.js'

t.setTimeout(240_000)

const hourMs = 3_600_000

/** Peers of this process, and how they are cut off from a machine that sleeps. */
class Town {
  readonly #t: Teardown
  readonly #faults: LinkFaults[] = []

  constructor(t: Teardown) {
    this.#t = t
  }

  async add(options: PeerOptions): Promise<Peer> {
    const faults = new LinkFaults()
    this.#faults.push(faults)
    const network = {
      transport: faults.over(new WsTransport({ clock: systemClock })),
      datagrams: async (address: string) => faults.losing(await UdpSocket.bind(address)),
      triage: faults.trying(tcpTriage(systemClock), systemClock),
    }
    const peer = await createPeerOver(network, { timing: quick, ...options })
    this.#t.teardown(() => peer.stop())
    return peer
  }

  /** Nothing passes to or from whoever has these names, and nobody is told. */
  lose(names: readonly string[]): void {
    for (const faults of this.#faults) for (const name of names) faults.set(name, 'silent')
  }

  heal(names: readonly string[]): void {
    for (const faults of this.#faults) for (const name of names) faults.heal(name)
  }
}

const sleeper = (name: string, more: Partial<ServiceSpec> = {}): ServiceSpec => ({
  name,
  mode: { replicas: 1 },
  task: { driver: 'process', command: ['sh', '-c', 'exec sleep 600'] },
  ...more,
})
const onLaptop = { placement: { constraints: ['node.labels.place == laptop'] } }

/** Tasks of the service that run and shall, as `id@node`. */
async function running(peer: Peer, service: string): Promise<string[]> {
  const { items } = await peer.tasks.list({ service })
  const live = items.filter(({ observed, desired }) => observed === 'running' && desired === 'running')
  return live.map(({ id, nodeName }) => `${id}@${nodeName}`).sort()
}

/** Every state that any node's record takes from now on, through this peer. */
function watchStates(t: Teardown, peer: Peer): { readonly of: (isMeant: (name: string) => boolean) => string[] } {
  const seen: [string, string][] = []
  const over = new AbortController()
  const reading = (async () => {
    for await (const change of peer.watch({ kinds: ['node'], signal: over.signal })) {
      if (change.type !== 'set') continue
      const { name = '', state = '' } = change.object as { name?: string; state?: string }
      seen.push([name, state])
    }
  })()
  t.teardown(async () => {
    over.abort()
    await reading
  })
  return { of: (isMeant) => seen.flatMap(([name, state]) => (isMeant(name) ? [`${name} ${state}`] : [])) }
}

const isAway = (words: readonly string[]): boolean => words.some((word) => word.includes('this host slept'))
const stateOf = async (peer: Peer, name: string): Promise<string> => (await peer.nodes.get(name)).state

t.test(
  'a worker that slept for longer than it is missed finds out by itself, accuses nobody and keeps what nobody replaced',
  async (t) => {
    const town = new Town(t)
    const first = await town.add({ name: 'm1', availability: 'drain' })
    const join = await first.invite('worker')
    await town.add({ name: 'w1', join })
    await town.add({ name: 'w2', join })
    const laptop = await Laptop.start(t, { join, labels: { place: 'laptop' } })
    const { id } = await first.nodes.get('laptop')
    await first.services.create(sleeper('pinned', onLaptop))
    await first.services.create(sleeper('spread', { mode: { replicas: 3 } }))
    await eventually(
      'all run',
      async () => (await running(first, 'spread')).length === 3 && (await running(first, 'pinned')).length === 1,
    )
    const [pinned, spread] = [await running(first, 'pinned'), await running(first, 'spread')]
    const elsewhere = spread.filter((task) => !task.endsWith('@laptop'))
    t.equal(elsewhere.length, 2)
    const states = watchStates(t, first)

    const names = [id, laptop.ready.address]
    town.lose(names)
    laptop.stop()
    await eventually('it is missed', async () => (await stateOf(first, 'laptop')) === 'down')
    await eventually('its share runs elsewhere', async () => {
      const tasks = await running(first, 'spread')
      return tasks.length === 3 && tasks.every((task) => !task.endsWith('@laptop'))
    })
    const replaced = await running(first, 'spread')
    laptop.jump({ clock: 'wall', byMs: hourMs })
    town.heal(names)
    laptop.goOn()

    await eventually('it finds out that it slept', async () => isAway(laptop.words))
    await eventually('it is ready', async () => (await stateOf(first, 'laptop')) === 'ready')
    await eventually('what was kept for it runs there', async () => (await running(first, 'pinned')).length === 1)
    t.same(await running(first, 'pinned'), pinned, 'the same task, never restarted')
    t.same(await running(first, 'spread'), replaced, 'and what was replaced stays where it is')
    t.ok(
      elsewhere.every((task) => replaced.includes(task)),
      'nobody else’s task was touched',
    )
    t.same(
      states.of((name) => name !== 'laptop').filter((word) => !word.endsWith(' ready')),
      [],
      'nobody else was doubted',
    )
  },
)

t.test('a leader that slept answers nothing from its past, follows who leads now, and keeps its task', async (t) => {
  const laptop = await Laptop.start(t, { labels: { place: 'laptop' } })
  const join = laptop.ready.invite as string
  const town = new Town(t)
  const first = await town.add({ name: 'm1', join })
  await town.add({ name: 'm2', join })
  await eventually('three voters', async () => first.status().quorum.voters === 3)
  const { id } = await first.nodes.get('laptop')
  t.equal(first.status().leader, id)
  await first.services.create(sleeper('pinned', onLaptop))
  await eventually('it runs', async () => (await running(first, 'pinned')).length === 1)
  const pinned = await running(first, 'pinned')
  await first.kv.put('k', 'old')
  const { token } = parseJoinString(join)
  await using client = await connect(formatJoinString({ token, addresses: [laptop.ready.address] }))
  t.equal(Buffer.from((await client.kv.get('k'))?.value ?? []).toString(), 'old')

  const names = [id, laptop.ready.address]
  town.lose(names)
  laptop.stop()
  await eventually('somebody else leads', async () => ![undefined, id].includes(first.status().leader))
  await first.kv.put('k', 'new')
  await eventually('the laptop is missed', async () => (await stateOf(first, 'laptop')) === 'down')
  const leader = first.status().leader
  const states = watchStates(t, first)
  // Asked while it sleeps: it reads this before it hears from anybody else.
  const reading = client.kv.get('k', { deadlineMs: 20_000 }).then(
    (found) => Buffer.from(found?.value ?? []).toString(),
    (error: unknown) => error,
  )
  laptop.jump({ clock: 'wall', byMs: hourMs })
  laptop.goOn()
  await eventually('it finds out that it slept', async () => isAway(laptop.words))
  town.heal(names)
  const read = await reading
  t.not(read, 'old', 'no read from its past')
  await eventually('it is ready', async () => (await stateOf(first, 'laptop')) === 'ready')
  await eventually('its task runs', async () => (await running(first, 'pinned')).length === 1)
  t.same(await running(first, 'pinned'), pinned, 'the same task, never restarted')
  t.equal(first.status().leader, leader, 'it disturbed nobody')
  t.same(
    states.of((name) => name !== 'laptop').filter((word) => !word.endsWith(' ready')),
    [],
    'nobody else was doubted',
  )
  await client.kv.put('k', 'newer')
  t.equal(Buffer.from((await first.kv.get('k'))?.value ?? []).toString(), 'newer')
})

t.test('clocks of a worker that jump by an hour, ahead and back, cost nobody a task', async (t) => {
  const town = new Town(t)
  const first = await town.add({ name: 'm1', availability: 'drain' })
  const join = await first.invite('worker')
  await town.add({ name: 'w1', join })
  const laptop = await Laptop.start(t, { join, labels: { place: 'laptop' } })
  await first.services.create(sleeper('pinned', onLaptop))
  await eventually('it runs', async () => (await running(first, 'pinned')).length === 1)
  const pinned = await running(first, 'pinned')
  const states = watchStates(t, first)
  for (const jump of [
    { clock: 'wall', byMs: hourMs },
    { clock: 'wall', byMs: -2 * hourMs },
    { clock: 'monotonic', byMs: hourMs },
  ] as const) {
    laptop.jump(jump)
    const heard = Number(first.metrics().skein_swim_received_total)
    await eventually('members talked meanwhile', async () => Number(first.metrics().skein_swim_received_total) > heard + 5)
    await eventually('it is ready', async () => (await stateOf(first, 'laptop')) === 'ready')
    t.same(await running(first, 'pinned'), pinned, `${jump.clock} by ${jump.byMs}`)
  }
  t.ok(isAway(laptop.words), 'it noticed')
  t.notOk(
    states.of(() => true).some((word) => word.endsWith(' down')),
    states.of(() => true).join(', '),
  )
})
