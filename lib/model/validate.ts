/** Turns unknown input into model data, or refuses it naming the key path, what was got and the remedy. The only user of valibot here. */
import * as v from 'valibot'
import { SkeinError } from '../base/errors.js'

const depthMax = 32

/**
 * A copy of plain data without undefined keys, so that what is stored is what encodes.
 * @throws {SkeinError} ERR_SKEIN_INVALID_SPEC for functions, class instances, numbers that are not finite, and cycles (nesting over 32)
 */
export function plainData(value: unknown, path: string, depth = 0): unknown {
  if (depth > depthMax) throw invalid(path, `nested deeper than ${depthMax} levels, or refers to itself; flatten it`, undefined)
  if (value === null || typeof value === 'string' || typeof value === 'boolean' || value === undefined) return value
  if (typeof value === 'number') {
    if (Number.isFinite(value)) return value === 0 ? 0 : value // -0 would compare as another value
    throw invalid(path, `expected a finite number, got ${value}`, value)
  }
  if (value instanceof Uint8Array) return value
  if (Array.isArray(value)) return value.map((item, index) => plainData(item, joinPath(path, index), depth + 1))
  if (!isPlainObject(value)) throw invalid(path, `expected plain data, got ${show(value)}`, undefined)
  const copy: Record<string, unknown> = {}
  for (const [key, item] of Object.entries(value)) {
    // Assigning it would set the prototype instead of a key.
    if (key === '__proto__') throw invalid(joinPath(path, key), 'this key is not allowed; choose another name', undefined)
    if (item !== undefined) copy[key] = plainData(item, joinPath(path, key), depth + 1)
  }
  return copy
}

/** Checks `value` (plain data) against a schema made with the makers below. @throws {SkeinError} ERR_SKEIN_INVALID_SPEC */
export function check<Schema extends v.GenericSchema>(schema: Schema, value: unknown, root: string): v.InferOutput<Schema> {
  const result = v.safeParse(schema, value, { abortEarly: true })
  if (result.success) return result.output
  const [issue] = result.issues
  const keys = issue.path?.map((item) => item.key) ?? []
  const path = keys.reduce<string>((whole, key) => joinPath(whole, key as string | number), root)
  const last = issue.path?.at(-1)
  if (issue.type === 'strict_object' && issue.expected === 'never') {
    throw invalid(path, `unknown key; ${issue.message}`, last?.value)
  }
  if ((issue.type === 'strict_object' || issue.type === 'object') && last?.origin === 'key')
    throw invalid(path, 'is missing; add it', undefined)
  const got = issue.kind === 'schema' && last?.origin === 'key' ? last.key : issue.input
  throw invalid(path, `expected ${issue.message}, got ${show(got)}`, got)
}

/** The one shape of this error: path, what is wrong, what was got. */
export function invalid(path: string, words: string, got: unknown): SkeinError<'ERR_SKEIN_INVALID_SPEC'> {
  // Only what is short is repeated: the error is replicated and remembered with the command's outcome.
  const brief = typeof got === 'number' || typeof got === 'boolean' || (typeof got === 'string' && got.length <= 256)
  const detail = brief ? { path, got } : { path }
  return new SkeinError('ERR_SKEIN_INVALID_SPEC', path === '' ? words : `${path}: ${words}`, detail)
}

/** An object with only these keys. */
export function object<Entries extends v.ObjectEntries>(entries: Entries) {
  const known = Object.keys(entries)
  return v.pipe(
    v.custom<Record<string, unknown>>(isPlainObject, `an object with the keys ${known.join(', ')}`),
    v.strictObject(entries, (issue) => {
      const near = nearest(keyOf(issue.received), known)
      return `${near === undefined ? '' : `did you mean ${near}? `}known keys: ${known.join(', ')}`
    }),
  )
}

/** An object of which only these keys are taken: what a newer peer adds is nobody's error. */
export function openObject<Entries extends v.ObjectEntries>(entries: Entries) {
  const words = `an object with the keys ${Object.keys(entries).join(', ')}`
  return v.pipe(v.custom<Record<string, unknown>>(isPlainObject, words), v.object(entries, words))
}

/** An object used as a map from text to text. */
export function textMap(keyForm: RegExp, keyWords: string, valueForm: RegExp, valueWords: string) {
  return mapOf(v.pipe(v.string(), v.regex(keyForm, keyWords)), v.pipe(v.string(valueWords), v.regex(valueForm, valueWords)))
}

/**
 * An object whose keys are its user's: each is kept as it is, `constructor` and `prototype` too, but `__proto__` is refused, since what
 * carries messages would rename it. valibot's own `record` leaves all three out without a word.
 */
export function mapOf<Key extends v.GenericSchema<string, string>, Value extends v.GenericSchema>(key: Key, value: Value) {
  return v.pipe(
    v.custom<Record<string, unknown>>(isPlainObject, 'an object of strings'),
    v.check((object) => !Object.hasOwn(object, '__proto__'), protoKeyWords),
    v.transform((object) => new Map(Object.entries(object))),
    v.map(key, value),
    v.transform((map): Record<string, v.InferOutput<Value>> => Object.fromEntries(map)),
  )
}

export const protoKeyWords = 'no key __proto__: choose another name'

/** Whether a key `__proto__` is anywhere in it: messages would carry it under another name. */
export function hasProtoKey(value: unknown, depth = 0): boolean {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array || depth > depthMax) return false
  return Object.hasOwn(value, '__proto__') || Object.values(value).some((item) => hasProtoKey(item, depth + 1))
}

export function text(form: RegExp, words: string) {
  return v.pipe(v.string(words), v.regex(form, words))
}

export function wholeNumber(min: number, max: number, unit: string) {
  const words = `a whole number from ${min} to ${max} (${unit})`
  return v.pipe(v.number(words), v.safeInteger(words), v.minValue(min, words), v.maxValue(max, words))
}

export function number(min: number, max: number, unit: string) {
  const words = `a number from ${min} to ${max} (${unit})`
  return v.pipe(v.number(words), v.finite(words), v.minValue(min, words), v.maxValue(max, words))
}

/** A text of one form, or what stands for it at more length. */
export function textOr<Text extends v.GenericSchema, Other extends v.GenericSchema>(form: Text, other: Other) {
  return v.lazy((input): Text | Other => (typeof input === 'string' ? form : other))
}

export function oneOf<const Options extends readonly string[]>(options: Options) {
  return v.picklist(options, `one of ${options.join(', ')}`)
}

export function listOf<Item extends v.GenericSchema>(item: Item, itemsMax: number, words: string) {
  return v.pipe(v.array(item, `a list of ${words}`), v.maxLength(itemsMax, `at most ${itemsMax} ${words}`))
}

export const optional = v.optional
export const anything = v.unknown

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  // Another realm's Object.prototype (vm, worker) is not ours, but is the end of its chain too.
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

function joinPath(path: string, key: string | number): string {
  if (typeof key === 'number') return `${path}[${key}]`
  return path === '' ? key : `${path}.${key}`
}

function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 80 ? `${value.slice(0, 77)}...` : value)
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list'
  if (typeof value === 'object' && value !== null) {
    return value.constructor?.name === 'Object' ? 'an object' : `a ${value.constructor?.name ?? 'bare object'}`
  }
  return typeof value === 'function' ? 'a function' : String(value)
}

function keyOf(received: string): string {
  return received.replace(/^"|"$/g, '')
}

/** The known key one or two typing errors away, if any. */
function nearest(key: string, known: readonly string[]): string | undefined {
  const scored = known.map((candidate) => ({ candidate, far: distance(key.toLowerCase(), candidate.toLowerCase()) }))
  scored.sort((a, b) => a.far - b.far)
  const best = scored[0]
  return best !== undefined && best.far <= Math.min(2, best.candidate.length - 2) ? best.candidate : undefined
}

/** Levenshtein distance; keys longer than 40 characters are no typing errors. */
function distance(a: string, b: string): number {
  if (a.length > 40) return a.length
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(swap, (row[j] as number) + 1, (next[j - 1] as number) + 1))
    }
    row = next
  }
  return row[b.length] as number
}
