/** A worker that no manager can be sure to have heard stops what must not run twice, before the same begins elsewhere: on real links. */
import t from 'tap'
import { inlineDriver, type Peer, type PeerOptions, type ServiceSpec } from '../../lib/index.js'
import { UdpSocket } from '../../lib/overlay/datagram/index.js'
import { tcpTriage } from '../../lib/overlay/swim/index.js'
import { LinkFaults, WsTransport } from '../../lib/overlay/transport/index.js'
import { createPeerOver } from '../../lib/peer/index.js'
import { systemClock } from '../../lib/peer/system-world.js'
import { eventually, quick, type Teardown } from './support.js'

t.setTimeout(180_000)

/** What one function call did, by the clock that all peers of this process share. */
interface Run {
  readonly task: string
  readonly node: string
  readonly beganMs: number
  endedMs: number | undefined
}

interface Place {
  readonly peer: Peer
  readonly name: string
  readonly id: string
  readonly faults: LinkFaults
}

class Town {
  readonly runs: Run[] = []
  readonly places: Place[] = []
  readonly #t: Teardown

  constructor(t: Teardown) {
    this.#t = t
  }

  async add(name: string, options: PeerOptions): Promise<Place> {
    const faults = new LinkFaults()
    const work = ({ signal, task }: { signal: AbortSignal; task: { id: string } }): Promise<void> => {
      const run: Run = { task: task.id, node: name, beganMs: performance.now(), endedMs: undefined }
      this.runs.push(run)
      return new Promise((resolve) => {
        const end = (): void => {
          run.endedMs = performance.now()
          resolve()
        }
        signal.addEventListener('abort', end, { once: true })
      })
    }
    const peer = await createPeerOver(
      {
        transport: faults.over(new WsTransport({ clock: systemClock })),
        datagrams: async (address) => faults.losing(await UdpSocket.bind(address)),
        triage: faults.trying(tcpTriage(systemClock), systemClock),
      },
      { name, timing: quick, drivers: [inlineDriver({ functions: { work } })], ...options },
    )
    this.#t.teardown(() => peer.stop())
    const place = { peer, name, id: peer.status().node, faults }
    this.places.push(place)
    return place
  }

  /** Nothing passes between these and all others, and nobody is told. */
  cutOff(some: readonly Place[]): void {
    for (const one of some)
      for (const other of this.places)
        if (!some.includes(other))
          for (const [from, to] of [
            [one, other],
            [other, one],
          ] as const)
            for (const name of [to.id, to.peer.address]) from.faults.set(name, 'silent')
  }

  heal(): void {
    for (const from of this.places)
      for (const to of this.places) for (const name of [to.id, to.peer.address]) from.faults.heal(name)
  }

  runsOf(service: string): readonly Run[] {
    return this.runs.filter(({ task }) => task.startsWith(`${service}.`))
  }
}

const spec = (name: string, more: Partial<ServiceSpec['task']> = {}): ServiceSpec => ({
  name,
  mode: { replicas: 1 },
  task: { driver: 'inline', command: ['work'], stopGraceMs: 100, ...more },
  placement: { constraints: ['node.labels.place == edge'] },
})

const edge = { labels: { place: 'edge' } }

t.test(
  'who is cut off from all managers, and who hears only one that leads no more, stops its fenced task before another starts',
  async (t) => {
    const town = new Town(t)
    const m1 = await town.add('m1', {})
    const join = { manager: await m1.peer.invite('manager'), worker: await m1.peer.invite('worker') }
    for (const name of ['m2', 'm3']) await town.add(name, { join: join.manager })
    const workers: Place[] = []
    // Seven in all: two that fall silent together are not so many that everybody waits for a minute.
    for (const name of ['w1', 'w2', 'w3', 'w4'])
      workers.push(await town.add(name, { join: join.worker, ...(['w1', 'w2'].includes(name) && edge) }))
    const managers = town.places.filter(({ name }) => name.startsWith('m'))
    await eventually('three vote', async () => (await m1.peer.clusterStatus()).quorum.voters === 3)

    const fenced = await m1.peer.services.create(spec('fenced', { selfFenceAfterMs: 5_000 }))
    // One on each of the two nodes.
    const loose = await m1.peer.services.create({ ...spec('loose'), mode: { replicas: 2 } })
    await eventually('both run', async () => town.runsOf(fenced.id).length === 1 && town.runsOf(loose.id).length === 2)
    const [first] = town.runsOf(fenced.id) as [Run]
    const alone = workers.find(({ name }) => name === first.node) as Place
    const unfenced = town.runsOf(loose.id).find(({ node }) => node === alone.name)

    town.cutOff([alone])
    const second = await eventually('another runs', async () => town.runsOf(fenced.id)[1])
    t.not(second.node, first.node)
    t.ok(first.endedMs !== undefined && first.endedMs < second.beganMs, 'the first had ended, by itself')
    t.ok(unfenced !== undefined && unfenced.endedMs === undefined, 'and what need not be fenced runs on there')
    town.heal()
    const told = await eventually('it tells what it did', async () => {
      const { items } = await m1.peer.tasks.list({ service: 'fenced' })
      return items.find(({ id, observed }) => id === first.task && observed === 'shutdown')
    })
    t.equal(told.why, 'fenced: no manager for 5 s')
    await eventually('all are ready', async () => (await m1.peer.nodes.list()).items.every(({ state }) => state === 'ready'))
    t.equal(town.runsOf(fenced.id).length, 2, 'and it does not run there again')

    // The worker and the leader it talks to, apart from all others: each hears the other well, and neither counts.
    const leader = await eventually('a leader', async () => managers.find(({ peer }) => peer.leading))
    const where = workers.find(({ name }) => name === second.node) as Place
    town.cutOff([leader, where])
    const third = await eventually('a third runs', async () => town.runsOf(fenced.id)[2])
    t.not(third.node, second.node)
    t.ok(second.endedMs !== undefined && second.endedMs < third.beganMs, 'the second had ended, by itself')
    t.comment(
      `waits: ${[second.beganMs - (first.endedMs ?? 0), third.beganMs - (second.endedMs ?? 0)].map(Math.round).join(', ')} ms`,
    )
    town.heal()
  },
)
