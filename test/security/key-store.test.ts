import { KeyObject } from 'node:crypto'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { seededRandom } from '../../lib/base/random.js'
import { foundAccess, KeyStore, makeKeyPair, makeSealKey, type StoredKeys, trustOf } from '../../lib/security/index.js'

const dataKey = makeSealKey()
const founding = await foundAccess({ cluster: 'cluster00001', dataKey, nowMs: Date.now() }, seededRandom(5))
const stored: StoredKeys = {
  keys: await makeKeyPair(),
  certificate: Uint8Array.of(1, 2, 3),
  trust: trustOf('cluster00001', founding),
  dataKey,
  founding,
}

/** Everything that can be compared; bytes as hex, whichever class holds them. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  if (value instanceof KeyObject) return value.type
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]))
}

t.test('keys come back as they were written, readable by their owner alone', async (t) => {
  const dir = t.testdir()
  const store = new KeyStore(dir)
  t.equal(await store.read(undefined), undefined, 'none yet')
  const meeting = Uint8Array.of(1, 2, 3)
  for (const each of [stored, { ...stored, certificate: undefined, dataKey: undefined, founding: undefined, meeting }]) {
    const known = { ...each, removed: ['removednode0'], demoted: ['demotednode0'] }
    for (const whole of [each, known]) {
      await store.write(whole)
      t.strictSame(plain(await new KeyStore(dir).read(undefined)), plain(whole))
    }
  }
  const pinned: StoredKeys = { ...stored, trust: { type: 'pin', digest: 'ab'.repeat(32) } }
  await store.write(pinned)
  t.strictSame((await store.read(undefined))?.trust, pinned.trust)
  t.equal(statSync(store.file).mode & 0o777, 0o600)
  t.equal(await store.isLocked(), false)
})

t.test('with a passphrase nothing lies open, and nothing opens without it', async (t) => {
  const dir = t.testdir()
  const store = new KeyStore(dir)
  await store.setPassphrase('correct horse')
  await store.write(stored)
  const text = readFileSync(store.file, 'utf8')
  const body = Buffer.from((JSON.parse(text) as { body: string }).body, 'base64').toString('latin1')
  t.notOk(body.includes('privateKey') || body.includes('dataKey'))
  t.equal(await store.isLocked(), true)
  const again = new KeyStore(dir)
  await t.rejects(again.read(undefined), { code: 'ERR_SKEIN_LOCKED', detail: { dir, tried: false }, message: /skein unlock/ })
  await t.rejects(again.read('wrong'), { code: 'ERR_SKEIN_LOCKED', detail: { tried: true } })
  t.strictSame(plain(await again.read('correct horse')), plain(stored))
  await again.write({ ...stored, certificate: Uint8Array.of(9) })
  await t.rejects(new KeyStore(dir).read(undefined), { code: 'ERR_SKEIN_LOCKED' }, 'what is written later is sealed too')
  await again.setPassphrase(undefined)
  await again.write(stored)
  t.strictSame(plain(await new KeyStore(dir).read(undefined)), plain(stored), 'unlocked')
})

t.test('a damaged file is refused by name, with the remedy', async (t) => {
  const store = new KeyStore(t.testdir())
  for (const text of ['', '{', '{}', '{"format":2,"body":""}', '{"format":1,"body":"AAAA"}', '{"format":1,"body":7}']) {
    writeFileSync(store.file, text)
    await t.rejects(store.read(undefined), { code: 'ERR_SKEIN_CORRUPT', message: /keys\.json.*restore it from a backup/ }, text)
  }
})
