import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import t from 'tap'
import { below, seededRandom } from '../../../lib/base/random.js'
import { foundKeyring, type Keyring, rotateKeyring } from '../../../lib/model/keyring.js'
import {
  DatagramLane,
  MemoryDatagrams,
  type Packet,
  packetMaxBytes,
  payloadMaxBytes,
  sealBytes,
  UdpSocket,
} from '../../../lib/overlay/datagram/index.js'
import { Sealing } from '../../../lib/overlay/datagram/sealing.js'

const cluster = 'cluster00001'
const firstRing = foundKeyring([randomBytes(32), randomBytes(32)], 0)

interface Station {
  readonly lane: DatagramLane
  readonly heard: Packet[]
  ring: Keyring | undefined
}

function station(
  net: MemoryDatagrams,
  address: string,
  node: string,
  o: { ring?: Keyring | undefined; cluster?: string; epoch?: number; sendersMax?: number } = {},
): Station {
  const heard: Packet[] = []
  const self: { ring: Keyring | undefined } = { ring: 'ring' in o ? o.ring : firstRing }
  const lane = new DatagramLane(net.bind(address), {
    node,
    cluster: o.cluster ?? cluster,
    epoch: o.epoch ?? 1,
    keyring: () => self.ring,
    ...(o.sendersMax !== undefined && { sendersMax: o.sendersMax }),
  })
  lane.onPacket((packet) => heard.push(packet))
  return Object.assign(self, { lane, heard })
}

function pair(net = new MemoryDatagrams()): { net: MemoryDatagrams; a: Station; b: Station } {
  return { net, a: station(net, 'a:1', 'aaaaaaaaaaaa'), b: station(net, 'b:1', 'bbbbbbbbbbbb') }
}

const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString()
const drops = ({ lane }: Station): Record<string, number> =>
  Object.fromEntries(Object.entries(lane.counters.dropped).filter(([, count]) => count > 0))

t.test('a packet arrives with its sender, the epoch of its start and its payload, and shows none of it on the way', async (t) => {
  const { net, a, b } = pair()
  let seen: Uint8Array | undefined
  net.fate = (_from, _to, bytes) => {
    seen = bytes
    return [bytes]
  }
  t.ok(a.lane.send('b:1', Buffer.from('who is there?')))
  net.deliver()
  t.match(b.heard, [{ from: 'a:1', sender: 'aaaaaaaaaaaa', epoch: 1 }])
  t.equal(text(b.heard[0]?.payload), 'who is there?')
  t.equal(seen?.length, sealBytes + 13)
  t.notOk(Buffer.from(seen ?? []).includes('who'), 'sealed')
  t.equal(b.lane.counters.received, 1)
})

t.test('equal payloads look different each time', async (t) => {
  const { net, a } = pair()
  const bodies = new Set<string>()
  net.fate = (_from, _to, bytes) => {
    bodies.add(Buffer.from(bytes.subarray(24)).toString('hex'))
    return []
  }
  for (let time = 0; time < 50; time++) a.lane.send('b:1', Buffer.from('same'))
  net.deliver()
  t.equal(bodies.size, 50)
})

t.test('a replayed packet is dropped and counted, also after it was overtaken', async (t) => {
  const { net, a, b } = pair()
  const taken: Uint8Array[] = []
  net.fate = (_from, _to, bytes) => {
    taken.push(bytes)
    return []
  }
  for (let n = 0; n < 10; n++) a.lane.send('b:1', Buffer.from([n]))
  net.deliver()
  net.fate = () => [...taken].reverse().flatMap((bytes) => [bytes, bytes])
  a.lane.send('b:1', Buffer.from('go'))
  net.deliver()
  t.equal(b.heard.length, 10, 'each once, in any order')
  t.same(drops(b), { replayed: 10 })
})

t.test('a process that started again is heard, and what was taken from its former life is not', async (t) => {
  const { net, a, b } = pair()
  let old: Uint8Array | undefined
  net.fate = (_from, _to, bytes) => {
    old = bytes
    return [bytes]
  }
  a.lane.send('b:1', Buffer.from('before'))
  net.deliver()
  const before = old ?? new Uint8Array()
  await a.lane.close()
  const again = station(net, 'a:1', 'aaaaaaaaaaaa', { epoch: 2 })
  again.lane.send('b:1', Buffer.from('after'))
  net.fate = (_from, _to, bytes) => [bytes, before]
  net.deliver()
  t.same(
    b.heard.map(({ epoch, payload }) => [epoch, text(payload)]),
    [
      [1, 'before'],
      [2, 'after'],
    ],
  )
  t.same(drops(b), { replayed: 1 })
})

t.test(
  'a later start that somebody claimed with a stolen key silences the true sender until the key goes, and no longer',
  async (t) => {
    const { net, a, b } = pair()
    const thief = station(net, 'c:1', 'aaaaaaaaaaaa', { epoch: 1_000_000 })
    thief.lane.send('b:1', Buffer.from('I am a'))
    net.deliver()
    a.lane.send('b:1', Buffer.from('no, I am'))
    net.deliver()
    t.same(drops(b), { replayed: 1 })
    for (const each of [a, b]) each.ring = rotateKeyring(firstRing, Buffer.alloc(32, 7), 1)
    a.lane.send('b:1', Buffer.from('under the next key'))
    net.deliver()
    t.same(
      b.heard.map(({ payload }) => text(payload)),
      ['I am a', 'under the next key'],
    )
  },
)

t.test('a packet is refused the second time under whichever key of the ring, however often the ring moved on', async (t) => {
  const { net, a, b } = pair()
  let ring = firstRing
  for (let rotation = 0; rotation < 6; rotation++) {
    const taken: Uint8Array[] = []
    net.fate = (_from, _to, bytes) => {
      taken.push(bytes)
      return [bytes]
    }
    a.lane.send('b:1', Buffer.from([rotation]))
    net.deliver()
    ring = rotateKeyring(ring, Buffer.alloc(32, 10 + rotation), rotation)
    b.ring = ring
    net.fate = () => taken
    a.lane.send('b:1', Buffer.from('again'))
    net.deliver()
    t.equal(b.heard.length, rotation + 1)
    a.ring = ring
  }
  t.same(drops(b), { replayed: 6 })
})

t.test('truncated packets of every length are dropped and counted', async (t) => {
  const { net, a, b } = pair()
  net.fate = (_from, _to, bytes) => Array.from(bytes, (_byte, length) => bytes.subarray(0, length))
  a.lane.send('b:1', Buffer.from('0123456789'))
  net.deliver()
  t.equal(b.heard.length, 0)
  t.same(drops(b), { truncated: sealBytes, 'bad-seal': 10 })
})

t.test('an oversized packet is dropped unread, and the largest one fits', async (t) => {
  const { net, a, b } = pair()
  a.lane.send('b:1', new Uint8Array(payloadMaxBytes))
  net.deliver()
  t.equal(b.heard[0]?.payload.length, payloadMaxBytes)
  net.fate = (_from, _to, bytes) => [Buffer.concat([bytes, new Uint8Array(packetMaxBytes + 1 - bytes.length)])]
  a.lane.send('b:1', Buffer.from('x'))
  net.deliver()
  t.same(drops(b), { oversized: 1 })
  t.throws(() => a.lane.send('b:1', new Uint8Array(payloadMaxBytes + 1)), { name: 'SkeinBug' })
})

t.test('a packet of another key, of another cluster, or of a key this node never had is dropped by its reason', async (t) => {
  const { net, b } = pair()
  const wrongKey = station(net, 'c:1', 'cccccccccccc', { ring: foundKeyring([randomBytes(32), randomBytes(32)], 0) })
  const elsewhere = station(net, 'd:1', 'dddddddddddd', { cluster: 'cluster00002' })
  const later = station(net, 'e:1', 'eeeeeeeeeeee', {
    ring: rotateKeyring(rotateKeyring(firstRing, randomBytes(32), 1), randomBytes(32), 2),
  })
  for (const stranger of [wrongKey, elsewhere, later]) stranger.lane.send('b:1', Buffer.from('hello'))
  net.deliver()
  t.equal(b.heard.length, 0)
  t.same(drops(b), { 'bad-seal': 1, 'other-cluster': 1, 'unknown-key': 1 })
})

t.test('a packet cannot be passed off as another sender’s, nor sent back to its own', async (t) => {
  const { net, a, b } = pair()
  net.fate = (_from, _to, bytes) => {
    const forged = Buffer.from(bytes)
    forged[11] = (forged[11] ?? 0) ^ 1
    return [forged]
  }
  a.lane.send('b:1', Buffer.from('hello'))
  net.deliver()
  t.same(drops(b), { 'bad-seal': 1 })
  net.fate = (_from, _to, bytes) => [bytes]
  a.lane.send('a:1', Buffer.from('mirror'))
  net.deliver()
  t.same(drops(a), { own: 1 })
})

t.test('a lane without a keyring sends nothing, opens nothing, and begins when it gets one', async (t) => {
  const { net, a, b } = pair()
  b.ring = undefined
  t.notOk(b.lane.send('a:1', Buffer.from('x')))
  t.equal(b.lane.counters.unsealed, 1)
  a.lane.send('b:1', Buffer.from('x'))
  net.deliver()
  t.same(drops(b), { 'unknown-key': 1 })
  b.ring = firstRing
  a.lane.send('b:1', Buffer.from('y'))
  net.deliver()
  t.equal(text(b.heard[0]?.payload), 'y')
})

t.test(
  '50,000 mutated packets: every one is dropped and counted, none is believed, and no memory is held for them',
  async (t) => {
    const seed = 20_261_121
    const random = seededRandom(seed)
    const sender = new Sealing({ node: 'aaaaaaaaaaaa', cluster, epoch: 1, keyring: () => firstRing })
    const receiver = new Sealing({ node: 'bbbbbbbbbbbb', cluster, epoch: 1, keyring: () => firstRing })
    const reasons = new Map<string, number>()
    for (let run = 0; run < 50_000; run++) {
      const sealed = sender.seal(randomBytes(below(random, 60))) ?? new Uint8Array()
      const mutated = mutate(sealed, random)
      const opened = receiver.open(mutated)
      if (opened.ok) {
        t.fail(`seed ${seed} run ${run}: believed ${Buffer.from(mutated).toString('hex')}`)
        return
      }
      reasons.set(opened.reason, (reasons.get(opened.reason) ?? 0) + 1)
    }
    t.equal(receiver.senders, 0, 'nobody is remembered who proved nothing')
    t.ok((reasons.get('bad-seal') ?? 0) > 10_000, 'most came as far as the seal')
    t.ok(receiver.open(sender.seal(Buffer.from('still')) ?? new Uint8Array()).ok, 'and it still listens')
  },
)

t.test('who only claims to be a member, under whatever key of the ring, leaves no key behind and takes none away', async (t) => {
  const ring = rotateKeyring(firstRing, Buffer.alloc(32, 7), 1)
  const [sender, receiver] = ['aaaaaaaaaaaa', 'bbbbbbbbbbbb'].map(
    (node) => new Sealing({ node, cluster, epoch: 1, keyring: () => ring }),
  ) as [Sealing, Sealing]
  const genuine = (): Uint8Array => sender.seal(Buffer.from('x')) as Uint8Array
  t.ok(receiver.open(genuine()).ok)
  t.equal(receiver.keys, 1)
  for (const id of [ring.previous?.id, ring.primary.id, ring.next.id]) {
    for (const later of [0, 1]) {
      const forged = Buffer.from(genuine())
      forged[1] = id ?? 0
      forged[17] = 1 + later // its start: this one, and one to come
      forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1
      t.same(receiver.open(forged), { ok: false, reason: 'bad-seal' })
      t.same([receiver.senders, receiver.keys], [1, 1])
    }
  }
  t.ok(receiver.open(genuine()).ok)
})

/** Never the packet itself. */
function mutate(packet: Uint8Array, random: () => number): Uint8Array {
  const bytes = Buffer.from(packet)
  switch (below(random, 6)) {
    case 0:
      return bytes.subarray(0, below(random, bytes.length))
    case 1:
      return Buffer.concat([bytes, randomBytes(1 + below(random, 1_300))])
    case 2:
      return randomBytes(below(random, 1_400))
    case 3: {
      const at = below(random, bytes.length)
      bytes.fill((bytes[at] ?? 0) ^ 0xa5, at, Math.min(bytes.length, at + 1 + below(random, 8)))
      return bytes
    }
    case 4: {
      // Header fields, as somebody would who knows the layout.
      const at = below(random, 24)
      bytes[at] = (bytes[at] ?? 0) + 1 + below(random, 255)
      return bytes
    }
    default: {
      const bit = below(random, bytes.length * 8)
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      return bytes
    }
  }
}

t.test('senders remembered are bounded: the one silent for longest goes', async (t) => {
  const net = new MemoryDatagrams()
  const b = station(net, 'b:1', 'bbbbbbbbbbbb', { sendersMax: 10 })
  let sealing: Sealing | undefined
  const opener = new Sealing({ node: 'bbbbbbbbbbbb', cluster, epoch: 1, keyring: () => firstRing, sendersMax: 10 })
  for (let n = 0; n < 1_000; n++) {
    sealing = new Sealing({ node: String(n).padStart(12, '0'), cluster, epoch: 1, keyring: () => firstRing })
    t.ok(opener.open(sealing.seal(Buffer.from('x')) ?? new Uint8Array()).ok)
  }
  t.equal(opener.senders, 10)
  await b.lane.close()
})

t.test(
  'rotation during a partition: no packet is lost to one missed rotation, and after two the ring is asked for',
  async (t) => {
    const { net, a, b } = pair()
    const exchange = (): [number, number] => {
      const before = [a.heard.length, b.heard.length] as const
      a.lane.send('b:1', Buffer.from('a'))
      b.lane.send('a:1', Buffer.from('b'))
      net.deliver()
      return [b.heard.length - before[1], a.heard.length - before[0]]
    }
    t.same(exchange(), [1, 1])
    // b is away; a's side rotates once: what was next is primary now, and b holds it.
    const once = rotateKeyring(firstRing, randomBytes(32), 12)
    a.ring = once
    t.same(exchange(), [1, 1], 'each opens the other’s key')
    const twice = rotateKeyring(once, randomBytes(32), 24)
    a.ring = twice
    t.same(exchange(), [0, 0], 'b’s ring is too old')
    t.same([drops(a), drops(b)], [{ 'unknown-key': 1 }, { 'unknown-key': 1 }])
    b.ring = twice
    t.same(exchange(), [1, 1])
  },
)

t.test('over UDP: sealed packets go to and fro, the port is refused when taken, and closing frees it', async (t) => {
  const open = async (node: string): Promise<DatagramLane> =>
    new DatagramLane(await UdpSocket.bind('127.0.0.1:0'), { node, cluster, epoch: 1, keyring: () => firstRing })
  const [a, b] = [await open('aaaaaaaaaaaa'), await open('bbbbbbbbbbbb')]
  t.teardown(() => Promise.all([a.close(), b.close()]))
  const answered = new Promise<Packet>((resolve) => a.onPacket(resolve))
  b.onPacket(({ from, payload }) => b.send(from, Buffer.concat([payload, Buffer.from('!')])))
  a.send(b.address, Buffer.from('ping'))
  const packet = await answered
  t.equal(text(packet.payload), 'ping!')
  t.equal(packet.sender, 'bbbbbbbbbbbb')
  await t.rejects(UdpSocket.bind(a.address), { code: 'ERR_SKEIN_PORT_IN_USE' })
  for (const none of ['', 'nowhere', '1.2.3.4:99999', '127.0.0.1:0']) t.notOk(b.send(none, Buffer.from('to nobody')))
  t.equal(b.counters.localFaults, 4, 'an address that is none costs a datagram and no more')
  const address = a.address
  await a.close()
  const again = await UdpSocket.bind(address)
  t.equal(again.address, address)
  await again.close()
})

t.test('over UDP: whatever a stranger sends to the port, nothing comes back', async (t) => {
  const node = 'bbbbbbbbbbbb'
  const lane = new DatagramLane(await UdpSocket.bind('127.0.0.1:0'), { node, cluster, epoch: 1, keyring: () => firstRing })
  t.teardown(() => lane.close())
  const stranger = createSocket('udp4')
  t.teardown(() => stranger.close())
  stranger.on('message', () => t.fail('it was answered'))
  const sealed = new Sealing({
    node: 'aaaaaaaaaaaa',
    cluster,
    epoch: 1,
    keyring: () => foundKeyring([randomBytes(32), randomBytes(32)], 0),
  })
  const sent = [
    Buffer.from('hello?'),
    Buffer.alloc(0),
    randomBytes(1_200),
    randomBytes(1_400),
    sealed.seal(Buffer.from('x')) as Uint8Array,
  ]
  const [host, port] = lane.address.split(':') as [string, string]
  for (const bytes of sent) await new Promise((resolve) => stranger.send(bytes, Number(port), host, resolve))
  const count = (): number => Object.values(lane.counters.dropped).reduce((sum, each) => sum + each, 0)
  while (count() < sent.length) await new Promise((resolve) => setImmediate(resolve))
  // Had it answered the last one, that would be here before the answer to a member.
  const member = new DatagramLane(await UdpSocket.bind('127.0.0.1:0'), {
    node: 'aaaaaaaaaaaa',
    cluster,
    epoch: 1,
    keyring: () => firstRing,
  })
  t.teardown(() => member.close())
  const answered = new Promise<Packet>((resolve) => member.onPacket(resolve))
  lane.onPacket(({ from, payload }) => lane.send(from, payload))
  member.send(lane.address, Buffer.from('ping'))
  t.equal(text((await answered).payload), 'ping')
})
