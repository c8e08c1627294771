import fc from 'fast-check'
import t from 'tap'
import { Reporter, reportsMax } from '../../lib/agent/reporter.js'
import type { TaskReport } from '../../lib/api/session.js'
import { deferred } from '../../lib/base/deferred.js'
import { rank, type TaskState, taskStates } from '../../lib/model/task.js'
import { settle } from './fakes.js'

const report = (id: string, state: TaskState): TaskReport => ({ id, state, message: state })
const ignoreForget = (): void => {}

/** Runs a reporter for one session; resolves when that is over. */
function session(
  t: { teardown(act: () => unknown): void },
  reporter: Reporter,
  send: (reports: readonly TaskReport[]) => Promise<void>,
) {
  const over = new AbortController()
  t.teardown(() => over.abort())
  const ended = reporter
    .run(
      async (reports) => {
        await send(reports)
        return { forget: [] }
      },
      ignoreForget,
      over.signal,
    )
    .catch((error: unknown) => error)
  return { ended, end: () => over.abort() }
}

t.test('while a message is under way changes gather, and only the latest of each task is sent', async (t) => {
  const reporter = new Reporter()
  const sent: string[][] = []
  const gate = deferred()
  reporter.update(report('a', 'accepted'))
  session(t, reporter, async (reports) => {
    sent.push(reports.map(({ id, state }) => `${id} ${state}`))
    if (sent.length === 1) await gate.promise
  })
  for (const state of ['preparing', 'ready', 'running'] as const) for (const id of ['a', 'b']) reporter.update(report(id, state))
  gate.resolve()
  await reporter.flushed()
  t.same(sent, [['a accepted'], ['a running', 'b running']])
})

t.test('no message is longer than its bound', async (t) => {
  const reporter = new Reporter()
  for (let i = 0; i < reportsMax * 2 + 5; i++) reporter.update(report(`t${i}`, 'running'))
  const sizes: number[] = []
  session(t, reporter, async (reports) => void sizes.push(reports.length))
  await reporter.flushed()
  t.same(sizes, [reportsMax, reportsMax, 5])
})

t.test('a failed message loses nothing, and the next session begins with everything', async (t) => {
  const reporter = new Reporter()
  reporter.update(report('a', 'running'))
  reporter.update(report('b', 'running'))
  const first: string[] = []
  const one = session(t, reporter, async (reports) => void first.push(...reports.map(({ id }) => id)))
  await reporter.flushed()
  reporter.update(report('a', 'failed'))
  one.end()
  await one.ended
  const broken = session(t, reporter, async () => {
    throw new Error('link error')
  })
  t.match(await broken.ended, { message: 'link error' })
  const last: string[] = []
  session(t, reporter, async (reports) => void last.push(...reports.map(({ id, state }) => `${id} ${state}`)))
  await reporter.flushed()
  t.same(last.sort(), ['a failed', 'b running'])
})

t.test('a forgotten task is not spoken of again', async (t) => {
  const reporter = new Reporter()
  reporter.update(report('a', 'running'))
  reporter.forget('a')
  let messages = 0
  session(t, reporter, async () => void messages++)
  await reporter.flushed()
  await settle()
  t.equal(messages, 0)
})

t.test('whatever order states come in, what is sent of a task only rises and ends with its highest', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.constantFrom('a', 'b'), fc.constantFrom(...taskStates), fc.boolean())),
      async (updates) => {
        const reporter = new Reporter()
        const sent = new Map<string, TaskState[]>()
        const over = session(t, reporter, async (reports) => {
          for (const { id, state } of reports) sent.set(id, [...(sent.get(id) ?? []), state])
        })
        const highest = new Map<string, TaskState>()
        for (const [id, state, isPause] of updates) {
          const before = highest.get(id)
          if (before === undefined || rank(state) > rank(before)) highest.set(id, state)
          reporter.update(report(id, state))
          if (isPause) await reporter.flushed()
        }
        await reporter.flushed()
        over.end()
        await over.ended
        for (const [id, states] of sent) {
          const isRising = states.every((state, i) => i === 0 || rank(state) > rank(states[i - 1] as TaskState))
          if (!isRising || states.at(-1) !== highest.get(id)) return false
        }
        return sent.size === highest.size
      },
    ),
  )
})

t.test(
  'a first word carries what is not acknowledged, ends first, as many as asked for; endless words are cut off',
  async (t) => {
    const reporter = new Reporter()
    reporter.update(report('a', 'running'))
    reporter.update(report('b', 'failed'))
    reporter.update({ ...report('c', 'running'), message: 'x'.repeat(100_000) })
    t.same(
      reporter.due(2).map(({ id }) => id),
      ['b', 'a'],
    )
    t.equal(reporter.due(9)[2]?.message.length, 1_000)
    const { end, ended } = session(t, reporter, async () => undefined)
    await settle()
    t.same(reporter.due(9), [], 'acknowledged')
    end()
    await ended
  },
)
