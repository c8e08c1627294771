/**
 * What the papers claim, as tests: SWIM (Das, Gupta, Motivala, DSN 2002) and Lifeguard (Dadgar, Phillips, Currey, arXiv 1707.00788).
 */
import t from 'tap'
import type { NodeId } from '../../lib/base/ids.js'
import {
  type MemberRecord,
  type Packet,
  resolveSwimOptions,
  suspicionBounds,
  transmissionsOf,
} from '../../lib/overlay/swim/index.js'
import { OverlaySim } from '../../lib/sim/overlay/index.js'
import { alive, Lonely, nodeId, of } from '../overlay/swim/lonely.js'

const options = resolveSwimOptions()

t.test('SWIM §3.1: a member pings one member in a period, and asks k others when it is not answered in time', async (t) => {
  const lonely = new Lonely(10)
  lonely.pass(1000)
  const one = new Lonely(10)
  let sent: Packet[] = []
  while (of(sent, 'ping').length === 0) sent = one.pass(1)
  t.equal(of(sent, 'ping').length, 1)
  const later = one.pass(options.pingTimeoutMaxMs)
  const asked = of(later, 'ping-req')
  t.equal(asked.length, 3)
  t.equal(new Set(asked.map(({ to }) => to)).size, 3, 'three different ones')
  t.ok(asked.every(({ message, to }) => message.target === sent[0]?.to && to !== sent[0]?.to))
})

t.test('SWIM §3.1: an answer in time ends the matter', async (t) => {
  const one = new Lonely(10)
  let pings: ReturnType<typeof of<'ping'>> = []
  while (pings.length === 0) pings = of(one.pass(1), 'ping')
  const [ping] = pings
  const coordinate = one.core.coordinate
  one.receive(Number(ping?.to), { type: 'ack', seq: ping?.message.seq ?? 0, digest: one.core.digest, coordinate })
  t.strictSame(of(one.pass(900), 'ping-req'), [])
})

t.test('SWIM §3.1: whoever is asked pings for the other and passes the answer on', async (t) => {
  const relay = new Lonely(5)
  const sent = relay.receive(2, { type: 'ping-req', seq: 77, target: nodeId(3), remainingMs: 500 })
  const [ping] = of(sent, 'ping')
  t.equal(ping?.to, nodeId(3))
  const answer = relay.receive(3, {
    type: 'ack',
    seq: ping?.message.seq ?? 0,
    digest: relay.core.digest,
    coordinate: relay.core.coordinate,
  })
  t.match(of(answer, 'heard'), [{ to: nodeId(2), message: { seq: 77 } }])
  t.strictSame(of(relay.pass(600), 'nack'), [], 'and says no nack any more')
})

t.test('SWIM §4.3: every member is probed within two rounds, whatever the order', async (t) => {
  const one = new Lonely(12)
  const answer = (packets: readonly Packet[]): NodeId[] =>
    of(packets, 'ping').map(({ to, message }) => {
      one.receive(Number(to), { type: 'ack', seq: message.seq, digest: one.core.digest, coordinate: one.core.coordinate })
      return to
    })
  const probed = new Set<NodeId>()
  for (let ms = 0; ms < 2 * 12 * 1000; ms++) for (const id of answer(one.pass(1))) probed.add(id)
  t.equal(probed.size, 11)
})

t.test('SWIM §3: the load of one member does not grow with the group, nor does the time of first detection', async (t) => {
  const cost = (members: number): number => {
    const sim = new OverlaySim({ members, seed: 1 })
    sim.run(20_000)
    return sim.sent.packets / members / 20
  }
  const [few, many] = [cost(10), cost(400)]
  t.ok(Math.abs(few - many) < 0.2, `${few} and ${many} packets a second`)
  t.ok(many <= 2.1, 'a ping and an ack')
})

t.test('SWIM §4.1: a rumour is told λ·log N times, and at least six', async (t) => {
  t.equal(transmissionsOf(3, options), 6)
  t.equal(transmissionsOf(100, options), 12)
  t.equal(transmissionsOf(10_000, options), 20)
})

t.test('SWIM §4.2: alive of a higher incarnation takes a suspicion back, of the same it does not', async (t) => {
  const one = new Lonely(6)
  const suspect: MemberRecord = {
    ...alive(3),
    state: 'suspect',
    accusations: [{ by: nodeId(2), saw: 'silent' }],
    profile: undefined,
  }
  one.receive(2, { type: 'gossip' }, [suspect])
  t.equal(one.core.member(nodeId(3))?.state, 'suspect')
  one.receive(2, { type: 'gossip' }, [{ ...alive(3), profile: undefined }])
  t.equal(one.core.member(nodeId(3))?.state, 'suspect')
  one.receive(2, { type: 'gossip' }, [{ ...alive(3), incarnation: 2, profile: undefined }])
  t.equal(one.core.member(nodeId(3))?.state, 'alive')
})

t.test('SWIM §4.2: dead is final for an incarnation, and only the member itself raises it', async (t) => {
  const one = new Lonely(6)
  const accusations = [2, 4].map((by) => ({ by: nodeId(by), saw: 'silent' }) as const)
  const dead: MemberRecord = { ...alive(3), state: 'dead', accusations, profile: undefined }
  one.receive(2, { type: 'gossip' }, [dead])
  t.equal(one.core.member(nodeId(3))?.state, 'dead')
  one.receive(2, { type: 'gossip' }, [{ ...alive(3), profile: undefined }])
  t.equal(one.core.member(nodeId(3))?.state, 'dead')
})

t.test('SWIM §4.2: a member that hears it is suspected raises its incarnation and says so', async (t) => {
  const one = new Lonely(6)
  const accusations = [{ by: nodeId(4), saw: 'silent' }] as const
  const sent = one.receive(2, { type: 'gossip' }, [{ ...alive(1), state: 'suspect', accusations, profile: undefined }])
  t.equal(one.core.record(nodeId(1))?.incarnation, 2)
  t.ok(
    sent.some(
      ({ to, records }) => to === nodeId(4) && records.some(({ id, incarnation }) => id === nodeId(1) && incarnation === 2),
    ),
  )
})

t.test('Lifeguard §IV-A: probes that fail make a member slower and more patient, probes that succeed less', async (t) => {
  const one = new Lonely(10)
  one.pass(5000)
  const score = one.core.healthScore
  t.ok(score > 0, 'nobody answered')
  const slow = of(one.pass(10_000), 'ping').filter(({ records }) => records.length === 0).length
  t.ok(slow < 10, `${slow} pings in ten seconds`)
})

t.test('Lifeguard §IV-A: a relay that hears nothing says so at 80 % of what the asker has left', async (t) => {
  const relay = new Lonely(5)
  relay.receive(2, { type: 'ping-req', seq: 9, target: nodeId(3), remainingMs: 500 })
  t.strictSame(of(relay.pass(399), 'nack'), [])
  t.match(of(relay.pass(2), 'nack'), [{ to: nodeId(2), message: { seq: 9 } }])
})

t.test('Lifeguard §IV-A: with all nacks in, a failed probe is not held against the prober', async (t) => {
  const one = new Lonely(10)
  let asked: ReturnType<typeof of<'ping-req'>> = []
  while (asked.length === 0) asked = of(one.pass(1), 'ping-req')
  for (const { to, message } of asked) one.receive(Number(to), { type: 'nack', seq: message.seq })
  one.pass(600)
  t.equal(one.core.healthScore, 0)
  t.equal(one.core.members().filter(({ state }) => state === 'suspect').length, 1)
})

t.test('Lifeguard §IV-B: independent accusers shorten a suspicion from β·α·log N to α·log N periods', async (t) => {
  const { minMs, maxMs } = suspicionBounds(100, options)
  t.same([minMs, maxMs], [4000, 24_000])
  const tookMs = (accusers: number): number => {
    const one = new Lonely(100, resolveSwimOptions({ lanes: 'stream' }))
    const accusations = Array.from({ length: accusers }, (_, at) => ({ by: nodeId(50 + at), saw: 'silent' }) as const)
    one.receive(50, { type: 'gossip' }, [{ ...alive(20), state: 'suspect', accusations, profile: undefined }])
    for (let ms = 0; ms < 30_000; ms += 100) {
      one.pass(100)
      if (one.core.member(nodeId(20))?.state === 'dead') return ms + 100
    }
    return Number.POSITIVE_INFINITY
  }
  t.equal(tookMs(4), minMs)
  t.equal(tookMs(1), maxMs)
  t.ok(tookMs(2) < maxMs && tookMs(2) > tookMs(3))
})

t.test('Lifeguard §IV-C: who pings a suspect tells it so', async (t) => {
  const one = new Lonely(3)
  one.receive(2, { type: 'gossip' }, [
    { ...alive(3), state: 'suspect', accusations: [{ by: nodeId(2), saw: 'silent' }], profile: undefined },
  ])
  const told = of(one.pass(3000), 'ping').filter(({ to }) => to === nodeId(3))
  t.ok(told.length > 0 && told.every(({ records }) => records.some(({ id, state }) => id === nodeId(3) && state !== 'alive')))
  const answer = one.receive(3, { type: 'ping', seq: 1, digest: one.core.digest })
  t.match(of(answer, 'ack')[0]?.records[0], { id: nodeId(3) }, 'and so does who answers it')
})
