import fc from 'fast-check'
import t from 'tap'
import { mayRemoveVoter, planRoles, type RolesView } from '../../lib/manager/roles.js'

const conf = (voters: number[], learners: number[] = []) => ({
  voters,
  votersOutgoing: [],
  learners,
  learnersNext: [],
  autoLeave: false,
})
const view = (part: Partial<RolesView>): RolesView => ({
  self: 1,
  conf: conf([1]),
  commitIndex: 1_000,
  wanted: [{ raftId: 1, node: 'a' }],
  votes: 'all',
  progress: new Map(),
  ...part,
})
const wanted = (...ids: number[]) => ids.map((raftId) => ({ raftId, node: `n${raftId}` }))
const seen = (match: number, recentActive = true) => ({ match, recentActive })

t.test('a newcomer learns before it votes', async (t) => {
  t.same(planRoles(view({ wanted: wanted(1, 2) })), { type: 'l', nodeId: 2 })
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
  t.same(planRoles(view({ ...learning, progress: new Map([[2, seen(990)]]) })), { type: 'v', nodeId: 2 })
})

t.test('where somebody else chooses who votes, a newcomer becomes a member and no more', async (t) => {
  const learning = { conf: conf([1], [2]), votes: 'chosen' as const, progress: new Map([[2, seen(1_000)]]) }
  t.equal(planRoles(view({ ...learning, wanted: wanted(1, 2) })), undefined)
  t.same(planRoles(view({ ...learning, wanted: wanted(1, 2, 3) })), { type: 'l', nodeId: 3 })
})

t.test('a member whose record is gone leaves before another joins', async (t) => {
  t.same(planRoles(view({ conf: conf([1, 2, 3]), wanted: wanted(1, 2, 4) })), { type: 'r', nodeId: 3 })
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

t.test('following the plan reaches the wanted voters, whatever the start, one change at a time', async () => {
  const ids = fc.uniqueArray(fc.integer({ min: 2, max: 9 }), { maxLength: 6 })
  fc.assert(
    fc.property(ids, ids, ids, (voters, learners, want) => {
      let state = conf(
        [1, ...voters],
        learners.filter((id) => !voters.includes(id)),
      )
      const wish = wanted(1, ...want)
      for (let steps = 0; steps < 40; steps++) {
        const progress = new Map([...state.voters, ...state.learners].map((id) => [id, seen(1_000)]))
        const step = planRoles(view({ conf: state, wanted: wish, progress }))
        if (step === undefined) break
        const others = {
          voters: state.voters.filter((id) => id !== step.nodeId),
          learners: state.learners.filter((id) => id !== step.nodeId),
        }
        if (step.type === 'v') state = conf([...others.voters, step.nodeId], others.learners)
        else if (step.type === 'l') state = conf(others.voters, [...others.learners, step.nodeId])
        else state = conf(others.voters, others.learners)
      }
      return (
        state.learners.length === 0 &&
        [...state.voters].sort().join() ===
          wish
            .map(({ raftId }) => raftId)
            .sort()
            .join()
      )
    }),
  )
})
