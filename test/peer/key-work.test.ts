import t from 'tap'
import type { KeyRequest, RenewAnswer } from '../../lib/api/join.js'
import { deferred } from '../../lib/base/deferred.js'
import { SkeinError } from '../../lib/base/errors.js'
import { seededRandom } from '../../lib/base/random.js'
import type { Manager } from '../../lib/manager/index.js'
import type { LinkPool } from '../../lib/overlay/transport/index.js'
import { KeyWork } from '../../lib/peer/key-work.js'
import { OwnKeys } from '../../lib/peer/own-keys.js'
import { checkTime, issueFrom, type KeyPair, lifetimes, makeKeyPair, readCertificate } from '../../lib/security/index.js'
import { TestAuthority } from '../../lib/testing/test-authority.js'
import { SetClock } from '../base/set-clock.js'

const [hourMs, dayMs] = [3_600_000, 86_400_000]
const authority = await TestAuthority.make()
const startMs = Date.now()
const node = 'manager00001'

function issue(publicKey: Uint8Array, nowMs: number, lifeMs: number = lifetimes.nodeMs): Uint8Array {
  return issueFrom(
    authority.access,
    authority.world(nowMs),
    { cluster: authority.cluster, role: 'manager', id: node },
    publicKey,
    lifeMs,
  )
}

/** One manager of two. @param ageMs of the certificate it begins with, by its own clock. */
async function world(t: { teardown(act: () => unknown): void }, ageMs: number) {
  const clock = new SetClock({ wallStartMs: startMs })
  const keys = await makeKeyPair()
  const certificate = issue(keys.publicKey, startMs - ageMs)
  const { trust } = authority
  const own = new OwnKeys(
    { keys, certificate, trust, removed: [], demoted: [], dataKey: authority.dataKey, founding: undefined, meeting: undefined },
    undefined,
    clock,
  )
  const state = { leading: false, dials: 0, adopted: 0 }
  let news = deferred()
  const manager = {
    get leading() {
      return state.leading
    },
    desk: {
      stopgap: (_node: string, publicKey: Uint8Array, untilMs: number) =>
        issue(publicKey, clock.wallMs(), Math.max(lifetimes.stopgapMs, untilMs - clock.wallMs())),
    },
    joining: () => ({
      renew: async (_who: unknown, { publicKey }: KeyRequest): Promise<RenewAnswer> => {
        const answer = { trust, role: 'manager', raftId: 1, dataKey: authority.dataKey, was: 'manager' } as const
        return { ...answer, certificate: issue(publicKey, clock.wallMs()) }
      },
    }),
    newsWithin: async (_ms: number, signal?: AbortSignal) => {
      const over = deferred()
      signal?.addEventListener('abort', () => over.resolve(), { once: true })
      await Promise.race([news.promise, over.promise])
    },
  } as unknown as Manager
  const pool = {
    observe: () => () => undefined,
    link: () => undefined,
    // Nobody answers.
    dial: async (address: string, { deadlineMs, signal }: { deadlineMs: number; signal: AbortSignal }) => {
      state.dials++
      const over = deferred()
      const cancel = clock.after(deadlineMs, () => over.resolve())
      signal.addEventListener('abort', () => over.resolve(), { once: true })
      await over.promise
      cancel()
      if (signal.aborted) throw new SkeinError('ERR_SKEIN_ABORTED', 'dial: aborted', { what: 'dial' })
      throw new SkeinError('ERR_SKEIN_UNREACHABLE', 'nobody answers', { address })
    },
  } as unknown as LinkPool
  const none = (): void => undefined
  const stopping = new AbortController()
  const work = new KeyWork({
    own,
    pool,
    dir: undefined,
    clock,
    random: seededRandom(1),
    logger: { debug: none, info: none, warn: none, error: none },
    signal: stopping.signal,
    self: () => ({ node, address: 'here:1', role: 'manager' }),
    manager: () => manager,
    managers: () => [
      { node, address: 'here:1' },
      { node: 'manager00002', address: 'there:1' },
    ],
    managerLink: async () => {
      throw new Error('not asked for')
    },
    removed: none,
    renewed: async (next: KeyPair, answer: RenewAnswer) => {
      state.adopted++
      await own.certified(next, answer)
    },
  })
  t.teardown(async () => {
    stopping.abort()
    await work.stop()
  })
  work.keepCertificate()
  /** What others see: whether they would take it. */
  const isTaken = (byMs: number): boolean => {
    try {
      checkTime(readCertificate(own.credentials.state.own?.certificate ?? new Uint8Array()), byMs)
      return true
    } catch {
      return false // the only thing it throws for
    }
  }
  const until = async (holds: () => boolean): Promise<void> => {
    while (!holds()) await new Promise((resolve) => setImmediate(resolve))
  }
  const lead = (): void => {
    state.leading = true
    news.resolve()
    news = deferred()
  }
  return { clock, own, certificate, state, isTaken, until, lead }
}

t.test('a manager whose certificate begins in the future shows one of its own making, and asks for another', async (t) => {
  const { clock, state, isTaken, until, lead } = await world(t, -30 * dayMs)
  t.notOk(isTaken(startMs))
  clock.advance(1)
  await until(() => state.dials === 1)
  t.ok(isTaken(clock.wallMs()))
  lead()
  await until(() => state.adopted === 1)
  t.ok(isTaken(clock.wallMs() + 89 * dayMs), 'of a whole life')
})

t.test(
  'what a manager whose own clock is behind shows is taken by the others all along, and its own is back with the clock',
  async (t) => {
    const { clock, own, certificate, state, isTaken, until } = await world(t, dayMs)
    clock.aheadMs = -10 * dayMs
    clock.advance(hourMs)
    await until(() => state.dials === 1)
    const shown = (): Uint8Array | undefined => own.credentials.state.own?.certificate
    t.notSame(shown(), certificate, 'it cannot know which clock is wrong')
    t.ok(isTaken(startMs) && isTaken(clock.wallMs()) && isTaken(startMs + 80 * dayMs))
    t.equal(own.certificate, certificate, 'and nothing of it is kept')
    clock.aheadMs = 0
    // The one it asks does not answer, and is given up in time.
    for (let passed = 0; passed < 120_000 && shown() !== certificate; passed += 1_000) {
      clock.advance(1_000)
      for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
    }
    t.same(shown(), certificate)
  },
)

t.test('a manager that begins to lead while it asks another for its certificate makes it itself at once', async (t) => {
  const { clock, state, until, lead } = await world(t, 100 * dayMs)
  clock.advance(1)
  await until(() => state.dials === 1)
  t.equal(state.adopted, 0)
  const atMs = clock.now()
  lead()
  await until(() => state.adopted === 1)
  t.equal(clock.now(), atMs, 'no time has passed')
})
