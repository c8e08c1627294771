import fc from 'fast-check'
import t from 'tap'
import { ReplayWindow, windowPackets } from '../../../lib/overlay/datagram/replay-window.js'

t.test('no counter is fresh twice, and every new one within the window is fresh, whatever the order', async (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.integer({ min: 0, max: 600 }), fc.integer({ min: 0, max: 5_000 })), { maxLength: 400 }),
      (counters) => {
        const window = new ReplayWindow()
        const seen = new Set<number>()
        let highest = -1
        for (const counter of counters) {
          const isFresh = window.isFresh(counter)
          if (seen.has(counter) && isFresh) return false
          if (!seen.has(counter) && counter > highest - windowPackets && !isFresh) return false
          if (!isFresh) continue
          window.accept(counter)
          seen.add(counter)
          highest = Math.max(highest, counter)
        }
        return true
      },
    ),
    { numRuns: 500 },
  )
  t.pass('500 orders')
})

t.test('counters near the end of their range work as small ones', async (t) => {
  const window = new ReplayWindow()
  const last = 2 ** 48 - 1
  window.accept(last - 300)
  window.accept(last)
  t.notOk(window.isFresh(last))
  t.notOk(window.isFresh(last - 300), 'too old to tell')
  t.ok(window.isFresh(last - 1))
})
