import * as v from 'valibot'
import { SkeinError } from '../base/errors.js'
import { checkKeyring, type Keyring, keyBytes } from '../model/keyring.js'
import type { Availability } from '../model/node.js'
import { mapOf } from '../model/validate.js'
import type { CertifiedRole, Identity, LinkRole, TokenRole, Trust } from '../security/index.js'
import type { ManagerAddress } from './session.js'

/**
 * JoinApi: what newcomers ask of a manager, and members of their own certificates. Whoever asks has proved by its link who it
 * is, or says a token's secret; the key it wants certified it proves over the link's binding.
 */
export interface JoinApi {
  /**
   * Makes the newcomer's record and certificate; asked again by the holder of the same key it answers the same.
   * @throws {SkeinError} ERR_SKEIN_BAD_JOIN_SECRET (`detail.part`), ERR_SKEIN_ALREADY_EXISTS (name or node id taken), ERR_SKEIN_REMOVED,
   * ERR_SKEIN_FORBIDDEN (no proof of the key), ERR_SKEIN_NO_QUORUM
   */
  join(request: JoinRequest, binding: Uint8Array): Promise<JoinAnswer>
  /**
   * A new certificate for a node, in the role its record has. A worker that is to be a manager becomes one by asking: the answer's
   * role and raft id are what it is from then on.
   * @throws {SkeinError} ERR_SKEIN_REMOVED, ERR_SKEIN_NOT_FOUND, ERR_SKEIN_FORBIDDEN, ERR_SKEIN_PRECONDITION (another wish came between; ask again)
   */
  renew(caller: Pick<Identity, 'node' | 'role' | 'key'>, request: KeyRequest, binding: Uint8Array): Promise<RenewAnswer>
}

/** A key to be certified. */
export interface KeyRequest {
  /** SPKI. */
  readonly publicKey: Uint8Array
  /** `provePossession` of that key over the link. */
  readonly proof: Uint8Array
}

/** A join token's two parts that a newcomer says once it has checked the root. */
export interface TokenClaim {
  readonly role: TokenRole
  readonly secret: string
}

export interface JoinRequest extends KeyRequest, TokenClaim {
  /** The node id it has chosen. */
  readonly id: string
  readonly name: string
  /** host:port where this peer's links arrive; '' of a worker that only dials out. */
  readonly address: string
  readonly availability: Availability
  readonly labels: Readonly<Record<string, string>>
}

/** The cluster's roots. */
export type ClusterTrust = Extract<Trust, { type: 'roots' }>

export interface Certified {
  /** DER. */
  readonly certificate: Uint8Array
  readonly trust: ClusterTrust
}

export interface JoinAnswer extends Certified {
  readonly role: TokenRole
  /** Only for managers. */
  readonly raftId: number | undefined
  /** Only for managers: unseals what is secret in the record. */
  readonly dataKey: Uint8Array | undefined
  readonly managers: readonly ManagerAddress[]
}

export interface RenewAnswer extends Certified {
  readonly role: TokenRole
  /** Only for managers. */
  readonly raftId: number | undefined
  /** Only for managers. */
  readonly dataKey: Uint8Array | undefined
  /** As what the asking link counted. */
  readonly was: LinkRole
}

/** A client's wish for a certificate. Without a token the asking peer's own role decides. */
export interface CredentialRequest extends KeyRequest {
  /** An id of its own, for the certificate's CN. */
  readonly id: string
  readonly token: TokenClaim | undefined
}

export interface CredentialAnswer extends Certified {
  readonly role: CertifiedRole
}

/** What members must know of each other's certificates, and the keys they share; the whole of it, at once and after every change. */
export interface TrustNews {
  readonly trust: ClusterTrust
  /** Node ids that are refused for ever. */
  readonly removed: readonly string[]
  /** Nodes that were managers and are none: what they show as such is good for nothing but a new certificate. */
  readonly demoted: readonly string[]
  /** Nodes whose next certificate is a manager's: those that are managers, and those that are to be. */
  readonly called: readonly string[]
  /** Keys of datagrams; undefined while there are none, and for whoever is no member by its present certificate. */
  readonly keyring: Keyring | undefined
  /** Of the cluster's record: what is older than known is no news. */
  readonly version: number
}

const bytes = (max: number) =>
  v.pipe(
    v.instance(Uint8Array),
    v.check((value) => value.length <= max, `at most ${max} bytes`),
  )
const id = v.pipe(v.string(), v.regex(/^[0-9a-z]{12}$/, 'expected 12 characters of [0-9a-z]'))
const key = { publicKey: bytes(128), proof: bytes(64) }
const token = { role: v.picklist(['manager', 'worker']), secret: v.pipe(v.string(), v.maxLength(64)) }
const joinSchema = v.strictObject({
  ...key,
  ...token,
  id,
  name: v.pipe(v.string(), v.nonEmpty(), v.maxLength(63)),
  address: v.pipe(v.string(), v.maxLength(255)),
  availability: v.picklist(['active', 'pause', 'drain']),
  labels: mapOf(v.string(), v.string()),
})
const keySchema = v.strictObject(key)
const credentialSchema = v.strictObject({ ...key, id, token: v.nullish(v.strictObject(token)) })

const certificates = v.pipe(v.array(bytes(4096)), v.maxLength(16))
const trustSchema = v.object({
  type: v.literal('roots'),
  cluster: id,
  roots: v.pipe(certificates, v.minLength(1)),
  retired: certificates,
  crosses: certificates,
})
const certified = { certificate: bytes(4096), trust: trustSchema }
const dataKey = v.nullish(
  v.pipe(
    v.instance(Uint8Array),
    v.check((value) => value.length === 32, 'expected 32 bytes'),
  ),
)
const joinAnswerSchema = v.object({
  ...certified,
  role: token.role,
  raftId: v.nullish(v.pipe(v.number(), v.safeInteger())),
  dataKey,
  managers: v.array(v.object({ node: v.string(), address: v.string() })),
})
const renewAnswerSchema = v.object({
  ...certified,
  role: token.role,
  raftId: v.nullish(v.pipe(v.number(), v.safeInteger())),
  dataKey,
  was: v.picklist(['manager', 'worker', 'operator', 'app', 'newcomer', 'returning', 'demoted']),
})
const credentialAnswerSchema = v.object({ ...certified, role: v.picklist(['manager', 'worker', 'operator', 'app']) })
const whole = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
const clusterKey = v.object({ id: whole, secret: bytes(keyBytes), removals: whole })
const keyringSchema = v.object({ previous: v.nullish(clusterKey), primary: clusterKey, next: clusterKey, rotatedAtMs: whole })
const newsSchema = v.object({
  trust: trustSchema,
  removed: v.array(v.string()),
  demoted: v.array(v.string()),
  called: v.array(v.string()),
  keyring: v.nullish(keyringSchema),
  version: whole,
})

/** @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE */
export function readJoinRequest(value: unknown): JoinRequest {
  return read('join.join', joinSchema, value)
}

/** @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE */
export function readKeyRequest(value: unknown): KeyRequest {
  return read('join.renew', keySchema, value)
}

/** @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE */
export function readCredentialRequest(value: unknown): CredentialRequest {
  const { token: claim, ...rest } = read('join.credential', credentialSchema, value)
  return { ...rest, token: claim ?? undefined }
}

/** @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE */
export function readJoinAnswer(value: unknown): JoinAnswer {
  const { raftId, dataKey: given, ...rest } = read('the answer to join.join', joinAnswerSchema, value)
  return { ...rest, raftId: raftId ?? undefined, dataKey: given ?? undefined }
}

/** @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE */
export function readRenewAnswer(value: unknown): RenewAnswer {
  const { raftId, dataKey: given, ...rest } = read('the answer to join.renew', renewAnswerSchema, value)
  return { ...rest, raftId: raftId ?? undefined, dataKey: given ?? undefined }
}

/** @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE */
export function readCredentialAnswer(value: unknown): CredentialAnswer {
  return read('the answer to join.credential', credentialAnswerSchema, value)
}

/** @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE */
export function readTrustNews(value: unknown): TrustNews {
  const { keyring, ...rest } = read('news of trust', newsSchema, value)
  if (!keyring) return { ...rest, keyring: undefined }
  return { ...rest, keyring: checkKeyring({ ...keyring, previous: keyring.previous ?? undefined }) }
}

function read<S extends v.GenericSchema>(what: string, schema: S, value: unknown): v.InferOutput<S> {
  const result = v.safeParse(schema, value)
  if (result.success) return result.output
  const path = v.getDotPath(result.issues[0]) ?? what
  throw new SkeinError('ERR_SKEIN_BAD_MESSAGE', `${what}: ${path}: ${result.issues[0].message}`, { path })
}
