/**
 * What a founding token stands for: everything that strangers need to trust each other before there is a cluster follows from its
 * seed, the same on every machine. Its root certifies the cluster's first root and then issues nothing more.
 */
import { createPrivateKey, hkdfSync } from 'node:crypto'
import { type Issuer, issueRootCertificate, serialBytes } from './certificate.js'
import { multiple, p256Order, signDeterministically, toBytes, toNumber } from './deterministic-ecdsa.js'
import { keyPairOf } from './keys.js'

export interface FoundingRoot {
  /** Id of the cluster that is to be. */
  readonly cluster: string
  readonly issuer: Issuer
  /** DER, signed by itself. */
  readonly certificate: Uint8Array
  /** First secret of the cluster's manager token. */
  readonly secret: string
}

/** Bytes of a founding token's seed. */
export const foundingSeedBytes = 32

/** The same on every machine: no clock may have a word in it. */
const validity = { notBeforeMs: Date.UTC(2020, 0, 1), notAfterMs: Date.UTC(2120, 0, 1) }

/** Pure: the same seed gives the same root, byte by byte. */
export function foundingRoot(seed: Uint8Array): FoundingRoot {
  const cluster = letters(derive(seed, 'cluster', 32), 12)
  const scalar = (toNumber(derive(seed, 'root key', 48)) % (p256Order - 1n)) + 1n
  const point = multiple(scalar)
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url')
  const jwk = {
    kty: 'EC',
    crv: 'P-256',
    d: base64(toBytes(scalar)),
    x: base64(point.subarray(1, 33)),
    y: base64(point.subarray(33)),
  }
  const keys = keyPairOf(createPrivateKey({ key: jwk, format: 'jwk' }))
  const issuer: Issuer = {
    name: { cluster, id: letters(derive(seed, 'root name', 32), 12) },
    keys,
    sign: (body) => signDeterministically(scalar, body),
  }
  const serial = derive(seed, 'serial', serialBytes)
  const certificate = issueRootCertificate(issuer, issuer.name, keys.publicKey, validity, serial)
  return { cluster, issuer, certificate, secret: letters(derive(seed, 'manager token', 32), 26) }
}

function derive(seed: Uint8Array, purpose: string, length: number): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', seed, 'skein founding 1', purpose, length))
}

/** The last of the number's digits in base 36: even chances but for 2^-90. */
function letters(bytes: Uint8Array, count: number): string {
  return toNumber(bytes).toString(36).padStart(count, '0').slice(-count)
}
