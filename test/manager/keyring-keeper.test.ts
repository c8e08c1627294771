import t from 'tap'
import { silentLogger } from '../../lib/base/logger.js'
import { KeyringKeeper } from '../../lib/manager/keyring-keeper.js'
import { rotationPeriodMs } from '../../lib/model/keyring.js'
import type { Store } from '../../lib/store/index.js'
import { ManualClock } from '../../lib/testing/manual-clock.js'

type Follow = Parameters<Store['onChange']>[0]

/** A keeper on a record that says when the next rotation is due; `fail` makes the next ones fail. */
function world() {
  const clock = new ManualClock()
  const rotations: number[] = []
  const followers = new Set<Follow>()
  const state = { dueAtMs: 0, failures: 0, isFounded: true }
  const desk = {
    get rotationDueInMs() {
      return Math.max(0, state.dueAtMs - clock.now())
    },
    rotateKeyring: async () => {
      if (state.failures-- > 0) throw new Error('no quorum')
      rotations.push(clock.now())
      state.dueAtMs = clock.now() + rotationPeriodMs
    },
  }
  const store = {
    view: () => ({ cluster: state.isFounded ? {} : undefined }) as unknown as ReturnType<Store['view']>,
    onChange: (follow: Follow) => {
      followers.add(follow)
      return () => followers.delete(follow)
    },
  }
  const keeper = new KeyringKeeper({ store, desk, clock, logger: silentLogger })
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms)
    await turn()
  }
  const changed = async (): Promise<void> => {
    for (const follow of followers) follow([], 1)
    await turn()
  }
  return { clock, rotations, state, keeper, pass, changed, turn, followers }
}

t.test('a leader makes the first keys at once, and the next every twelve hours', async (t) => {
  const { keeper, rotations, pass, turn, clock, followers } = world()
  keeper.start()
  await turn()
  t.same(rotations, [0])
  await pass(rotationPeriodMs - 1)
  t.same(rotations, [0])
  await pass(1)
  t.same(rotations, [0, rotationPeriodMs])
  await keeper.stop()
  t.equal(clock.pending, 0)
  t.equal(followers.size, 0)
})

t.test('a leader that comes after another goes on with its keys, and one without a record waits for it', async (t) => {
  const { keeper, rotations, state, pass, changed, turn } = world()
  Object.assign(state, { isFounded: false, dueAtMs: 5_000 })
  keeper.start()
  await turn()
  state.isFounded = true
  await changed()
  t.same(rotations, [])
  await pass(5_000)
  t.same(rotations, [5_000])
  await keeper.stop()
})

t.test('what could not be recorded is tried again, once', async (t) => {
  const { keeper, rotations, state, pass, changed, turn } = world()
  state.failures = 2
  keeper.start()
  await turn()
  await pass(5_000)
  t.same(rotations, [])
  await pass(5_000)
  t.equal(rotations.length, 1)
  await changed()
  await pass(60_000)
  t.equal(rotations.length, 1)
  await keeper.stop()
})
