import fc from 'fast-check'
import t from 'tap'
import {
  type AutopilotView,
  Health,
  type Look,
  planAutopilot,
  resolveAutopilotOptions,
} from '../../../lib/raft/autopilot/index.js'
import { changeSimply } from '../../../lib/raft/core/membership.js'
import type { ConfState, RaftId } from '../../../lib/raft/index.js'

const conf = (voters: readonly RaftId[], learners: readonly RaftId[] = []): ConfState => ({
  voters,
  votersOutgoing: [],
  learners,
  learnersNext: [],
  autoLeave: false,
})

interface Seen {
  readonly term?: number
  readonly conf?: ConfState
  readonly commitIndex?: number
  readonly match?: Readonly<Record<number, number>>
  readonly heard?: Readonly<Record<number, number>>
}

const look = ({ term = 1, conf: now = conf([1, 2], [3]), commitIndex = 100, match = {}, heard = {} }: Seen): Look => ({
  self: 1,
  term,
  conf: now,
  commitIndex,
  progress: new Map(Object.entries(match).map(([id, index]) => [Number(id), { match: index }])),
  heardAtMs: (id) => heard[id],
})

const fresh = () => new Health({ lagEntriesMax: 10, lateMs: 1_000 })
const of = (view: AutopilotView, id: RaftId) => view.members.get(id)

t.test('a new leader holds nobody’s silence against it from before it led', async (t) => {
  const health = fresh()
  t.equal(of(health.look(look({ heard: { 2: 5 } }), 90_000), 2)?.heardAtMs, 90_000)
  t.equal(of(health.look(look({ heard: { 2: 5 } }), 90_500), 2)?.heardAtMs, 90_000)
  t.equal(of(health.look(look({ heard: { 2: 90_400 } }), 90_500), 2)?.heardAtMs, 90_400)
  t.equal(of(health.look(look({ term: 2, heard: { 2: 90_400 } }), 90_900), 2)?.heardAtMs, 90_900, 'another term')
})

t.test('after a stall of this process silence counts from its end: what was sent lies unread in the sockets', async (t) => {
  const health = fresh()
  health.look(look({ heard: { 2: 100 } }), 100)
  t.equal(of(health.look(look({ heard: { 2: 100 } }), 60_000), 2)?.heardAtMs, 60_000)
})

t.test('a member that was just added has had no chance to speak', async (t) => {
  const health = fresh()
  for (let nowMs = 0; nowMs <= 100_000; nowMs += 1_000) health.look(look({ conf: conf([1]) }), nowMs)
  t.equal(of(health.look(look({ conf: conf([1, 4]) }), 101_000), 4)?.heardAtMs, 101_000)
})

t.test('caught up counts without a break, and never for one that acknowledged nothing', async (t) => {
  const health = fresh()
  const since = (match: number, nowMs: number, commitIndex = 100) =>
    of(health.look(look({ match: { 3: match }, commitIndex }), nowMs), 3)?.caughtUpSinceMs
  t.equal(since(50, 0), undefined)
  t.equal(since(90, 100), 100)
  t.equal(since(95, 200, 105), 100)
  t.equal(since(95, 300, 106), undefined, 'it fell behind')
  t.equal(since(106, 400, 106), 400)
  t.equal(since(0, 500, 5), undefined, 'a short log, and nothing of it')
})

// A run of ten simulated minutes: peers die for ever or for a while, newcomers are added as learners, and every step is carried out.
const electionMs = 1_000
const options = resolveAutopilotOptions({ voters: 3, stableMs: 5_000, deadMs: 20_000 }, electionMs)
const typeOf = { promote: 'v', demote: 'l', remove: 'r' } as const

interface Fate {
  /** The time from which it is silent, and until when. */
  readonly silentFromMs: number
  readonly silentForMs: number
}

const fate = fc.record({
  silentFromMs: fc.integer({ min: 0, max: 500_000 }),
  silentForMs: fc.oneof(fc.integer({ min: 1_000, max: 40_000 }), fc.constant(Number.POSITIVE_INFINITY)),
})

t.test('through deaths and absences no step costs the quorum, and what died is replaced while there are learners', async (t) => {
  let replaced = 0
  fc.assert(
    fc.property(fc.array(fate, { minLength: 4, maxLength: 6 }), (fates) => {
      // Peer 1 leads and lives; 2 and 3 vote; the others learn.
      const fateOf = (id: RaftId): Fate | undefined => fates[id - 2]
      const isUp = (id: RaftId, nowMs: number): boolean => {
        const own = fateOf(id)
        return own === undefined || nowMs < own.silentFromMs || nowMs >= own.silentFromMs + own.silentForMs
      }
      let now = conf(
        [1, 2, 3],
        fates.slice(2).map((_, i) => i + 4),
      )
      const removed = new Set<RaftId>()
      const health = new Health({ lagEntriesMax: 10, lateMs: 1_000 })
      const heard: Record<number, number> = {}
      for (let nowMs = 0; nowMs <= 600_000; nowMs += 250) {
        const members = [...now.voters, ...now.learners]
        for (const id of members) if (isUp(id, nowMs)) heard[id] = nowMs
        const up = (conf: ConfState): boolean => conf.voters.filter((id) => isUp(id, nowMs)).length * 2 > conf.voters.length
        const match = Object.fromEntries(members.map((id) => [id, isUp(id, nowMs) ? 100 : 50]))
        const view = health.look(look({ conf: now, match, heard }), nowMs)
        if (!up(now)) continue // a leader without a quorum changes nothing, and steps down
        const { step } = planAutopilot(view, nowMs, options)
        if (step === undefined) continue
        const next = changeSimply(now, [{ type: typeOf[step.act], nodeId: step.id }])
        // Whoever went silent less than an election timeout ago still counts as healthy.
        const believed = next.voters.filter((id) => isUp(id, nowMs) || nowMs - (heard[id] ?? 0) <= electionMs)
        if (believed.length * 2 <= next.voters.length || removed.has(step.id)) return false
        if (step.act === 'remove') removed.add(step.id)
        now = next
      }
      replaced += removed.size
      const living = now.voters.filter((id) => isUp(id, 600_000)).length
      const waiting = now.learners.filter((id) => isUp(id, 600_000) && isUp(id, 590_000)).length
      return now.voters.length <= 4 && (living * 2 <= now.voters.length || living >= 3 || waiting === 0)
    }),
    { numRuns: 300 },
  )
  t.ok(replaced > 50, 'some were replaced')
})
