import { randomBytes } from 'node:crypto'
import t from 'tap'
import { seededRandom } from '../../lib/base/random.js'
import {
  addRoot,
  bindingBytes,
  checkPossession,
  checkSecret,
  digestOf,
  formatKeyString,
  foundAccess,
  issueFrom,
  issuingRoot,
  makeKeyPair,
  makeSealKey,
  parseKeyString,
  provePossession,
  readCertificate,
  retireRoots,
  rotateToken,
  rotationStep,
  seal,
  tokenSecret,
  trustOf,
  unseal,
} from '../../lib/security/index.js'

const random = seededRandom(11)
const dayMs = 86_400_000
const world = { cluster: 'cluster00001', dataKey: makeSealKey(), nowMs: Date.UTC(2026, 10, 21) }
const access = await foundAccess(world, random)
const keys = await makeKeyPair()
const node = { cluster: world.cluster, role: 'worker', id: 'node00000001' } as const

t.test('nothing secret lies open in the record', async (t) => {
  const open = Buffer.from(
    JSON.stringify(access, (_, value: unknown) => (value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : value)),
  )
  for (const role of ['manager', 'worker'] as const) t.notOk(open.includes(tokenSecret(access, world, role)), role)
  t.throws(
    () => tokenSecret(access, { ...world, dataKey: makeSealKey() }, 'worker'),
    { code: 'ERR_SKEIN_CORRUPT' },
    'another key opens nothing',
  )
  const swapped = { ...access, tokens: { manager: access.tokens.worker, worker: access.tokens.manager } }
  t.throws(() => tokenSecret(swapped, world, 'worker'), { code: 'ERR_SKEIN_CORRUPT' }, 'nor does one in the place of the other')
})

t.test('a certificate begins an hour ago and ends when it was told to', async (t) => {
  const { notBeforeMs, notAfterMs } = readCertificate(issueFrom(access, world, node, keys.publicKey, 90 * dayMs))
  t.equal(notBeforeMs, world.nowMs - 3_600_000)
  t.equal(notAfterMs, world.nowMs + 90 * dayMs)
})

t.test('two certificates of the same key differ: their serials are random', async (t) => {
  const [one, two] = [1, 2].map(() => readCertificate(issueFrom(access, world, node, keys.publicKey, dayMs)))
  t.not(one?.x509.serialNumber, two?.x509.serialNumber)
})

t.test('a token: its own secret passes, and every other is refused by what is wrong with it', async (t) => {
  const secret = tokenSecret(access, world, 'worker')
  t.equal(checkSecret(access, world, 'worker', secret), undefined)
  t.match(checkSecret(access, world, 'manager', secret), {
    code: 'ERR_SKEIN_BAD_JOIN_SECRET',
    detail: { part: 'role' },
    message: /of the worker token/,
  })
  t.match(checkSecret(access, world, 'worker', 'x'.repeat(26)), { detail: { part: 'secret' } })
  const rotated = rotateToken(access, world, 'worker', random)
  t.match(checkSecret(rotated, world, 'worker', secret), { detail: { part: 'revoked' }, message: /revoked by a rotation/ })
  t.equal(checkSecret(rotated, world, 'worker', tokenSecret(rotated, world, 'worker')), undefined)
  t.equal(tokenSecret(rotated, world, 'manager'), tokenSecret(access, world, 'manager'), 'the other one stays')
  let many = rotated
  for (let turn = 0; turn < 40; turn++) many = rotateToken(many, world, 'worker', random)
  t.equal(many.revoked.length, 16, 'what is remembered is bounded')
  t.match(checkSecret(many, world, 'worker', secret), { detail: { part: 'secret' } })
})

t.test('a rotation of the root: one at a time, the new one issues, the old key is gone from the record', async (t) => {
  const rotating = await addRoot(access, world, random)
  t.equal(rotating.roots.length, 2)
  t.equal(rotating.roots.filter(({ key }) => key !== undefined).length, 1)
  t.not(digestOf(issuingRoot(rotating).certificate), digestOf(issuingRoot(access).certificate))
  t.strictSame(trustOf(world.cluster, rotating).crosses.length, 1)
  await t.rejects(addRoot(rotating, world, random), { code: 'ERR_SKEIN_PRECONDITION' })
  const done = retireRoots(rotating)
  t.strictSame(
    done.roots.map(({ state }) => state),
    ['trusted', 'retired'],
  )
  t.equal(trustOf(world.cluster, done).roots.length, 1)
  t.equal((await addRoot(done, world, random)).roots.length, 3)
})

t.test('a rotation waits for who is up, and for nobody who is down', async (t) => {
  t.strictSame(rotationStep(access, []), { type: 'idle' })
  const rotating = await addRoot(access, world, random)
  const [fresh, old] = rotating.roots.map(({ certificate }) => ({ key: 'k', root: digestOf(certificate), notAfterMs: 0 }))
  const nodes = [
    { id: 'renewed', state: 'ready', certificate: fresh },
    { id: 'behind', state: 'ready', certificate: old },
    { id: 'unheard', state: 'unknown', certificate: old },
    { id: 'away', state: 'down', certificate: old },
  ] as const
  t.strictSame(rotationStep(rotating, nodes), { type: 'waiting', nodes: ['behind', 'unheard'] })
  t.strictSame(rotationStep(rotating, nodes.slice(0, 1)), { type: 'retire' })
  t.strictSame(rotationStep(rotating, [nodes[0], nodes[3]]), { type: 'retire' }, 'who is away finds back by itself')
  t.strictSame(rotationStep(retireRoots(rotating), nodes), { type: 'idle' })
})

t.test('what is sealed opens with its key for its purpose, whole', async (t) => {
  const key = makeSealKey()
  const sealed = seal(key, 'this', Buffer.from('plain'))
  t.equal(Buffer.from(unseal(key, 'this', sealed)).toString(), 'plain')
  t.not(Buffer.compare(sealed, seal(key, 'this', Buffer.from('plain'))), 0)
  t.throws(() => unseal(key, 'that', sealed), { code: 'ERR_SKEIN_CORRUPT' })
  t.throws(() => unseal(makeSealKey(), 'this', sealed), { code: 'ERR_SKEIN_CORRUPT' })
  for (let at = 0; at < sealed.length; at++) {
    const spoilt = Buffer.from(sealed)
    spoilt[at] = (spoilt[at] as number) ^ 1
    t.throws(() => unseal(key, 'this', spoilt), { code: 'ERR_SKEIN_CORRUPT' })
    t.throws(() => unseal(key, 'this', sealed.subarray(0, at)), { code: 'ERR_SKEIN_CORRUPT' })
  }
})

t.test('possession is proved for one purpose, id, key and connection', async (t) => {
  const binding = randomBytes(bindingBytes)
  const claim = { purpose: 'join', id: 'node00000001', publicKey: keys.publicKey, binding } as const
  const proof = provePossession(keys, claim)
  t.ok(checkPossession(claim, proof))
  t.notOk(checkPossession({ ...claim, purpose: 'renew' }, proof))
  t.notOk(checkPossession({ ...claim, id: 'node00000002' }, proof))
  t.notOk(checkPossession({ ...claim, binding: randomBytes(bindingBytes) }, proof), 'not on another connection')
  t.notOk(
    checkPossession({ ...claim, binding: new Uint8Array() }, provePossession(keys, { ...claim, binding: new Uint8Array() })),
  )
  t.notOk(checkPossession({ ...claim, publicKey: (await makeKeyPair()).publicKey }, proof))
})

t.test('a key string comes back as it was, and its errors never show the key', async (t) => {
  const certificate = issueFrom(access, world, { ...node, role: 'operator' }, keys.publicKey, dayMs)
  const trust = trustOf(world.cluster, access)
  const text = formatKeyString({ own: { certificate, keys }, trust, addresses: ['a:1', '[::1]:2'] })
  const read = parseKeyString(text)
  t.strictSame(read.addresses, ['a:1', '[::1]:2'])
  t.strictSame(Buffer.from(read.own.certificate), Buffer.from(certificate))
  t.strictSame(Buffer.from(read.own.keys.publicKey), Buffer.from(keys.publicKey))
  t.equal(read.trust.cluster, world.cluster)
  for (const bad of [text.slice(0, 40), text.replace(/@.*/, '@nowhere'), text.slice(0, 30) + text.slice(60)]) {
    t.throws(() => parseKeyString(bad), {
      code: 'ERR_SKEIN_BAD_JOIN_STRING',
      message: /^key string, (address|key): [a-z :;,@]*$/,
    })
  }
})
