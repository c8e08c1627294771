import fc from 'fast-check'
import t from 'tap'
import { JointConfig, Majority } from '../../../lib/raft/core/quorum.js'

function acked(indexes: Record<number, number>): { ackedIndex(id: number): number } {
  return { ackedIndex: (id) => indexes[id] ?? 0 }
}

function votes(granted: readonly number[], refused: readonly number[]): Map<number, boolean> {
  return new Map([...granted.map((id) => [id, true] as const), ...refused.map((id) => [id, false] as const)])
}

t.test('a majority commits what a bare majority has acknowledged', (t) => {
  const rows: [ids: number[], indexes: Record<number, number>, committed: number][] = [
    [[], {}, Number.POSITIVE_INFINITY],
    [[1], {}, 0],
    [[1], { 1: 12 }, 12],
    [[1, 2], { 1: 12 }, 0],
    [[1, 2], { 1: 12, 2: 5 }, 5],
    [[1, 2, 3], { 1: 12, 2: 5 }, 5],
    [[1, 2, 3], { 1: 12, 2: 5, 3: 12 }, 12],
    [[1, 2, 3, 4], { 1: 101, 2: 104, 3: 103, 4: 103 }, 103],
    [[1, 2, 3, 4], { 1: 101, 2: 104 }, 0],
    [[1, 2, 3, 4, 5], { 1: 101, 2: 104, 3: 103, 4: 103 }, 103],
    [[1, 2, 3, 4, 5], { 1: 99, 2: 99 }, 0],
  ]
  for (const [ids, indexes, committed] of rows) {
    t.equal(new Majority(ids).committedIndex(acked(indexes)), committed, `voters ${ids}, acknowledged ${JSON.stringify(indexes)}`)
  }
  t.equal(new Majority([1, 2]).committedIndex(acked({ 1: 5, 2: 5, 9: 100 })), 5, 'who does not vote does not count')
  t.end()
})

t.test('a majority elects with more than half of all votes, cast or not', (t) => {
  const rows: [ids: number[], granted: number[], refused: number[], result: string][] = [
    [[], [], [], 'VoteWon'],
    [[1], [], [], 'VotePending'],
    [[1], [1], [], 'VoteWon'],
    [[1], [], [1], 'VoteLost'],
    [[1, 2], [1], [], 'VotePending'],
    [[1, 2], [1], [2], 'VoteLost'],
    [[1, 2, 3], [1, 2], [], 'VoteWon'],
    [[1, 2, 3], [1], [2], 'VotePending'],
    [[1, 2, 3], [], [2, 3], 'VoteLost'],
    [[1, 2, 3, 4], [1, 2], [3], 'VotePending'],
    [[1, 2, 3, 4], [1, 2], [3, 4], 'VoteLost'],
    [[1, 2, 3, 4], [1, 2, 3], [4], 'VoteWon'],
  ]
  for (const [ids, granted, refused, result] of rows) {
    t.equal(new Majority(ids).voteResult(votes(granted, refused)), result, `voters ${ids}: ${granted} for, ${refused} against`)
  }
  t.equal(new Majority([1, 2, 3]).voteResult(votes([7, 8, 9], [])), 'VotePending', 'who does not vote does not count')
  t.end()
})

t.test('a joint configuration needs both halves for an election and for a commit', (t) => {
  const joint = new JointConfig([1, 2, 3], [3, 4, 5])
  t.equal(joint.voteResult(votes([1, 2, 3], [])), 'VotePending', 'won in one half alone')
  t.equal(joint.voteResult(votes([1, 2, 3], [4, 5])), 'VoteLost', 'won in one half, lost in the other')
  t.equal(joint.voteResult(votes([1], [4, 5])), 'VoteLost', 'lost in one half is lost')
  t.equal(joint.voteResult(votes([1, 2, 4, 5], [3])), 'VoteWon')
  t.equal(joint.committedIndex(acked({ 1: 9, 2: 9, 3: 9 })), 0, 'stored in one half alone')
  t.equal(joint.committedIndex(acked({ 1: 9, 2: 9, 3: 4, 4: 7 })), 4)
  t.same(joint.ids(), [1, 2, 3, 4, 5])
  t.ok(joint.has(5))
  t.notOk(joint.has(6))
  t.end()
})

const someIds = fc.uniqueArray(fc.integer({ min: 1, max: 9 }), { maxLength: 7 })

/** All sets of more than half of `ids`. */
function majorities(ids: readonly number[]): number[][] {
  const subsets = ids.reduce<number[][]>((sets, id) => sets.flatMap((set) => [set, [...set, id]]), [[]])
  return subsets.filter((set) => set.length * 2 > ids.length)
}

t.test('the committed index is the highest that all of some majority of each half have acknowledged', (t) => {
  const indexes = fc.array(fc.nat(20), { minLength: 10, maxLength: 10 })
  fc.assert(
    fc.property(someIds, someIds, indexes, (incoming, outgoing, at) => {
      const best = (ids: number[]) =>
        ids.length === 0
          ? Number.POSITIVE_INFINITY
          : Math.max(...majorities(ids).map((quorum) => Math.min(...quorum.map((id) => at[id]!))))
      const joint = new JointConfig(incoming, outgoing)
      return joint.committedIndex({ ackedIndex: (id) => at[id]! }) === Math.min(best(incoming), best(outgoing))
    }),
  )
  t.pass('by definition, over all majorities')
  t.end()
})

t.test('an election is won when some majority of each half granted it, lost when no outcome of open votes could win it', (t) => {
  const ballots = fc.array(fc.constantFrom(true, false, undefined), { minLength: 10, maxLength: 10 })
  fc.assert(
    fc.property(someIds, someIds, ballots, (incoming, outgoing, cast) => {
      const wins = (granted: (id: number) => boolean) =>
        [incoming, outgoing].every((ids) => ids.length === 0 || majorities(ids).some((quorum) => quorum.every(granted)))
      const expected = wins((id) => cast[id] === true) ? 'VoteWon' : wins((id) => cast[id] !== false) ? 'VotePending' : 'VoteLost'
      const known = new Map([...cast.entries()].filter((pair): pair is [number, boolean] => pair[1] !== undefined))
      return new JointConfig(incoming, outgoing).voteResult(known) === expected
    }),
  )
  t.pass('by definition, over all majorities')
  t.end()
})
