import fc from 'fast-check'
import t from 'tap'
import { isSkeinError, messageOf } from '../../lib/base/errors.js'
import { seededRandom } from '../../lib/base/random.js'
import { formatJoinString, formatToken, makeSecret, parseJoinString, parseToken, secretsEqual } from '../../lib/security/index.js'

const random = seededRandom(7)
const root = 'c0ffee'.padStart(64, '0')
const digest = BigInt(`0x${root}`).toString(36).padStart(50, '0')
const secret = makeSecret(random)
const token = { role: 'worker', root, secret } as const
const text = formatToken(token)

const checksum = text.slice(-4)

t.test('a token says the digest of its root, its role and secret, and a checksum', async (t) => {
  t.equal(text, `SKN-1-${digest}-w${secret}${checksum}`)
  t.match(checksum, /^[0-9a-z]{4}$/)
  t.strictSame(parseToken(text), token)
  t.equal(parseToken(formatToken({ ...token, role: 'manager' })).role, 'manager')
  t.equal(secret.length, 26)
})

t.test('a join string keeps its addresses, in order, each once', async (t) => {
  const addresses = ['10.0.0.1:7000', 'node-b.example:7001', '[fe80::1]:7002', '[::1]:65535']
  t.strictSame(parseJoinString(formatJoinString({ token, addresses })), { token, addresses })
  t.strictSame(parseJoinString(`skein://${text}@a:1,b:2, a:1`).addresses, ['a:1', 'b:2'])
})

const wrong: readonly (readonly [text: string, part: string])[] = [
  ['', 'scheme'],
  [`http://${text}@a:1`, 'scheme'],
  [`skein://${text}`, 'address'],
  [`skein://${text}@`, 'address'],
  [`skein://${text}@host`, 'address'],
  [`skein://${text}@host:0`, 'address'],
  [`skein://${text}@host:65536`, 'address'],
  [`skein://${text}@::1:7000`, 'address'],
  [`skein://${text}@a:1,,b:2`, 'address'],
  [`skein://${text}@a:1/path`, 'address'],
  [`skein://SWMTKN-1-${digest}-w${secret}${checksum}@a:1`, 'prefix'],
  [`skein://SKN-2-${digest}-w${secret}${checksum}@a:1`, 'version'],
  [`skein://SKN@a:1`, 'version'],
  [`skein://SKN-1-${digest.slice(1)}-w${secret}${checksum}@a:1`, 'root'],
  [`skein://SKN-1-${digest.slice(1)}!-w${secret}${checksum}@a:1`, 'root'],
  [`skein://SKN-1-${digest}-x${secret}${checksum}@a:1`, 'role'],
  [`skein://SKN-1-${digest}@a:1`, 'role'],
  [`skein://SKN-1-${digest}-w${secret.slice(1)}${checksum}@a:1`, 'secret'],
  [`skein://SKN-1-${digest}-w${secret}${checksum}-more@a:1`, 'secret'],
  [`skein://SKN-1-${digest}-m${secret}${checksum}@a:1`, 'checksum'],
]
for (const [string, part] of wrong) {
  t.test(`"${string.replace(secret, '…')}" is refused for its ${part}`, async (t) => {
    t.throws(() => parseJoinString(string), { code: 'ERR_SKEIN_BAD_JOIN_STRING', detail: { part } })
  })
}

t.test('one mistyped character is found, and the error says that it was mistyped', async (t) => {
  let passed = 0
  for (let at = 6; at < text.length - 4; at++) {
    for (const typed of ['0', 'z']) {
      if (text[at] === typed || text[at] === '-') continue
      try {
        parseToken(text.slice(0, at) + typed + text.slice(at + 1))
        passed++
      } catch (error) {
        t.match(error, { code: 'ERR_SKEIN_BAD_JOIN_STRING', detail: { part: /checksum|role/ } }, `${typed} at ${at}`)
      }
    }
  }
  t.equal(passed, 0)
})

t.test('a refusal never shows the secret', async (t) => {
  fc.assert(
    fc.property(fc.nat(200), fc.constantFrom('', '-', '@', '#', 'SKN-'), (at, junk) => {
      const whole = `skein://${text}@host:7000`
      const broken = whole.slice(0, at) + junk + whole.slice(at)
      try {
        parseJoinString(broken)
      } catch (error) {
        t.ok(isSkeinError(error, 'ERR_SKEIN_BAD_JOIN_STRING'))
        t.notOk(messageOf(error).includes(secret.slice(0, 8)), messageOf(error))
      }
    }),
  )
})

t.test('secrets are equal only to themselves', async (t) => {
  t.ok(secretsEqual(secret, secret))
  t.notOk(secretsEqual(secret, secret.slice(1)))
  t.notOk(secretsEqual(secret, makeSecret(random)))
})
