import fc from 'fast-check'
import t from 'tap'
import { laterDesired, next, type Observation, type Outcome, observe } from '../../lib/agent/task-machine.js'
import { canAdvance, type DesiredState, isTerminal, rank, type TaskState, taskStates } from '../../lib/model/task.js'

const wishes: readonly DesiredState[] = ['ready', 'running', 'shutdown', 'remove']
const agentStates: readonly TaskState[] = ['assigned', 'accepted', 'preparing', 'ready', 'starting', 'running']

t.test('the straight way is accepted, preparing, ready, starting, running, complete', async (t) => {
  const walked: TaskState[] = []
  let state: TaskState = 'assigned'
  let hasUnit = false
  for (;;) {
    const act = next(state, 'running', hasUnit)
    if (act.type === 'end') break
    const outcomes: Record<string, Outcome> = {
      prepare: { type: 'prepared' },
      start: { type: 'started' },
      wait: { type: 'ended', code: 0 },
    }
    state = act.type === 'advance' ? act.to : (observe(state, outcomes[act.type] as Outcome) as Observation).state
    if (act.type === 'prepare') hasUnit = true
    walked.push(state)
  }
  t.same(walked, ['accepted', 'preparing', 'ready', 'starting', 'running', 'complete'])
})

t.test('a task wished ready is prepared and held, and started when it is wished running', async (t) => {
  t.same(next('preparing', 'ready', false), { type: 'prepare' })
  t.same(next('ready', 'ready', true), { type: 'hold' })
  t.same(next('ready', 'running', true), { type: 'advance', to: 'starting' })
})

t.test('a task that is ready but lost its unit in a restart is prepared again without a step back', async (t) => {
  t.same(next('ready', 'running', false), { type: 'prepare' })
  t.equal(observe('ready', { type: 'prepared' }), undefined)
})

t.test('a refusal before the start rejects, at or after it fails', async (t) => {
  for (const state of agentStates) {
    const wanted = rank(state) < rank('starting') ? 'rejected' : 'failed'
    t.same(observe(state, { type: 'refused', why: 'no' }), { state: wanted, message: 'no' }, state)
  }
})

t.test('an exit code of 0 completes, every other one fails, both with a reason', async (t) => {
  t.same(observe('running', { type: 'ended', code: 0 }), { state: 'complete', message: 'finished', exitCode: 0 })
  t.same(observe('running', { type: 'ended', code: 3 }), { state: 'failed', message: 'exited with code 3', exitCode: 3 })
  t.same(observe('running', { type: 'ended', code: 137, why: 'killed by SIGKILL' }), {
    state: 'failed',
    message: 'killed by SIGKILL',
    exitCode: 137,
  })
})

t.test('what is over stays as it is, whatever is wished or found', async (t) => {
  for (const state of taskStates.filter(isTerminal)) {
    for (const wish of wishes) t.same(next(state, wish, true), { type: 'end' })
  }
})

t.test('a wish never falls', async () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...wishes)), (asked) => {
      let present: DesiredState = 'ready'
      for (const wish of asked) {
        const before: DesiredState = present
        present = laterDesired(present, wish)
        if (wishes.indexOf(present) < wishes.indexOf(before) || wishes.indexOf(present) < wishes.indexOf(wish)) return false
      }
      return true
    }),
  )
})

const outcome: fc.Arbitrary<Outcome> = fc.oneof(
  fc.constant<Outcome>({ type: 'prepared' }),
  fc.constant<Outcome>({ type: 'started' }),
  fc.record({ type: fc.constant('ended' as const), code: fc.integer({ min: 0, max: 255 }) }),
  fc.record({ type: fc.constant('stopped' as const) }),
  fc.record({ type: fc.constant('refused' as const), why: fc.string() }),
)

t.test('under any interleaving of wishes, acts, refusals and restarts states only rise and nothing starts unasked', async () => {
  const step = fc.oneof(
    fc.record({ type: fc.constant('wish' as const), wish: fc.constantFrom(...wishes) }),
    fc.record({ type: fc.constant('act' as const), goesWell: fc.boolean(), code: fc.integer({ min: 0, max: 2 }) }),
    fc.record({ type: fc.constant('restart' as const) }),
    fc.record({ type: fc.constant('stray' as const), outcome }),
  )
  fc.assert(
    fc.property(fc.constantFrom(...wishes), fc.array(step, { maxLength: 60 }), (first, steps) => {
      let state = 'assigned' as TaskState
      let desired = first
      let hasUnit = false
      let starts = 0
      const to = (observation: Observation | undefined): void => {
        if (observation === undefined) return
        if (!canAdvance(state, observation.state)) throw new Error(`${state} → ${observation.state}`)
        state = observation.state
      }
      for (const step of steps) {
        if (step.type === 'wish') desired = laterDesired(desired, step.wish)
        else if (step.type === 'restart') hasUnit = false
        // An answer that comes too late, or for an act of before: it may never turn anything back.
        else if (step.type === 'stray') {
          const found = observe(state, step.outcome)
          if (found !== undefined && (isTerminal(state) || !canAdvance(state, found.state))) return false
        } else {
          const act = next(state, desired, hasUnit)
          const refused: Outcome = { type: 'refused', why: 'no' }
          if (act.type === 'advance') {
            if (act.to === 'starting' && desired !== 'running') return false
            to({ state: act.to, message: '' })
          } else if (act.type === 'prepare') {
            to(observe(state, step.goesWell ? { type: 'prepared' } : refused))
            hasUnit = step.goesWell
          } else if (act.type === 'start') {
            if (desired !== 'running' || ++starts > 1) return false
            to(observe(state, step.goesWell ? { type: 'started' } : refused))
          } else if (act.type === 'wait') to(observe(state, { type: 'ended', code: step.code }))
          else if (act.type === 'stop') to(observe(state, { type: 'stopped' }))
          else if (act.type === 'hold' && desired !== 'ready') return false
          if (act.type === 'stop' && state !== 'shutdown') return false
        }
        if (state === 'rejected' && starts > 0) return false
      }
      return true
    }),
    { numRuns: 2000 },
  )
})

t.test('whoever keeps acting comes to an end: no state loops', async () => {
  fc.assert(
    fc.property(fc.constantFrom(...agentStates), fc.constantFrom(...wishes), fc.boolean(), (state, desired, hasUnit) => {
      let present: TaskState = state
      let unit = hasUnit
      for (let acts = 0; acts < 10; acts++) {
        const act = next(present, desired, unit)
        if (act.type === 'end') return true
        if (act.type === 'hold') return desired === 'ready'
        if (act.type === 'prepare') unit = true
        const outcomes: Record<string, Outcome> = {
          prepare: { type: 'prepared' },
          start: { type: 'started' },
          wait: { type: 'ended', code: 1 },
          stop: { type: 'stopped' },
        }
        present = act.type === 'advance' ? act.to : (observe(present, outcomes[act.type] as Outcome)?.state ?? present)
      }
      return false
    }),
  )
})
