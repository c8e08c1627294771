/** A state machine of random joins, leaves, restarts, writes, deletions, partitions and time, after which everybody must agree. */
import fc from 'fast-check'
import t from 'tap'
import { GossipNet } from './gossip-net.js'

interface Truth {
  readonly rows: Map<string, string>
  epoch: number
  /** Numbers it takes when it has lost count: no number is ever used twice. */
  lostEpoch: number
  up: boolean
}

type Step =
  | { readonly act: 'write'; readonly node: number; readonly key: number; readonly value: number }
  | { readonly act: 'remove'; readonly node: number; readonly key: number }
  | { readonly act: 'join' | 'leave' | 'crash' | 'restart' | 'fail' | 'forget-epoch'; readonly node: number }
  | { readonly act: 'split'; readonly mask: number }
  | { readonly act: 'heal' }
  | { readonly act: 'lossy'; readonly percent: number }
  | { readonly act: 'run'; readonly ms: number }

const nodesMax = 6
const node = fc.integer({ min: 0, max: nodesMax - 1 })
const key = fc.integer({ min: 0, max: 7 })
const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ act: fc.constant('write' as const), node, key, value: fc.integer({ min: 0, max: 5 }) }) },
  { weight: 4, arbitrary: fc.record({ act: fc.constant('remove' as const), node, key }) },
  {
    weight: 2,
    arbitrary: fc.record({ act: fc.constantFrom('join', 'leave', 'crash', 'restart', 'fail', 'forget-epoch' as const), node }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ act: fc.constant('split' as const), mask: fc.integer({ min: 0, max: 2 ** nodesMax - 1 }) }),
  },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('heal' as const) }) },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('lossy' as const), percent: fc.constantFrom(0, 0, 30, 90) }) },
  // Short enough for partitions to be missed, long enough for tombstones (3 s here) to be forgotten meanwhile.
  { weight: 6, arbitrary: fc.record({ act: fc.constant('run' as const), ms: fc.constantFrom(100, 300, 1_000, 5_000) }) },
)

const idOf = (number: number): string => `node0000000${number}`

function play(steps: readonly Step[], seed: number): string | undefined {
  const net = new GossipNet(seed, { tombstoneMs: 3_000, hideMs: 60_000 })
  const truth = Array.from({ length: nodesMax }, (): Truth => ({ rows: new Map(), epoch: 1_000, lostEpoch: 1_000, up: false }))
  const start = (number: number, counts: 'on' | 'lost-count' = 'on'): void => {
    const its = truth[number] as Truth
    its.up = true
    its.rows.clear()
    net.start(idOf(number), counts === 'on' ? ++its.epoch : --its.lostEpoch)
  }
  for (const number of [0, 1, 2]) start(number)
  for (const step of steps) {
    switch (step.act) {
      case 'write':
        if (truth[step.node]?.up !== true) break
        net.write(idOf(step.node), `k${step.key}`, `v${step.value}`)
        truth[step.node]?.rows.set(`k${step.key}`, `v${step.value}`)
        break
      case 'remove':
        if (truth[step.node]?.up !== true) break
        net.remove(idOf(step.node), `k${step.key}`)
        truth[step.node]?.rows.delete(`k${step.key}`)
        break
      case 'join':
        if (truth[step.node]?.up === false) start(step.node)
        break
      case 'crash':
      case 'leave':
        if (truth[step.node]?.up !== true) break
        net.stop(idOf(step.node))
        ;(truth[step.node] as Truth).up = false
        for (const { space } of net.nodes.values())
          space.standing(idOf(step.node), step.act === 'leave' ? 'left' : 'failed', net.nowMs)
        break
      case 'restart':
        if (truth[step.node]?.up !== true) break
        net.stop(idOf(step.node))
        start(step.node)
        for (const { space } of net.nodes.values()) space.standing(idOf(step.node), 'alive', net.nowMs)
        break
      case 'forget-epoch':
        // Its disk is lost with the number of its starts, or its clock is set back: it comes back with a smaller number.
        if (truth[step.node]?.up !== true) break
        net.stop(idOf(step.node))
        start(step.node, 'lost-count')
        break
      case 'fail':
        for (const { space } of net.nodes.values()) space.standing(idOf(step.node), 'failed', net.nowMs)
        break
      case 'split':
        net.split(new Map(truth.map((_its, number) => [idOf(number), (step.mask >> number) & 1])))
        break
      case 'heal':
        net.heal()
        break
      case 'lossy':
        net.loses = () => net.random() * 100 < step.percent
        break
      default:
        net.run(step.ms)
    }
  }
  net.heal()
  net.loses = () => false
  for (const [number, its] of truth.entries()) {
    for (const { space } of net.nodes.values()) space.standing(idOf(number), its.up ? 'alive' : 'failed', net.nowMs)
  }
  net.run(15_000)
  const rows = truth.flatMap(({ rows, up }, number) =>
    up ? [...rows].map(([key, value]) => `${idOf(number)}/${key}=${value}`) : [],
  )
  const expected = rows.sort().join(' ')
  for (const id of net.nodes.keys()) {
    if (net.shown(id) !== expected) return `${id} shows ${net.shown(id)}, the owners wrote ${expected}`
    if (net.told(id) !== expected) return `${id}'s watchers were told ${net.told(id)}, the owners wrote ${expected}`
  }
  return undefined
}

/** Found by chance once: news passed on after its tombstone was forgotten hid the deletion for ever. */
const tombstoneForgottenBeforeItWasHeard: Step[] = [
  { act: 'write', node: 0, key: 7, value: 0 },
  { act: 'run', ms: 100 },
  { act: 'lossy', percent: 90 },
  { act: 'remove', node: 0, key: 7 },
  { act: 'write', node: 0, key: 0, value: 0 },
  { act: 'split', mask: 0 },
  { act: 'write', node: 0, key: 0, value: 0 },
  { act: 'run', ms: 5_000 },
]

t.test(
  'after any joins, leaves, restarts, writes, deletions, partitions and losses everybody shows what the owners wrote',
  async (t) => {
    fc.assert(
      fc.property(fc.array(stepArbitrary, { minLength: 5, maxLength: 60 }), fc.nat(), (steps, seed) => {
        const fault = play(steps, seed)
        if (fault !== undefined) throw new Error(fault)
      }),
      { numRuns: Number(process.env.SKEIN_RUNS ?? 300), examples: [[tombstoneForgottenBeforeItWasHeard, 0]] },
    )
    t.pass()
  },
)
