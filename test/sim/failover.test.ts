/** What one broken link, one sleeper or one death does to a group in which all else is well. */
import t from 'tap'
import { RawNode } from '../../lib/raft/core/index.js'
import { type FailoverOptions, type Incident, type SimCoreConfig, simulateFailover } from '../../lib/sim/index.js'

/** Seeds that failed once, besides the first ones. */
const failedOnce: Readonly<Record<Incident, readonly number[]>> = {
  'broken-link': [],
  sleeper: [],
  // 3: a heartbeat that came after the news. 5: split votes, which stayed so. 902: deposed by one that had just given its vote.
  'leader-dies': [3, 5, 462, 902, 1361],
}

function failures(incident: Incident, seeds: number, options: Partial<FailoverOptions> = {}): readonly string[] {
  const found: string[] = []
  for (const seed of [...Array.from({ length: seeds }, (_, at) => at + 1), ...failedOnce[incident]]) {
    const verdict = simulateFailover({ ...options, seed, incident })
    if (verdict.outcome === 'violated') found.push(`seed ${seed} step ${verdict.step} ${verdict.check}: ${verdict.message}`)
  }
  return found
}

const bold = { createCore: (config: SimCoreConfig) => new RawNode({ ...config, preVote: false, checkQuorum: false }) }

t.test(
  'a leader that reaches a quorum stays leader when one link breaks for good, one way or both, whoever is called dead',
  (t) => {
    t.same(failures('broken-link', 200), [])
    t.not(failures('broken-link', 20, { hooks: bold }).length, 0, 'without pre-vote and check-quorum it does not')
    t.end()
  },
)

t.test('a follower that sleeps for elections, again and again, changes no term', (t) => {
  t.same(failures('sleeper', 200), [])
  t.end()
})

t.test('nodes without pre-vote are found out by sleepers whose timers are hasty, and by no others', (t) => {
  t.not(failures('sleeper', 20, { hooks: bold }).length, 0)
  t.same(failures('sleeper', 20, { hooks: bold, hastyTimersRate: 0 }), [])
  t.end()
})

t.test('a leader whose process dies is replaced within some ticks by evidence alone, however long elections wait', (t) => {
  t.same(failures('leader-dies', 500), [])
  t.equal(failures('leader-dies', 10, { hooks: { evidence: 'ignored' } }).length, 10 + failedOnce['leader-dies'].length)
  t.end()
})
