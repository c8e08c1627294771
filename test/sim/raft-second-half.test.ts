import t from 'tap'
import { runAll, seedsOfPart } from './hold-seeds.js'

t.test('every claim holds on the second half of the seeds', (t) => {
  const { failures, events, counts } = runAll(seedsOfPart(1))
  t.comment(`${events} events, ${JSON.stringify(counts)}`)
  t.same(failures, [])
  t.end()
})
