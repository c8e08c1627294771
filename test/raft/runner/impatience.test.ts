import t from 'tap'
import { seededRandom } from '../../../lib/base/random.js'
import type { BasicStatus } from '../../../lib/raft/core/index.js'
import { Impatience } from '../../../lib/raft/runner/impatience.js'

function patient(electionTicks = 10, seed = 1) {
  const status: { raftState: BasicStatus['raftState']; lead: number } = { raftState: 'StateFollower', lead: 2 }
  let [now, asked] = [0, [] as number[]]
  const impatience = new Impatience({
    electionTicks,
    random: seededRandom(seed),
    status: () => status,
    campaign: () => asked.push(now),
  })
  return {
    status,
    /** Ticks at which it asked, counted from here. */
    pass(ticks: number): readonly number[] {
      asked = []
      for (now = 1; now <= ticks; now++) impatience.tick()
      return asked
    },
  }
}

t.test('a candidate asks again after three to six tenths of a timeout, then after twice that, then waits like others', (t) => {
  for (let seed = 0; seed < 50; seed++) {
    const { status, pass } = patient(10, seed)
    status.raftState = 'StatePreCandidate'
    status.lead = 0
    const [first = 0, second = 0, ...more] = pass(100)
    if (first < 3 || first > 6 || second - first < 6 || second - first > 12) t.fail(`seed ${seed}: ${first}, ${second}`)
    t.strictSame(more, [])
  }
  t.end()
})

t.test('who follows or leads asks nothing, and a leader that was heard of makes impatient again', (t) => {
  const { status, pass } = patient()
  t.strictSame(pass(50), [])
  status.raftState = 'StateLeader'
  t.strictSame(pass(50), [])
  status.raftState = 'StateCandidate'
  status.lead = 0
  t.equal(pass(50).length, 2)
  status.raftState = 'StateFollower'
  pass(1)
  status.raftState = 'StateCandidate'
  t.equal(pass(50).length, 0, 'it lost, and no leader came of it')
  Object.assign(status, { raftState: 'StateFollower', lead: 3 })
  pass(1)
  Object.assign(status, { raftState: 'StateCandidate', lead: 0 })
  t.equal(pass(50).length, 2)
  t.end()
})

t.test('who has just won the pre-votes waits for votes from the beginning', (t) => {
  const { status, pass } = patient(20)
  Object.assign(status, { raftState: 'StatePreCandidate', lead: 0 })
  t.strictSame(pass(5), [])
  status.raftState = 'StateCandidate'
  t.ok((pass(50)[0] ?? 0) >= 6)
  t.end()
})

t.test('answers have at least two ticks, however short the timeout', (t) => {
  const { status, pass } = patient(3)
  status.raftState = 'StateCandidate'
  t.ok((pass(50)[0] ?? 0) >= 2)
  t.end()
})
