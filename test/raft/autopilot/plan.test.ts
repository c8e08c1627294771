import fc from 'fast-check'
import t from 'tap'
import {
  type AutopilotPlan,
  type MemberHealth,
  planAutopilot,
  resolveAutopilotOptions,
} from '../../../lib/raft/autopilot/index.js'
import { changeSimply } from '../../../lib/raft/core/membership.js'
import type { ConfState, RaftId } from '../../../lib/raft/index.js'

const nowMs = 1_000_000
const electionMs = 1_000
const options = (voters: number) => resolveAutopilotOptions({ voters, stableMs: 10_000, deadMs: 30_000 }, electionMs)

/** What becomes of a member: its silence, and since how long it has caught up. */
const ready: MemberHealth = { heardAtMs: nowMs, caughtUpSinceMs: nowMs - 20_000 }
const young: MemberHealth = { heardAtMs: nowMs, caughtUpSinceMs: nowMs - 500 }
const behind: MemberHealth = { heardAtMs: nowMs, caughtUpSinceMs: undefined }
const silent: MemberHealth = { heardAtMs: nowMs - 5_000, caughtUpSinceMs: nowMs - 20_000 }
const dead: MemberHealth = { heardAtMs: nowMs - 60_000, caughtUpSinceMs: undefined }

interface Situation {
  readonly voters: Readonly<Record<number, MemberHealth>>
  readonly learners?: Readonly<Record<number, MemberHealth>>
  readonly wanted: number
}

/** Peer 1 leads. */
function plan({ voters, learners = {}, wanted }: Situation): AutopilotPlan {
  const ids = (of: object): RaftId[] => Object.keys(of).map(Number)
  const conf: ConfState = {
    voters: [1, ...ids(voters)],
    votersOutgoing: [],
    learners: ids(learners),
    learnersNext: [],
    autoLeave: false,
  }
  const members = new Map(Object.entries({ ...voters, ...learners }).map(([id, health]) => [Number(id), health]))
  return planAutopilot({ self: 1, conf, members }, nowMs, options(wanted))
}

const step = (situation: Situation): string => {
  const { step: found } = plan(situation)
  return found === undefined ? 'nothing' : `${found.act} ${found.id}`
}

t.test('what is done next, by situation', async (t) => {
  const table: readonly (readonly [string, string, Situation])[] = [
    ['all is as wished', 'nothing', { wanted: 3, voters: { 2: ready, 3: ready } }],
    ['a stable learner fills a free place', 'promote 4', { wanted: 3, voters: { 2: ready }, learners: { 4: ready } }],
    ['one that caught up just now waits', 'nothing', { wanted: 3, voters: { 2: ready }, learners: { 4: young } }],
    ['one that lacks entries waits', 'nothing', { wanted: 3, voters: { 2: ready }, learners: { 4: behind } }],
    ['one that went silent waits', 'nothing', { wanted: 3, voters: { 2: ready }, learners: { 4: silent } }],
    ['a spare learner stays one', 'nothing', { wanted: 3, voters: { 2: ready, 3: ready }, learners: { 4: ready } }],
    [
      'a voter that is only silent keeps its place',
      'nothing',
      { wanted: 3, voters: { 2: ready, 3: silent }, learners: { 4: ready } },
    ],
    ['a dead voter is replaced', 'promote 4', { wanted: 3, voters: { 2: ready, 3: dead }, learners: { 4: ready } }],
    ['and goes once its place is taken', 'remove 3', { wanted: 3, voters: { 2: ready, 3: dead, 4: ready } }],
    ['without a replacement it stays', 'nothing', { wanted: 3, voters: { 2: ready, 3: dead } }],
    [
      'of two dead ones the longer silent goes first',
      'remove 3',
      { wanted: 3, voters: { 2: dead, 3: { ...dead, heardAtMs: 1 }, 4: ready, 5: ready } },
    ],
    ['too many, all healthy: the youngest is demoted', 'demote 4', { wanted: 3, voters: { 2: ready, 3: ready, 4: young } }],
    ['too many, one silent: nobody is demoted', 'nothing', { wanted: 3, voters: { 2: ready, 3: silent, 4: ready } }],
    ['two voters, one dead: no quorum, no step', 'nothing', { wanted: 2, voters: { 2: dead } }],
    [
      'four voters, two dead: no quorum, no step',
      'nothing',
      { wanted: 3, voters: { 2: ready, 3: dead, 4: dead }, learners: { 5: ready } },
    ],
    [
      'four wanted, one dead of four',
      'promote 5',
      { wanted: 4, voters: { 2: ready, 3: ready, 4: dead }, learners: { 5: ready } },
    ],
    [
      'one voter, one learner, three wanted: a second copy that counts',
      'promote 2',
      { wanted: 3, voters: {}, learners: { 2: ready } },
    ],
    ['one wanted: the leader alone', 'demote 2', { wanted: 1, voters: { 2: ready } }],
    ['the leader never demotes itself', 'nothing', { wanted: 1, voters: {} }],
    [
      'the longest stable learner goes first',
      'promote 5',
      { wanted: 3, voters: { 2: ready }, learners: { 4: ready, 5: { ...ready, caughtUpSinceMs: 5 } } },
    ],
  ]
  for (const [words, expected, situation] of table) t.equal(step(situation), expected, words)
})

t.test('inside a joint configuration nothing is planned', async (t) => {
  const conf: ConfState = { voters: [1, 2], votersOutgoing: [1], learners: [3], learnersNext: [], autoLeave: true }
  const view = {
    self: 1,
    conf,
    members: new Map([
      [2, ready],
      [3, ready],
    ]),
  }
  t.match(planAutopilot(view, nowMs, options(3)), { step: undefined, waiting: [{ why: /under way/ }] })
})

t.test('what waits says for what', async (t) => {
  const why = (situation: Situation): readonly string[] => plan(situation).waiting.map(({ id, why }) => `${id ?? 'all'}: ${why}`)
  t.same(why({ wanted: 3, voters: { 2: ready, 3: silent } }), ['3: silent for 5000 ms; it counts as dead after 30000 ms'])
  t.same(why({ wanted: 3, voters: { 2: ready, 3: dead } }), [
    '3: silent for 60000 ms: dead; it keeps its place until a stable learner takes it',
    'all: 2 of 3 wanted voters live, and there is no learner to promote',
  ])
  t.same(why({ wanted: 5, voters: { 2: ready, 3: ready }, learners: { 4: young, 5: behind, 6: silent } }), [
    '4: it has caught up for 500 of 10000 ms',
    '5: it is catching up',
    '6: silent for 5000 ms',
  ])
  t.match(why({ wanted: 2, voters: { 2: dead } }), [/dead/, /no learner/])
  t.same(why({ wanted: 3, voters: { 2: ready, 3: ready }, learners: { 4: behind } }), [], 'as wished')
})

t.test('options out of range are refused by name', async (t) => {
  const refused: [string, object][] = [
    ['autopilot.voters', {}],
    ['autopilot.voters', { voters: 0 }],
    ['autopilot.voters', { voters: 2.5 }],
    ['autopilot.voters', { voters: 16 }],
    ['autopilot.stableMs', { voters: 3, stableMs: -1 }],
    ['autopilot.deadMs', { voters: 3, deadMs: 1_999 }],
    ['autopilot.lagEntriesMax', { voters: 3, lagEntriesMax: Number.NaN }],
  ]
  for (const [option, given] of refused) {
    t.throws(
      () => resolveAutopilotOptions(given as { voters: number }, electionMs),
      { code: 'ERR_SKEIN_INVALID_OPTION', detail: { option } },
      option,
    )
  }
  t.match(resolveAutopilotOptions({ voters: 3 }, 50_000), { deadMs: 100_000 }, 'the default follows slow timings')
})

const health = fc.constantFrom(ready, young, behind, silent, dead)
const situation = fc.record({
  wanted: fc.integer({ min: 1, max: 7 }),
  members: fc.dictionary(fc.integer({ min: 2, max: 12 }).map(String), fc.record({ health, isVoter: fc.boolean() }), {
    maxKeys: 9,
  }),
})

type Members = Readonly<Record<string, { readonly health: MemberHealth; readonly isVoter: boolean }>>

function confOf(members: Members): ConfState {
  const ids = (isVoter: boolean) =>
    Object.keys(members)
      .filter((id) => members[id]?.isVoter === isVoter)
      .map(Number)
  return {
    voters: [1, ...ids(true)].sort((a, b) => a - b),
    votersOutgoing: [],
    learners: ids(false),
    learnersNext: [],
    autoLeave: false,
  }
}

const typeOf = { promote: 'v', demote: 'l', remove: 'r' } as const

t.test('no step leaves the healthy voters without a majority, adds anybody, or touches the leader', async (t) => {
  let steps = 0
  fc.assert(
    fc.property(situation, ({ wanted, members }) => {
      const conf = confOf(members)
      const known = new Map(Object.entries(members).map(([id, { health }]) => [Number(id), health]))
      const { step } = planAutopilot({ self: 1, conf, members: known }, nowMs, options(wanted))
      if (step === undefined) return true
      steps++
      const after = changeSimply(conf, [{ type: typeOf[step.act], nodeId: step.id }])
      const healthy = after.voters.filter((id) => id === 1 || (known.get(id)?.heardAtMs ?? 0) >= nowMs - electionMs)
      const isMember = conf.voters.includes(step.id) || conf.learners.includes(step.id)
      return healthy.length * 2 > after.voters.length && isMember && step.id !== 1
    }),
    { numRuns: 2_000 },
  )
  t.ok(steps > 200, 'steps were planned')
})

t.test('following the plan comes to rest, with as many living voters as wanted if there are that many', async (t) => {
  const comesToRest = () =>
    fc.assert(
      fc.property(situation, ({ wanted, members }) => {
        let conf = confOf(members)
        const known = new Map(Object.entries(members).map(([id, { health }]) => [Number(id), health]))
        const lives = (id: RaftId): boolean => id === 1 || known.get(id) !== dead
        const isHealthy = (id: RaftId): boolean => lives(id) && known.get(id) !== silent
        const hasQuorum = conf.voters.filter(isHealthy).length * 2 > conf.voters.length
        for (let i = 0; ; i++) {
          const { step } = planAutopilot({ self: 1, conf, members: known }, nowMs, options(wanted))
          if (step === undefined) break
          if (i > 30) return false
          conf = changeSimply(conf, [{ type: typeOf[step.act], nodeId: step.id }])
        }
        const living = conf.voters.filter(lives).length
        const spare = conf.learners.filter((id) => known.get(id) === ready).length
        return !hasQuorum || living >= wanted || spare === 0
      }),
      { numRuns: 2_000 },
    )
  t.doesNotThrow(comesToRest)
})
