/** Tasks that must not run without a manager: when their node stops them by itself. */
import fc from 'fast-check'
import t from 'tap'
import { Fence, type FencedTask, ruleFence } from '../../lib/agent/fence.js'
import type { AssignedTask } from '../../lib/api/session.js'
import { SkeinError } from '../../lib/base/errors.js'
import { momentOf } from '../../lib/base/moment.js'
import { ManualClock } from '../../lib/testing/manual-clock.js'
import { SetClock } from '../base/set-clock.js'
import { type Bench, bench } from './bench.js'
import { aTask, complete, FakeUnit, incremental, settle } from './fakes.js'

const afterMs = 10_000

/** Its machine can be suspended: the monotonic clock stands still with its timers, the wall's goes on. */
class SuspendedClock extends SetClock {
  suspend(forMs: number): void {
    this.aheadMs += forMs
  }
}

function fenced(task: AssignedTask, selfFenceAfterMs = afterMs): AssignedTask {
  return { ...task, spec: { ...task.spec, selfFenceAfterMs } }
}

/** Time passes, and what it sets off runs. */
async function pass({ clock }: Pick<Bench, 'clock'>, ms: number, stepMs = 250): Promise<void> {
  for (let passed = 0; passed < ms; passed += stepMs) {
    clock.advance(Math.min(stepMs, ms - passed))
    await settle(5)
  }
}

/** One task that stops itself, `web.1.1`, and one that does not, `web.2.1`, both running. */
async function running(t: Parameters<typeof bench>[0], more: Parameters<typeof bench>[1] = {}): Promise<Bench> {
  const b = bench(t, more)
  b.manager.ledAgoMs = 0
  b.manager.first = complete([fenced(aTask('web.1.1')), aTask('web.2.1')])
  await b.agent.start()
  await b.manager.until(() => ['web.1.1', 'web.2.1'].every((id) => b.manager.stateOf(id) === 'running'))
  return b
}

const unreachable = new SkeinError('ERR_SKEIN_UNREACHABLE', 'nobody there', { address: 'm:1' })

function cutOff(b: Bench): void {
  b.connectError = unreachable
  b.manager.beatError = unreachable
  b.manager.openError = unreachable
}

const runs = ({ driver }: Bench, id: string): boolean => [...driver.running].some(({ task }) => task === id)

t.test('the rule: a task is due when the last certain contact is as old as it says, by whichever clock says more', async (t) => {
  const tasks: FencedTask[] = [
    { id: 'a', afterMs: 5_000 },
    { id: 'b', afterMs: 20_000 },
  ]
  const contact = { nowMs: 1_000, wallMs: 50_000 }
  for (const [nowMs, wallMs, due, nextMs] of [
    [1_000, 50_000, [], 5_000],
    [5_999, 54_999, [], 1],
    [6_000, 55_000, ['a'], 15_000],
    [1_100, 3_650_000, ['a', 'b'], undefined], // it slept for an hour
    [6_000, 10_000, ['a'], 15_000], // its wall clock was set back
    [21_000, 70_000, ['a', 'b'], undefined],
  ] as const) {
    const ruling = ruleFence(tasks, contact, { nowMs, wallMs })
    t.same(
      ruling.due.map(({ id }) => id),
      due,
      `at ${nowMs}, wall ${wallMs}`,
    )
    t.equal(ruling.nextMs, nextMs)
  }
  t.equal(ruleFence(tasks, undefined, contact).due.length, 2, 'without any contact nothing may run')
  t.same(ruleFence([], undefined, contact), { due: [], nextMs: undefined })
})

t.test('the rule never lets a task run past its time, and never asks to be woken after it', async () => {
  const ms = fc.integer({ min: 0, max: 100_000 })
  fc.assert(
    fc.property(fc.array(ms), ms, ms, (times, silentMs, wallMs) => {
      const tasks = times.map((each, at) => ({ id: `${at}`, afterMs: each + 1 }))
      const { due, nextMs } = ruleFence(tasks, { nowMs: 7, wallMs: 7 }, { nowMs: 7 + silentMs, wallMs: 7 + wallMs })
      const left = tasks.filter((task) => !due.includes(task))
      const since = Math.max(silentMs, wallMs)
      return (
        left.every((task) => since + (nextMs ?? Number.NaN) <= task.afterMs) &&
        due.every((task) => task.afterMs <= since) &&
        (left.length === 0) === (nextMs === undefined)
      )
    }),
  )
})

t.test('while beats are answered by a leader that is sure of itself nothing is stopped', async (t) => {
  const b = await running(t)
  await pass(b, 60_000)
  t.ok(runs(b, 'web.1.1') && runs(b, 'web.2.1'))
})

t.test('cut off, it stops what must be stopped, counting from the last beat that was answered; the rest runs on', async (t) => {
  const b = await running(t)
  await pass(b, 3_000)
  const { beats } = b.manager
  cutOff(b)
  const before = beats.length
  // The last answered beat was sent within the last second.
  await pass(b, afterMs - 1_250)
  t.ok(runs(b, 'web.1.1'), 'not before its time')
  await pass(b, 1_500)
  t.notOk(runs(b, 'web.1.1'), 'and not after it')
  t.ok(beats.length > before, 'though it went on asking')
  await pass(b, 120_000)
  t.ok(runs(b, 'web.2.1'))
  t.equal(b.driver.calls.filter((call) => call === 'start web.1.1').length, 1)
})

t.test('back again, it says what became of the task before it is ready, and does not run it again', async (t) => {
  const b = await running(t)
  cutOff(b)
  await pass(b, 2 * afterMs)
  b.connectError = undefined
  b.manager.beatError = undefined
  b.manager.openError = undefined
  const sessions = b.manager.hellos.length
  await pass(b, 5_000)
  t.ok(b.manager.hellos.length > sessions)
  t.match(
    b.manager.hellos.at(-1)?.reports.find(({ id }) => id === 'web.1.1'),
    { state: 'shutdown', message: 'fenced: no manager for 10 s', exitCode: 143 },
  )
  b.manager.push(incremental(1, { set: [fenced(aTask('web.1.1'))] }))
  await pass(b, 5_000)
  t.same(
    [...b.driver.running].map(({ task }) => task),
    ['web.2.1'],
  )
})

t.test('a leader that answers and can no longer be sure that it leads is none to count from', async (t) => {
  const b = await running(t)
  // Each answer is as much later as the leader's last round to a majority is older.
  for (let agoMs = 0; agoMs < afterMs; agoMs += 250) {
    b.manager.ledAgoMs = agoMs
    t.ok(runs(b, 'web.1.1'), `${agoMs}`)
    await pass(b, 250)
  }
  await pass(b, 250)
  t.notOk(runs(b, 'web.1.1'))
  t.ok(runs(b, 'web.2.1'))
  t.equal(b.manager.hellos.length, 1, 'in the same session')
})

t.test('a leader that says nothing of being sure is none to count from either', async (t) => {
  const b = await running(t)
  b.manager.ledAgoMs = undefined
  await pass(b, afterMs + 1_000)
  t.notOk(runs(b, 'web.1.1'))
})

t.test('a machine that slept past the time stops the task as soon as it is awake, before it believes any answer', async (t) => {
  const clock = new SuspendedClock()
  const b = await running(t, { clock })
  await pass({ clock }, 2_000)
  clock.suspend(3_600_000)
  // The next timer to fire may be that of a beat, whose answer comes at once.
  await pass({ clock }, 250)
  t.notOk(runs(b, 'web.1.1'))
  t.ok(runs(b, 'web.2.1'))
})

t.test('of a sleep and an answer after it, the sleep counts first', async (t) => {
  const clock = new SuspendedClock()
  const left = new Map<string, FencedTask>()
  const fence = new Fence({ clock, tasks: () => left.values(), stop: (id) => void left.delete(id) })
  fence.heard(momentOf(clock), 0)
  left.set('a', { id: 'a', afterMs })
  clock.suspend(afterMs - 1)
  fence.heard(momentOf(clock), 0)
  t.equal(left.size, 1, 'a nap')
  clock.suspend(afterMs)
  fence.heard(momentOf(clock), 0)
  t.equal(left.size, 0, 'no timer has fired yet')
  t.equal(clock.pending, 0)
})

t.test('an older answer that comes later takes nothing back', async (t) => {
  const clock = new ManualClock()
  const left = new Map<string, FencedTask>()
  const fence = new Fence({ clock, tasks: () => left.values(), stop: (id) => void left.delete(id) })
  clock.advance(5_000)
  fence.heard(momentOf(clock), 0)
  left.set('a', { id: 'a', afterMs })
  fence.heard(momentOf(clock), 4_000)
  clock.advance(afterMs - 1)
  t.equal(left.size, 1)
  clock.advance(1)
  t.equal(left.size, 0)
})

t.test('an answer that was under way while the machine slept counts from when it was asked for', async (t) => {
  const clock = new SuspendedClock()
  const b = await running(t, { clock })
  await pass({ clock }, 2_000)
  clock.suspend(afterMs - 2_000)
  await pass({ clock }, 250)
  t.ok(runs(b, 'web.1.1'), 'a nap is no loss')
  await pass({ clock }, 30_000)
  t.ok(runs(b, 'web.1.1'), 'and beats go on')
})

t.test('a task that has not begun when the time is over never begins', async (t) => {
  const b = bench(t)
  b.manager.ledAgoMs = 0
  b.manager.first = complete([fenced(aTask('web.1.1', 'ready'))])
  await b.agent.start()
  await b.manager.until(() => b.manager.stateOf('web.1.1') === 'ready')
  cutOff(b)
  await pass(b, afterMs + 1_000)
  t.match(
    b.agent.tasks().find(({ id }) => id === 'web.1.1'),
    { state: 'shutdown', message: 'fenced: no manager for 10 s' },
  )
  t.notOk(b.driver.calls.includes('start web.1.1'))
})

t.test('an agent that ends and leaves its tasks to their driver does not leave those', async (t) => {
  const b = await running(t)
  await b.agent.stop({ drain: 'leave-tasks' })
  t.notOk(runs(b, 'web.1.1'))
  t.ok(runs(b, 'web.2.1'))
})

t.test('after a crash what was to run, and what still runs, is stopped before any manager is found', async (t) => {
  const crashed = bench(t)
  crashed.manager.ledAgoMs = 0
  crashed.manager.first = complete([fenced(aTask('web.1.1')), fenced(aTask('web.3.1', 'ready')), aTask('web.2.1')])
  await crashed.agent.start()
  await crashed.manager.until(
    () => crashed.manager.stateOf('web.3.1') === 'ready' && crashed.manager.stateOf('web.2.1') === 'running',
  )
  // The same disk, and units that outlived the process that started them.
  for (const id of ['web.1.1', 'web.2.1']) {
    const unit = new FakeUnit(crashed.driver, id)
    await unit.start()
    crashed.driver.recoverable.set(id, unit)
  }
  crashed.connectError = unreachable
  const again = crashed.again()
  await again.start()
  await settle()
  const states = new Map(again.tasks().map(({ id, state, message }) => [id, `${state}: ${message}`]))
  const words = 'shutdown: fenced: no manager since the peer started'
  t.same([states.get('web.1.1'), states.get('web.3.1'), states.get('web.2.1')], [words, words, 'running: started'])
})

t.test('a peer that stops says that the task is over before it says goodbye', async (t) => {
  const b = await running(t)
  const order: string[] = []
  const { leave } = b.manager
  b.manager.leave = async (...args) => {
    order.push(`leave, web.1.1 is ${b.manager.stateOf('web.1.1')}, web.2.1 is ${b.manager.stateOf('web.2.1')}`)
    return leave.apply(b.manager, args)
  }
  await b.agent.stop()
  t.same(order, ['leave, web.1.1 is shutdown, web.2.1 is running'])
  t.equal(b.manager.reportOf('web.1.1')?.message, 'the peer stopped')
})

t.test('a task that cannot be stopped is tried again, and never said to be over while it runs', async (t) => {
  const b = await running(t)
  b.driver.stopErrors = 3
  cutOff(b)
  await pass(b, afterMs + 500)
  t.ok(runs(b, 'web.1.1'))
  t.equal(b.agent.tasks().find(({ id }) => id === 'web.1.1')?.state, 'running')
  await pass(b, 60_000)
  t.notOk(runs(b, 'web.1.1'))
  t.equal(b.agent.tasks().find(({ id }) => id === 'web.1.1')?.state, 'shutdown')
})

t.test('no timer is left when no such task is', async (t) => {
  const b = await running(t)
  b.manager.push(incremental(1, { set: [fenced(aTask('web.1.1', 'shutdown'))] }))
  await b.manager.until(() => b.manager.stateOf('web.1.1') === 'shutdown')
  await pass(b, 1_000)
  const withOut = b.clock.pending
  b.manager.push(incremental(2, { set: [fenced(aTask('web.1.2'))] }))
  await b.manager.until(() => b.manager.stateOf('web.1.2') === 'running')
  t.equal(b.clock.pending, withOut + 1)
  b.driver.unit('web.1.2').exit({ code: 0 })
  await b.manager.until(() => b.manager.stateOf('web.1.2') === 'complete')
  await pass(b, 1_000)
  t.equal(b.clock.pending, withOut)
})
