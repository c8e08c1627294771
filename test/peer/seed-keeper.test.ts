import t from 'tap'
import type { ManagerAddress } from '../../lib/api/session.js'
import { SkeinError } from '../../lib/base/errors.js'
import type { LinkPool } from '../../lib/overlay/transport/index.js'
import { SeedKeeper } from '../../lib/peer/seed-keeper.js'
import { Seeds } from '../../lib/peer/seeds.js'
import { ManualClock } from '../../lib/testing/manual-clock.js'

/** A worker's keeper with one name in its join string, and who answers where. */
function world(names: string[]) {
  const clock = new ManualClock()
  const here = new Map<string, { readonly node: string; readonly role: 'manager' | 'worker' }>()
  const linked = new Set<string>()
  const dialled: string[] = []
  let managers: readonly ManagerAddress[] = [{ node: 'ma', address: '10.0.0.1:7946' }]
  const pool = {
    link: (node: string) => (linked.has(node) ? {} : undefined),
    dial: async (address: string) => {
      dialled.push(address)
      const identity = here.get(address)
      if (identity === undefined) throw new SkeinError('ERR_SKEIN_UNREACHABLE', 'nobody', { address })
      return { identity }
    },
  } as unknown as LinkPool
  const keeper = new SeedKeeper({
    seeds: new Seeds(['managers.example:7946'], async () => [...names], clock),
    pool,
    clock,
    managers: () => managers,
    heard: (news) => {
      managers = news
    },
  })
  /** Time passes, and what it set going comes to its end. */
  const pass = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += 500) {
      clock.advance(500)
      for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
    }
  }
  return { keeper, clock, here, linked, dialled, pass, managers: () => managers }
}

t.test('a worker that lost every manager it knew finds them where the name of its join string leads now', async (t) => {
  const names = ['10.0.0.1']
  const { keeper, here, linked, dialled, pass, managers } = world(names)
  linked.add('ma')
  keeper.start()
  await pass(60_000)
  t.same(dialled, [], 'while it has a manager it asks nobody')
  linked.delete('ma')
  await pass(16_000)
  t.same(dialled, ['10.0.0.1:7946'], 'nobody is there any more')
  names.splice(0, 1, '10.0.0.8', '10.0.0.9')
  here.set('10.0.0.8:7946', { node: 'wb', role: 'worker' }).set('10.0.0.9:7946', { node: 'ma', role: 'manager' })
  await pass(31_000)
  t.same(managers(), [{ node: 'ma', address: '10.0.0.9:7946' }], 'the manager, and not the worker that answered first')
  keeper.stop()
})

t.test('once it has one it looks no further, and when it is stopped it looks no more', async (t) => {
  const names = ['10.0.0.1', '10.0.0.2', '10.0.0.3']
  const { keeper, clock, here, linked, dialled, pass, managers } = world(names)
  here.set('10.0.0.2:7946', { node: 'mb', role: 'manager' })
  const set = here.get.bind(here)
  here.get = (address) => {
    const found = set(address)
    if (found !== undefined) linked.add(found.node) // as the pool does that made this link
    return found
  }
  keeper.start()
  await pass(4_000)
  t.same(dialled, ['10.0.0.1:7946', '10.0.0.2:7946'])
  t.same(
    managers().map(({ node }) => node),
    ['ma', 'mb'],
  )
  linked.clear()
  keeper.stop()
  await pass(60_000)
  t.equal(dialled.length, 2)
  t.equal(clock.pending, 0)
})
