import { execFileSync } from 'node:child_process'
import { createHash, randomBytes, X509Certificate } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import {
  digestOf,
  isIssuedBy,
  issueCertificate,
  issueRootCertificate,
  readCertificate,
  roleOf,
  serialBytes,
  toPem,
} from '../../lib/security/certificate.js'
import * as der from '../../lib/security/der.js'
import { checkPublicKey, fingerprint, makeKeyPair, signBytes, verifyBytes } from '../../lib/security/keys.js'

const dayMs = 86_400_000
const nowMs = Date.UTC(2026, 10, 21)
const cluster = 'cluster00001'
const serial = (): Uint8Array => randomBytes(serialBytes)

const rootKeys = await makeKeyPair()
const root = { cluster, id: 'root00000001' }
const issuer = { name: root, keys: rootKeys }
const rootValidity = { notBeforeMs: nowMs - 3_600_000, notAfterMs: nowMs + 20 * 365 * dayMs }
const rootDer = issueRootCertificate(issuer, root, rootKeys.publicKey, rootValidity, serial())
const nodeKeys = await makeKeyPair()
const subject = { cluster, role: 'worker', id: 'node00000001' } as const
const validity = { notBeforeMs: nowMs - 3_600_000, notAfterMs: nowMs + 90 * dayMs }
const nodeDer = issueCertificate(issuer, subject, nodeKeys.publicKey, validity, serial())

t.test('what is written reads back: cluster, role, node, validity, key', async (t) => {
  const read = readCertificate(nodeDer)
  t.strictSame(read.subject, { cluster, unit: 'worker', name: 'node00000001' })
  t.equal(roleOf(read), 'worker')
  t.equal(read.notBeforeMs, validity.notBeforeMs)
  t.equal(read.notAfterMs, validity.notAfterMs)
  t.equal(read.fingerprint, fingerprint(nodeKeys.publicKey))
  t.ok(isIssuedBy(read, readCertificate(rootDer)))
  t.notOk(read.x509.ca)
  t.strictSame(read.x509.keyUsage, ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'])
  t.equal(read.x509.subjectAltName, 'DNS:node00000001, DNS:worker')
})

t.test('a root is its own issuer and gives no role', async (t) => {
  const read = readCertificate(rootDer)
  t.ok(isIssuedBy(read, read))
  t.ok(read.x509.ca)
  t.equal(roleOf(read), undefined)
  t.equal(digestOf(rootDer), createHash('sha256').update(rootDer).digest('hex'))
})

t.test('a node cannot issue: what it signs is issued by nobody', async (t) => {
  const forged = issueCertificate(
    { name: { cluster, id: subject.id }, keys: nodeKeys },
    { ...subject, role: 'manager' },
    nodeKeys.publicKey,
    validity,
    serial(),
  )
  t.notOk(isIssuedBy(readCertificate(forged), readCertificate(nodeDer)))
  t.notOk(isIssuedBy(readCertificate(forged), readCertificate(rootDer)))
})

t.test('another root of the same name has issued nothing here', async (t) => {
  const otherKeys = await makeKeyPair()
  const other = issueRootCertificate({ name: root, keys: otherKeys }, root, otherKeys.publicKey, rootValidity, serial())
  t.notOk(isIssuedBy(readCertificate(nodeDer), readCertificate(other)))
})

t.test('openssl verifies what we write, also through a root certified by the root before', async (t) => {
  const dir = t.testdir()
  const openssl = (...args: string[]): string => execFileSync('openssl', args, { cwd: dir, encoding: 'utf8' })
  try {
    openssl('version')
  } catch {
    return t.comment('skipped: no openssl here')
  }
  const nextKeys = await makeKeyPair()
  const next = { cluster, id: 'root00000002' }
  const cross = issueRootCertificate(issuer, next, nextKeys.publicKey, rootValidity, serial())
  const young = issueCertificate({ name: next, keys: nextKeys }, subject, nodeKeys.publicKey, validity, serial())
  for (const [name, bytes] of Object.entries({ root: rootDer, node: nodeDer, cross, young }))
    writeFileSync(`${dir}/${name}.pem`, toPem(bytes))
  const at = String(nowMs / 1000)
  const strict = ['verify', '-x509_strict', '-attime', at, '-CAfile', 'root.pem']
  t.match(openssl(...strict, '-purpose', 'sslserver', 'node.pem'), /node\.pem: OK/)
  t.match(openssl(...strict, '-purpose', 'sslclient', 'node.pem'), /node\.pem: OK/)
  t.match(openssl(...strict, '-untrusted', 'cross.pem', 'young.pem'), /young\.pem: OK/)
  const text = openssl('x509', '-in', 'node.pem', '-noout', '-text')
  t.match(text, /Version: 3/)
  t.match(text, /Subject: O = cluster00001, OU = worker, CN = node00000001/)
  t.match(text, /Signature Algorithm: ecdsa-with-SHA256/)
  t.match(text, /X509v3 Key Usage: critical\s+Digital Signature/)
  t.match(openssl('x509', '-in', 'root.pem', '-noout', '-text'), /Key Usage: critical\s+Certificate Sign, CRL Sign/)
  t.throws(() => openssl('verify', '-attime', String(nowMs / 1000 + 91 * 86_400), '-CAfile', 'root.pem', 'node.pem'))
})

t.test('validity beyond 2049 is written with four digits of the year', async (t) => {
  const late = { notBeforeMs: Date.UTC(2049, 11, 31, 23, 59, 59), notAfterMs: Date.UTC(2050, 0, 1) }
  const read = readCertificate(issueCertificate(issuer, subject, nodeKeys.publicKey, late, serial()))
  t.equal(read.notBeforeMs, late.notBeforeMs)
  t.equal(read.notAfterMs, late.notAfterMs)
})

t.test('any serial, time and id survives the way through the certificate', async (t) => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: serialBytes, maxLength: serialBytes }),
      fc.integer({ min: 0, max: 200 * 365 }),
      fc.stringMatching(/^[0-9a-z]{12}$/),
      (bytes, days, id) => {
        const span = { notBeforeMs: nowMs, notAfterMs: nowMs + days * dayMs }
        const made = issueCertificate(issuer, { ...subject, id }, nodeKeys.publicKey, span, bytes)
        const read = readCertificate(made)
        t.equal(read.subject.name, id)
        t.equal(read.notAfterMs, span.notAfterMs)
        t.ok(read.x509.verify(new X509Certificate(rootDer).publicKey))
      },
    ),
    { numRuns: 50 },
  )
})

t.test('junk is refused as malformed, never thrown as something else', async (t) => {
  const refused = { code: 'ERR_SKEIN_BAD_CERTIFICATE', detail: { reason: 'malformed' } }
  t.throws(() => readCertificate(new Uint8Array()), refused)
  t.throws(() => readCertificate(new Uint8Array(5000)), refused)
  fc.assert(
    fc.property(fc.nat(nodeDer.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const bytes = Uint8Array.from(nodeDer)
      bytes[at] = (bytes[at] as number) ^ flip
      try {
        t.notOk(isIssuedBy(readCertificate(bytes), readCertificate(rootDer)), `a changed byte at ${at} must not verify`)
      } catch (error) {
        t.match(error, refused)
      }
    }),
    { numRuns: 200 },
  )
})

t.test('a signature of 64 bytes proves a key; a foreign form of key proves nothing', async (t) => {
  const bytes = Buffer.from('claim')
  const proof = signBytes(nodeKeys, bytes)
  t.equal(proof.length, 64)
  t.ok(verifyBytes(nodeKeys.publicKey, bytes, proof))
  t.notOk(verifyBytes(rootKeys.publicKey, bytes, proof))
  t.notOk(verifyBytes(nodeKeys.publicKey, Buffer.from('other'), proof))
  t.notOk(verifyBytes(nodeKeys.publicKey, bytes, proof.subarray(1)))
  const offCurve = Buffer.from(nodeKeys.publicKey)
  offCurve[90] = (offCurve[90] as number) ^ 1
  t.notOk(verifyBytes(offCurve, bytes, proof), 'a point off the curve')
  t.throws(() => checkPublicKey(nodeKeys.publicKey.subarray(1)), { code: 'ERR_SKEIN_BAD_MESSAGE' })
  t.throws(() => checkPublicKey(Buffer.alloc(91)), { code: 'ERR_SKEIN_BAD_MESSAGE' })
})

t.test('DER: lengths, integers and object ids as X.690 writes them', async (t) => {
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
  t.equal(hex(der.integer(0)), '020100')
  t.equal(hex(der.integer(127)), '02017f')
  t.equal(hex(der.integer(128)), '02020080')
  t.equal(hex(der.integer(256)), '02020100')
  t.equal(hex(der.integer(Buffer.of(0, 0, 5))), '020105')
  t.equal(hex(der.oid('1.2.840.10045.4.3.2')), '06082a8648ce3d040302')
  t.equal(hex(der.octetString(new Uint8Array(127))).slice(0, 4), '047f')
  t.equal(hex(der.octetString(new Uint8Array(128))).slice(0, 6), '048180')
  t.equal(hex(der.octetString(new Uint8Array(300))).slice(0, 8), '0482012c')
  t.equal(hex(der.set(der.integer(2), der.integer(1))), '3106020101020102')
})
