/** Payloads: small values under a name that tasks are given as files. A secret is a payload nobody else may read, a config one that operators may. */
import { SkeinError } from '../base/errors.js'
import type { NamedHead } from './head.js'
import { check, invalid, text } from './validate.js'

export type PayloadKind = 'secret' | 'config'

/** Largest payload of each kind, in bytes: Docker Swarm's bounds. */
export const payloadBytesMax: Readonly<Record<PayloadKind, number>> = { secret: 500 * 1024, config: 1000 * 1024 }

/** What every payload's record has. Its bytes never change: other bytes are another payload. */
export type PayloadHead = NamedHead

/** A payload of a stored spec: by id, so that a later one of the same name never takes its place. */
export interface PayloadRef {
  readonly id: string
  /** Where a task finds it: a secret's file name, a config's path without a leading slash. */
  readonly target: string
}

const nameForm = /^(?=.{1,64}$)[A-Za-z0-9](?:[-_.A-Za-z0-9]*[A-Za-z0-9])?$/
const nameWords = '1 to 64 letters, digits, - _ and ., first and last a letter or digit'

export const payloadNameSchema = text(nameForm, nameWords)

/** @throws {SkeinError} ERR_SKEIN_INVALID_SPEC */
export function checkPayloadName(value: unknown, path = 'name'): string {
  return check(payloadNameSchema, value, path)
}

/** @throws {SkeinError} ERR_SKEIN_INVALID_SPEC when it is no bytes or there are none, ERR_SKEIN_TOO_LARGE; none of them repeats the value */
export function checkPayload(kind: PayloadKind, data: unknown): Uint8Array {
  if (!(data instanceof Uint8Array)) throw invalid('data', 'expected bytes or a text', undefined)
  if (data.length === 0) throw invalid('data', 'expected at least one byte; is the file empty?', undefined)
  refuseLarger(kind, data.length, payloadBytesMax[kind])
  return data
}

/** @throws {SkeinError} ERR_SKEIN_TOO_LARGE */
export function refuseLarger(kind: PayloadKind, size: number, limit: number): void {
  if (size <= limit) return
  const words = `${kind}: ${size} bytes, at most ${limit}; keep large data elsewhere and its key or address here`
  throw new SkeinError('ERR_SKEIN_TOO_LARGE', words, { what: kind, size, limit })
}
