import t from 'tap'
import { RawNode } from '../../lib/raft/core/index.js'
import { shrink, simulate } from '../../lib/sim/index.js'

t.test('a shrunk run breaks the same claim with fewer ingredients', (t) => {
  const hooks = {
    createCore: (config: ConstructorParameters<typeof RawNode>[0]) => new RawNode({ ...config, electionsAsInEtcd: true }),
  }
  const options = { eventsMax: 800, hooks }
  const failed = Array.from({ length: 200 }, (_, at) => simulate({ ...options, seed: at + 1 })).find(
    (verdict) => verdict.outcome === 'violated',
  )
  if (failed?.outcome !== 'violated') throw new Error('no seed failed')
  const shorter = shrink(failed, options)
  const again = simulate({ ...options, ...shorter })
  t.match(again, { outcome: 'violated', check: failed.check, step: shorter.step })
  t.ok(shorter.without.length > 5, shorter.without.join(','))
  t.end()
})
