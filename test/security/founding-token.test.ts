import { createPublicKey, randomBytes, verify } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { seededRandom } from '../../lib/base/random.js'
import { multiple, p256Order, signDeterministically } from '../../lib/security/deterministic-ecdsa.js'
import {
  checkSecret,
  digestOf,
  formatToken,
  foundAccess,
  foundingRoot,
  identify,
  issueFrom,
  lifetimes,
  makeFoundingToken,
  makeKeyPair,
  makeSealKey,
  parseJoinString,
  parseToken,
  readCertificate,
  trustOf,
} from '../../lib/security/index.js'

const seed = Buffer.from('5e'.repeat(32), 'hex')
const nowMs = Date.UTC(2026, 0, 1)

t.test('signatures are those of RFC 6979 A.2.5', async (t) => {
  const scalar = 0xc9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721n
  const hex = (message: string): string => Buffer.from(signDeterministically(scalar, Buffer.from(message))).toString('hex')
  t.equal(
    hex('sample'),
    'efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8',
  )
  t.equal(
    hex('test'),
    'f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083',
  )
})

t.test('whatever is signed so, Node verifies', async (t) => {
  fc.assert(
    fc.property(fc.bigInt(1n, p256Order - 1n), fc.uint8Array({ maxLength: 100 }), (scalar, message) => {
      const point = multiple(scalar)
      const [x, y] = [point.subarray(1, 33), point.subarray(33)].map((half) => half.toString('base64url'))
      const key = createPublicKey({ key: { kty: 'EC', crv: 'P-256', x, y } as never, format: 'jwk' })
      return verify('sha256', message, { key, dsaEncoding: 'ieee-p1363' }, signDeterministically(scalar, message))
    }),
    { numRuns: 50 },
  )
  t.pass('50 keys and messages')
})

t.test('every machine reads the same root, cluster and secret from a founding token, and another one from another', async (t) => {
  const token = makeFoundingToken(seed)
  const [one, other] = [parseToken(token), parseToken(token)]
  t.strictSame(one, other)
  t.equal(one.role, 'manager')
  t.equal(one.root, digestOf(foundingRoot(seed).certificate))
  t.equal(formatToken(one), token)
  t.equal(one.secret.length, 26)
  t.match(foundingRoot(seed).cluster, /^[0-9a-z]{12}$/)
  const third = parseToken(makeFoundingToken(randomBytes(32)))
  t.not(third.root, one.root)
  t.not(third.secret, one.secret)
  t.notMatch(token, one.secret)
})

t.test('its root is a proper certificate, signed by itself', async (t) => {
  const { x509 } = readCertificate(foundingRoot(seed).certificate)
  t.ok(x509.ca)
  t.ok(x509.verify(x509.publicKey))
})

t.test('a founding token mistyped anywhere is refused for the part that is wrong', async (t) => {
  const token = makeFoundingToken(seed)
  const part = (text: string): unknown => {
    try {
      parseJoinString(`skein://${text}@a:1`)
      return 'taken'
    } catch (error) {
      return (error as { detail: { part: string } }).detail.part
    }
  }
  t.equal(part(token), 'taken')
  t.equal(part(token.replace('SKN', 'SKM')), 'prefix')
  t.equal(part(token.replace('F1', 'F2')), 'version')
  t.equal(part(token.slice(0, -1)), 'seed')
  t.equal(part(`${token}-x`), 'seed')
  for (let at = 7; at < token.length; at++) {
    const changed = token.slice(0, at) + (token[at] === 'a' ? 'b' : 'a') + token.slice(at + 1)
    t.equal(part(changed), 'checksum', `character ${at}`)
  }
})

t.test('who has the token alone believes a node of the cluster it founded, and its secret is the manager’s', async (t) => {
  const before = foundingRoot(seed)
  const world = { cluster: before.cluster, dataKey: makeSealKey(), nowMs }
  const access = await foundAccess(world, seededRandom(1), before)
  const keys = await makeKeyPair()
  const subject = { cluster: before.cluster, role: 'manager', id: 'node00000001' } as const
  const certificate = issueFrom(access, world, subject, keys.publicKey, lifetimes.nodeMs)
  const trust = trustOf(before.cluster, access)
  const chain = [...trust.roots, ...trust.crosses]
  const { root: digest, secret } = parseToken(makeFoundingToken(seed))
  // The pinned root travels with the others of the cluster.
  const seen = identify({ type: 'pin', digest }, { certificate, chain: [...chain, ...trust.retired] }, 'acceptor', nowMs)
  t.equal(seen.role, 'manager')
  t.equal(checkSecret(access, world, 'manager', secret), undefined)
  t.match(checkSecret(access, world, 'worker', secret), { detail: { part: 'role' } })
})
