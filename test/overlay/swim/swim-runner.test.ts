import { createServer } from 'node:net'
import t, { type Test } from 'tap'
import type { NodeId } from '../../../lib/base/ids.js'
import { silentLogger } from '../../../lib/base/logger.js'
import { seededRandom } from '../../../lib/base/random.js'
import { foundKeyring } from '../../../lib/model/keyring.js'
import { DatagramLane, UdpSocket } from '../../../lib/overlay/datagram/index.js'
import {
  encodePacket,
  type MemberRecord,
  type SwimDatagrams,
  type SwimEvent,
  SwimRunner,
  type SwimRunnerOptions,
  tcpTriage,
} from '../../../lib/overlay/swim/index.js'
import type { LinkPool } from '../../../lib/overlay/transport/index.js'
import { systemClock } from '../../../lib/peer/system-world.js'
import { ManualClock } from '../../../lib/testing/manual-clock.js'
import { cluster, makeHost, networks, Pools } from '../transport/support.js'

const [ws] = networks()
const keyring = foundKeyring([new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)], 0)

interface Running {
  readonly runner: SwimRunner
  readonly pool: LinkPool
  readonly node: NodeId
}

/** Members of one group: real links over TLS, and datagrams if wished. */
class Members {
  readonly all: Running[] = []
  readonly #t: Test
  readonly #pools: Pools
  readonly #datagrams: 'udp' | 'none' | 'filtered'

  constructor(t: Test, datagrams: 'udp' | 'none' | 'filtered') {
    if (ws === undefined) throw new Error('no network')
    this.#t = t
    this.#pools = new Pools(t, ws)
    this.#datagrams = datagrams
  }

  async add(more: Partial<SwimRunnerOptions> = {}): Promise<Running> {
    const number = this.all.length
    const host = makeHost({ role: number === 0 ? 'manager' : 'worker' })
    const pool = await this.#pools.listen(`m${number}`, host, { redial: { firstMs: 20, maxMs: 200 } })
    const node = host.node as NodeId
    const runner = new SwimRunner({
      node,
      epoch: 1,
      address: pool.address,
      links: pool,
      datagrams: this.#datagrams === 'none' ? undefined : await this.#lane(node, pool.address),
      triage: tcpTriage(systemClock),
      clock: systemClock,
      random: seededRandom(100 + number),
      logger: silentLogger,
      ...more,
    })
    this.#t.teardown(() => runner.stop())
    const [seed] = this.all
    const running = { runner, pool, node }
    this.all.push(running)
    runner.start()
    if (seed !== undefined) await pool.dial(seed.pool.address)
    return running
  }

  async form(count: number): Promise<void> {
    for (let number = 0; number < count; number++) await this.add({ swim: { observers: 2 } })
    await this.until(() => this.all.every(({ runner }) => runner.core.hereCount === count))
  }

  /** Resolves when the claim holds, looking at each piece of news. */
  async until(claim: () => boolean): Promise<void> {
    if (claim()) return
    await new Promise<void>((resolve) => {
      const stops = this.all.map(({ runner }) =>
        runner.watch(() => {
          if (!claim()) return
          for (const stop of stops) stop()
          resolve()
        }),
      )
    })
  }

  async #lane(node: NodeId, address: string): Promise<SwimDatagrams> {
    const lane = new DatagramLane(await UdpSocket.bind(address), { node, cluster, epoch: 1, keyring: () => keyring })
    this.#t.teardown(() => lane.close())
    if (this.#datagrams === 'udp') return lane
    return { payloadMaxBytes: lane.payloadMaxBytes, send: () => true, onPacket: () => undefined }
  }
}

for (const datagrams of ['udp', 'none'] as const) {
  t.test(`members on real links, datagrams: ${datagrams}`, async (t) => {
    const members = new Members(t, datagrams)
    await members.form(8)
    const [, second, third] = members.all as [Running, Running, Running]
    const left: SwimEvent[] = []
    members.all[0]?.runner.watch((event) => left.push(event))

    t.test('nobody links to everybody', async (t) => {
      const linked = members.all
        .slice(1)
        .map(({ pool }) => members.all.filter(({ node }) => pool.link(node) !== undefined).length)
      t.ok(
        linked.every((count) => count <= 8),
        linked.join(),
      )
    })

    t.test('who leaves is known to have left, and was not suspected', async (t) => {
      const gone = second.runner.leave()
      const others = members.all.filter((each) => each !== second)
      await members.until(() => others.every(({ runner }) => runner.member(second.node)?.state === 'left'))
      await gone
      second.runner.stop()
      await second.pool.stop()
      t.notOk(left.some(({ type, member }) => member.id === second.node && (type === 'failed' || type === 'suspect')))
    })

    t.test('whose links break and whose port refuses is dead for all', async (t) => {
      third.runner.stop()
      await third.pool.stop()
      const others = members.all.filter((each) => each !== second && each !== third)
      await members.until(() => others.every(({ runner }) => runner.member(third.node)?.state === 'dead'))
      t.ok(
        others.every(({ runner }) => (runner.member(third.node)?.accusers.length ?? 0) >= 2),
        'on the word of two',
      )
    })
  })
}

t.test('members whose datagrams are filtered say so once, and stay together', async (t) => {
  const warnings: string[] = []
  const logger = { ...silentLogger, warn: (_: object, words: string) => warnings.push(words) }
  const members = new Members(t, 'filtered')
  for (let number = 0; number < 4; number++) await members.add({ logger, swim: { probeIntervalMs: 200, pingTimeoutMaxMs: 100 } })
  const streamOnly = (): Running[] => members.all.filter(({ runner }) => runner.counters.isStreamOnly === 1)
  await members.until(() => streamOnly().length >= 3 && members.all.every(({ runner }) => runner.members().length === 4))
  t.equal(warnings.length, streamOnly().length, 'one for each; the last has nobody left to try')
  t.ok(members.all.every(({ runner }) => runner.members().every(({ state }) => state !== 'dead')))
})

/** A runner on links that go nowhere. */
function alone(clock: ManualClock) {
  type Listener = (from: { readonly node: string }, message: Uint8Array) => void
  const listeners: Listener[] = []
  const sent: Uint8Array[] = []
  const kept = new Set<string>()
  const runner = new SwimRunner({
    node: 'self00000000' as NodeId,
    epoch: 3,
    address: '127.0.0.1:1',
    links: {
      send: (_node, _channel, message) => sent.push(message) > 0,
      onMessage: (_channel, listener) => listeners.push(listener),
      keep: (node) => kept.add(node),
      release: (node) => kept.delete(node),
      observe: () => () => undefined,
    },
    triage: () => new Promise(() => undefined),
    clock,
    random: seededRandom(1),
    logger: silentLogger,
  })
  return { runner, sent, kept, receive: (node: string, bytes: Uint8Array) => listeners[0]?.({ node }, bytes) }
}

t.test('bytes that are no packet, and packets of somebody else than the link proved, are counted and dropped', async (t) => {
  const { runner, receive } = alone(new ManualClock())
  runner.start()
  receive('other0000000', Buffer.from('nonsense'))
  const { runner: liar, sent } = alone(new ManualClock())
  liar.start()
  liar.evidence('other0000000', 'linked')
  t.equal(sent.length, 1)
  receive('other0000000', sent[0] as Uint8Array)
  t.match(runner.counters, { received: 2, malformed: 1, impostors: 1 })
  t.equal(runner.members().length, 1)
})

t.test('of a thousand lost members that no datagram reaches, a few are tried by link at a time', async (t) => {
  const clock = new ManualClock()
  const { runner, kept, receive } = alone(clock)
  runner.start()
  runner.evidence('other0000000', 'linked')
  const lost = Array.from({ length: 1_000 }, (_each, at): MemberRecord => {
    const id = `lost${String(at).padStart(8, '0')}` as NodeId
    const profile = { version: 1, address: `10.0.0.1:${at + 1}`, lanes: 'stream', meta: new Uint8Array(0) } as const
    return { id, epoch: 1, incarnation: 1, state: 'dead', profileVersion: 1, profile, accusations: [] }
  })
  const tried = new Set<string>()
  for (let from = 0; from < lost.length; from += 100) {
    const message = { type: 'share' } as const
    const records = lost.slice(from, from + 100)
    receive(
      'other0000000',
      encodePacket({ to: 'self00000000' as NodeId, from: 'other0000000' as NodeId, epoch: 1, incarnation: 1, message, records }),
    )
  }
  t.equal(runner.members().length, 1_001)
  for (let second = 0; second < 120; second++) {
    clock.advance(1_000)
    for (const node of kept) tried.add(node)
    t.ok(kept.size <= 8, `${kept.size} links are held or tried`)
  }
  t.ok(tried.size > 20, `${tried.size} had their turn`)
  runner.stop()
  t.equal(kept.size, 0)
})

t.test('a host that slept for an hour makes a new incarnation', async (t) => {
  const clock = new ManualClock()
  let [wallAheadMs, incarnation] = [0, 0]
  const sleeper = Object.assign(Object.create(clock) as ManualClock, {
    wallMs: () => clock.now() + wallAheadMs,
    now: () => clock.now(),
  })
  sleeper.after = (delayMs, act) => clock.after(delayMs, act)
  const { runner } = alone(sleeper)
  runner.start()
  clock.advance(3000)
  incarnation = runner.member('self00000000')?.incarnation ?? 0
  wallAheadMs = 3_600_000
  clock.advance(3000)
  t.equal(runner.member('self00000000')?.incarnation, incarnation + 1)
  runner.stop()
  t.equal(clock.pending, 0, 'and leaves no timer behind')
})

t.test('connecting tells a process that is there, a port that refuses, and a name that does not exist apart', async (t) => {
  const server = createServer((socket) => socket.destroy())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const triage = tcpTriage(systemClock)
  t.equal(await triage(`127.0.0.1:${port}`, 1000), 'accepting')
  await new Promise((resolve) => server.close(resolve))
  t.equal(await triage(`127.0.0.1:${port}`, 1000), 'refused')
  t.equal(await triage('not an address', 1000), 'local')
})
