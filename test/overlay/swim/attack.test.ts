/**
 * What a member with a key that was stolen may say of others, and what comes of it: never the end of a process, never memory without
 * end, and nothing that honest members do not get over. Packets go through their bytes.
 */
import t from 'tap'
import type { NodeId } from '../../../lib/base/ids.js'
import { below, pick, type Random, seededRandom } from '../../../lib/base/random.js'
import { coordinateMaxMs, moved, origin } from '../../../lib/overlay/swim/coordinate.js'
import {
  type MemberRecord,
  type Packet,
  resolveSwimOptions,
  SwimCore,
  type SwimMessage,
} from '../../../lib/overlay/swim/index.js'
import { numberMax } from '../../../lib/overlay/swim/member.js'
import { decodePacket, encodePacket } from '../../../lib/overlay/swim/swim-codec.js'
import { OverlaySim } from '../../../lib/sim/overlay/index.js'
import { alive, Lonely, nodeId, of } from './lonely.js'

const idOf = (number: number): NodeId => `m${String(number).padStart(11, '0')}` as NodeId
const [victim, thief] = [idOf(0), idOf(1)]

function record(id: NodeId, more: Partial<MemberRecord> = {}): MemberRecord {
  const profile = { version: 1, address: '10.0.0.9:7946', lanes: 'both', meta: new Uint8Array(0) } as const
  return { id, epoch: 1, incarnation: 1, state: 'alive', profileVersion: 1, profile, accusations: [], ...more }
}

function packet(to: NodeId, message: SwimMessage, records: readonly MemberRecord[] = []): Packet {
  return { to, from: thief, epoch: 1, incarnation: 1, message, records }
}

/** A member that knows the thief; what it sends goes through its bytes. */
function target() {
  const core = new SwimCore({
    id: victim,
    epoch: 1,
    address: '10.0.0.1:7946',
    options: resolveSwimOptions(),
    random: seededRandom(1),
  })
  let nowMs = 0
  const sent: Packet[] = []
  const carry = (effects: ReturnType<SwimCore['tick']>): void => {
    for (const effect of effects) if (effect.type === 'send') sent.push(decodePacket(encodePacket(effect.packet)))
  }
  carry(core.start(nowMs))
  carry(core.evidence(nowMs, thief, 'linked'))
  const hear = (message: SwimMessage, records: readonly MemberRecord[] = []): void =>
    carry(core.receive(nowMs, decodePacket(encodePacket(packet(victim, message, records))), 'link'))
  hear({ type: 'gossip' }, [record(thief)])
  return {
    core,
    sent,
    hear,
    /** Every timer on the way runs. */
    run(forMs: number): void {
      const endMs = nowMs + forMs
      while (core.wakeAtMs <= endMs) {
        nowMs = Math.max(nowMs, core.wakeAtMs)
        carry(core.tick(nowMs))
      }
      nowMs = endMs
    },
  }
}

t.test('numbers at their end, said of a member, end no process: it begins them anew with a later start', async (t) => {
  for (const said of [
    { incarnation: numberMax, state: 'suspect' },
    { incarnation: numberMax, profileVersion: numberMax },
  ] as const) {
    const { core, hear, run, sent } = target()
    hear({ type: 'gossip' }, [record(victim, { ...said, profile: undefined })])
    run(3_000)
    t.match(core.member(victim), { epoch: 2, incarnation: 1, state: 'alive', address: '10.0.0.1:7946' })
    t.ok(
      sent.some(({ epoch }) => epoch === 2),
      'and says so',
    )
  }
  const { core, hear, run } = target()
  hear({ type: 'gossip' }, [record(victim, { epoch: numberMax })])
  run(3_000)
  t.equal(core.member(victim)?.epoch, 1, 'past the last one there is none')
})

t.test('who is said over and over to have started again goes on, and answers once a second', async (t) => {
  const { core, hear, run } = target()
  for (let round = 0; round < 100; round++) {
    hear({ type: 'gossip' }, [record(victim, { epoch: 1_000 + round * 10 })])
    run(100)
  }
  const { epoch = 0, state } = core.member(victim) ?? {}
  t.equal(state, 'alive')
  t.ok(epoch > 1_000 && epoch % 10 === 1, `epoch ${epoch}: one above what was said`)
})

t.test('a forged address does not stick: its owner says again where it is', async (t) => {
  const sim = new OverlaySim({ members: 12, seed: 1 })
  sim.run(2_000)
  const before = sim.core(0).member(sim.idOf(5))?.address
  const known = sim.core(0).record(sim.idOf(5)) as MemberRecord
  const forged = {
    ...known,
    profileVersion: 900,
    profile: { version: 900, address: '6.6.6.6:1', lanes: 'both', meta: new Uint8Array(0) },
  }
  for (const index of [0, 3, 8]) {
    const told = { ...packet(sim.idOf(index), { type: 'gossip' }, [forged as MemberRecord]), from: sim.idOf(1) }
    sim.command(index, (core, nowMs) => core.receive(nowMs, told, 'datagram'))
  }
  t.equal(sim.core(0).member(sim.idOf(5))?.address, '6.6.6.6:1', 'believed at first')
  sim.run(15_000)
  for (const index of sim.live()) t.equal(sim.core(index).member(sim.idOf(5))?.address, before)
  t.ok(sim.isConverged)
})

t.test('members that were made up are bounded in number', async (t) => {
  const { core, hear } = target()
  for (let from = 2; from < 40_000; from += 500) {
    const records = Array.from({ length: 500 }, (_each, at) => record(idOf(from + at), { profile: undefined }))
    hear({ type: 'share' }, records)
  }
  t.equal(core.members().length, 32_768)
})

t.test('asked ten thousand times for one member in one packet, it answers once', async (t) => {
  const { hear, sent } = target()
  const before = sent.length
  hear({ type: 'pull', ids: new Array<NodeId>(7_000).fill(victim) })
  const shared = sent.slice(before).flatMap(({ records }) => records)
  t.equal(shared.length, 1)
})

t.test('far-off coordinates are refused, and no number of them moves us where our own would be', async (t) => {
  const ack = (value: number): SwimMessage => ({
    type: 'ack',
    seq: 1,
    digest: 0,
    coordinate: { position: new Array<number>(8).fill(value), heightMs: 0, error: 0 },
  })
  t.throws(() => decodePacket(encodePacket(packet(victim, ack(3e38)))), { code: 'ERR_SKEIN_BAD_MESSAGE' })
  const random = seededRandom(2)
  let own = origin
  for (let round = 0; round < 10_000; round++) {
    const edge = random() < 0.5 ? coordinateMaxMs : -coordinateMaxMs
    own = moved(
      own,
      { position: new Array<number>(8).fill(edge), heightMs: coordinateMaxMs, error: 0 },
      random() * 60_000,
      random,
    )
  }
  const said = { type: 'ack', seq: 1, digest: 0, coordinate: own } as const
  t.doesNotThrow(() => decodePacket(encodePacket(packet(victim, said))))
})

t.test('an address that is none is refused with its packet', async (t) => {
  for (const address of [' ', 'nowhere', 'a b:1', '127.0.0.1:99999', 'http://x:1']) {
    const { profile } = record(thief)
    const bytes = encodePacket(packet(victim, { type: 'gossip' }, [record(thief, { profile: { ...profile, address } as never })]))
    t.throws(() => decodePacket(bytes), { code: 'ERR_SKEIN_BAD_MESSAGE' }, address)
  }
})

t.test('an address that is no text is refused with its packet: passed on it would be longer than may be read', async (t) => {
  const { profile } = record(thief)
  const address = `${'x'.repeat(200)}:1`
  const bytes = Buffer.from(
    encodePacket(packet(victim, { type: 'gossip' }, [record(thief, { profile: { ...profile, address } as never })])),
  )
  t.doesNotThrow(() => decodePacket(bytes))
  bytes.fill(0xff, bytes.indexOf(address), bytes.indexOf(address) + 200)
  t.throws(() => decodePacket(bytes), { code: 'ERR_SKEIN_BAD_MESSAGE' })
})

t.test('what nobody asked for, and more than was asked for, is not looked into', async (t) => {
  const size = 1_000
  const one = new Lonely(size)
  const all = { type: 'briefs', count: 1, buckets: [0], briefs: [] } as const
  const given = (): number => of(one.receive(2, all), 'share').flatMap(({ records }) => records).length
  t.equal(given(), 0)
  one.ask(2)
  t.equal(given(), size, 'once for each time it was asked')
  t.equal(given(), 0)
  one.ask(2)
  one.pass(11_000)
  t.equal(given(), 0, 'and not much later')
})

t.test('pings that show nothing but that they differ are not answered with old news for ever', async (t) => {
  const one = new Lonely(20)
  const told = (): number => {
    let records = 0
    for (let seq = 0; seq < 100; seq++)
      for (const sent of of(one.receive(3, { type: 'ping', seq, digest: 1 }), 'gossip')) records += sent.records.length
    return records
  }
  t.equal(told(), 0)
  one.receive(2, { type: 'gossip' }, [{ ...alive(7), incarnation: 2 }])
  one.pass(5_000)
  t.ok(told() > 0, 'who may have missed the last news is told')
  // Nobody answers, so there is more news for a while.
  one.pass(900_000)
  t.equal(told(), 0)
})

t.test('packets of members that nobody knows leave nothing behind', async (t) => {
  const one = new Lonely(3)
  one.receive(99, { type: 'nack', seq: 1 })
  t.equal(one.core.heardMs(nodeId(99)), undefined)
  one.receive(2, { type: 'nack', seq: 1 })
  t.equal(one.core.heardMs(nodeId(2)), 0)
})

t.test('what a member changes of itself is heard also where a lie has used its numbers up', async (t) => {
  const { core, hear, run, sent } = target()
  hear({ type: 'gossip' }, [record(victim, { incarnation: numberMax - 1, state: 'suspect', profile: undefined })])
  run(1_000)
  t.match(core.member(victim), { epoch: 1, incarnation: numberMax })
  core.update(10_000, { meta: new Uint8Array([7]) })
  t.match(core.member(victim), { epoch: 2, incarnation: 1, meta: new Uint8Array([7]) })
  const before = sent.length
  run(15_000)
  t.ok(
    sent
      .slice(before)
      .some(({ records }) => records.some(({ id, epoch, profile }) => id === victim && epoch === 2 && profile?.meta[0] === 7)),
  )
})

t.test('a liar with the testimony of others kills nobody for long: all are alive again when it falls silent', async (t) => {
  const sim = new OverlaySim({ members: 16, seed: 3 })
  sim.run(2_000)
  const liar = 4
  for (let round = 0; round < 30; round++) {
    for (const index of sim.live()) {
      if (index === liar) continue
      const lies = sim
        .live()
        .filter((each) => each !== liar && each !== index)
        .map((each): MemberRecord => {
          const accusations = [1, 2].map((step) => ({ by: sim.idOf((each + step) % 16), saw: 'refused' }) as const)
          return { ...(sim.core(index).record(sim.idOf(each)) as MemberRecord), state: 'dead', accusations, profile: undefined }
        })
      const told = { ...packet(sim.idOf(index), { type: 'gossip' }, lies), from: sim.idOf(liar) }
      sim.command(index, (core, nowMs) => core.receive(nowMs, told, 'link'))
    }
    sim.run(1_000)
  }
  t.ok(
    sim.runUntil(() => sim.isConverged && sim.core(0).hereCount === 16, 30_000),
    'all are together again',
  )
})

/** A well-formed packet of any kind, its numbers at their edges. */
function wild(random: Random): Packet {
  const number = (): number => pick(random, [0, 1, 2, 3, 7, 100, 0xffff, 2 ** 31, numberMax - 1, numberMax]) as number
  const id = (): NodeId => idOf(below(random, 12))
  const some = <T>(make: () => T): T[] => Array.from({ length: below(random, 6) }, make)
  const brief = () => ({
    id: id(),
    epoch: Math.max(1, number()),
    incarnation: Math.max(1, number()),
    state: pick(random, ['alive', 'suspect', 'dead', 'left'] as const) as MemberRecord['state'],
    profileVersion: number(),
  })
  const whole = (): MemberRecord => {
    const said = brief()
    const accusations = some(() => ({
      by: id(),
      saw: pick(random, ['silent', 'accepting', 'refused'] as const) as 'silent',
    })).slice(0, 5)
    const profile = { version: said.profileVersion, address: '10.9.9.9:1', lanes: 'stream', meta: new Uint8Array(9) } as const
    return { ...said, accusations, profile: random() < 0.5 ? profile : undefined }
  }
  const edge = (): number => (random() - 0.5) * 2 * coordinateMaxMs
  const coordinate = { position: Array.from({ length: 8 }, edge), heightMs: Math.abs(edge()), error: random() * 3 }
  const messages: readonly SwimMessage[] = [
    { type: 'ping', seq: number(), digest: number() },
    { type: 'ack', seq: number(), digest: number(), coordinate },
    { type: 'ping-req', seq: number(), target: id(), remainingMs: below(random, 65_536) },
    { type: 'heard', seq: number() },
    { type: 'nack', seq: number() },
    { type: 'gossip' },
    { type: 'share' },
    { type: 'sync', buckets: Uint32Array.from({ length: 2 ** below(random, 9) }, number) },
    { type: 'briefs', count: 16, buckets: some(() => below(random, 16)), briefs: some(brief) },
    { type: 'pull', ids: some(id) },
  ]
  return {
    to: victim,
    from: random() < 0.7 ? thief : id(),
    epoch: Math.max(1, number()),
    incarnation: Math.max(1, number()),
    message: pick(random, messages) as SwimMessage,
    records: some(whole),
  }
}

t.test('20,000 packets of nonsense in good form: a member goes on, and all it says can be read', async (t) => {
  const random = seededRandom(Number(process.env.SKEIN_FUZZ_SEED ?? 7))
  const options = resolveSwimOptions()
  let core = new SwimCore({ id: victim, epoch: 1, address: '10.0.0.1:7946', options, random })
  let nowMs = 0
  const carry = (effects: ReturnType<SwimCore['tick']>): void => {
    for (const effect of effects) if (effect.type === 'send') decodePacket(encodePacket(effect.packet))
  }
  carry(core.start(nowMs))
  for (let round = 0; round < 20_000; round++) {
    nowMs += below(random, 50)
    carry(core.receive(nowMs, decodePacket(encodePacket(wild(random))), random() < 0.5 ? 'link' : 'datagram'))
    if (random() < 0.2)
      carry(
        core.evidence(
          nowMs,
          idOf(below(random, 12)),
          pick(random, ['linked', 'dialled', 'reset', 'refused', 'silent', 'accepting'] as const) as 'linked',
        ),
      )
    if (core.wakeAtMs <= nowMs) carry(core.tick(nowMs))
    if (round % 500 !== 499) continue
    t.equal(core.member(victim)?.state, 'alive')
    t.ok(core.members().length <= 12)
    core = new SwimCore({ id: victim, epoch: 1, address: '10.0.0.1:7946', options, random })
    carry(core.start(nowMs))
  }
})
