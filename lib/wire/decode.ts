import { SkeinError } from '../base/errors.js'

/** Reads an untrusted value as a T, or throws ERR_SKEIN_BAD_MESSAGE with the key path where it is not one. */
export type Reader<T> = (value: unknown, path: string) => T

/** A reader whose key may be missing from an object. */
export interface OptionalReader<T> extends Reader<T | undefined> {
  readonly optional: true
}

/** What a reader reads. */
export type Read<R> = R extends Reader<infer T> ? T : never

type Shape = Readonly<Record<string, Reader<unknown>>>
type OptionalKey<S extends Shape> = { [K in keyof S]: S[K] extends OptionalReader<unknown> ? K : never }[keyof S]
type ObjectOf<S extends Shape> = { readonly [K in Exclude<keyof S, OptionalKey<S>>]: Read<S[K]> } & {
  readonly [K in OptionalKey<S>]?: Exclude<Read<S[K]>, undefined>
}

/** Reads a whole message; `what` begins every path. @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE */
export function read<T>(reader: Reader<T>, value: unknown, what = 'message'): T {
  return reader(value, what)
}

/** The error all readers throw; for readers written elsewhere. */
export function badMessage(path: string, expected: string, got: unknown): SkeinError<'ERR_SKEIN_BAD_MESSAGE'> {
  return new SkeinError('ERR_SKEIN_BAD_MESSAGE', `${path}: expected ${expected}, got ${kindOf(got)}`, { path })
}

export const string: Reader<string> = (value, path) => {
  if (typeof value === 'string') return value
  throw badMessage(path, 'a string', value)
}

export const boolean: Reader<boolean> = (value, path) => {
  if (typeof value === 'boolean') return value
  throw badMessage(path, 'true or false', value)
}

/** A finite number. */
export const number: Reader<number> = (value, path) => {
  if (typeof value === 'number' && Number.isFinite(value)) return value
  throw badMessage(path, 'a finite number', value)
}

/** A safe integer: larger 64-bit ones would have lost digits on the way and are refused. */
export const integer: Reader<number> = (value, path) => {
  if (Number.isSafeInteger(value)) return value as number
  throw badMessage(path, 'a safe integer', value)
}

/** A safe integer from 0. */
export const natural: Reader<number> = (value, path) => {
  const whole = integer(value, path)
  if (whole >= 0) return whole
  throw badMessage(path, 'an integer from 0', value)
}

export const bytes: Reader<Uint8Array> = (value, path) => {
  if (value instanceof Uint8Array) return value
  throw badMessage(path, 'bytes', value)
}

/** Takes anything as it is: for parts whose meaning belongs to a layer above. */
export const anything: Reader<unknown> = (value) => value

/** One of these strings. */
export function oneOf<const Words extends readonly string[]>(...words: Words): Reader<Words[number]> {
  return (value, path) => {
    if (typeof value === 'string' && words.includes(value)) return value
    throw badMessage(path, `one of ${words.join(', ')}`, value)
  }
}

/** An array of at most `lengthMax` items (the message's own size bounds it otherwise). */
export function array<T>(item: Reader<T>, { lengthMax = Number.POSITIVE_INFINITY } = {}): Reader<readonly T[]> {
  return (value, path) => {
    if (!Array.isArray(value)) throw badMessage(path, 'an array', value)
    if (value.length > lengthMax) throw badMessage(path, `at most ${lengthMax} items`, value)
    return value.map((element: unknown, index) => item(element, `${path}[${index}]`))
  }
}

/** An object with any keys and values of one kind. */
export function record<T>(item: Reader<T>): Reader<Readonly<Record<string, T>>> {
  return (value, path) => {
    const entries = Object.entries(plainObject(value, path))
    return Object.fromEntries(entries.map(([key, element]) => [key, item(element, `${path}.${key}`)]))
  }
}

/** An object with these keys. Other keys are left out of the result: a newer peer may send more. */
export function object<S extends Shape>(shape: S): Reader<ObjectOf<S>> {
  const entries = Object.entries(shape)
  return (value, path) => {
    const source = plainObject(value, path)
    const result: Record<string, unknown> = {}
    for (const [key, reader] of entries) {
      const element = reader(Object.hasOwn(source, key) ? source[key] : undefined, `${path}.${key}`)
      if (element !== undefined) result[key] = element
    }
    return result as ObjectOf<S>
  }
}

/** A key that may be missing, undefined or null; then it is left out. */
export function optional<T>(reader: Reader<T>): OptionalReader<T> {
  const missingOr = (value: unknown, path: string): T | undefined =>
    value === undefined || value === null ? undefined : reader(value, path)
  return Object.assign(missingOr, { optional: true as const })
}

/** A union told apart by the string under `key`; each variant reads the whole object and yields its tag too. */
export function tagged<Key extends string, Variants extends Readonly<Record<string, Reader<object>>>>(
  key: Key,
  variants: Variants,
): Reader<{ [Tag in keyof Variants]: Read<Variants[Tag]> & { readonly [K in Key]: Tag } }[keyof Variants]> {
  const tag = oneOf(...Object.keys(variants))
  return (value, path) => {
    const name = tag(plainObject(value, path)[key], `${path}.${key}`)
    const variant = variants[name] as Reader<object>
    return { ...variant(value, path), [key]: name } as never
  }
}

/** Reads, then turns what was read into something else; `make` throws its own SkeinError. */
export function refine<T, U>(reader: Reader<T>, make: (value: T, path: string) => U): Reader<U> {
  return (value, path) => make(reader(value, path), path)
}

function plainObject(value: unknown, path: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array)) {
    return value as Record<string, unknown>
  }
  throw badMessage(path, 'an object', value)
}

/** A few words about a value; never its whole content, which may be large or secret. */
function kindOf(value: unknown): string {
  if (value === null || value === undefined) return 'nothing'
  if (Array.isArray(value)) return `an array of ${value.length}`
  if (value instanceof Uint8Array) return `${value.length} bytes`
  if (typeof value === 'string') return value.length <= 40 ? `"${value}"` : `a string of ${value.length} characters`
  if (typeof value === 'object') return 'an object'
  return `${typeof value} ${String(value)}`
}
