import t from 'tap'
import { seededRandom } from '../../lib/base/random.js'
import { FoundingCore } from '../../lib/peer/founding-core.js'
import { type SimOptions, type SimResult, simulateFounding } from './founding-sim.js'

const chaos = { chaosMs: 40_000, endMs: 120_000 }

function run(o: Omit<SimOptions, 'seed'>, seeds: number): readonly (SimResult & { readonly seed: number })[] {
  return Array.from({ length: seeds }, (_, seed) => ({ seed, ...simulateFounding({ ...o, seed }) }))
}

t.test(
  'with loss, crashes, lost memories and cuts there is never a second cluster, and one as soon as all can talk',
  async (t) => {
    for (const expect of [1, 2, 3, 5]) {
      let crashes = 0
      for (const result of run({ ...chaos, processes: expect, expect, amnesias: expect - 1 }, 400)) {
        crashes += result.crashes
        const values = [...result.values]
        const isOne = values.length === 1 && values[0]?.members.length === expect
        const allKnow = result.decided.every((value) => value !== undefined && value.by === values[0]?.by)
        if (!isOne || !allKnow) t.fail(`seed ${result.seed}, ${expect} processes: ${JSON.stringify(result)}`)
      }
      t.ok(crashes > 400, `${expect} processes: ${crashes} crashes in 400 runs, always one cluster`)
    }
  },
)

t.test('with up to N - 1 more than expected there is still one cluster', async (t) => {
  for (const result of run({ ...chaos, processes: 5, expect: 3, amnesias: 0 }, 400)) {
    if (result.values.size !== 1 || result.decided.includes(undefined)) t.fail(`seed ${result.seed}: ${JSON.stringify(result)}`)
  }
  t.pass('60 runs')
})

t.test('two halves that are cut off from the beginning found nothing, neither of them', async (t) => {
  const halves = [
    [0, 1, 2],
    [3, 4],
  ]
  for (const { values, seed } of run({ ...chaos, endMs: 60_000, processes: 5, expect: 5, amnesias: 0, halves }, 30)) {
    if (values.size > 0) t.fail(`seed ${seed}`)
  }
  t.pass('30 runs')
})

t.test('this simulation finds a second cluster where there can be one: a majority of the expected would not do', async (t) => {
  const results = run({ ...chaos, processes: 5, expect: 2, amnesias: 4 }, 60)
  t.ok(results.some(({ values }) => values.size > 1))
})

t.test('what was chosen is what a restarted process says, and all it says', async (t) => {
  const value = { by: 'a', members: ['a'] }
  const memory = { promised: { round: 3, id: 'a' }, accepted: { ballot: { round: 3, id: 'a' }, value }, decided: true }
  const core = new FoundingCore({ id: 'b', name: 'b', address: 'b:1' }, 3, seededRandom(1), memory)
  t.same(core.tick(0), { outcome: { type: 'decided', value } })
  t.same(core.asked({ type: 'prepare', ballot: { round: 9, id: 'c' } }).answer, { type: 'decided', value })
})

t.test('a promise outlives a restart: a lower ballot is refused', async (t) => {
  const self = { id: 'b', name: 'b', address: 'b:1' }
  const first = new FoundingCore<string>(self, 2, seededRandom(1), undefined)
  const { memory } = first.asked({ type: 'prepare', ballot: { round: 2, id: 'c' } })
  const second = new FoundingCore<string>(self, 2, seededRandom(1), memory)
  t.match(second.asked({ type: 'accept', ballot: { round: 2, id: 'a' }, value: 'x' }).answer, { type: 'refused' })
  t.match(second.asked({ type: 'accept', ballot: { round: 2, id: 'c' }, value: 'x' }).answer, { type: 'accepted' })
  t.match(second.asked({ type: 'prepare', ballot: { round: 3, id: 'a' } }).answer, { accepted: { value: 'x' } })
})
