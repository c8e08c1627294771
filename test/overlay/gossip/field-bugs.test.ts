/** What went wrong elsewhere with gossiped tables (moby's NetworkDB), as scenarios here. Times are virtual. */
import t from 'tap'
import { seededRandom } from '../../../lib/base/random.js'
import { ownersPerDigest } from '../../../lib/overlay/gossip/comparison.js'
import { gossipMessageMaxBytes } from '../../../lib/overlay/gossip/messages.js'
import { Space } from '../../../lib/overlay/gossip/space.js'
import { GossipNet } from './gossip-net.js'

const idOf = (number: number): string => `n${String(number).padStart(11, '0')}`

function netOf(count: number, seed = 1): GossipNet {
  const net = new GossipNet(seed)
  for (let number = 0; number < count; number++) net.start(idOf(number))
  net.run(2_000)
  return net
}

/** Virtual milliseconds until it holds, in steps of 100. */
function until(net: GossipNet, limitMs: number, holds: () => boolean): number {
  const fromMs = net.nowMs
  while (!holds()) {
    if (net.nowMs - fromMs > limitMs) return Number.POSITIVE_INFINITY
    net.run(100)
  }
  return net.nowMs - fromMs
}

const shows = (net: GossipNet, id: string, row: string): boolean => net.shown(id).split(' ').includes(row)

t.test('a row that every unasked message of its owner is lost of arrives by comparison within 5 s (moby#53437)', async (t) => {
  const net = netOf(20)
  net.loses = (_from, _to, message) => message.type === 'deltas' && message.push
  net.write(idOf(0), 'attach', 'network')
  net.write(idOf(0), 'endpoint', '10.0.0.1')
  const tookMs = until(net, 20_000, () => net.agrees)
  t.ok(tookMs <= 5_000, `took ${tookMs} ms`)
  t.ok(shows(net, idOf(19), `${idOf(0)}/endpoint=10.0.0.1`))
})

t.test('the rows of a node that failed for 3 s are back within 1 s of its return (moby#53141)', async (t) => {
  const net = netOf(10)
  for (let key = 0; key < 20; key++) net.write(idOf(3), `k${key}`, 'v')
  net.run(2_000)
  const before = net.shown(idOf(0))
  net.split(new Map([[idOf(3), 1], ...[0, 1, 2, 4, 5, 6, 7, 8, 9].map((number) => [idOf(number), 0] as const)]))
  for (const [id, { space }] of net.nodes) if (id !== idOf(3)) space.standing(idOf(3), 'failed', net.nowMs)
  net.run(3_000)
  t.equal(net.shown(idOf(0)), '', 'hidden meanwhile')
  net.heal()
  net.write(idOf(3), 'k0', 'new')
  for (const { space } of net.nodes.values()) space.standing(idOf(3), 'alive', net.nowMs)
  net.run(100)
  t.ok(shows(net, idOf(0), `${idOf(3)}/k1=v`), 'at once, from memory')
  t.not(before, '')
  t.ok(until(net, 5_000, () => shows(net, idOf(0), `${idOf(3)}/k0=new`) && net.agrees) <= 1_000)
})

t.test('a deletion and a new creation that arrive together are told as one change (moby#50393)', async (t) => {
  const net = netOf(2)
  net.write(idOf(0), 'endpoint', 'old')
  net.run(1_000)
  net.split(
    new Map([
      [idOf(0), 0],
      [idOf(1), 1],
    ]),
  )
  net.remove(idOf(0), 'endpoint')
  net.write(idOf(0), 'endpoint', 'new')
  net.remove(idOf(0), 'other')
  net.heal()
  const { space } = net.node(idOf(1))
  const sends = net.node(idOf(0)).space.tick(net.nowMs + 100)
  for (const { message } of sends) space.receive(idOf(0), message)
  t.match(
    space
      .takeChanges()
      .map(({ key, prev, next }) => [key, Buffer.from(prev ?? []).toString(), Buffer.from(next ?? []).toString()]),
    [['endpoint', 'old', 'new']],
  )
})

t.test('a row keeps its owner however often it is passed on (libnetwork#1944)', async (t) => {
  const net = new GossipNet(5)
  for (let number = 0; number < 8; number++) net.start(idOf(number))
  // A chain: each hears only its neighbours.
  for (let number = 0; number < 8; number++)
    net.node(idOf(number)).space.partners([idOf(number - 1), idOf(number + 1)].filter((id) => net.nodes.has(id)))
  net.write(idOf(0), 'k', 'v')
  t.ok(until(net, 30_000, () => shows(net, idOf(7), `${idOf(0)}/k=v`)) < 30_000)
  t.equal(net.shown(idOf(7)), `${idOf(0)}/k=v`)
})

t.test('while a node that joins takes 10,000 rows in, a row written elsewhere reaches all within 1 s (moby#50193)', async (t) => {
  const net = netOf(20)
  for (let key = 0; key < 10_000; key++) net.write(idOf(key % 10), `k${key}`, `value ${key}`)
  t.ok(until(net, 60_000, () => net.agrees) < 60_000)
  net.start(idOf(20))
  net.write(idOf(15), 'fresh', 'x')
  const row = `${idOf(15)}/fresh=x`
  const tookMs = until(net, 10_000, () => [...net.nodes.keys()].every((id) => shows(net, id, row)))
  t.ok(tookMs <= 1_000, `took ${tookMs} ms`)
  t.ok(until(net, 60_000, () => net.agrees) < 60_000, 'and the newcomer has it all in the end')
})

t.test(
  'own news goes first, and of what others wrote no more goes at once than the budget of a flush (moby#50193)',
  async (t) => {
    const random = seededRandom(3)
    const space = new Space({ scope: 's', self: 'm1', epoch: 1, part: 'holder', random, accepts: () => true })
    space.partners(['m2'])
    space.tick(0)
    const writers = Array.from({ length: 20 }, (_each, number) => idOf(number))
    for (const owner of writers) {
      const rows = [1, 2, 3].map((version) => ({ table: 'table', key: `k${version}`, version, value: new Uint8Array(15_000) }))
      const delta = { owner, epoch: 1, from: 0, to: 3, gc: 0, max: 3, reset: false, rows }
      space.receive('m2', { type: 'deltas', scope: 's', deltas: [delta], push: true })
    }
    space.write('table', 'own', Buffer.from('x'))
    const told = new Set<string>()
    for (let flush = 1; flush <= 60; flush++) {
      // Between two comparisons: what goes is what is new.
      const deltas = space.tick(flush).flatMap(({ message }) => (message.type === 'deltas' ? message.deltas : []))
      if (flush === 1) t.equal(deltas[0]?.owner, 'm1', 'before twenty that were there earlier')
      const bytes = deltas.flatMap(({ rows }) => rows).reduce((sum, { value }) => sum + (value?.length ?? 0), 0)
      t.ok(bytes <= 112 * 1024, `${bytes} bytes`)
      for (const { owner } of deltas) told.add(owner)
    }
    t.same([...told].sort(), ['m1', ...writers].sort(), 'and everybody’s has its turn')
  },
)

t.test('100,000 rows are taken in in chunks: no message is over its bound (moby#52661)', async (t) => {
  const pair = new GossipNet(7)
  pair.start(idOf(0))
  for (let key = 0; key < 100_000; key++) pair.write(idOf(0), `service-${key}`, `10.0.${key >> 8}.${key & 255}:8080`)
  pair.start(idOf(1))
  const tookMs = until(pair, 120_000, () => pair.node(idOf(1)).space.summary(idOf(0))?.max === 100_000)
  t.ok(tookMs < 60_000, `took ${tookMs} ms`)
  t.ok(pair.largestBytes <= gossipMessageMaxBytes, `${pair.largestBytes} bytes at most`)
  t.ok(pair.messages > 50, 'in many messages')
  t.equal(pair.node(idOf(1)).watched.size, 100_000)
})

t.test('quick restarts of every node one after another leave nothing different within 10 s (moby#47728)', async (t) => {
  const net = netOf(12)
  for (let number = 0; number < 12; number++) net.write(idOf(number), 'vip', `first ${number}`)
  net.run(1_000)
  for (let number = 0; number < 12; number++) {
    net.stop(idOf(number))
    net.run(100)
    net.start(idOf(number), 2)
    net.write(idOf(number), 'vip', `second ${number}`)
    net.run(200)
  }
  t.ok(until(net, 20_000, () => net.agrees) <= 10_000)
  t.notOk(net.shown(idOf(0)).includes('first'), 'one value for each, of its present life')
})

t.test(
  'halves that were apart for ten minutes, each writing and deleting, hold the same within 5 s of meeting again (moby#53715)',
  async (t) => {
    const net = netOf(12)
    for (let number = 0; number < 12; number++) for (let key = 0; key < 20; key++) net.write(idOf(number), `k${key}`, 'before')
    net.run(3_000)
    net.split(new Map(Array.from({ length: 12 }, (_each, number) => [idOf(number), number % 2] as const)))
    for (const half of [0, 1])
      for (const { space } of [...net.nodes.values()].filter(({ id }) => Number(id.slice(1)) % 2 !== half))
        for (let number = half; number < 12; number += 2) space.standing(idOf(number), 'failed', net.nowMs)
    for (let minute = 0; minute < 10; minute++) {
      for (let number = 0; number < 12; number++) {
        net.write(idOf(number), `k${minute}`, `minute ${minute}`)
        net.remove(idOf(number), `k${19 - minute}`)
      }
      net.run(60_000)
    }
    t.notOk(net.agrees)
    net.heal()
    for (const { space } of net.nodes.values()) for (const id of net.nodes.keys()) space.standing(id, 'alive', net.nowMs)
    t.ok(until(net, 20_000, () => net.agrees) <= 5_000)
    const rows = net.shown(idOf(0)).match(/=/g) ?? []
    t.equal(rows.length, 12 * 10, 'ten rows of each, and none that was deleted')
  },
)

t.test('a row deleted while a node was away longer than tombstones are kept does not come back with it', async (t) => {
  const net = new GossipNet(3, { tombstoneMs: 2_000 })
  for (let number = 0; number < 5; number++) net.start(idOf(number))
  net.write(idOf(0), 'dead', 'x')
  net.write(idOf(0), 'live', 'x')
  net.run(3_000)
  net.split(new Map([[idOf(4), 1], ...[0, 1, 2, 3].map((number) => [idOf(number), 0] as const)]))
  net.remove(idOf(0), 'dead')
  const forgotten = (): number => net.node(idOf(0)).space.summary(idOf(0))?.gc ?? 0
  net.run(1_900)
  t.equal(forgotten(), 0, 'a tombstone is kept for its time')
  net.run(8_100)
  t.ok(forgotten() > 0, 'and not for ever')
  net.heal()
  t.ok(until(net, 10_000, () => net.agrees) < 10_000)
  t.equal(net.shown(idOf(1)), `${idOf(0)}/live=x`)
  t.equal(net.node(idOf(4)).space.summary(idOf(0))?.gc, net.node(idOf(0)).space.summary(idOf(0))?.gc)
})

t.test('a removed owner is dropped and refused for ever; one that left is taken again when it has started again', async (t) => {
  const net = netOf(4)
  for (const number of [2, 3]) net.write(idOf(number), 'k', 'v')
  net.run(2_000)
  const deaf = new Set([idOf(0), idOf(1)])
  for (const id of deaf) {
    net.node(id).space.standing(idOf(2), 'removed', net.nowMs)
    net.node(id).space.standing(idOf(3), 'left', net.nowMs)
  }
  net.stop(idOf(3))
  net.write(idOf(2), 'k', 'again')
  net.run(5_000)
  t.equal(net.shown(idOf(0)), '')
  net.stop(idOf(2))
  net.start(idOf(2), 9)
  net.write(idOf(2), 'k', 'another life')
  net.start(idOf(3), 2)
  net.write(idOf(3), 'k', 'back')
  net.run(5_000)
  for (const id of deaf) t.equal(net.shown(id), `${idOf(3)}/k=back`)
})

t.test('a failed owner’s rows are forgotten after a day, and come back with it all the same', async (t) => {
  const net = new GossipNet(2, { hideMs: 5_000 })
  for (let number = 0; number < 3; number++) net.start(idOf(number))
  net.write(idOf(2), 'k', 'v')
  net.run(1_000)
  net.split(new Map([[idOf(2), 1]]))
  for (const number of [0, 1]) net.node(idOf(number)).space.standing(idOf(2), 'failed', net.nowMs)
  net.run(6_000)
  t.equal(net.node(idOf(0)).space.summary(idOf(2)), undefined)
  net.run(3_000)
  t.equal(net.shown(idOf(0)), '', 'nobody who remembers it longer brings it back')
  net.heal()
  t.ok(until(net, 5_000, () => shows(net, idOf(0), `${idOf(2)}/k=v`)) < 5_000)
})

t.test('with more owners than one digest holds, comparing equals costs little and differences are found', async (t) => {
  const count = ownersPerDigest + 300
  const pair = new GossipNet(11)
  // One process holds many owners' rows: they are told to it by short-lived nodes.
  pair.start('holder-a')
  pair.start('holder-b')
  for (let number = 0; number < count; number++) {
    pair.start(idOf(number))
    pair.write(idOf(number), 'k', `v${number}`)
    pair.run(100)
    pair.stop(idOf(number))
  }
  t.ok(until(pair, 60_000, () => pair.agrees && pair.node('holder-a').watched.size === count) < 60_000)
  const [messages, bytes] = [pair.messages, pair.bytes]
  pair.run(10_000)
  const perRound = (pair.bytes - bytes) / (pair.messages - messages)
  t.ok(perRound < 100, `${perRound} bytes a message while all is equal`)
  pair.start('holder-c')
  t.ok(until(pair, 60_000, () => pair.agrees) < 60_000, 'a newcomer gets everything')
  t.ok(pair.largestBytes <= gossipMessageMaxBytes)
})

t.test(
  'what a holder retracts is gone everywhere; an owner that is there and still writes outbids it with all its rows',
  async (t) => {
    const net = netOf(5)
    for (let key = 0; key < 3; key++) net.write(idOf(3), `k${key}`, 'v')
    net.run(2_000)
    net.split(new Map([[idOf(3), 1], ...[0, 1, 2, 4].map((number) => [idOf(number), 0] as const)]))
    net.node(idOf(0)).space.retract(idOf(3))
    t.ok(until(net, 5_000, () => [0, 1, 2, 4].every((number) => net.shown(idOf(number)) === '')) <= 1_000)
    net.node(idOf(1)).space.retract(idOf(3))
    net.heal()
    t.ok(until(net, 10_000, () => net.agrees && net.shown(idOf(0)) !== '') < 10_000)
    t.equal(net.shown(idOf(4)).split(' ').length, 3)
  },
)

t.test('a life that begins under the very number of a retracted one is told apart from it', async (t) => {
  const net = netOf(4)
  net.write(idOf(3), 'k', 'before')
  net.run(1_000)
  net.stop(idOf(3))
  net.node(idOf(0)).space.retract(idOf(3))
  net.run(1_000)
  net.start(idOf(3), 2)
  net.write(idOf(3), 'k', 'after')
  t.ok(until(net, 10_000, () => net.agrees && net.shown(idOf(0)) === `${idOf(3)}/k=after`) <= 5_000)
})
