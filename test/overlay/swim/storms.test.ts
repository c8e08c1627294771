/** Much news at once, and the same news again. */
import t from 'tap'
import type { MemberRecord } from '../../../lib/overlay/swim/index.js'
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
