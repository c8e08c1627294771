import fc from 'fast-check'
import t from 'tap'
import { compareBytes } from '../../lib/base/bytes.js'
import { type KeyPart, keysUnder, makeKey, prefixRange, readKey } from '../../lib/storage/index.js'

const text = fc.string({ unit: 'grapheme-composite' })
const number = fc.oneof(fc.nat(300), fc.maxSafeInteger().map(Math.abs))
const parts = fc.array(fc.oneof(text, number), { maxLength: 4 })

t.test('any parts come back from their key', async (t) => {
  fc.assert(fc.property(parts, (list) => t.strictSame(readKey(makeKey(...list)), list)))
})

t.test('keys sort as their parts do', async (t) => {
  fc.assert(
    fc.property(parts, parts, (a, b) => t.equal(compareBytes(makeKey(...a), makeKey(...b)), compareParts(a, b))),
    { numRuns: 500 },
  )
})

t.test('keysUnder holds exactly the keys that begin with the parts', async (t) => {
  fc.assert(
    fc.property(parts, parts, (prefix, list) => {
      const { gte, lt } = keysUnder(...prefix)
      const key = makeKey(...list)
      const inside = (gte === undefined || compareBytes(key, gte) >= 0) && (lt === undefined || compareBytes(key, lt) < 0)
      t.equal(
        inside,
        prefix.every((part, index) => list[index] === part),
      )
    }),
    { numRuns: 500 },
  )
})

t.test('a prefix of ff bytes only has no upper end', async (t) => {
  t.strictSame(prefixRange(Uint8Array.of(0xff, 0xff)), { gte: Uint8Array.of(0xff, 0xff) })
  t.strictSame(prefixRange(Uint8Array.of(1, 0xff)).lt, Uint8Array.of(2))
})

t.test('bytes that are no key are refused or read, never more', async (t) => {
  let refused = 0
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 20 }), (bytes) => {
      try {
        readKey(bytes)
      } catch (error) {
        t.match(error, { code: 'ERR_SKEIN_BAD_MESSAGE' })
        refused++
      }
    }),
  )
  t.ok(refused > 0)
})

function compareParts(a: readonly KeyPart[], b: readonly KeyPart[]): number {
  for (const [index, left] of a.entries()) {
    const right = b[index]
    if (right === undefined) return 1
    if (left === right) continue
    if (typeof left === 'string' && typeof right === 'string') return compareBytes(Buffer.from(left), Buffer.from(right))
    if (typeof left === 'string') return -1
    return typeof right === 'string' || left > right ? 1 : -1
  }
  return a.length === b.length ? 0 : -1
}
