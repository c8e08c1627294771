import t from 'tap'
import { simulate } from '../../lib/sim/index.js'
import { runAll, seedsOfPart } from './hold-seeds.js'
import { knownSeeds } from './raft-seeds.js'

t.test('every claim holds on the first half of the seeds', (t) => {
  const { failures, events, counts } = runAll(seedsOfPart(0))
  t.comment(`${events} events, ${JSON.stringify(counts)}`)
  t.same(failures, [])
  for (const [name, count] of Object.entries(counts)) t.ok(count > 0, `the runs are not idle: ${name}`)
  t.end()
})

t.test('every claim holds on the seeds that once failed', (t) => {
  t.same(runAll(knownSeeds).failures, [])
  t.end()
})

t.test('a seed gives the same run every time, event for event', (t) => {
  for (const seed of [7, 8, 9]) t.same(traceOf(seed), traceOf(seed))
  t.notSame(traceOf(7), traceOf(8))
  t.end()
})

function traceOf(seed: number): readonly string[] {
  const lines: string[] = []
  simulate({ seed, eventsMax: 500, trace: (line) => lines.push(line) })
  return lines
}
