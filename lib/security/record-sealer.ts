/**
 * What managers write by the thousand a second (commands of the log, chunks of snapshots, rows of tables), sealed at rest:
 *
 *     u8 0xc1 | salt 16 | u64 counter | ciphertext | tag 16
 *
 * AES-256-GCM. The key comes from the cluster's data key by HKDF-SHA256 with the salt, which every sealer draws for itself; the counter is
 * the nonce. So no nonce comes twice under a key, however many managers seal how often: random nonces would count (2^32, SP 800-38D §8.3).
 */
import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, type KeyObject, randomBytes } from 'node:crypto'
import { assert } from '../base/assert.js'
import { SkeinError } from '../base/errors.js'
import { sealKeyBytes } from './seal.js'

/** Msgpack's one unused byte: nothing that is encoded begins with it, so what was written open is told from what is sealed. */
const version = 0xc1
const saltBytes = 16
const counterBytes = 8
const headBytes = 1 + saltBytes + counterBytes
const tagBytes = 16
const algorithm = 'aes-256-gcm'
/** Nonce: four zeros, then the counter. */
const nonceBytes = 12
/** Every start of a manager draws a salt; what is on disk is by few of them. */
const keysKept = 256

/** What sealing adds to a record. */
export const sealedExtraBytes = headBytes + tagBytes

/** Whose records: those of another cluster, or of another purpose, do not open. */
export interface RecordSealing {
  readonly cluster: string
  readonly dataKey: Uint8Array
}

export type RecordPurpose = 'raft log' | 'snapshots' | 'tables'

/** Whether these bytes are sealed, or as they were before anything was. */
export function isSealed(bytes: Uint8Array): boolean {
  return bytes[0] === version
}

/** A key for one use of the data key. @see RFC 5869 */
export function deriveKey({ dataKey, cluster }: RecordSealing, use: string, salt: Uint8Array): KeyObject {
  return createSecretKey(Buffer.from(hkdfSync('sha256', dataKey, salt, `skein ${use} of ${cluster}`, sealKeyBytes)))
}

export class RecordSealer {
  readonly #purpose: RecordPurpose
  readonly #sealing: RecordSealing
  readonly #salt: Uint8Array
  readonly #key: KeyObject
  #sealed = 0
  /** Keys by salt, those used last at the end. */
  readonly #keys = new Map<string, KeyObject>()

  /** @param salt 16 bytes that no other sealer has: a second one with the same would repeat nonces */
  constructor(purpose: RecordPurpose, sealing: RecordSealing, salt: Uint8Array = randomBytes(saltBytes)) {
    assert(salt.length === saltBytes, 'a salt has 16 bytes')
    this.#purpose = purpose
    this.#sealing = sealing
    this.#salt = salt
    this.#key = deriveKey(sealing, purpose, salt)
  }

  /** @param place Where the record is to lie; it opens nowhere else. Default: anywhere */
  seal(plain: Uint8Array, place: Uint8Array = nowhere): Uint8Array {
    const head = Buffer.allocUnsafe(headBytes)
    head[0] = version
    head.set(this.#salt, 1)
    writeCounter(head, this.#sealed++)
    const cipher = createCipheriv(algorithm, this.#key, nonceOf(head)).setAAD(place)
    return Buffer.concat([head, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
  }

  /** @throws {SkeinError} ERR_SKEIN_CORRUPT: damaged, of another place or purpose, or sealed with another key. @param what in words, for that error */
  open(sealed: Uint8Array, what: string, place: Uint8Array = nowhere): Uint8Array {
    const whole = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.length)
    if (whole.length < sealedExtraBytes || !isSealed(whole)) throw corrupt(what, 'it is cut short')
    const key = this.#keyFor(whole.subarray(1, 1 + saltBytes))
    try {
      const decipher = createDecipheriv(algorithm, key, nonceOf(whole), { authTagLength: tagBytes }).setAAD(place)
      decipher.setAuthTag(whole.subarray(whole.length - tagBytes))
      return Buffer.concat([decipher.update(whole.subarray(headBytes, whole.length - tagBytes)), decipher.final()])
    } catch (cause) {
      throw corrupt(what, 'it is damaged, or was sealed with another data key than that in keys.json', cause)
    }
  }

  #keyFor(salt: Uint8Array): KeyObject {
    const name = Buffer.from(salt).toString('latin1')
    const key = this.#keys.get(name) ?? deriveKey(this.#sealing, this.#purpose, salt)
    this.#keys.delete(name)
    this.#keys.set(name, key)
    const [oldest] = this.#keys.keys()
    if (this.#keys.size > keysKept && oldest !== undefined) this.#keys.delete(oldest)
    return key
  }
}

const nowhere = new Uint8Array(0)

function writeCounter(head: Buffer, count: number): void {
  head.writeUInt32BE(Math.floor(count / 2 ** 32), 1 + saltBytes)
  head.writeUInt32BE(count % 2 ** 32, 1 + saltBytes + 4)
}

function nonceOf(head: Buffer): Uint8Array {
  const nonce = Buffer.alloc(nonceBytes)
  head.copy(nonce, nonceBytes - counterBytes, 1 + saltBytes, headBytes)
  return nonce
}

function corrupt(what: string, why: string, cause?: unknown): SkeinError<'ERR_SKEIN_CORRUPT'> {
  const words = `${what} cannot be opened: ${why}; restore the directory whole from one copy, or remove it and join again as a new node`
  return new SkeinError('ERR_SKEIN_CORRUPT', words, { file: what }, { cause })
}
