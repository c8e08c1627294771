import fc from 'fast-check'
import t from 'tap'
import { PayloadFeed } from '../../lib/dispatcher/payload-feed.js'

const ids = ['a', 'b', 'c', 'd']
/** Some cannot be found. */
const sizes: Readonly<Record<string, number | undefined>> = { a: 1, b: 7, c: 40 }
const find = (id: string): Uint8Array | undefined => {
  const sizeBytes = sizes[id]
  return sizeBytes === undefined ? undefined : new Uint8Array(sizeBytes)
}

t.test('whatever is needed when, a worker that does as it is told holds just that, and is told nothing twice', async (t) => {
  const step = fc.record({ needed: fc.subarray(ids), beginsAnew: fc.boolean(), roomBytes: fc.integer({ min: 1, max: 50 }) })
  const run = (): void =>
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const feed = new PayloadFeed()
        const held = new Set<string>()
        for (const { needed, beginsAnew, roomBytes } of steps) {
          const wanted = new Set(needed)
          if (beginsAnew) {
            feed.beginAnew()
            held.clear()
          }
          for (const id of feed.dropped(wanted)) if (!held.delete(id)) return false
          for (let told = feed.next(wanted, roomBytes, find); told.length > 0; told = feed.next(wanted, roomBytes, find)) {
            const before = told.slice(0, -1).reduce((sum, { data }) => sum + (data?.length ?? 0), 0)
            if (before >= roomBytes) return false // only the last may go over
            for (const { id, data } of told) {
              if (held.has(id) || data?.length !== sizes[id]) return false
              held.add(id)
            }
          }
          if ([...held].sort().join() !== [...needed].sort().join()) return false
        }
        return true
      }),
    )
  t.doesNotThrow(run, 'in all histories')
})

t.test('without room nothing is sent, and nothing is forgotten for it', async (t) => {
  const feed = new PayloadFeed()
  const needed = new Set(['a', 'd'])
  t.same(feed.next(needed, 0, find), [])
  t.same(feed.next(needed, 1, find), [{ id: 'a', data: new Uint8Array(1) }])
  t.same(feed.next(needed, 1, find), [{ id: 'd' }])
})
