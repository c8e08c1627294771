import t from 'tap'
import type { CallHead } from '../../lib/api/control.js'
import { type ErrorCode, type ErrorDetail, SkeinError } from '../../lib/base/errors.js'
import { ControlServer, type ControlWorld } from '../../lib/manager/control-server.js'
import { ManualClock } from '../../lib/testing/manual-clock.js'

const leaderWaitMs = 500
const head: CallHead = { requestId: 'r-1', deadlineMs: 2_000 }
const put = { key: 'k', value: Buffer.from('v') }
const get = { key: 'k', stale: false }

const fail =
  <Code extends ErrorCode>(code: Code, detail: ErrorDetail[Code]) =>
  (): never => {
    throw new SkeinError(code, `made for this test: ${code}`, detail)
  }
const lost = fail('ERR_SKEIN_LINK_LOST', { node: 'm2' })
const noQuorum = fail('ERR_SKEIN_NO_QUORUM', { voters: 3, reachable: 1 })

/** A follower whose own tables hold an old value, and whose leader answers so; waits are over at once and cost what they say. */
function follower(answers: readonly (() => unknown)[], leads: 'm2' | 'nobody' = 'm2') {
  let nowMs = 0
  let asked = 0
  const world = {
    clock: { now: () => nowMs, every: () => () => undefined },
    leaderWaitMs,
    store: { view: () => ({ key: () => ({ value: Buffer.from('old'), version: 3 }) }) },
    status: () => ({ node: 'm1', quorum: { voters: 3, reachable: 1 } }),
    leading: () => false,
    leaderNode: () => (leads === 'nobody' ? undefined : leads),
    async leaderNews(waitMs: number) {
      nowMs += waitMs
    },
    forward: async () => answers[Math.min(asked++, answers.length - 1)]?.(),
  }
  return new ControlServer(world as unknown as ControlWorld)
}

t.test('a key read without a quorum is refused; only who asks for a stale one gets it', async (t) => {
  await t.rejects(follower([], 'nobody').call('kv.get', get, head), { code: 'ERR_SKEIN_NO_QUORUM' })
  await t.rejects(follower([noQuorum]).call('kv.get', get, head), { code: 'ERR_SKEIN_NO_QUORUM' })
  t.match(await follower([], 'nobody').call('kv.get', { ...get, stale: true }, head), { version: 3 })
})

t.test('a read that nobody answered was not half done: it has no unknown outcome', async (t) => {
  await t.rejects(follower([lost]).call('kv.get', get, head), { code: 'ERR_SKEIN_NO_QUORUM' })
})

t.test('a write stays open when a later try of it is refused', async (t) => {
  const open = { code: 'ERR_SKEIN_OUTCOME_UNKNOWN', detail: { requestId: 'r-1' } }
  await t.rejects(follower([lost, noQuorum]).call('kv.put', put, head), open)
  await t.rejects(follower([lost, fail('ERR_SKEIN_BUSY', { limit: 'maxPendingProposals' })]).call('kv.put', put, head), open)
  await t.rejects(follower([lost, fail('ERR_SKEIN_NOT_LEADER', { leader: undefined })]).call('kv.put', put, head), open)
})

t.test('a write that was only ever refused has not happened, and says so', async (t) => {
  await t.rejects(follower([noQuorum]).call('kv.put', put, head), { code: 'ERR_SKEIN_NO_QUORUM' })
  await t.rejects(follower([], 'nobody').call('kv.put', put, head), { code: 'ERR_SKEIN_NO_QUORUM' })
})

t.test('what the replicas decided answers for every try of a write', async (t) => {
  const conflict = fail('ERR_SKEIN_VERSION_CONFLICT', { expected: 1, current: 2 })
  await t.rejects(follower([lost, conflict]).call('kv.put', put, head), { code: 'ERR_SKEIN_VERSION_CONFLICT' })
  t.equal(await follower([lost, () => 7]).call('kv.put', put, head), 7)
})

t.test('a write that waits for a leader that fell silent goes to the next one, under the same request id', async (t) => {
  const clock = new ManualClock()
  let leader = 'm2'
  const asked: string[] = []
  const world = {
    clock,
    leaderWaitMs: 60_000,
    status: () => ({ node: 'm1', quorum: { voters: 3, reachable: 2 } }),
    leading: () => false,
    leaderNode: () => leader,
    leaderNews: async () => undefined,
    forward: (node: string, _verb: string, _params: unknown, { requestId, signal }: CallHead) => {
      asked.push(`${node} ${requestId}`)
      if (node === 'm3') return Promise.resolve(7)
      return new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
    },
  }
  const answer = new ControlServer(world as unknown as ControlWorld).call('kv.put', put, { ...head, deadlineMs: 60_000 })
  clock.advance(1_000)
  t.same(asked, ['m2 r-1'], 'as long as it leads it is waited for')
  leader = 'm3'
  clock.advance(1_000)
  t.equal(await answer, 7)
  t.same(asked, ['m2 r-1', 'm3 r-1'])
  t.equal(clock.pending, 0)
})
