/** The dead and the left: remembered for a while against late rumours, then forgotten by all. */
import t from 'tap'
import { resolveSwimOptions } from '../../../lib/overlay/swim/index.js'
import { OverlaySim } from '../../../lib/sim/overlay/index.js'
import { alive, Lonely, nodeId, of } from './lonely.js'

t.test('who forgets somebody gone is not given it back by those who still remember, whenever each was started', async (t) => {
  const sim = new OverlaySim({ members: 6, seed: 21, swim: { tombstoneMs: 40_000 } })
  const others = [0, 1, 2, 3, 4]
  // Each looks through what it keeps in a rhythm of its own.
  for (const index of others) {
    sim.run(5_000)
    sim.restart(index)
  }
  sim.run(5_000)
  sim.kill(5)
  const knows = (index: number): boolean => sim.core(index).member(sim.idOf(5)) !== undefined
  const isDead = (): boolean => others.every((index) => sim.core(index).member(sim.idOf(5))?.state === 'dead')
  t.ok(sim.runUntil(isDead, 5_000))
  sim.run(35_000)
  t.ok(isDead(), 'remembered as long as a late word could bring it back')
  t.ok(
    sim.runUntil(() => others.filter(knows).length === 2, 40_000),
    'forgotten by one after the other',
  )
  // News of somebody else makes them compare what they hold.
  sim.command(0, (core, nowMs) => core.update(nowMs, { meta: new Uint8Array([1]) }))
  t.ok(
    sim.runUntil(() => !others.some(knows), 35_000),
    'and by all',
  )
  t.equal(new Set(others.map((index) => sim.core(index).digest)).size, 1)
})

t.test(
  'comparing tables tells of a death to who holds the dead to be here, and of nobody gone to who never knew it',
  async (t) => {
    const one = new Lonely(4, resolveSwimOptions(), [{ ...alive(3), state: 'dead' }])
    const briefs = [
      alive(1),
      alive(2),
      { ...alive(4), state: 'dead' as const },
      { ...alive(5), state: 'left' as const },
      alive(6),
    ]
    one.ask(2)
    const sent = one.receive(2, { type: 'briefs', count: 1, buckets: [0], briefs })
    t.strictSame(
      of(sent, 'pull').flatMap(({ message }) => message.ids),
      [nodeId(4), nodeId(6)],
      'asked for: who died unheard of, and who came',
    )
    t.strictSame(of(sent, 'share'), [], 'nothing given: whom they lack is gone')
  },
)

t.test('tables that differ in the dead alone are the same', async (t) => {
  const [one, other] = [new Lonely(4), new Lonely(4, resolveSwimOptions(), [{ ...alive(9), state: 'dead' }])]
  t.equal(one.core.digest, other.core.digest)
  t.equal(other.core.knownCount, one.core.knownCount + 1)
  t.strictSame(of(one.receive(2, { type: 'ping', seq: 1, digest: other.core.digest }), 'sync'), [])
})

t.test('the dead of a former life are forgotten too', async (t) => {
  const one = new Lonely(10, resolveSwimOptions({ tombstoneMs: 5_000 }), [
    { ...alive(5), state: 'dead' },
    { ...alive(6), state: 'left' },
  ])
  one.pass(4_900)
  t.equal(one.stateOf(5), 'dead')
  one.receive(7, { type: 'gossip' }, [{ ...alive(6), epoch: 2 }])
  one.pass(200)
  t.equal(one.stateOf(5), undefined)
  t.not(one.stateOf(6), undefined, 'who started again is here')
})
