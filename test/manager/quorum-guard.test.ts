import t from 'tap'
import { checkDemotable, checkPromotable, checkRemovable } from '../../lib/manager/quorum-guard.js'
import type { Node } from '../../lib/model/node.js'

const node = (more: Partial<Node>): Node =>
  ({ id: 'x', name: 'x', role: 'manager', state: 'ready', address: 'a:1', ...more }) as Node
const view = (voters: readonly number[], ...reachable: number[]) => ({
  leader: 'leads',
  conf: { voters, votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false },
  reachable: new Set(reachable),
  votersWanted: undefined,
})
const refusal = (act: () => void): unknown => {
  try {
    act()
    return undefined
  } catch (error) {
    return error
  }
}

t.test('a demotion is refused with how many would stay, answer and are needed', async (t) => {
  t.equal(
    refusal(() => checkDemotable(node({ raftId: 3 }), view([1, 2, 3], 1, 2))),
    undefined,
    'a dead one',
  )
  t.match(
    refusal(() => checkDemotable(node({ raftId: 2 }), view([1, 2, 3], 1, 2))),
    {
      code: 'ERR_SKEIN_PRECONDITION',
      message: /of the 2 voters that stay only 1 answer, and 2 are needed; bring a manager back/,
    },
  )
  t.match(
    refusal(() => checkDemotable(node({ raftId: 1 }), view([1], 1))),
    { message: /only voter; promote another/ },
  )
  t.match(
    refusal(() => checkDemotable(node({ raftId: 1 }), { ...view([1], 1), votersWanted: 1 })),
    { message: /only voter; one manager is to vote here .* with --managers 2 or more, promote another node/ },
    'where one that is promoted would never vote, that is said',
  )
  t.equal(
    refusal(() => checkDemotable(node({ raftId: 9 }), view([1], 1))),
    undefined,
    'who does not vote costs nothing',
  )
  t.equal(
    refusal(() => checkDemotable(node({ role: 'worker', raftId: undefined }), view([1], 1))),
    undefined,
    'nor does a worker',
  )
})

t.test('neither a node that is down nor one that only dials out can be promoted', async (t) => {
  const worker = node({ role: 'worker' })
  t.equal(
    refusal(() => checkPromotable(worker)),
    undefined,
  )
  t.match(
    refusal(() => checkPromotable({ ...worker, state: 'down' })),
    { code: 'ERR_SKEIN_PRECONDITION', message: /down/ },
  )
  t.match(
    refusal(() => checkPromotable({ ...worker, address: '' })),
    {
      code: 'ERR_SKEIN_PRECONDITION',
      message: /listen/,
    },
  )
})

t.test('a manager is removed only where the quorum stays, and the leader never', async (t) => {
  t.match(
    refusal(() => checkRemovable(node({ id: 'leads', raftId: 1 }), view([1, 2, 3], 1, 2, 3))),
    { message: /leads/ },
  )
  t.match(
    refusal(() => checkRemovable(node({ raftId: 2 }), view([1, 2, 3], 1, 2))),
    { message: /quorum/ },
  )
  t.equal(
    refusal(() => checkRemovable(node({ raftId: 2 }), view([1, 2, 3], 1, 3))),
    undefined,
  )
})
