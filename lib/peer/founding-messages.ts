/** What processes that found a cluster together say to each other, and what they keep. */
import * as v from 'valibot'
import { SkeinError } from '../base/errors.js'
import type { Access } from '../model/access.js'
import type { Availability } from '../model/node.js'
import { mapOf } from '../model/validate.js'
import { decode, encode } from '../wire/index.js'
import type { Answer, FoundingMemory, Question } from './founding-core.js'

/** One of those who meet, with what its record will say. */
export interface Person {
  readonly id: string
  readonly name: string
  readonly address: string
  readonly availability: Availability
  readonly labels: Readonly<Record<string, string>>
  /** SPKI. */
  readonly publicKey: Uint8Array
}

/** One of the first managers. */
export interface FirstMember extends Omit<Person, 'publicKey'> {
  readonly raftId: number
  /** DER. */
  readonly certificate: Uint8Array
}

/** The whole beginning of a cluster. Whoever knows it can write the first records. */
export interface Beginning {
  readonly cluster: string
  readonly dataKey: Uint8Array
  readonly access: Access
  readonly members: readonly FirstMember[]
}

export interface MeetRequest {
  /** Of the founding token: said only to somebody whose certificate the token's root has issued. */
  readonly secret: string
  readonly expect: number
  readonly from: Person
  /** Addresses of everybody else it knows. */
  readonly known: readonly string[]
  readonly question: Question<Uint8Array>
}

export interface MeetAnswer {
  readonly from: Person | undefined
  readonly known: readonly string[]
  readonly answer: Answer<Uint8Array>
}

/** A beginning of the largest cluster that can be founded at once takes a tenth of it. */
const valueMax = 256 * 1024
const bytes = (max: number) =>
  v.pipe(
    v.instance(Uint8Array),
    v.check((value) => value.length <= max, `at most ${max} bytes`),
  )
const id = v.pipe(v.string(), v.regex(/^[0-9a-z]{12}$/, 'expected 12 characters of [0-9a-z]'))
const address = v.pipe(v.string(), v.nonEmpty(), v.maxLength(255))
const attendee = {
  id,
  name: v.pipe(v.string(), v.nonEmpty(), v.maxLength(63)),
  address,
  availability: v.picklist(['active', 'pause', 'drain']),
  labels: mapOf(v.string(), v.string()),
}
const person = v.object({ ...attendee, publicKey: bytes(128) })
const ballot = v.object({ round: v.pipe(v.number(), v.safeInteger()), id: v.pipe(v.string(), v.maxLength(12)) })
const value = bytes(valueMax)
const accepted = v.object({ ballot, value })
const known = v.pipe(v.array(address), v.maxLength(64))
const requestSchema = v.object({
  secret: v.pipe(v.string(), v.maxLength(64)),
  expect: v.pipe(v.number(), v.safeInteger()),
  from: person,
  known,
  question: v.variant('type', [
    v.object({ type: v.literal('hello') }),
    v.object({ type: v.literal('prepare'), ballot }),
    v.object({ type: v.literal('accept'), ballot, value }),
  ]),
})
const answerSchema = v.object({
  from: v.nullish(person),
  known,
  answer: v.variant('type', [
    v.object({ type: v.literal('present') }),
    v.object({ type: v.literal('promised'), ballot, accepted: v.nullish(accepted) }),
    v.object({ type: v.literal('accepted'), ballot }),
    v.object({ type: v.literal('refused'), promised: ballot }),
    v.object({ type: v.literal('decided'), value }),
    v.object({ type: v.literal('founded') }),
  ]),
})
const state = v.picklist(['trusted', 'retired'])
const certificate = bytes(4096)
const root = v.object({ certificate, cross: v.nullish(certificate), key: v.nullish(bytes(4096)), state })
const beginningSchema = v.object({
  cluster: id,
  dataKey: bytes(32),
  access: v.object({
    roots: v.array(root),
    tokens: v.object({ manager: bytes(256), worker: bytes(256) }),
    revoked: v.array(v.string()),
  }),
  members: v.pipe(v.array(v.object({ ...attendee, raftId: v.pipe(v.number(), v.safeInteger()), certificate })), v.minLength(1)),
})
/** `root` says of which token: a promise made under another one binds nobody. */
const memorySchema = v.object({ root: v.string(), promised: ballot, accepted: v.nullish(accepted), decided: v.boolean() })

/** @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE */
export function readMeetRequest(given: unknown): MeetRequest {
  return read('join.meet', requestSchema, given)
}

/** @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE */
export function readMeetAnswer(given: unknown): MeetAnswer {
  const { from, known, answer } = read('the answer to join.meet', answerSchema, given)
  const whole = answer.type === 'promised' ? { ...answer, accepted: answer.accepted ?? undefined } : answer
  return { from: from ?? undefined, known, answer: whole }
}

export function packBeginning(beginning: Beginning): Uint8Array {
  return encode(beginning)
}

/** @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE */
export function readBeginning(packed: Uint8Array): Beginning {
  const { access, ...rest } = read('a beginning', beginningSchema, decode(packed, valueMax))
  const roots = access.roots.map((each) => ({ ...each, cross: each.cross ?? undefined, key: each.key ?? undefined }))
  // The first leader makes the keyring, once there is a record.
  return { ...rest, access: { ...access, roots, keyring: undefined } }
}

export function packMemory(root: string, memory: FoundingMemory<Uint8Array>): Uint8Array {
  return encode({ root, ...memory })
}

/** Undefined for a memory of another token. @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE */
export function readMemory(root: string, packed: Uint8Array): FoundingMemory<Uint8Array> | undefined {
  const { root: its, accepted, ...rest } = read('the memory of a founding', memorySchema, decode(packed, 2 * valueMax))
  return its === root ? { ...rest, accepted: accepted ?? undefined } : undefined
}

/** The beginning that was chosen, if one is known to be. @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE */
export function readDecided(packed: Uint8Array): Beginning | undefined {
  const { decided, accepted } = read('the memory of a founding', memorySchema, decode(packed, 2 * valueMax))
  return decided && accepted ? readBeginning(accepted.value) : undefined
}

function read<S extends v.GenericSchema>(what: string, schema: S, given: unknown): v.InferOutput<S> {
  const result = v.safeParse(schema, given)
  if (result.success) return result.output
  const path = v.getDotPath(result.issues[0]) ?? what
  throw new SkeinError('ERR_SKEIN_BAD_MESSAGE', `${what}: ${path}: ${result.issues[0].message}`, { path })
}
