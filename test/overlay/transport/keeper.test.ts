import t from 'tap'
import { SkeinError } from '../../../lib/base/errors.js'
import { Keeper } from '../../../lib/overlay/transport/keeper.js'
import { resolveLinkOptions } from '../../../lib/overlay/transport/options.js'
import { ManualClock } from '../../../lib/testing/manual-clock.js'

const settled = () => new Promise((resolve) => setImmediate(resolve))

/** A keeper against a world in which dialling fails with `error`, or brings the link up when there is none. */
function world(error: () => SkeinError | undefined, random = () => 1) {
  const clock = new ManualClock()
  const dials: { readonly atMs: number; readonly address: string }[] = []
  const state = { up: false }
  // With chance at its upper end pauses are 100, 200, 400, … up to 1,000 ms.
  const options = resolveLinkOptions({ clock, random, redial: { firstMs: 100, maxMs: 1000 } })
  const keeper: Keeper = new Keeper('a:1', {
    options,
    dial: async (address) => {
      dials.push({ atMs: clock.now(), address })
      const failure = error()
      if (failure !== undefined) throw failure
      state.up = true
      keeper.linkUp()
    },
    isUp: () => state.up,
    missed: () => undefined,
  })
  const pass = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += 50) {
      await settled()
      clock.advance(50)
    }
    await settled()
  }
  const drop = () => {
    state.up = false
    keeper.linkDown()
  }
  return { clock, keeper, dials, pass, drop, times: () => dials.map(({ atMs }) => atMs) }
}

const refused = new SkeinError('ERR_SKEIN_UNREACHABLE', 'nobody', { address: 'a:1' })

t.test('pauses double up to their bound', async (t) => {
  const { keeper, pass, times, clock } = world(() => refused)
  keeper.start()
  await pass(4000)
  t.strictSame(times(), [0, 100, 300, 700, 1500, 2500, 3500])
  keeper.stop()
  t.equal(clock.pending, 0)
})

t.test('pauses are drawn by chance, so that many who lost the same peer do not come back at once', async (t) => {
  const dialled = await Promise.all(
    [0, 1].map(async (chance) => {
      const { keeper, pass, times } = world(
        () => refused,
        () => chance,
      )
      keeper.start()
      await pass(1400)
      keeper.stop()
      return times()
    }),
  )
  t.strictSame(dialled, [
    [0, 50, 150, 350, 750, 1250],
    [0, 100, 300, 700],
  ])
})

t.test('a refusal only an operator can lift is asked about no faster than the slowest redial', async (t) => {
  const { keeper, pass, times } = world(() => new SkeinError('ERR_SKEIN_REMOVED', 'removed', { node: 'x' }))
  keeper.start()
  await pass(2500)
  t.strictSame(times(), [0, 1000, 2000])
  keeper.stop()
})

t.test('while the link is up nothing is dialled; after a lasting link the pauses begin anew', async (t) => {
  let error: SkeinError | undefined = refused
  const { keeper, pass, times, drop } = world(() => error)
  keeper.start()
  await pass(1000)
  error = undefined
  await pass(5000)
  t.equal(times().at(-1), 1500)
  drop()
  await pass(200)
  t.equal(times().at(-1), 6100, 'the first pause again')
  drop()
  await pass(150)
  t.equal(times().at(-1), 6100, 'after a short link the pauses go on growing')
  await pass(50)
  t.equal(times().at(-1), 6400)
  keeper.stop()
})

t.test('a new address is dialled at once', async (t) => {
  const { keeper, pass, dials } = world(() => refused)
  keeper.start()
  await pass(2000)
  keeper.move('b:2')
  await pass(50)
  t.equal(dials.at(-1)?.address, 'b:2')
  keeper.stop()
})
