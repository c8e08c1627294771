import t from 'tap'
import type { RenewAnswer } from '../../lib/api/join.js'
import { CertificateKeeper } from '../../lib/peer/certificate-keeper.js'
import { issueFrom, type KeyPair, lifetimes } from '../../lib/security/index.js'
import { TestAuthority } from '../../lib/testing/test-authority.js'
import { SetClock } from '../base/set-clock.js'

const [hourMs, dayMs] = [3_600_000, 86_400_000]
const authority = await TestAuthority.make()
const startMs = Date.now()

/** One keeper and the leader that answers it, each with a clock of its own. @param ageMs of the certificate it begins with, by the keeper's clock. */
function world(t: { teardown(act: () => unknown): void }, ageMs: number) {
  const clock = new SetClock({ wallStartMs: startMs })
  const warnings: string[] = []
  const adopted: RenewAnswer[] = []
  const state = { leaderAheadMs: 0, asked: 0 }
  const credentials = authority.credentials('worker', 'member000001', { issuedMs: startMs - ageMs, wallMs: () => clock.wallMs() })
  const none = (): void => undefined
  const keeper = new CertificateKeeper({
    clock,
    random: () => 0,
    logger: { debug: none, info: none, error: none, warn: (about) => warnings.push(String((about as { error: string }).error)) },
    credentials,
    bridge: () => false,
    renew: async ({ publicKey }) => {
      state.asked++
      const leaderMs = startMs + clock.now() + state.leaderAheadMs
      const subject = { cluster: authority.cluster, role: 'worker', id: 'member000001' } as const
      const certificate = issueFrom(authority.access, authority.world(leaderMs), subject, publicKey, lifetimes.nodeMs)
      return { certificate, trust: authority.trust, role: 'worker', raftId: undefined, dataKey: undefined, was: 'worker' }
    },
    adopt: async (keys: KeyPair, answer) => {
      adopted.push(answer)
      credentials.replace({ own: { certificate: answer.certificate, keys } })
    },
  })
  t.teardown(() => keeper.stop())
  keeper.start()
  /** Time passes, and what it set going comes to its end. */
  const pass = async (ms: number, stepMs: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += stepMs) {
      clock.advance(stepMs)
      // Keys are made beside this thread; when all is done the next look is planned.
      while (clock.pending === 0) await new Promise((resolve) => setImmediate(resolve))
    }
  }
  return { clock, credentials, state, warnings, adopted, pass }
}

t.test('what a leader whose clock is ahead makes is not taken: the words name both clocks, and it is asked again', async (t) => {
  const { credentials, state, warnings, adopted, pass } = world(t, 45 * dayMs)
  const { certificate } = credentials
  state.leaderAheadMs = 30 * dayMs
  await pass(3 * hourMs, hourMs)
  t.equal(adopted.length, 0)
  t.equal(credentials.certificate, certificate, 'the one there is stays')
  t.ok(state.asked >= 3 && warnings.length === state.asked, `${state.asked} times`)
  const day = (atMs: number): string => new Date(atMs).toISOString().slice(0, 10)
  for (const words of warnings) {
    t.match(words, 'not-yet-valid')
    t.match(words, `a manager whose clock says ${day(startMs + 30 * dayMs)}`)
    t.match(words, `this machine’s clock says ${day(startMs)}`)
    t.match(words, 'set right')
  }

  t.test('the clock is put right: the next answer is taken', async (t) => {
    state.leaderAheadMs = 0
    await pass(hourMs, hourMs)
    t.equal(adopted.length, 1)
    await pass(2 * dayMs, hourMs)
    t.equal(adopted.length, 1, 'and that is all')
  })
})

t.test('with an own clock that is behind nothing is taken either, and everything is well when it is put right', async (t) => {
  const { clock, state, warnings, adopted, pass } = world(t, 60 * dayMs)
  clock.aheadMs = -10 * dayMs
  await pass(3 * hourMs, hourMs)
  t.equal(adopted.length, 0)
  t.ok(warnings.length >= 3)
  clock.aheadMs = 0
  await pass(hourMs, hourMs)
  t.equal(adopted.length, 1)
  t.equal(state.asked, warnings.length + 1)
})

t.test('an answer that has ended already by the own clock is not taken', async (t) => {
  const { state, warnings, adopted, pass } = world(t, 45 * dayMs)
  state.leaderAheadMs = -91 * dayMs
  await pass(hourMs, hourMs)
  t.equal(adopted.length, 0)
  t.match(warnings[0], 'expired')
})

t.test('a certificate that begins in the future is due: it was made while a clock was ahead, and nobody takes it', async (t) => {
  for (const aheadMs of [2 * dayMs, 30 * dayMs]) {
    const { adopted, pass } = world(t, -aheadMs)
    await pass(1, 1)
    t.equal(adopted.length, 1)
  }
  const { adopted, pass } = world(t, -2 * hourMs)
  await pass(dayMs, hourMs)
  t.equal(adopted.length, 0, 'clocks may differ by hours')
})

t.test('an own clock that was ahead for a while leaves a certificate that is renewed within the hour', async (t) => {
  const { clock, credentials, state, adopted, pass } = world(t, 0)
  // Leader and node alike: by both it was time.
  clock.aheadMs = state.leaderAheadMs = 50 * dayMs
  await pass(2 * hourMs, hourMs)
  t.equal(adopted.length, 1)
  t.ok((credentials.certificate?.notBeforeMs ?? 0) > startMs + 49 * dayMs)
  clock.aheadMs = state.leaderAheadMs = 0
  await pass(hourMs, hourMs)
  t.equal(adopted.length, 2)
  t.ok((credentials.certificate?.notBeforeMs ?? 0) < startMs + dayMs)
})

t.test('where every new certificate is old already by the own clock, they are not asked for without a pause', async (t) => {
  const { state, adopted, pass } = world(t, 45 * dayMs)
  state.leaderAheadMs = -80 * dayMs
  await pass(6 * hourMs, 60_000)
  t.ok(adopted.length > 0)
  t.ok(state.asked < 20, `${state.asked} in six hours`)
})
