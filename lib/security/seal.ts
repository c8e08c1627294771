/** Small secrets at rest: AES-256-GCM, with what they are for as associated data, so that none can be put in another's place. */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { SkeinError } from '../base/errors.js'

/** Bytes of a sealing key. */
export const sealKeyBytes = 32
const algorithm = 'aes-256-gcm'
const nonceBytes = 12
const tagBytes = 16

/** A key for `seal`. */
export function makeSealKey(): Uint8Array {
  return randomBytes(sealKeyBytes)
}

/** Nonce, ciphertext, tag. Random nonces: at most 2^32 seals per key (NIST SP 800-38D §8.3), far beyond what a cluster seals. */
export function seal(key: Uint8Array, purpose: string, plain: Uint8Array): Uint8Array {
  const nonce = randomBytes(nonceBytes)
  const cipher = createCipheriv(algorithm, key, nonce).setAAD(Buffer.from(purpose))
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}

/** @throws {SkeinError} ERR_SKEIN_CORRUPT: damaged, sealed for something else, or with another key */
export function unseal(key: Uint8Array, purpose: string, sealed: Uint8Array): Uint8Array {
  const whole = Buffer.from(sealed)
  try {
    const decipher = createDecipheriv(algorithm, key, whole.subarray(0, nonceBytes)).setAAD(Buffer.from(purpose))
    decipher.setAuthTag(whole.subarray(whole.length - tagBytes))
    return Buffer.concat([decipher.update(whole.subarray(nonceBytes, whole.length - tagBytes)), decipher.final()])
  } catch (cause) {
    throw new SkeinError(
      'ERR_SKEIN_CORRUPT',
      `${purpose}: cannot be unsealed; it is damaged or was sealed with another key`,
      { file: purpose },
      { cause },
    )
  }
}
