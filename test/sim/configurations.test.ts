import t from 'tap'
import { configFault, configText, hasQuorum, quorumsMeet } from '../../lib/sim/configurations.js'

const none = { voters: [], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false }
const among =
  (...nodes: readonly number[]) =>
  (node: number): boolean =>
    nodes.includes(node)

t.test('a joint configuration decides only with a majority of both halves', (t) => {
  const joint = { ...none, voters: [1, 2, 3], votersOutgoing: [3, 4, 5] }
  t.ok(hasQuorum(joint, among(1, 3, 4)))
  t.notOk(hasQuorum(joint, among(1, 2, 3)))
  t.notOk(hasQuorum(joint, among(3, 4, 5)))
  t.notOk(hasQuorum({ ...none, voters: [1, 2] }, among(1)))
  t.notOk(
    hasQuorum(none, () => true),
    'nobody decides nothing',
  )
  t.end()
})

t.test('quorums meet when one voter changes or both halves decide, and not when two change at once', (t) => {
  const three = { ...none, voters: [1, 2, 3] }
  t.ok(quorumsMeet(three, { ...none, voters: [1, 2, 3, 4] }))
  t.ok(quorumsMeet(three, { ...none, voters: [1, 2] }))
  t.notOk(quorumsMeet(three, { ...none, voters: [1, 4, 5] }))
  t.notOk(quorumsMeet(three, { ...none, voters: [1, 2, 3, 4, 5] }))
  t.ok(quorumsMeet(three, { ...none, voters: [4, 5, 6], votersOutgoing: [1, 2, 3] }))
  t.end()
})

t.test('a configuration in which a learner votes, or that leaves what it is not in, is at fault', (t) => {
  t.equal(configFault({ ...none, voters: [1], learners: [2] }), undefined)
  t.match(configFault({ ...none, voters: [1], learners: [1] }), /learner and voter/)
  t.match(configFault({ ...none, voters: [1], votersOutgoing: [2], learnersNext: [3] }), /no outgoing voter/)
  t.match(configFault({ ...none, voters: [1], autoLeave: true }), /not joint/)
  t.match(configFault(none), /no voter/)
  t.equal(configText({ ...none, voters: [2, 1], learners: [3] }), '(1,2) learn(3)')
  t.end()
})
