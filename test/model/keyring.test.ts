import t from 'tap'
import {
  checkKeyring,
  foundKeyring,
  keyOf,
  removalPeriodMs,
  rotateKeyring,
  rotationDueInMs,
  rotationPeriodMs,
} from '../../lib/model/keyring.js'

const secret = (n: number): Uint8Array => new Uint8Array(32).fill(n)

t.test('a rotation makes primary what everybody held as next, and keeps what was primary for one period', async (t) => {
  let ring = foundKeyring([secret(0), secret(1)], 1_000)
  t.equal(ring.previous, undefined)
  for (let n = 2; n < 600; n++) {
    const was = ring
    ring = rotateKeyring(ring, secret(n & 0xff), n)
    t.equal(ring.primary, was.next)
    t.equal(ring.previous, was.primary)
    t.equal(checkKeyring(ring), ring)
  }
  t.equal(keyOf(ring, ring.next.id), ring.next)
  t.equal(keyOf(ring, (ring.next.id + 1) & 0xff), undefined)
})

t.test('a rotation is due after twelve hours, and never later than that however the wall clock jumps', async (t) => {
  const ring = foundKeyring([secret(0), secret(1)], 1_000_000)
  t.equal(rotationDueInMs(ring, 1_000_000), rotationPeriodMs)
  t.equal(rotationDueInMs(ring, 1_000_000 + rotationPeriodMs), 0)
  t.equal(rotationDueInMs(ring, 5), rotationPeriodMs)
})

t.test('a ring with a short secret or two keys of one id is refused', async (t) => {
  const ring = foundKeyring([secret(0), secret(1)], 0)
  t.throws(() => checkKeyring({ ...ring, next: { id: 1, secret: new Uint8Array(31), removals: 0 } }), {
    code: 'ERR_SKEIN_INVALID_SPEC',
  })
  t.throws(() => checkKeyring({ ...ring, next: { id: 0, secret: secret(1), removals: 0 } }), { code: 'ERR_SKEIN_INVALID_SPEC' })
})

t.test('after a removal rotations come half a minute apart until no key is left that the removed node had', async (t) => {
  let ring = rotateKeyring(foundKeyring([secret(0), secret(1)], 0), secret(2), 0)
  const had = [ring.previous, ring.primary, ring.next]
  t.equal(rotationDueInMs(ring, 1_000, 0), rotationPeriodMs - 1_000)
  t.equal(rotationDueInMs(ring, 1_000, 1), removalPeriodMs - 1_000)
  for (let nowMs = removalPeriodMs, n = 0; n < 3; nowMs += removalPeriodMs, n++) {
    t.equal(rotationDueInMs(ring, nowMs, 1), 0)
    ring = rotateKeyring(ring, secret(3 + n), nowMs, 1)
  }
  t.equal(rotationDueInMs(ring, ring.rotatedAtMs, 1), rotationPeriodMs, 'and then every twelve hours again')
  for (const key of had) t.notOk([ring.previous, ring.primary, ring.next].includes(key))
})
