/** The keys of datagrams are rotated through raft under a cluster that runs, while some of it hears nothing. */
import t from 'tap'
import { readTrustNews } from '../../lib/api/join.js'
import { seededRandom } from '../../lib/base/random.js'
import type { Peer, PeerOptions } from '../../lib/index.js'
import { type Keyring, removalPeriodMs, rotationPeriodMs } from '../../lib/model/keyring.js'
import { DatagramLane, UdpSocket } from '../../lib/overlay/datagram/index.js'
import { tcpTriage } from '../../lib/overlay/swim/index.js'
import { LinkFaults, LinkPool, WsTransport } from '../../lib/overlay/transport/index.js'
import { joinCluster } from '../../lib/peer/join.js'
import { createPeerOver } from '../../lib/peer/peer.js'
import { systemClock, systemRandom } from '../../lib/peer/system-world.js'
import { Credentials, makeKeyPair, parseJoinString, trustOfToken } from '../../lib/security/index.js'
import { JumpingClock } from './jumping-clock.js'
import { eventually, quick, type Teardown } from './support.js'

t.setTimeout(240_000)

/** A peer whose wall clock jumps and whose network fails when the test says so. */
async function fieldPeer(t: Teardown, options: PeerOptions) {
  const clock = new JumpingClock()
  const faults = new LinkFaults()
  const network = {
    clock,
    transport: faults.over(new WsTransport({ clock })),
    datagrams: async (address: string) => faults.losing(await UdpSocket.bind(address)),
    triage: faults.trying(tcpTriage(clock), clock),
  }
  const peer = await createPeerOver(network, { timing: quick, ...options })
  t.teardown(() => peer.stop())
  return { peer, clock, faults }
}

const key = (peer: Peer): unknown => peer.metrics().skein_datagrams_key
const dropped = (peer: Peer): number =>
  (peer.metrics().skein_datagrams_dropped_total as Readonly<Record<string, number>>)['unknown-key'] ?? 0
const received = (peer: Peer): number => Number(peer.metrics().skein_datagrams_received_total)
const members = (peer: Peer): unknown => peer.metrics().skein_members

/** Every state that any node's record takes from now on. */
function watchStates(t: Teardown, peer: Peer): string[] {
  const states: string[] = []
  const over = new AbortController()
  const reading = (async () => {
    for await (const change of peer.watch({ kinds: ['node'], signal: over.signal })) {
      if (change.type !== 'set') continue
      const { name, state } = change.object as { name?: string; state?: string }
      states.push(`${name} ${state}`)
    }
  })()
  t.teardown(async () => {
    over.abort()
    await reading
  })
  return states
}

t.test(
  'a worker that hears no manager while the keys are rotated twice is missed by nobody, and has the keys when it does',
  async (t) => {
    const first = await fieldPeer(t, { name: 'm1' })
    const join = await first.peer.invite('worker')
    const neighbour = await fieldPeer(t, { name: 'w1', join })
    const away = await fieldPeer(t, { name: 'w2', join })
    const all = [first, neighbour, away].map(({ peer }) => peer)
    const [manager, other, cut] = all as [Peer, Peer, Peer]
    await eventually('three members with one key', async () => all.every((peer) => members(peer) === 3 && key(peer) === 0))
    const states = watchStates(t, manager)

    const rotate = async (to: number, who: readonly Peer[]): Promise<void> => {
      first.clock.jump(rotationPeriodMs)
      // Any word on the cluster's record makes the leader look at the time, as it does every minute.
      await manager.tokens.rotate('worker')
      await eventually(`key ${to}`, async () => who.every((peer) => key(peer) === to))
    }
    await rotate(1, all)
    for (const name of [manager.id, manager.address]) away.faults.set(name, 'silent')
    await rotate(2, [manager, other])
    await rotate(3, [manager, other])
    t.equal(key(cut), 1)
    const before = dropped(other)
    await eventually('its packets are dropped where the keys are newer, and counted', async () => dropped(other) > before + 2)
    t.same(
      [members(manager), members(other), members(cut)],
      [3, 3, 3],
      'over its links it is heard, and nobody takes it for dead',
    )

    for (const name of [manager.id, manager.address]) away.faults.heal(name)
    await eventually('it has the keys', async () => key(cut) === 3)
    const [heard, lost] = [received(cut), dropped(other)]
    await eventually('datagrams pass again', async () => received(cut) > heard + 2)
    t.equal(dropped(other), lost, 'and none of its packets is dropped any more')
    await eventually('all are ready', async () => (await manager.nodes.list()).items.every(({ state }) => state === 'ready'))
    t.notOk(
      states.some((state) => state.endsWith(' down')),
      states.join(', '),
    )
  },
)

t.test('whoever leads next goes on with the same keys, and rotates them in its turn', async (t) => {
  const founder = await fieldPeer(t, { name: 'm1' })
  const join = await founder.peer.invite('manager')
  const rest = [await fieldPeer(t, { name: 'm2', join }), await fieldPeer(t, { name: 'm3', join })]
  await eventually('three voters', async () => founder.peer.status().quorum.voters === 3)
  founder.clock.jump(rotationPeriodMs)
  await founder.peer.tokens.rotate('worker')
  await eventually('the second key', async () => rest.every(({ peer }) => key(peer) === 1))
  await founder.peer.stop()
  const next = await eventually('another leads', async () => rest.find(({ peer }) => peer.leading))
  t.ok(rest.every(({ peer }) => key(peer) === 1))
  // The first leader stamped the last rotation half a day ahead.
  next.clock.jump(2 * rotationPeriodMs)
  await next.peer.tokens.rotate('worker')
  await eventually('the third key', async () => rest.every(({ peer }) => key(peer) === 2))
})

/** What somebody who took a node over has: its certificate, and the keys as the managers told them. */
async function stolenNode(t: Teardown, joinString: string) {
  const { token, addresses } = parseJoinString(joinString)
  const node = 'stolennode00'
  const credentials = new Credentials({ own: undefined, trust: trustOfToken(token) }, Date.now)
  const host = { node, credentials, admit: () => undefined, handlers: new Map(), onRaftFrame: () => undefined }
  const pool = LinkPool.client(host, { clock: systemClock, random: systemRandom })
  t.teardown(() => pool.stop())
  const keys = await makeKeyPair()
  const answer = await joinCluster({
    pool,
    addresses,
    clock: systemClock,
    random: seededRandom(1),
    signal: undefined,
    keys,
    root: token.root,
    request: {
      id: node,
      role: 'worker',
      secret: token.secret,
      name: 'stolen',
      address: '127.0.0.1:1',
      availability: 'active',
      labels: {},
    },
  })
  credentials.replace({ own: { certificate: answer.certificate, keys }, trust: answer.trust })
  const knows: { ring: Keyring | undefined } = { ring: undefined }
  const link = await pool.dial(addresses[0] as string)
  const news = (async () => {
    for await (const each of link.stream('join.trust', null)) knows.ring = readTrustNews(each).keyring ?? knows.ring
  })()
  // It ends with the link, when the node is removed.
  news.catch(() => undefined)
  const ring = await eventually('its keys', async () => knows.ring)
  return { node, cluster: answer.trust.cluster, ring, latest: () => knows.ring, over: link.ended }
}

t.test('the keys a removed node had open nothing any more, whomever it claims to be', async (t) => {
  const first = await fieldPeer(t, { name: 'm1' })
  const join = await first.peer.invite('worker')
  const worker = await fieldPeer(t, { name: 'w1', join })
  const all = [first.peer, worker.peer]
  const manager = first.peer
  await eventually('one key', async () => all.every((peer) => key(peer) === 0))
  const states = watchStates(t, manager)
  const stolen = await stolenNode(t, join)

  /** Sends nonsense under each of its keys, as itself and as somebody else: what is opened is counted as nonsense, what is not as of an unknown key. */
  let epoch = Date.now() * 2
  const sendUnderEach = async (): Promise<number> => {
    const ring = stolen.ring
    const keys = [ring.previous, ring.primary, ring.next].filter((each) => each !== undefined)
    for (const node of [stolen.node, 'nobodyatall0']) {
      for (const primary of keys) {
        const sealing = { node, cluster: stolen.cluster, epoch: epoch++, keyring: () => ({ ...ring, primary }) }
        await using lane = new DatagramLane(await UdpSocket.bind('127.0.0.1:0'), sealing)
        lane.send(worker.peer.address, Uint8Array.of(0xff))
        await new Promise((resolve) => setImmediate(resolve)) // it has left before the socket closes
      }
    }
    return 2 * keys.length
  }
  const nonsense = (): number => Number(worker.peer.metrics().skein_swim_dropped_total)
  const sent = await sendUnderEach()
  await eventually('a member’s packets are opened', async () => nonsense() === sent)

  first.clock.jump(removalPeriodMs)
  await manager.nodes.remove(stolen.node, { force: true })
  await stolen.over
  for (let rotation = 1; rotation <= 3; rotation++) {
    await eventually(`rotation ${rotation} after the removal`, async () => all.every((peer) => key(peer) === rotation))
    first.clock.jump(removalPeriodMs)
    await manager.tokens.rotate('worker')
  }
  t.equal(stolen.latest(), stolen.ring, 'it was told of none of them')
  const before = dropped(worker.peer)
  await sendUnderEach()
  await eventually('every one is of an unknown key', async () => dropped(worker.peer) === before + sent)
  t.equal(nonsense(), sent, 'and none was opened')
  t.equal(key(manager), 3, 'with that the keys are clean: the next rotation is half a day away')
  t.notOk(
    states.some((state) => state.endsWith(' down')),
    states.join(', '),
  )
})
