/** Clusters on real links of one process, whose nodes can be cut off from each other: what tests of faulty networks stand on. */
import type { Clock } from '../../lib/base/clock.js'
import type { InlineContext } from '../../lib/drivers/index.js'
import { inlineDriver, type Peer, type PeerOptions } from '../../lib/index.js'
import { UdpSocket } from '../../lib/overlay/datagram/index.js'
import { tcpTriage } from '../../lib/overlay/swim/index.js'
import { LinkFaults, WsTransport } from '../../lib/overlay/transport/index.js'
import { createPeerOver } from '../../lib/peer/index.js'
import { systemClock } from '../../lib/peer/system-world.js'
import { eventually, freshDir, quick, type Teardown } from './support.js'

export interface PlaceWishes {
  /** Which its peer goes by. Default: this machine's. */
  readonly clock?: Clock
  /** What the peer is started with each time. */
  readonly options?: PeerOptions
}

/** A node of a cluster: its directory and its network outlive its process. */
export class Place {
  readonly faults = new LinkFaults()
  readonly name: string
  /** Tasks whose function runs here now, by id. */
  readonly executing = new Set<string>()
  /** Every task whose function was ever begun here, as often as it was. */
  readonly begun: string[] = []
  readonly #dir: string
  readonly #clock: Clock
  readonly #options: PeerOptions
  #peer: Peer | undefined

  constructor(name: string, dir: string, { clock = systemClock, options = {} }: PlaceWishes = {}) {
    this.name = name
    this.#dir = dir
    this.#clock = clock
    this.#options = options
  }

  get peer(): Peer {
    if (this.#peer === undefined) throw new Error(`${this.name} does not run`)
    return this.#peer
  }

  async start(options: PeerOptions = {}): Promise<Peer> {
    const clock = this.#clock
    const functions = { web: (context: InlineContext) => this.#execute(context) }
    this.#peer = await createPeerOver(
      {
        clock,
        transport: this.faults.over(new WsTransport({ clock })),
        datagrams: async (address) => this.faults.losing(await UdpSocket.bind(address)),
        triage: this.faults.trying(tcpTriage(clock), clock),
      },
      { name: this.name, dir: this.#dir, timing: quick, drivers: [inlineDriver({ functions })], ...this.#options, ...options },
    )
    return this.#peer
  }

  async stop(): Promise<void> {
    await this.#peer?.stop()
  }

  async #execute({ task: { id }, signal }: InlineContext): Promise<void> {
    this.begun.push(id)
    this.executing.add(id)
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
    this.executing.delete(id)
  }
}

export interface Town {
  readonly managers: readonly Place[]
  readonly workers: readonly Place[]
  readonly places: readonly Place[]
}

export async function found(t: Teardown, managerCount: number, workerCount: number, wishes: PlaceWishes = {}): Promise<Town> {
  const placesOf = (kind: string, count: number): Place[] =>
    Array.from({ length: count }, (_each, at) => new Place(`${kind}${at + 1}`, freshDir(t), wishes))
  const [managers, workers] = [placesOf('m', managerCount), placesOf('w', workerCount)]
  const places = [...managers, ...workers]
  t.teardown(() => Promise.all(places.map((place) => place.stop())))
  const first = await (managers[0] as Place).start()
  const join = { m: await first.invite('manager'), w: await first.invite('worker') }
  await Promise.all([
    ...managers.slice(1).map((place) => place.start({ join: join.m })),
    ...workers.map((place) => place.start({ join: join.w })),
  ])
  await eventually('all are ready and vote', async () => {
    const { quorum } = await first.clusterStatus()
    return quorum.voters === managerCount && (await areReady(first, places.length))
  })
  return { managers, workers, places }
}

/** Nothing passes between these and those, whatever the lane, and nobody is told; the returned function ends that. */
export function split(these: readonly Place[], those: readonly Place[]): () => void {
  const namesOf = (places: readonly Place[]): readonly string[] => places.flatMap(({ peer }) => [peer.id, peer.address])
  const sides = [
    [these, namesOf(those)],
    [those, namesOf(these)],
  ] as const
  for (const [side, others] of sides) for (const { faults } of side) for (const name of others) faults.set(name, 'silent')
  return () => {
    for (const [side, others] of sides) for (const { faults } of side) for (const name of others) faults.heal(name)
  }
}

export async function areReady(peer: Peer, count: number): Promise<boolean> {
  const { items } = await peer.nodes.list()
  return items.length === count && items.every(({ state }) => state === 'ready')
}

/** Ids of every attempt there ever was, and of those that run. */
export async function attempts(peer: Peer): Promise<{ readonly all: readonly string[]; readonly running: readonly string[] }> {
  const { items } = await peer.tasks.list({ service: 'web' })
  const running = items.filter(({ observed, desired }) => observed === 'running' && desired === 'running')
  return { all: items.map(({ id }) => id).sort(), running: running.map(({ id }) => id).sort() }
}

export async function deployWeb(peer: Peer, replicas: number): Promise<void> {
  await peer.services.create({ name: 'web', mode: { replicas }, task: { driver: 'inline', command: ['web'] } })
  await eventually('all run', async () => (await attempts(peer)).running.length === replicas)
}

export const leaderOf = ({ managers }: Pick<Town, 'managers'>): Promise<Place> =>
  eventually('a leader', async () => managers.find(({ peer }) => peer.leading))

export const membersOf = ({ peer }: Place): unknown => peer.metrics().skein_members
