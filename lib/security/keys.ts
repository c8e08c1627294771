/** P-256 keys and what is done with them. Public keys travel as SPKI of one fixed form, compared byte by byte and never parsed. */
import { createHash, createPrivateKey, createPublicKey, generateKeyPair, type KeyObject, sign, verify } from 'node:crypto'
import { promisify } from 'node:util'
import { SkeinError } from '../base/errors.js'

/** A P-256 key pair. */
export interface KeyPair {
  readonly privateKey: KeyObject
  /** SubjectPublicKeyInfo in DER, 91 bytes. */
  readonly publicKey: Uint8Array
}

/** Everything of a P-256 SPKI before the point: two object ids and the head of the bit string. */
const spkiHead = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d030107034200', 'hex')
/** An uncompressed point: 0x04, x, y. */
const pointBytes = 65
const signatureBytes = 64

const generate = promisify(generateKeyPair)

export async function makeKeyPair(): Promise<KeyPair> {
  const { privateKey } = await generate('ec', { namedCurve: 'prime256v1' })
  return keyPairOf(privateKey)
}

/** @throws {SkeinError} ERR_SKEIN_CORRUPT when it is no P-256 key in PKCS 8 */
export function readPrivateKey(pkcs8: Uint8Array, file: string): KeyPair {
  try {
    const key = createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' })
    if (key.asymmetricKeyDetails?.namedCurve === 'prime256v1') return keyPairOf(key)
  } catch (cause) {
    throw new SkeinError('ERR_SKEIN_CORRUPT', `${file}: holds no key this version can read`, { file }, { cause })
  }
  throw new SkeinError('ERR_SKEIN_CORRUPT', `${file}: expected a P-256 key`, { file })
}

export function writePrivateKey({ privateKey }: KeyPair): Uint8Array {
  return privateKey.export({ format: 'der', type: 'pkcs8' })
}

/** @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE unless it is exactly a P-256 key in uncompressed form */
export function checkPublicKey(spki: Uint8Array, path = 'publicKey'): Uint8Array {
  const fits = spki.length === spkiHead.length + pointBytes && spkiHead.compare(spki, 0, spkiHead.length) === 0
  if (fits && spki[spkiHead.length] === 4) return spki
  throw new SkeinError('ERR_SKEIN_BAD_MESSAGE', `${path}: expected a P-256 public key (SPKI, uncompressed)`, { path })
}

/** What names a public key: SHA-256 of its SPKI, in hex. */
export function fingerprint(spki: Uint8Array): string {
  return createHash('sha256').update(spki).digest('hex')
}

/** The point of a key, as certificates carry and hash it. */
export function pointOf(spki: Uint8Array): Uint8Array {
  return spki.subarray(spkiHead.length)
}

/** 64 bytes, r and s. */
export function signBytes({ privateKey }: Pick<KeyPair, 'privateKey'>, bytes: Uint8Array): Uint8Array {
  return sign('sha256', bytes, { key: privateKey, dsaEncoding: 'ieee-p1363' })
}

/** False also for a point that is not on the curve. */
export function verifyBytes(spki: Uint8Array, bytes: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== signatureBytes) return false
  try {
    const key = createPublicKey({ key: Buffer.from(checkPublicKey(spki)), format: 'der', type: 'spki' })
    return verify('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' }, signature)
  } catch {
    return false // not a key at all: it proves nothing
  }
}

/** The pair of this P-256 key. */
export function keyPairOf(privateKey: KeyObject): KeyPair {
  return { privateKey, publicKey: createPublicKey(privateKey).export({ format: 'der', type: 'spki' }) }
}
