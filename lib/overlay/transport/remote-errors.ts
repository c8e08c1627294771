import { type ErrorCode, type ErrorDetail, messageOf, SkeinError } from '../../base/errors.js'
import { encode } from '../../wire/index.js'

/** An error as it travels. */
export interface WireError {
  readonly code: string
  readonly message: string
  readonly detail: unknown
}

const codeForm = /^ERR_SKEIN_[A-Z_]{1,40}$/
const messageMaxChars = 1024
const detailMaxBytes = 2048

/** What the other end is told: the code, the words and the detail, never the stack or the cause. */
export function errorToWire(error: unknown, method = ''): WireError {
  const message = messageOf(error).slice(0, messageMaxChars)
  if (!(error instanceof SkeinError)) return { code: 'ERR_SKEIN_REMOTE', message, detail: { method } }
  return { code: error.code, message, detail: small(error.detail) ? error.detail : {} }
}

/** The error the other end meant. A code that is not one of skein's becomes ERR_SKEIN_REMOTE. */
export function errorFromWire(code: string, message: string, detail: unknown, method: string): SkeinError {
  const words = message.slice(0, messageMaxChars)
  if (!codeForm.test(code)) return new SkeinError('ERR_SKEIN_REMOTE', words, { method })
  // A newer peer's codes pass too: callers match on the text, and the detail is data for people.
  const known = code as ErrorCode
  return new SkeinError(known, words, (typeof detail === 'object' && detail !== null ? detail : {}) as ErrorDetail[ErrorCode])
}

function small(detail: unknown): boolean {
  try {
    return encode(detail).length <= detailMaxBytes
  } catch {
    return false // not plain data: the code and the words must do
  }
}
