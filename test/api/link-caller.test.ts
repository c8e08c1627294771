import t from 'tap'
import type { CallHead } from '../../lib/api/control.js'
import { LinkCaller } from '../../lib/api/link-caller.js'
import { type ErrorCode, type ErrorDetail, SkeinError } from '../../lib/base/errors.js'
import type { Link } from '../../lib/overlay/transport/index.js'

/** Real time is not awaited: every wait is over at once, and costs what it says. */
function callerWith(answers: readonly (() => unknown)[]) {
  let nowMs = 0
  const calls: { readonly method: string; readonly requestId: string }[] = []
  const call = async (method: string, { requestId }: { readonly requestId: string }): Promise<unknown> => {
    calls.push({ method, requestId })
    return answers[calls.length - 1]?.()
  }
  const clock = {
    now: () => nowMs,
    wallMs: () => nowMs,
    every: () => () => undefined,
    after(delayMs: number, act: () => void) {
      nowMs += delayMs
      queueMicrotask(act)
      return () => undefined
    },
  }
  const link = { call } as unknown as Link
  return { caller: new LinkCaller({ clock, random: () => 0.5, manager: async () => link }), calls }
}

const fail =
  <Code extends ErrorCode>(code: Code, detail: ErrorDetail[Code]) =>
  (): never => {
    throw new SkeinError(code, `made for this test: ${code}`, detail)
  }
const lost = fail('ERR_SKEIN_LINK_LOST', { node: 'm1' })
const noQuorum = fail('ERR_SKEIN_NO_QUORUM', { voters: 3, reachable: 1 })
const head: CallHead = { requestId: 'r-1', deadlineMs: 1_000 }
const put = { key: 'k', value: Buffer.from('v') }

t.test('a write whose link broke is asked again under its request id', async (t) => {
  const { caller, calls } = callerWith([lost, () => 7])
  t.equal(await caller.call('kv.put', put, head), 7)
  t.same(
    calls.map(({ requestId }) => requestId),
    ['r-1', 'r-1'],
  )
})

t.test('a refusal of the second try does not say that the first, whose answer was lost, did not happen', async (t) => {
  const { caller } = callerWith([lost, noQuorum])
  await t.rejects(caller.call('kv.put', put, head), {
    code: 'ERR_SKEIN_OUTCOME_UNKNOWN',
    detail: { requestId: 'r-1' },
    cause: { code: 'ERR_SKEIN_LINK_LOST' },
  })
})

t.test('a refusal of the first try is what it says, and so is any of a read', async (t) => {
  await t.rejects(callerWith([noQuorum]).caller.call('kv.put', put, head), { code: 'ERR_SKEIN_NO_QUORUM' })
  await t.rejects(callerWith([lost, noQuorum]).caller.call('kv.get', { key: 'k', stale: false }, head), {
    code: 'ERR_SKEIN_NO_QUORUM',
  })
})

t.test('what the replicas decided about a write also answers for the try that was lost', async (t) => {
  const conflict = fail('ERR_SKEIN_VERSION_CONFLICT', { expected: 1, current: 2 })
  await t.rejects(callerWith([lost, conflict]).caller.call('kv.put', put, head), { code: 'ERR_SKEIN_VERSION_CONFLICT' })
})

t.test('links that keep breaking leave a write open and a read unanswered', async (t) => {
  const always = Array.from({ length: 50 }, () => lost)
  await t.rejects(callerWith(always).caller.call('kv.put', put, head), { code: 'ERR_SKEIN_OUTCOME_UNKNOWN' })
  await t.rejects(callerWith(always).caller.call('kv.get', { key: 'k', stale: false }, head), { code: 'ERR_SKEIN_LINK_LOST' })
})
