import { SkeinError } from '../../base/errors.js'

/** What a key may hold; null is an absent key. */
export type Value = string | number | boolean | null

/**
 * One operation of a client on one key, as the client saw it; times in microseconds of one clock.
 *
 * | `ok` | put | get | cas |
 * | --- | --- | --- | --- |
 * | true | `value` was written | `value` was read | the key held `from` and then `value` |
 * | false | refused, no effect | refused, nothing read | the key did not hold `from`; with `refused`: never compared |
 * | null | may take effect at any time after `invokeUs`, or never | nothing read | as put |
 */
export interface Operation {
  readonly client: string | number
  readonly op: 'put' | 'get' | 'cas'
  readonly key: string
  /** Only for cas: what the key had to hold. */
  readonly from?: Value
  readonly value: Value
  readonly ok: boolean | null
  /** Why the operation was turned away before it was carried out; only with `ok: false`. */
  readonly refused?: string
  readonly invokeUs: number
  /** null exactly when the outcome is unknown. */
  readonly returnUs: number | null
}

/** One line of JSON per operation. */
export function formatHistory(history: readonly Operation[]): string {
  return history.map((operation) => `${JSON.stringify(operation)}\n`).join('')
}

/**
 * Reads a history of JSON lines; empty lines are skipped, unknown fields ignored.
 * @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE naming line and field
 */
export function parseHistory(text: string): readonly Operation[] {
  return text.split('\n').flatMap((line, at) => (line.trim() === '' ? [] : [parseLine(line, at + 1)]))
}

function parseLine(line: string, number: number): Operation {
  let fields: Partial<Record<keyof Operation, unknown>> | null
  try {
    fields = JSON.parse(line) as typeof fields
  } catch (cause) {
    throw bad(number, 'line', 'a JSON object', line.slice(0, 40), cause)
  }
  if (typeof fields !== 'object' || fields === null) throw bad(number, 'line', 'a JSON object', fields)
  const { client, op, key, from, value, ok, refused, invokeUs, returnUs } = fields
  if (typeof client !== 'string' && typeof client !== 'number') throw bad(number, 'client', 'a name or number', client)
  if (op !== 'put' && op !== 'get' && op !== 'cas') throw bad(number, 'op', 'put, get or cas', op)
  if (typeof key !== 'string') throw bad(number, 'key', 'a text', key)
  if (!isValue(value)) throw bad(number, 'value', 'a text, number, boolean or null', value)
  if (op === 'cas' ? !isValue(from) : from !== undefined) throw bad(number, 'from', 'a value, for cas and only there', from)
  if (ok !== true && ok !== false && ok !== null) throw bad(number, 'ok', 'true, false or null', ok)
  if (refused !== undefined && (typeof refused !== 'string' || ok !== false)) {
    throw bad(number, 'refused', 'a reason, only with ok: false', refused)
  }
  if (!isTime(invokeUs)) throw bad(number, 'invokeUs', 'microseconds', invokeUs)
  if (ok === null ? returnUs !== null : !isTime(returnUs) || returnUs < invokeUs) {
    throw bad(number, 'returnUs', ok === null ? 'null when the outcome is unknown' : 'microseconds, from invokeUs', returnUs)
  }
  return {
    client,
    op,
    key,
    ...(isValue(from) && { from }),
    value,
    ok,
    ...(typeof refused === 'string' && { refused }),
    invokeUs,
    returnUs: returnUs as number | null,
  }
}

function isValue(value: unknown): value is Value {
  return value === null || typeof value === 'string' || typeof value === 'boolean' || isTime(value)
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value)
}

function bad(line: number, field: string, expected: string, got: unknown, cause?: unknown): SkeinError {
  const words = `history, line ${line}: ${field}: expected ${expected}, got ${JSON.stringify(got)}`
  return new SkeinError('ERR_SKEIN_BAD_MESSAGE', words, { path: `line ${line}: ${field}` }, { cause })
}
