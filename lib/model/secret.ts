/** Secrets: small values that tasks may read and nobody else. The record holds them sealed; only a manager's data key opens them. */
import { SkeinError } from '../base/errors.js'
import { check, invalid, text } from './validate.js'

/** Largest value of a secret: 500 KiB, as in Docker Swarm. */
export const secretBytesMax = 500 * 1024
/** What sealing may add to a value. */
export const sealingBytesMax = 64

const nameForm = /^(?=.{1,64}$)[A-Za-z0-9](?:[-_.A-Za-z0-9]*[A-Za-z0-9])?$/
const nameWords = '1 to 64 letters, digits, - _ and ., first and last a letter or digit'

export const secretNameSchema = text(nameForm, nameWords)

/** The replicated record. Its value never changes: another value is another secret. */
export interface Secret {
  readonly id: string
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  /** Ciphertext, bound to this id and cluster. */
  readonly sealed: Uint8Array
  readonly createdAtMs: number
  readonly updatedAtMs: number
  readonly version: number
}

/** @throws {SkeinError} ERR_SKEIN_INVALID_SPEC */
export function checkSecretName(value: unknown, path = 'name'): string {
  return check(secretNameSchema, value, path)
}

/** @throws {SkeinError} ERR_SKEIN_INVALID_SPEC when it is no bytes or there are none, ERR_SKEIN_TOO_LARGE; none of them repeats the value */
export function checkSecretData(data: unknown): Uint8Array {
  if (!(data instanceof Uint8Array)) throw invalid('data', 'expected bytes or a text', undefined)
  if (data.length === 0) throw invalid('data', 'expected at least one byte; is the file empty?', undefined)
  refuseOver(data.length, secretBytesMax)
  return data
}

/** @throws {SkeinError} ERR_SKEIN_TOO_LARGE */
export function checkSealed(sealed: Uint8Array): Uint8Array {
  refuseOver(sealed.length, secretBytesMax + sealingBytesMax)
  return sealed
}

function refuseOver(size: number, limit: number): void {
  if (size <= limit) return
  const words = `secret: ${size} bytes, at most ${limit}; keep large data elsewhere and its key here`
  throw new SkeinError('ERR_SKEIN_TOO_LARGE', words, { what: 'secret', size, limit })
}
