import fc from 'fast-check'
import t from 'tap'
import { SkeinBug } from '../../lib/base/assert.js'
import { isSkeinError } from '../../lib/base/errors.js'
import { decode, encode } from '../../lib/wire/index.js'
import { depthMax, scan } from '../../lib/wire/scan.js'

const limitBytes = 1_000_000

const plainValue = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger(),
    fc.double({ noNaN: true }),
    fc.string({ unit: 'grapheme' }),
    fc.uint8Array(),
    fc.array(tie('value')),
    fc.dictionary(
      fc.string().filter((key) => key !== '__proto__'),
      tie('value'),
    ),
  ),
})).value

t.test('any plain value comes back as it was', async (t) => {
  fc.assert(
    fc.property(plainValue, (value) => {
      const bytes = encode(value)
      t.equal(scan(bytes), undefined)
      const back = decode(bytes, limitBytes)
      if (Object.is(value, -0)) return
      t.strictSame(JSON.stringify(back, bytesAsText), JSON.stringify(value, bytesAsText))
    }),
    { numRuns: 300 },
  )
})

t.test('what is kept of an encoded value never keeps much more than itself', async (t) => {
  const small = (): number => encode({ op: 'small' }).buffer.byteLength
  small()
  for (const sizeBytes of [70_000, 300_000, 1_400_000]) {
    const large = encode({ text: 'x'.repeat(sizeBytes), bytes: new Uint8Array(10) })
    t.ok(large.buffer.byteLength <= 2 * large.length, `${sizeBytes} bytes hold ${large.buffer.byteLength}`)
    t.ok(small() <= 65_536, 'a small value after it does not hold its buffer')
    t.same(decode(large, 2_000_000), { text: 'x'.repeat(sizeBytes), bytes: new Uint8Array(10) })
  }
})

t.test('mutated bytes decode to a value or to ERR_SKEIN_BAD_MESSAGE, never to anything else', async (t) => {
  let refused = 0
  fc.assert(
    fc.property(plainValue, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 8 }), (value, changes) => {
      const bytes = Uint8Array.from(encode(value))
      for (const [at, byte] of changes) bytes[at % bytes.length] = byte
      try {
        decode(bytes, limitBytes)
      } catch (error) {
        if (!isSkeinError(error, 'ERR_SKEIN_BAD_MESSAGE')) throw error
        refused++
      }
    }),
    { numRuns: 2000 },
  )
  t.ok(refused > 100, `${refused} of 2,000 refused`)
})

t.test('random bytes never do more than be refused', async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const fault = scan(bytes)
      if (fault === undefined) decode(bytes, limitBytes)
      else t.throws(() => decode(bytes, limitBytes), { code: 'ERR_SKEIN_BAD_MESSAGE' })
    }),
    { numRuns: 1000 },
  )
  t.end()
})

t.test('undefined keys are left out, other undefined values become null', async (t) => {
  t.strictSame(decode(encode({ a: 1, b: undefined, c: [undefined] }), limitBytes), { a: 1, c: [null] })
})

t.test('bytes come back as a plain copy, not as a view of the message', async (t) => {
  const message = encode({ data: Buffer.from('abc') })
  const { data } = decode(message, limitBytes) as { data: Uint8Array }
  t.equal(data.constructor, Uint8Array)
  message.fill(0)
  t.equal(Buffer.from(data).toString(), 'abc')
})

t.test('more bytes than the limit are refused unread', async (t) => {
  t.throws(() => decode(encode('hello'), 3), { code: 'ERR_SKEIN_BAD_MESSAGE', message: /at most 3/ })
})

const refusals: readonly (readonly [words: string, hex: string, fault: RegExp])[] = [
  ['nothing at all', '', /ends early/],
  ['an array that claims four billion items', 'ddffffffff', /claims 4294967295 values/],
  ['a map that claims more than is there', 'df7fffffff01', /claims/],
  ['a byte string longer than the message', 'c6ffffffff', /ends early/],
  ['a text longer than the message', 'a5616263', /ends early/],
  ['a number cut short', 'cb0000', /ends early/],
  ['two values', '0101', /too many/],
  ['an extension type', 'd40100', /not used/],
  ['the token nobody may use', 'c1', /not used/],
]
for (const [words, hex, fault] of refusals) {
  t.test(`${words}: refused`, async (t) => {
    t.throws(() => decode(Buffer.from(hex, 'hex'), limitBytes), { code: 'ERR_SKEIN_BAD_MESSAGE', message: fault })
  })
}

t.test('nesting is accepted up to the bound and refused above it', async (t) => {
  const nested = (depth: number) => Uint8Array.from([...Array<number>(depth).fill(0x91), 0x01])
  t.equal(scan(nested(depthMax)), undefined)
  t.match(scan(nested(depthMax + 1)), /nested deeper/)
  t.throws(() => decode(nested(100_000), limitBytes), { code: 'ERR_SKEIN_BAD_MESSAGE' })
})

t.test('a 64-bit integer beyond the safe ones arrives inexact, for the readers to refuse', async (t) => {
  t.equal(decode(Buffer.from('cf0020000000000000', 'hex'), limitBytes), 2 ** 53)
})

t.test('what is not plain data is a bug of the sender', async (t) => {
  t.throws(() => encode({ key: Symbol('x') }), SkeinBug)
  const circle: { self?: unknown } = {}
  circle.self = circle
  t.throws(() => encode(circle), SkeinBug)
})

function bytesAsText(_key: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return `bytes ${Buffer.from(value).toString('hex')}`
  return Object.is(value, -0) ? 0 : value
}
