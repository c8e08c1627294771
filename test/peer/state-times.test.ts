import t from 'tap'
import { StateTimes } from '../../lib/peer/state-times.js'

t.test('a state has lasted since it was first seen, and another one begins anew', async (t) => {
  const times = new StateTimes<string>(() => true)
  t.equal(times.sinceMs('a', 'alive', 10), 10)
  t.equal(times.sinceMs('a', 'alive', 20), 10)
  t.equal(times.sinceMs('a', 'failed', 30), 30)
  t.equal(times.sinceMs('a', 'alive', 40), 40)
  times.forget('a')
  t.equal(times.sinceMs('a', 'alive', 50), 50)
})

t.test('of all the nodes that ever came and went hardly more are remembered than there are', async (t) => {
  const known: string[] = []
  const times = new StateTimes<string>((id) => known.includes(id))
  for (let come = 0; come < 5_000; come++) {
    known.push(`node${come}`)
    if (known.length > 100) known.shift()
    times.sinceMs(`node${come}`, 'alive', come)
    if (times.size > 201) t.fail(`${times.size} remembered`)
  }
  for (const id of known) t.equal(times.sinceMs(id, 'alive', 9_999), Number(id.slice(4)), 'who is there keeps its time')
})
