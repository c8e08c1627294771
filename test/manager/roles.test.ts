import fc from 'fast-check'
import t from 'tap'
import { mayRemoveVoter, planRoles, type RolesStep, type RolesView } from '../../lib/manager/roles.js'
import type { ConfState } from '../../lib/raft/core/state.js'

const conf = (voters: readonly number[], learners: readonly number[] = []): ConfState => ({
  voters,
  votersOutgoing: [],
  learners,
  learnersNext: [],
  autoLeave: false,
})
/** Every voter answers, unless it is said who does. */
const view = (part: Partial<RolesView>): RolesView => ({
  self: 1,
  conf: conf([1]),
  commitIndex: 1_000,
  wanted: [{ raftId: 1, node: 'a' }],
  leaving: [],
  votes: 'all',
  progress: new Map(),
  answering: new Set(part.conf?.voters),
  ...part,
})
const change = (type: 'v' | 'l' | 'r', nodeId: number): RolesStep => ({ type: 'change', change: { type, nodeId } })
const wanted = (...ids: number[]) => ids.map((raftId) => ({ raftId, node: `n${raftId}` }))
const seen = (match: number, recentActive = true) => ({ match, recentActive })

t.test('a newcomer learns before it votes', async (t) => {
  t.same(planRoles(view({ wanted: wanted(1, 2) })), change('l', 2))
})

t.test('a learner votes only once it has caught up and answers', async (t) => {
  const learning = { conf: conf([1], [2]), wanted: wanted(1, 2) }
  t.equal(planRoles(view({ ...learning, progress: new Map([[2, seen(100)]]) })), undefined, 'far behind')
  t.equal(planRoles(view({ ...learning, progress: new Map([[2, seen(1_000, false)]]) })), undefined, 'silent')
  t.equal(
    planRoles(view({ ...learning, commitIndex: 3, progress: new Map([[2, seen(0)]]) })),
    undefined,
    'never acknowledged anything',
  )
  t.same(planRoles(view({ ...learning, progress: new Map([[2, seen(990)]]) })), change('v', 2))
})

t.test('where somebody else chooses who votes, a newcomer becomes a member and no more', async (t) => {
  const learning = { conf: conf([1], [2]), votes: 'chosen' as const, progress: new Map([[2, seen(1_000)]]) }
  t.equal(planRoles(view({ ...learning, wanted: wanted(1, 2) })), undefined)
  t.same(planRoles(view({ ...learning, wanted: wanted(1, 2, 3) })), change('l', 3))
})

t.test('a member whose record is gone leaves before another joins', async (t) => {
  t.same(planRoles(view({ conf: conf([1, 2, 3]), wanted: wanted(1, 2, 4) })), change('r', 3))
})

t.test('nothing is planned inside a joint configuration', async (t) => {
  const joint = { ...conf([1, 2]), votersOutgoing: [1] }
  t.equal(planRoles(view({ conf: joint, wanted: wanted(1, 2, 3) })), undefined)
})

t.test('the leader never plans its own removal', async (t) => {
  t.equal(planRoles(view({ conf: conf([1, 2]), wanted: wanted(2) })), undefined)
})

t.test('a voter may go only while the rest keeps a majority that answers', async (t) => {
  t.ok(mayRemoveVoter(conf([1, 2, 3]), new Set([1, 2]), 3), 'the dead third of three')
  t.notOk(mayRemoveVoter(conf([1, 2, 3]), new Set([1, 2]), 2), 'a live one while another is dead')
  t.notOk(mayRemoveVoter(conf([1]), new Set([1]), 1), 'the last one')
})

t.test('nobody leaves while too few of the others answer, and a newcomer that could help is not kept waiting', async (t) => {
  const losing = { conf: conf([1, 2, 3]), wanted: wanted(1, 2), answering: new Set([1, 3]) }
  t.equal(planRoles(view(losing)), undefined, 'of the two that stay only the leader answers')
  t.same(planRoles(view({ ...losing, wanted: wanted(1, 2, 4) })), change('l', 4))
  t.same(planRoles(view({ ...losing, answering: new Set([1, 2]) })), change('r', 3), 'a dead one may go')
})

t.test('who is to be a worker leaves raft first; its record says so after, and is not taken back in', async (t) => {
  const leaving = wanted(2)
  t.same(planRoles(view({ conf: conf([1, 2, 3]), wanted: wanted(1, 3), leaving })), change('r', 2))
  t.same(planRoles(view({ conf: conf([1, 3]), wanted: wanted(1, 3), leaving })), { type: 'release', member: leaving[0] })
  t.same(planRoles(view({ conf: conf([1], [2]), wanted: wanted(1), leaving })), change('r', 2), 'a learner too')
})

t.test(
  'a leader that is to be a worker hands over to the voter that stays and has the most, and only to such a one',
  async (t) => {
    const demoted = { conf: conf([1, 2, 3]), wanted: wanted(2, 3), leaving: wanted(1) }
    const progress = new Map([
      [2, seen(900)],
      [3, seen(950)],
    ])
    t.same(planRoles(view({ ...demoted, progress })), { type: 'hand-over', to: 3 })
    const few = { ...demoted, progress, answering: new Set([1, 3]) }
    t.equal(planRoles(view(few)), undefined, 'the quorum could not do without it')
    const both = { ...demoted, wanted: wanted(2), leaving: wanted(1, 3), progress }
    t.same(planRoles(view(both)), change('r', 3), 'the other one that leaves goes first')
    t.equal(planRoles(view({ conf: conf([1], [2]), wanted: wanted(2), leaving: wanted(1), commitIndex: 5_000 })), undefined)
  },
)

t.test('following the plan reaches the wanted voters, whatever the start, one safe change at a time', async () => {
  const ids = fc.uniqueArray(fc.integer({ min: 1, max: 9 }), { maxLength: 6 })
  fc.assert(
    fc.property(ids, ids, ids, ids, (voters, learners, want, leave) => {
      const first = voters[0] ?? 1
      let state = conf(
        voters.length === 0 ? [first] : voters,
        learners.filter((id) => !voters.includes(id) && id !== first),
      )
      let self = first
      const stay = want.filter((id) => !leave.includes(id))
      // Raft goes on by somebody: the last one is never asked to leave.
      const wish = wanted(...(stay.length === 0 ? [first] : stay))
      let leaving = wanted(...leave.filter((id) => !wish.some(({ raftId }) => raftId === id)))
      for (let steps = 0; steps < 60; steps++) {
        const progress = new Map([...state.voters, ...state.learners].map((id) => [id, seen(1_000)]))
        const answering = new Set(state.voters)
        const step = planRoles(view({ self, conf: state, wanted: wish, leaving, progress, answering }))
        if (step === undefined) break
        if (step.type === 'release') {
          const { raftId } = step.member
          if (state.voters.includes(raftId) || state.learners.includes(raftId)) return false
          leaving = leaving.filter((each) => each.raftId !== raftId)
        } else if (step.type === 'hand-over') {
          if (!state.voters.includes(step.to) || leaving.some(({ raftId }) => raftId === step.to)) return false
          self = step.to
        } else {
          if (step.change.nodeId === self) return false
          state = applied(state, step.change)
        }
      }
      const names = (list: readonly number[]): string => [...list].sort().join()
      const isSettled = state.learners.length === 0 && leaving.length === 0
      // A leader without a record (of which the plan knows nothing) stays until another one leads.
      const expected = new Set([...wish.map(({ raftId }) => raftId), ...(isKnown(self) ? [] : [self])])
      return isSettled && names(state.voters) === names([...expected])

      function isKnown(id: number): boolean {
        return wish.some(({ raftId }) => raftId === id)
      }
    }),
  )
})

function applied(
  { voters, learners }: ConfState,
  { type, nodeId }: { readonly type: string; readonly nodeId: number },
): ConfState {
  const others = { voters: voters.filter((id) => id !== nodeId), learners: learners.filter((id) => id !== nodeId) }
  if (type === 'v') return conf([...others.voters, nodeId], others.learners)
  return type === 'l' ? conf(others.voters, [...others.learners, nodeId]) : conf(others.voters, others.learners)
}
