/**
 * X.509 certificates of a cluster: made here byte by byte, read and checked with Node's own parser.
 * CN is the node id, OU the role, O the cluster. Time, serial and keys are parameters.
 * Source: RFC 5280; ECDSA with SHA-256 after RFC 5758 §3.2.
 */
import { createHash, sign, X509Certificate } from 'node:crypto'
import { messageOf, SkeinError } from '../base/errors.js'
import * as der from './der.js'
import { type CertifiedRole, certifiedRoles } from './identity.js'
import { checkPublicKey, fingerprint, type KeyPair, pointOf } from './keys.js'

/** What a certificate says of whom it was made for. */
export interface Subject {
  readonly cluster: string
  readonly role: CertifiedRole
  /** Node id; for clients an id of their own. */
  readonly id: string
}

/** Milliseconds since 1970. */
export interface Validity {
  readonly notBeforeMs: number
  readonly notAfterMs: number
}

/** Whoever signs: a root's name and key. */
export interface Issuer {
  readonly name: RootName
  readonly keys: KeyPair
  /** In place of Node's own: r and s, 64 bytes. */
  readonly sign?: (body: Uint8Array) => Uint8Array
}

/** A root's subject. Two roots of one cluster differ by `id`. */
export interface RootName {
  readonly cluster: string
  readonly id: string
}

/** A certificate that was read; its signature is not checked by reading. */
export interface ReadCertificate extends Validity {
  readonly der: Uint8Array
  readonly x509: X509Certificate
  readonly subject: { readonly cluster: string; readonly unit: string; readonly name: string }
  /** Of its public key. */
  readonly fingerprint: string
}

/** Bytes of a serial number. */
export const serialBytes = 16
/** A certificate longer than this is not one of ours. */
export const certificateMaxBytes = 1024

const oids = {
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  commonName: '2.5.4.3',
  organization: '2.5.4.10',
  unit: '2.5.4.11',
  subjectKeyId: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyId: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
} as const
const rootUnit = 'root'
const roleSet: ReadonlySet<string> = new Set(certifiedRoles)

/** The certificate of a node or client: it may begin and take TLS connections, and sign nothing. @param serial 16 random bytes. */
export function issueCertificate(
  issuer: Issuer,
  subject: Subject,
  publicKey: Uint8Array,
  validity: Validity,
  serial: Uint8Array,
): Uint8Array {
  const names = [subject.id, subject.role].map((name) => der.implicit(2, Buffer.from(name)))
  return signed(issuer, nameOf(subject.cluster, subject.role, subject.id), publicKey, validity, serial, [
    extension(oids.basicConstraints, 'critical', der.sequence()),
    extension(oids.keyUsage, 'critical', der.bitString(Buffer.of(0b1000_0000), 7)), // digitalSignature
    extension(oids.extendedKeyUsage, 'plain', der.sequence(der.oid(oids.serverAuth), der.oid(oids.clientAuth))),
    extension(oids.subjectAltName, 'plain', der.sequence(...names)),
  ])
}

/** The certificate of a root's key: by itself, or by the root before it so that whoever trusts that one can follow. */
export function issueRootCertificate(
  issuer: Issuer,
  root: RootName,
  publicKey: Uint8Array,
  validity: Validity,
  serial: Uint8Array,
): Uint8Array {
  return signed(issuer, nameOf(root.cluster, rootUnit, root.id), publicKey, validity, serial, [
    extension(oids.basicConstraints, 'critical', der.sequence(der.boolean(true))),
    extension(oids.keyUsage, 'critical', der.bitString(Buffer.of(0b0000_0110), 1)), // keyCertSign, cRLSign
  ])
}

/** Reads a certificate with Node's parser. @throws {SkeinError} ERR_SKEIN_BAD_CERTIFICATE, reason `malformed` */
export function readCertificate(bytes: Uint8Array): ReadCertificate {
  if (bytes.length > certificateMaxBytes) throw malformed(`${bytes.length} bytes, at most ${certificateMaxBytes}`)
  try {
    const x509 = new X509Certificate(bytes)
    const fields = new Map(x509.subject.split('\n').map((line) => splitOnce(line)))
    return {
      der: bytes,
      x509,
      subject: { cluster: fields.get('O') ?? '', unit: fields.get('OU') ?? '', name: fields.get('CN') ?? '' },
      notBeforeMs: Date.parse(x509.validFrom),
      notAfterMs: Date.parse(x509.validTo),
      // Here, not later: the parser looks at the key only when asked, and may then refuse it.
      fingerprint: fingerprint(x509.publicKey.export({ format: 'der', type: 'spki' })),
    }
  } catch (cause) {
    throw malformed(messageOf(cause))
  }
}

/** Whether `issuer`'s key signed `certificate`, by name and by signature. */
export function isIssuedBy(certificate: ReadCertificate, issuer: ReadCertificate): boolean {
  return issuer.x509.ca && certificate.x509.checkIssued(issuer.x509) && certificate.x509.verify(issuer.x509.publicKey)
}

/** The role a certificate gives; undefined for a root, or an OU nobody knows. */
export function roleOf({ subject, x509 }: ReadCertificate): CertifiedRole | undefined {
  return !x509.ca && roleSet.has(subject.unit) ? (subject.unit as CertifiedRole) : undefined
}

/** What names a certificate in tokens and trust: SHA-256 of its bytes, in hex. */
export function digestOf(certificate: Uint8Array): string {
  return createHash('sha256').update(certificate).digest('hex')
}

export function toPem(certificate: Uint8Array): string {
  const lines =
    Buffer.from(certificate)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}

function signed(
  { name, keys, sign: own }: Issuer,
  subject: Uint8Array,
  publicKey: Uint8Array,
  { notBeforeMs, notAfterMs }: Validity,
  serial: Uint8Array,
  extensions: readonly Uint8Array[],
): Uint8Array {
  const algorithm = der.sequence(der.oid(oids.ecdsaWithSha256))
  const body = der.sequence(
    der.explicit(0, der.integer(2)), // version 3
    der.integer(positive(serial)),
    algorithm,
    nameOf(name.cluster, rootUnit, name.id),
    der.sequence(der.time(notBeforeMs), der.time(notAfterMs)),
    subject,
    checkPublicKey(publicKey),
    der.explicit(
      3,
      der.sequence(
        ...extensions,
        extension(oids.subjectKeyId, 'plain', der.octetString(keyId(publicKey))),
        extension(oids.authorityKeyId, 'plain', der.sequence(der.implicit(0, keyId(keys.publicKey)))),
      ),
    ),
  )
  const signature = own === undefined ? sign('sha256', body, keys.privateKey) : pairOf(own(body))
  return der.sequence(body, algorithm, der.bitString(signature))
}

/** A signature as certificates carry it: two integers (RFC 3279 §2.2.3). */
function pairOf(signature: Uint8Array): Uint8Array {
  return der.sequence(der.integer(signature.subarray(0, 32)), der.integer(signature.subarray(32)))
}

/** Not zero, and not negative in DER (RFC 5280 §4.1.2.2). */
function positive(serial: Uint8Array): Uint8Array {
  const bytes = Buffer.from(serial)
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40
  return bytes
}

function nameOf(cluster: string, unit: string, name: string): Buffer {
  const part = (type: string, text: string): Buffer => der.set(der.sequence(der.oid(type), der.utf8String(text)))
  return der.sequence(part(oids.organization, cluster), part(oids.unit, unit), part(oids.commonName, name))
}

function extension(id: string, weight: 'critical' | 'plain', content: Uint8Array): Buffer {
  return der.sequence(der.oid(id), ...(weight === 'critical' ? [der.boolean(true)] : []), der.octetString(content))
}

/** The left 160 bits of the key's SHA-256 (RFC 7093 §2, method 1). */
function keyId(publicKey: Uint8Array): Uint8Array {
  return createHash('sha256').update(pointOf(publicKey)).digest().subarray(0, 20)
}

function splitOnce(line: string): readonly [string, string] {
  const at = line.indexOf('=')
  return [line.slice(0, at), line.slice(at + 1)]
}

function malformed(words: string): SkeinError<'ERR_SKEIN_BAD_CERTIFICATE'> {
  return new SkeinError('ERR_SKEIN_BAD_CERTIFICATE', `certificate: cannot be read: ${words}`, { reason: 'malformed' })
}
