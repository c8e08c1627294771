import fc from 'fast-check'
import t from 'tap'
import type { NodeId } from '../../../lib/base/ids.js'
import type { Accusation, MemberRecord, Profile, SwimEvent } from '../../../lib/overlay/swim/index.js'
import { OverlaySim } from '../../../lib/sim/overlay/index.js'
import { RecordPool } from '../../../lib/sim/overlay/record-pool.js'

const ids = ['aaaaaaaaaaaa', 'bbbbbbbbbbbb'] as NodeId[]
const profiles = ['a:1', 'b:1'].map((address): Profile => ({ version: 1, address, lanes: 'both', meta: new Uint8Array() }))
const accusation: fc.Arbitrary<Accusation> = fc.record({
  by: fc.constantFrom(...ids),
  saw: fc.constantFrom('silent', 'refused'),
})
const record: fc.Arbitrary<MemberRecord> = fc.record({
  id: fc.constantFrom(...ids),
  epoch: fc.integer({ min: 1, max: 2 }),
  incarnation: fc.integer({ min: 1, max: 2 }),
  state: fc.constantFrom('alive', 'suspect', 'dead'),
  profileVersion: fc.integer({ min: 1, max: 2 }),
  profile: fc.constantFrom(undefined, ...profiles),
  accusations: fc.array(accusation, { maxLength: 2 }),
})

t.test('what a pool gives says the same as what it was given, and gives it for a copy too', async (t) => {
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(fc.array(record, { minLength: 1, maxLength: 40 }), (records) => {
        const pool = new RecordPool(4)
        return records.every((given) => {
          const shared = pool.share(given)
          const copy = { ...given, accusations: given.accusations.map((each) => ({ ...each })) }
          const saysTheSame = JSON.stringify(shared) === JSON.stringify(copy) && shared.profile === given.profile
          return saysTheSame && pool.share(copy) === shared
        })
      }),
    ),
  )
})

t.test('members that know the same of a dead one hold it as one object', async (t) => {
  const sim = new OverlaySim({ members: 20, seed: 1 })
  const failed: SwimEvent[] = []
  sim.watch(({ event }) => {
    if (event.type === 'failed') failed.push(event)
  })
  sim.run(1500)
  sim.kill(0)
  t.ok(sim.runUntil(() => failed.length === 19, 5000))
  const held = Array.from({ length: 19 }, (_, at) => sim.core(at + 1).record(sim.idOf(0)))
  const words = new Map(held.map((one) => [JSON.stringify(one), one]))
  t.equal(new Set(held).size, words.size, 'as many objects as there are different words')
})
