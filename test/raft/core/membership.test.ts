import fc from 'fast-check'
import t from 'tap'
import {
  changeConf,
  changeSimply,
  checkConf,
  enterJoint,
  leaveJoint,
  sortedConf,
  Tracker,
} from '../../../lib/raft/core/membership.js'
import { JointConfig } from '../../../lib/raft/core/quorum.js'
import type { ConfChange, ConfChangeSingle, ConfState } from '../../../lib/raft/core/state.js'
import { conf } from './harness.js'

/** `v1 l2 r3` as changes. */
function changes(text: string): ConfChangeSingle[] {
  return text === ''
    ? []
    : text.split(' ').map((word) => ({ type: word[0] as ConfChangeSingle['type'], nodeId: Number(word.slice(1)) }))
}

/** `1 2 & 2 3 / 4 > 3 auto`: voters, outgoing voters, learners, learners to be. */
function show({ voters, votersOutgoing, learners, learnersNext, autoLeave }: ConfState): string {
  const parts = [voters.join(' ')]
  if (votersOutgoing.length > 0) parts.push('&', votersOutgoing.join(' '))
  if (learners.length > 0) parts.push('/', learners.join(' '))
  if (learnersNext.length > 0) parts.push('>', learnersNext.join(' '))
  if (autoLeave) parts.push('auto')
  return parts.join(' ')
}

function outcome(act: () => ConfState): string {
  try {
    return show(act())
  } catch (error) {
    return (error as Error).message
  }
}

t.test('a simple change moves at most one voter, and any number of learners', (t) => {
  const rows: [from: ConfState, changes: string, outcome: string][] = [
    [conf([]), 'v1', '1'],
    [conf([]), 'l1', 'removed all voters'],
    [conf([1]), 'v2', '1 2'],
    [conf([1]), 'v1', '1'],
    [conf([1]), 'r1', 'removed all voters'],
    [conf([1]), 'v2 v3', 'more than one voter changed without entering joint config'],
    [conf([1]), 'r1 v2', 'more than one voter changed without entering joint config'],
    [conf([1, 2]), 'v3 r3', '1 2'],
    [conf([1, 2]), 'r3', '1 2'],
    [conf([1, 2]), 'l3 l4', '1 2 / 3 4'],
    [conf([1, 2], [3]), 'v3', '1 2 3'],
    [conf([1, 2], [3]), 'l3', '1 2 / 3'],
    [conf([1, 2], [3]), 'r3', '1 2'],
    [conf([1, 2]), 'l2', '1 / 2'],
    [conf([1, 2, 3]), 'l2 l3', 'more than one voter changed without entering joint config'],
    [conf([1, 2]), 'u2', '1 2'],
    [conf([1, 2]), 'v0 r0', '1 2'],
    [enterJoint(conf([1]), changes('v2'), { autoLeave: false }), 'v3', "can't apply simple config change in joint config"],
  ]
  for (const [from, words, expected] of rows) {
    t.equal(
      outcome(() => changeSimply(from, changes(words))),
      expected,
      `${show(from)}: ${words}`,
    )
  }
  t.end()
})

t.test('a joint change keeps the old voters until it is left', (t) => {
  const rows: [from: ConfState, changes: string, joint: string, left: string][] = [
    [conf([1, 2, 3]), 'r1 r2 v4 v5', '3 4 5 & 1 2 3', '3 4 5'],
    [conf([1]), '', '1 & 1', '1'],
    [conf([1, 2, 3]), 'l3', '1 2 & 1 2 3 > 3', '1 2 / 3'],
    [conf([1, 2, 3]), 'l3 v3', '1 2 3 & 1 2 3', '1 2 3'],
    [conf([1, 2, 3]), 'l3 r3', '1 2 & 1 2 3', '1 2'],
    [conf([1, 2, 3], [4]), 'v4 l1', '2 3 4 & 1 2 3 > 1', '2 3 4 / 1'],
    [conf([1, 2], [3]), 'r3', '1 2 & 1 2', '1 2'],
    [conf([1, 2]), 'l3', '1 2 & 1 2 / 3', '1 2 / 3'],
    [conf([1, 2]), 'r1 r2', 'removed all voters', ''],
    [conf([]), 'v1', "can't make a zero-voter config joint", ''],
  ]
  for (const [from, words, joint, left] of rows) {
    t.equal(
      outcome(() => enterJoint(from, changes(words), { autoLeave: false })),
      joint,
      `${show(from)}: ${words}`,
    )
    if (left === '') continue
    t.equal(
      outcome(() => leaveJoint(enterJoint(from, changes(words), { autoLeave: false }))),
      left,
      `${show(from)}: ${words}, left`,
    )
  }
  t.equal(show(enterJoint(conf([1]), changes('v2'), { autoLeave: true })), '1 2 & 1 auto')
  const joint = enterJoint(conf([1]), changes('v2'), { autoLeave: true })
  t.equal(
    outcome(() => enterJoint(joint, changes('v3'), { autoLeave: true })),
    'config is already joint',
  )
  t.equal(
    outcome(() => leaveJoint(conf([1]))),
    "can't leave a non-joint config",
  )
  t.end()
})

t.test('how a change is carried out follows from its transition and its size', (t) => {
  const three = conf([1, 2, 3])
  t.equal(show(changeConf(three, { v1: true, changes: changes('v4') })), '1 2 3 4')
  t.equal(show(changeConf(three, { changes: changes('v4') })), '1 2 3 4')
  t.equal(show(changeConf(three, { transition: 'implicit', changes: changes('v4') })), '1 2 3 4 & 1 2 3 auto')
  t.equal(show(changeConf(three, { transition: 'explicit', changes: changes('v4') })), '1 2 3 4 & 1 2 3')
  t.equal(show(changeConf(three, { changes: changes('v4 r1') })), '2 3 4 & 1 2 3 auto')
  t.equal(show(changeConf(changeConf(three, { changes: changes('v4 r1') }), { changes: [] })), '2 3 4')
  t.end()
})

t.test('a configuration that contradicts itself is refused', (t) => {
  const rows: [Partial<ConfState>, RegExp][] = [
    [{ voters: [1], learners: [1] }, /1 is a learner and a voter/],
    [{ voters: [1], votersOutgoing: [2], learners: [2] }, /2 is a learner and an outgoing voter/],
    [{ voters: [1], votersOutgoing: [1], learnersNext: [2] }, /2 is in LearnersNext, but not in the outgoing voters/],
    [{ voters: [1, 2], votersOutgoing: [2], learnersNext: [2] }, /2 is in LearnersNext and a voter/],
    [{ voters: [1], learnersNext: [2] }, /2 is in LearnersNext/],
    [{ voters: [1], autoLeave: true }, /AutoLeave must be false/],
  ]
  for (const [given, message] of rows) t.throws(() => checkConf(sortedConf(given)), { code: 'ERR_CONF_CHANGE', message })
  t.end()
})

const anyId = fc.integer({ min: 1, max: 5 })
const anySingle: fc.Arbitrary<ConfChangeSingle> = fc.record({ type: fc.constantFrom('v', 'l', 'r', 'u'), nodeId: anyId })
const anyChange: fc.Arbitrary<ConfChange> = fc.record({
  transition: fc.constantFrom('auto', 'implicit', 'explicit'),
  changes: fc.array(anySingle, { maxLength: 3 }),
})

t.test('whatever is changed, each configuration shares a quorum with the one before it', (t) => {
  let applied = 0
  fc.assert(
    fc.property(fc.array(anyChange, { maxLength: 12 }), (sequence) => {
      let current = conf([1, 2, 3])
      for (const change of sequence) {
        let next: ConfState
        try {
          next = changeConf(current, change)
        } catch {
          continue // an illegal change leaves everything as it was
        }
        applied++
        checkConf(next)
        if (!quorumsMeet(current, next)) return false
        current = next
      }
      return true
    }),
  )
  t.ok(applied > 100, `${applied} changes were legal`)
  t.end()
})

/** No two disjoint sets of peers can be quorums, one of each configuration. */
function quorumsMeet(before: ConfState, after: ConfState): boolean {
  const [first, second] = [before, after].map(({ voters, votersOutgoing }) => new JointConfig(voters, votersOutgoing))
  for (let set = 0; set < 1 << 6; set++) {
    const inside = new Map([1, 2, 3, 4, 5].map((id) => [id, (set & (1 << id)) !== 0]))
    const outside = new Map([...inside].map(([id, is]) => [id, !is]))
    if (first!.voteResult(inside) === 'VoteWon' && second!.voteResult(outside) === 'VoteWon') return false
  }
  return true
}

t.test('a tracker keeps what it knows of members that stay, and counts new ones as active', (t) => {
  const tracker = new Tracker({ maxMessages: 8, maxBytes: 1000 })
  tracker.adopt(conf([1, 2]), 5)
  t.same(
    tracker.members.map(({ id, match, next, recentActive }) => [id, match, next, recentActive]),
    [
      [1, 0, 5, true],
      [2, 0, 5, true],
    ],
  )
  tracker.get(2)!.maybeUpdate(7)
  tracker.get(2)!.recentActive = false
  tracker.adopt(conf([2, 3], [1]), 9)
  t.same(
    tracker.members.map(({ id, match, next, recentActive, isLearner }) => [id, match, next, recentActive, isLearner]),
    [
      [1, 0, 5, true, true],
      [2, 7, 8, false, false],
      [3, 0, 9, true, false],
    ],
  )
  tracker.adopt(conf([2]), 9)
  t.equal(tracker.get(1), undefined)
  t.equal(tracker.committedIndex(), 7)
  t.end()
})

t.test('a learner’s silence and a learner’s vote do not count', (t) => {
  const tracker = new Tracker({ maxMessages: 8, maxBytes: 1000 })
  tracker.adopt(conf([1], [2, 3]), 1)
  for (const id of [2, 3]) tracker.get(id)!.recentActive = false
  t.ok(tracker.quorumActive())
  tracker.recordVote(2, 'granted')
  tracker.recordVote(3, 'granted')
  t.equal(tracker.voteResult(), 'VotePending')
  tracker.recordVote(1, 'granted')
  tracker.recordVote(1, 'rejected')
  t.equal(tracker.voteResult(), 'VoteWon', 'and the first vote of a voter is the one that counts')
  t.end()
})

t.test('activity in one half of a joint configuration is no quorum', (t) => {
  const tracker = new Tracker({ maxMessages: 8, maxBytes: 1000 })
  tracker.adopt(enterJoint(conf([1, 2, 3]), changes('r2 r3 v4 v5'), { autoLeave: true }), 1)
  for (const id of [2, 3]) tracker.get(id)!.recentActive = false
  t.notOk(tracker.quorumActive())
  tracker.get(2)!.recentActive = true
  t.ok(tracker.quorumActive())
  t.end()
})
