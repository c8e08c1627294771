/** Much at once: news, the same news again, questions, and members that do not answer. */
import t from 'tap'
import type { NodeId } from '../../../lib/base/ids.js'
import { seededRandom } from '../../../lib/base/random.js'
import {
  type MemberRecord,
  type Packet,
  packetBytes,
  Roster,
  resolveSwimOptions,
  SwimCore,
} from '../../../lib/overlay/swim/index.js'
import { OverlaySim } from '../../../lib/sim/overlay/index.js'
import { alive, Lonely, nodeId, of, suspect } from './lonely.js'

t.test(
  'consul#9927, #14200: of thousands of deaths at once no more is kept than the bound, all is told by and by, and a leave goes first',
  async (t) => {
    const size = 3_000
    const one = new Lonely(size)
    for (let from = 21; from <= size; from += 20) {
      const dead = Array.from(
        { length: Math.min(20, size + 1 - from) },
        (_, at): MemberRecord => ({ ...suspect(from + at, 'silent', 3, 4), state: 'dead' }),
      )
      one.receive(2, { type: 'gossip' }, dead)
    }
    t.equal(one.core.members().filter(({ state }) => state === 'dead').length, size - 20)
    t.equal(one.core.load.rumours, 2_048)
    one.receive(3, { type: 'gossip' }, [{ ...alive(5), incarnation: 2, state: 'left', profile: undefined }])
    const next = of(one.pass(250), 'gossip')
    t.ok(
      next.some(({ records }) => records.some(({ id, state }) => id === nodeId(5) && state === 'left')),
      'before thousands that came earlier',
    )
    one.pass(60_000)
    t.equal(one.core.load.rumours, 0)
  },
)

t.test(
  'serf#606, consul#8343: a farewell that comes again, and a second one of the same member, set nobody in motion for long',
  async (t) => {
    const sim = new OverlaySim({ members: 30, seed: 2 })
    sim.run(2_000)
    const rumours = (): number => sim.live().reduce((sum, index) => sum + sim.core(index).load.rumours, 0)
    sim.command(3, (core, nowMs) => core.leave(nowMs))
    sim.run(1_000)
    sim.kill(3)
    sim.run(10_000)
    t.equal(rumours(), 0, 'it has gone round')
    const farewell = sim.core(0).record(sim.idOf(3)) as MemberRecord
    t.equal(farewell.state, 'left')
    const tellAll = (record: MemberRecord): void => {
      for (const index of sim.live()) {
        const packet = {
          to: sim.idOf(index),
          from: sim.idOf(index === 0 ? 1 : 0),
          epoch: 1,
          incarnation: 1,
          message: { type: 'gossip' },
          records: [record],
        } as const
        sim.command(index, (core, nowMs) => core.receive(nowMs, packet, 'datagram'))
      }
    }
    tellAll(farewell)
    t.equal(rumours(), 0, 'the same again is no news')
    tellAll({ ...farewell, incarnation: farewell.incarnation + 1 })
    t.equal(rumours(), 29, 'another one is, once')
    sim.run(10_000)
    t.equal(rumours(), 0)
  },
)

t.test('serf#78: rumours do not pile up where there is nobody to tell', async (t) => {
  const sim = new OverlaySim({ members: 1, seed: 12 })
  for (let round = 0; round < 50; round++) {
    sim.command(0, (core, nowMs) => core.update(nowMs, { meta: Buffer.from(String(round)) }))
    sim.run(500)
  }
  t.equal(sim.core(0).load.rumours, 0)
})

/** One member that knows 2,999 others, none of which is there. */
function crowd(): { readonly core: SwimCore; readonly idAt: (at: number) => NodeId } {
  const idAt = (at: number): NodeId => `m${String(at).padStart(11, '0')}` as NodeId
  const records = Array.from({ length: 3_000 }, (_, at): MemberRecord => {
    const profile = { version: 1, address: `10.0.${at >> 8}.${at & 255}:7946`, lanes: 'both', meta: new Uint8Array(0) } as const
    return { id: idAt(at), epoch: 1, incarnation: 1, state: 'alive', profileVersion: 1, profile, accusations: [] }
  })
  const [options, random, roster] = [resolveSwimOptions(), seededRandom(26), new Roster(records)]
  return { core: new SwimCore({ id: idAt(0), epoch: 1, address: '10.0.0.0:7946', options, random, roster }), idAt }
}

t.test(
  'memberlist#158: 3,000 members that ask for everything at once are answered by and by, and all of them in the end',
  async (t) => {
    const { core, idAt } = crowd()
    core.start(0)
    for (let at = 1; at < 3_000; at++) core.evidence(0, idAt(at), 'linked')
    /** Bytes of the answer. */
    const ask = (nowMs: number, at: number): number => {
      const message = { type: 'sync', buckets: new Uint32Array(256) } as const
      const packet = { to: idAt(0), from: idAt(at), epoch: 1, incarnation: 1, message, records: [] }
      const effects = core.receive(nowMs, packet, 'link')
      return effects.reduce((sum, effect) => sum + (effect.type === 'send' ? packetBytes(effect.packet) : 0), 0)
    }
    const whole = ask(0, 1)
    t.ok(whole > 3_000 * 21, 'an answer is everything')
    const open = new Set(Array.from({ length: 2_998 }, (_, at) => at + 2))
    const most = { bytes: 0 }
    let second = 0
    for (; open.size > 0 && second < 120; second++) {
      let bytes = 0
      for (const at of open) {
        const answer = ask(second * 1_000, at)
        bytes += answer
        if (answer >= whole / 2) open.delete(at)
      }
      most.bytes = Math.max(most.bytes, bytes)
    }
    t.ok(most.bytes < 0.06 * 3_000 * whole, `${most.bytes} bytes at once at most, of ${3_000 * whole} that were asked for`)
    t.equal(open.size, 0, `all were answered after ${second} s`)
    t.ok(core.leftOpen > 3_000)
  },
)

t.test('who asks for a little without end is given it, and takes nothing of what the others are answered from', async (t) => {
  const { core, idAt } = crowd()
  core.start(0)
  for (const at of [1, 2]) core.evidence(0, idAt(at), 'linked')
  const bytesOf = (effects: ReturnType<SwimCore['tick']>): number =>
    effects.reduce((sum, effect) => sum + (effect.type === 'send' ? packetBytes(effect.packet) : 0), 0)
  const hear = (nowMs: number, at: number, message: Packet['message']): number =>
    bytesOf(core.receive(nowMs, { to: idAt(0), from: idAt(at), epoch: 1, incarnation: 1, message, records: [] }, 'link'))
  const few = Array.from({ length: 8 }, (_, at) => idAt(at + 10))
  let given = 0
  for (let round = 0; round < 50_000; round++) given += hear(0, 1, { type: 'pull', ids: few })
  t.ok(given > 16 * 2 ** 20, 'that was much')
  const everything = { type: 'sync', buckets: new Uint32Array(256) } as const
  t.ok(hear(0, 2, everything) > 3_000 * 21, 'another one is answered at once')
})

t.test('dskit#192, #525: among 3,000 members of whom none answers, what is under way at once stays small', async (t) => {
  const { core } = crowd()
  const dials: number[] = []
  const [sent, seen]: [number[], string[]] = [[], []]
  const carry = (nowMs: number, effects: ReturnType<SwimCore['tick']>): void => {
    for (const effect of effects) {
      if (effect.type === 'send') sent.push(nowMs)
      else if (effect.type === 'event') seen.push(effect.event.type)
      else if (effect.type === 'triage') dials.push(nowMs + effect.timeoutMs)
    }
  }
  carry(0, core.start(0))
  const most = { dials: 0, sends: 0 }
  for (let nowMs = core.wakeAtMs; nowMs <= 300_000; nowMs = core.wakeAtMs) {
    carry(nowMs, core.tick(nowMs))
    while ((dials[0] ?? nowMs) < nowMs) dials.shift()
    while ((sent[0] ?? nowMs) < nowMs - 1_000) sent.shift()
    most.dials = Math.max(most.dials, dials.length)
    most.sends = Math.max(most.sends, sent.length)
  }
  t.ok(seen.includes('suspect'))
  t.ok(most.dials <= 64, `${most.dials} dials at once`)
  t.ok(most.sends <= 600, `${most.sends} packets within a second`)
})
