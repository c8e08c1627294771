/**
 * The worker's rule and the leader's against each other: whatever is lost or late on the way, whoever leads and whoever only believes
 * so, and as much as clocks may differ, nothing takes the place of a task before that is over; and at last something does.
 */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { Fence, type FencedTask } from '../../lib/agent/fence.js'
import type { Clock } from '../../lib/base/clock.js'
import { momentOf } from '../../lib/base/moment.js'
import { Contacts } from '../../lib/dispatcher/contacts.js'
import { Standing } from '../../lib/dispatcher/standing.js'
import { fencedAfterMs } from '../../lib/orchestrator/index.js'
import { ManualClock } from '../../lib/testing/manual-clock.js'
import { plainTask } from '../../lib/testing/plain-task.js'

/** Goes wrong by a part, beside true time. */
class DriftingClock implements Clock {
  readonly #true: Clock
  readonly #rate: number

  constructor(trueClock: Clock, rate: number) {
    this.#true = trueClock
    this.#rate = rate
  }

  now(): number {
    return this.#true.now() * this.#rate
  }

  wallMs(): number {
    return this.now()
  }

  after(delayMs: number, act: () => void): () => void {
    return this.#true.after(delayMs / this.#rate, act)
  }

  every(periodMs: number, act: () => void): () => void {
    return this.#true.every(periodMs / this.#rate, act)
  }
}

/** For a while the worker beats once a second; first it asks for a session. Milliseconds by true time. */
interface Phase {
  readonly forMs: number
  /** How many leaders ago the one it speaks to began. */
  readonly before: number
  readonly thereMs: number
  readonly backMs: number
  /** What gets through: words to the leader, its answers, or nothing. */
  readonly passes: 'all' | 'words' | 'nothing'
}

interface Story {
  readonly afterMs: number
  readonly graceMs: number
  readonly workerRate: number
  readonly leaders: readonly { readonly gapMs: number; readonly rate: number; readonly roundMs: number }[]
  readonly phases: readonly Phase[]
}

interface Leader {
  readonly contacts: Contacts
  readonly standing: Standing
  readonly sessions: Set<string>
}

const rate = fc.double({ min: 0.99, max: 1.01, noNaN: true })
const span = (max: number) => fc.integer({ min: 0, max })
const wayMs = fc.oneof(span(50), span(2_000), span(30_000))

const story: fc.Arbitrary<Story> = fc.record({
  afterMs: fc.integer({ min: 5_000, max: 60_000 }),
  graceMs: fc.oneof(fc.constant(0), span(15_000)),
  workerRate: rate,
  leaders: fc.array(fc.record({ gapMs: span(30_000), rate, roundMs: wayMs }), { minLength: 1, maxLength: 4 }),
  phases: fc.array(
    fc.record({
      forMs: span(30_000),
      before: fc.oneof(fc.constant(0), span(3)),
      thereMs: wayMs,
      backMs: wayMs,
      passes: fc.constantFrom('all', 'all', 'words', 'nothing'),
    }),
    { maxLength: 6 },
  ),
})

const stepMs = 100

/** When another was started, and when the one before was over, by true time. */
async function tell({ afterMs, graceMs, workerRate, leaders, phases }: Story) {
  const clock = new ManualClock()
  const workerClock = new DriftingClock(clock, workerRate)
  const task: FencedTask = { id: 'web.1.1', afterMs }
  let hasTask = false
  let stopsAtMs: number | undefined
  const fence = new Fence({
    clock: workerClock,
    tasks: () => (hasTask && stopsAtMs === undefined ? [task] : []),
    // Its whole grace by the worker's own clock, and nearly as long as is allowed for to be killed.
    stop: () => {
      stopsAtMs = clock.now() + graceMs / workerRate + 1_950
    },
  })
  const led: Leader[] = []
  const begin = (own: number, roundMs: number): void => {
    const its = new DriftingClock(clock, own)
    const nth = led.length + 1
    const standing = new Standing({
      clock: its,
      // Confirmed by a majority that had not elected another when the round began: its answers may be late.
      confirm: () =>
        new Promise((resolve, reject) => {
          const isLast = led.length === nth
          clock.after(roundMs, () => (isLast ? resolve() : reject(new Error('another leads'))))
        }),
    })
    led.push({ contacts: new Contacts(its), standing, sessions: new Set() })
    standing.begin(1_000)
  }
  const arrive = (act: 'open' | 'beat', { before, backMs, passes }: Phase, sent: ReturnType<typeof momentOf>): void => {
    const leader = led.at(-1 - before)
    if (leader === undefined) return
    if (act === 'beat' && !leader.sessions.has('worker')) return
    leader.contacts.answer('worker')
    // A session is recorded by a majority, or does not come about.
    if (act === 'open' && before > 0) return
    leader.sessions.add('worker')
    const ledAgoMs = act === 'open' ? 0 : leader.standing.agoMs()
    if (passes === 'all' && ledAgoMs !== undefined) clock.after(backMs, () => fence.heard(sent, ledAgoMs))
  }
  const say = (act: 'open' | 'beat', phase: Phase): void => {
    const sent = momentOf(workerClock)
    if (phase.passes !== 'nothing') clock.after(phase.thereMs, () => arrive(act, phase, sent))
  }
  let atMs = 0
  for (const { gapMs, rate, roundMs } of leaders) {
    if (atMs === 0) begin(rate, roundMs)
    else clock.after(atMs, () => begin(rate, roundMs))
    atMs += gapMs + 1
  }
  // The task begins in a session that stands.
  led[0]?.sessions.add('worker')
  fence.heard(momentOf(workerClock), 0)
  hasTask = true
  fence.look()
  let phaseMs = 0
  for (const phase of phases) {
    clock.after(phaseMs, () => say('open', phase))
    for (let at = 1_000; at < phase.forMs; at += 1_000) clock.after(phaseMs + at, () => say('beat', phase))
    phaseMs += phase.forMs
  }
  const waitMs = fencedAfterMs({ ...plainTask, stopGraceMs: graceMs }, afterMs)
  for (;;) {
    clock.advance(stepMs)
    for (let turn = 0; turn < 4; turn++) await Promise.resolve()
    const leader = led.at(-1) as Leader
    if (leader.contacts.silentMs('worker') >= waitMs) break
    assert(clock.now() < 600_000, 'at last another is started')
  }
  for (const { standing } of led) standing.end()
  fence.close()
  return { startedAtMs: clock.now(), overAtMs: stopsAtMs }
}

t.test('another never starts before the one before is over, and at last it does', async () => {
  await fc.assert(
    fc.asyncProperty(story, async (each) => {
      const { startedAtMs, overAtMs } = await tell(each)
      assert(overAtMs !== undefined, 'it was stopped')
      assert(overAtMs <= startedAtMs, `over at ${overAtMs}, the next at ${startedAtMs}`)
    }),
    { numRuns: 150 },
  )
})
