import fc from 'fast-check'
import t from 'tap'
import { renewalAtMs, renewalDelayMs, renewalWindow } from '../../lib/security/index.js'

const hourMs = 3_600_000
const lifeMs = 90 * 24 * hourMs
const validity = { notBeforeMs: 0, notAfterMs: lifeMs }

t.test('a renewal lies between 50 and 80 % of the life, wherever chance puts it', async (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: hourMs, max: 10 * lifeMs }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (life, chance) => {
        const at = renewalAtMs({ notBeforeMs: 1000, notAfterMs: 1000 + life }, chance) - 1000
        return at >= renewalWindow.from * life - 1 && at <= renewalWindow.to * life
      },
    ),
  )
  t.equal(renewalAtMs(validity, 0), lifeMs / 2)
})

t.test('before it is due the wait ends at that moment, and is never longer than an hour: clocks are set', async (t) => {
  t.equal(renewalDelayMs(validity, 0, 0, 0), hourMs)
  t.equal(renewalDelayMs(validity, 0, lifeMs / 2 - 5, 0), 5)
  t.equal(renewalDelayMs(validity, 0, lifeMs / 2, 0), 0)
  t.equal(renewalDelayMs(validity, 0, lifeMs * 2, 0), 0, 'also when it is long over')
})

t.test('a clock that jumps an hour either way moves the renewal by no more than that, and never past the end', async (t) => {
  for (const jump of [-hourMs, hourMs]) {
    let wall = 0
    let steps = 0
    for (; ; steps++) {
      const delay = renewalDelayMs(validity, 0.99, wall, 0)
      if (delay === 0) break
      wall += delay
      if (steps === 100) wall += jump
    }
    t.ok(wall >= lifeMs / 2 && wall <= 0.8 * lifeMs + hourMs, `after ${steps} looks`)
  }
})

t.test('after failures it waits longer and longer, yet tries many times before the end', async (t) => {
  for (const life of [hourMs, 24 * hourMs, lifeMs]) {
    const span = { notBeforeMs: 0, notAfterMs: life }
    let now = 0.8 * life
    let tries = 0
    let last = 0
    while (now < life) {
      tries++
      const delay = renewalDelayMs(span, 0.99999, now, tries)
      t.ok(delay >= Math.min(last, 1000) && delay > 0)
      last = delay
      now += delay
    }
    t.ok(tries >= 3, `${tries} tries in the last fifth of ${life / hourMs} h`)
  }
})
