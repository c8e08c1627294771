/**
 * The cluster's certificate authority: roots and tokens as the replicated record holds them, and what its leader does with them.
 * Any manager can: what is secret in the record is sealed with the data key, which every manager has and no worker.
 */
import { createHash, randomBytes } from 'node:crypto'
import { assert } from '../base/assert.js'
import { SkeinError } from '../base/errors.js'
import { makeId } from '../base/ids.js'
import type { Random } from '../base/random.js'
import type { Access, Root } from '../model/access.js'
import {
  digestOf,
  type Issuer,
  issueCertificate,
  issueRootCertificate,
  readCertificate,
  type Subject,
  serialBytes,
  type Validity,
} from './certificate.js'
import type { FoundingRoot } from './founding-root.js'
import type { TokenRole } from './identity.js'
import { makeSecret, secretsEqual } from './join-token.js'
import { type KeyPair, makeKeyPair, readPrivateKey, writePrivateKey } from './keys.js'
import { seal, unseal } from './seal.js'
import type { Trust } from './trust.js'

/** Milliseconds. */
export const lifetimes = {
  /** Before the present: clocks of a cluster may differ by this much. */
  backdateMs: 3_600_000,
  nodeMs: 90 * 86_400_000,
  /** An operator's or an app's: it asks again with its token, and that may have been rotated meanwhile. */
  clientMs: 12 * 3_600_000,
  /** What a manager makes for itself when its own has ended: until it is renewed. */
  stopgapMs: 12 * 3_600_000,
  rootMs: 20 * 365 * 86_400_000,
} as const

/** Revoked tokens the cluster remembers, to tell them from mistaken ones. */
const revokedKept = 16
/** Retired roots kept: members that slept through no more rotations than this find back by themselves. */
const retiredKept = 4

/** What an authority needs besides the record. */
export interface AuthorityWorld {
  readonly cluster: string
  /** Seals what is secret in the record. */
  readonly dataKey: Uint8Array
  readonly nowMs: number
}

/**
 * The first record: one root, two tokens.
 * @param random must be unguessable.
 * @param before of a founding token: it certifies the root, so that the token's bearers can follow, and is retired from the beginning.
 */
export async function foundAccess(world: AuthorityWorld, random: Random, before?: FoundingRoot): Promise<Access> {
  const root = await makeRoot(world, random, before?.issuer)
  const retired = before && { certificate: before.certificate, cross: undefined, key: undefined, state: 'retired' as const }
  return {
    roots: [root, ...(retired ? [retired] : [])],
    tokens: {
      manager: sealToken(world, 'manager', before?.secret ?? makeSecret(random)),
      worker: sealToken(world, 'worker', makeSecret(random)),
    },
    revoked: [],
    keyring: undefined,
  }
}

/** A certificate from the issuing root, valid from an hour ago. @throws {SkeinError} ERR_SKEIN_CORRUPT when the data key is not the record's */
export function issueFrom(
  access: Access,
  world: AuthorityWorld,
  subject: Subject,
  publicKey: Uint8Array,
  lifeMs: number,
): Uint8Array {
  return issueCertificate(
    issuerOf(issuingRoot(access), world),
    subject,
    publicKey,
    validityOf(world.nowMs, lifeMs),
    randomBytes(serialBytes),
  )
}

/** The root that issues. */
export function issuingRoot({ roots }: Access): Root {
  const root = roots.find(({ key }) => key !== undefined)
  assert(root !== undefined, 'one root has its key')
  return root
}

/** What the record lets members believe in. */
export function trustOf(cluster: string, { roots }: Access): Extract<Trust, { type: 'roots' }> {
  const of = (state: Root['state']): Uint8Array[] =>
    roots.filter((root) => root.state === state).map(({ certificate }) => certificate)
  const crosses = roots.flatMap(({ cross }) => (cross === undefined ? [] : [cross]))
  return { type: 'roots', cluster, roots: of('trusted'), retired: of('retired'), crosses }
}

/** The secret of a join token. */
export function tokenSecret(
  { tokens }: Access,
  { cluster, dataKey }: Pick<AuthorityWorld, 'cluster' | 'dataKey'>,
  role: TokenRole,
): string {
  return Buffer.from(unseal(dataKey, tokenPurpose(cluster, role), tokens[role])).toString()
}

/** Undefined when it is the role's present secret, else what is wrong with it. */
export function checkSecret(
  access: Access,
  world: Pick<AuthorityWorld, 'cluster' | 'dataKey'>,
  role: TokenRole,
  secret: string,
): SkeinError<'ERR_SKEIN_BAD_JOIN_SECRET'> | undefined {
  const other = role === 'manager' ? 'worker' : 'manager'
  // All are compared whatever comes out: how long it takes says nothing.
  const fits = secretsEqual(tokenSecret(access, world, role), secret)
  const fitsOther = secretsEqual(tokenSecret(access, world, other), secret)
  const wasRevoked = access.revoked.includes(fingerprintOfSecret(secret))
  if (fits) return undefined
  const again = `take the join string again: skein invite ${role}`
  if (fitsOther) return badSecret('role', `this is the secret of the ${other} token, not of the ${role} token; ${again}`)
  if (wasRevoked) return badSecret('revoked', `this ${role} token was revoked by a rotation; ${again}`)
  return badSecret('secret', `the secret is not that of the ${role} token; ${again}`)
}

/** The record with a new secret for this role; whoever has joined stays. */
export function rotateToken(access: Access, world: AuthorityWorld, role: TokenRole, random: Random): Access {
  const old = fingerprintOfSecret(tokenSecret(access, world, role))
  return {
    ...access,
    tokens: { ...access.tokens, [role]: sealToken(world, role, makeSecret(random)) },
    revoked: [old, ...access.revoked].slice(0, revokedKept),
  }
}

/**
 * The record with a new root that issues from now on, certified by the one before, which stays trusted.
 * @throws {SkeinError} ERR_SKEIN_PRECONDITION while a rotation is under way
 */
export async function addRoot(access: Access, world: AuthorityWorld, random: Random): Promise<Access> {
  const before = issuingRoot(access)
  if (access.roots.filter(({ state }) => state === 'trusted').length > 1) {
    throw new SkeinError(
      'ERR_SKEIN_PRECONDITION',
      'the root is being rotated already; wait until every node that is up has its new certificate',
      { what: 'root rotation' },
    )
  }
  const root = await makeRoot(world, random, issuerOf(before, world))
  // Only one root can issue: the key of the other is of no further use, and is gone from the record.
  return { ...access, roots: [root, ...access.roots.map((each) => ({ ...each, key: undefined }))] }
}

/** The record with every root but the issuing one retired; the oldest of them are forgotten. Pure. */
export function retireRoots(access: Access): Access {
  const issuing = issuingRoot(access)
  const retired = access.roots.filter((root) => root !== issuing).map((root) => ({ ...root, state: 'retired' as const }))
  return { ...access, roots: [issuing, ...retired.slice(0, retiredKept)] }
}

async function makeRoot({ cluster, dataKey, nowMs }: AuthorityWorld, random: Random, before: Issuer | undefined): Promise<Root> {
  const keys = await makeKeyPair()
  const name = { cluster, id: makeId(random) }
  const validity = validityOf(nowMs, lifetimes.rootMs)
  const by = (issuer: Issuer): Uint8Array =>
    issueRootCertificate(issuer, name, keys.publicKey, validity, randomBytes(serialBytes))
  const certificate = by({ name, keys })
  return {
    certificate,
    cross: before === undefined ? undefined : by(before),
    key: seal(dataKey, keyPurpose(certificate), writePrivateKey(keys)),
    state: 'trusted',
  }
}

function issuerOf(root: Root, { cluster, dataKey }: AuthorityWorld): Issuer {
  assert(root.key !== undefined, 'the issuing root has its key')
  const { subject } = readCertificate(root.certificate)
  const keys: KeyPair = readPrivateKey(unseal(dataKey, keyPurpose(root.certificate), root.key), 'the root’s key')
  return { name: { cluster, id: subject.name }, keys }
}

function validityOf(nowMs: number, lifeMs: number): Validity {
  return { notBeforeMs: nowMs - lifetimes.backdateMs, notAfterMs: nowMs + lifeMs }
}

function keyPurpose(certificate: Uint8Array): string {
  return `key of root ${digestOf(certificate)}`
}

function tokenPurpose(cluster: string, role: TokenRole): string {
  return `${role} token of ${cluster}`
}

function sealToken({ cluster, dataKey }: AuthorityWorld, role: TokenRole, secret: string): Uint8Array {
  return seal(dataKey, tokenPurpose(cluster, role), Buffer.from(secret))
}

function fingerprintOfSecret(secret: string): string {
  return createHash('sha256').update(`skein token ${secret}`).digest('hex')
}

function badSecret(part: 'revoked' | 'role' | 'secret', words: string): SkeinError<'ERR_SKEIN_BAD_JOIN_SECRET'> {
  return new SkeinError('ERR_SKEIN_BAD_JOIN_SECRET', `join token, ${part}: ${words}`, { part })
}
