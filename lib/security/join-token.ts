import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { SkeinError } from '../base/errors.js'
import { formatHostPort, type HostPort, parseHostPort } from '../base/host-port.js'
import type { Random } from '../base/random.js'
import { digestOf } from './certificate.js'
import { foundingRoot, foundingSeedBytes } from './founding-root.js'
import type { TokenRole } from './identity.js'
import type { Trust } from './trust.js'

/**
 * What a join token says: `SKN-1-<digest of the root>-<m|w><secret><checksum>`. The digest pins the cluster's root: the
 * bearer says the secret only to somebody whose certificate that root has issued.
 */
export interface JoinToken {
  /** What the bearer may join as. */
  readonly role: TokenRole
  /** SHA-256 of the root's certificate, in hex. */
  readonly root: string
  readonly secret: string
  /** Of a founding token: what root and secret follow from. It may also found the cluster it lets its bearer join. */
  readonly seed?: Uint8Array
}

/** What a join string says: `skein://TOKEN@host:port[,host:port]`. */
export interface Invitation {
  readonly token: JoinToken
  /** `host:port` of peers to ask, at least one. Names are looked up anew at every dial. */
  readonly addresses: readonly string[]
}

/** 26 characters of [0-9a-z]: 134 bits, beyond guessing even offline. */
export const secretLength = 26

const alphabet = '0123456789abcdefghijklmnopqrstuvwxyz'
const scheme = 'skein://'
/** 256 bits in base 36. */
const digestLength = 50
/** 20 bits: one mistyped token in a million passes, and then its secret is wrong. */
const checksumLength = 4

/** A new join secret. @param random must be unguessable outside tests. */
export function makeSecret(random: Random): string {
  let secret = ''
  while (secret.length < secretLength) secret += alphabet[Math.floor(random() * alphabet.length)]
  return secret
}

/** A new founding token: `SKN-F1-<seed><checksum>`. Whoever has it may found the cluster, and join it as a manager until that token is rotated. */
export function makeFoundingToken(seed: Uint8Array = randomBytes(foundingSeedBytes)): string {
  const body = `SKN-F1-${base36(seed)}`
  return body + checksumOf(body)
}

/** The text of a token. */
export function formatToken({ role, root, secret, seed }: JoinToken): string {
  if (seed !== undefined) return makeFoundingToken(seed)
  const body = `SKN-1-${base36(Buffer.from(root, 'hex'))}-${role === 'manager' ? 'm' : 'w'}${secret}`
  return body + checksumOf(body)
}

/** @throws {SkeinError} ERR_SKEIN_BAD_JOIN_STRING; `detail.part` is what is wrong: prefix, version, root, role, secret, seed, checksum */
export function parseToken(text: string): JoinToken {
  const [prefix, version, root = '', last = '', ...rest] = text.split('-')
  if (prefix !== 'SKN') throw badPart('prefix', 'a token begins with SKN-1- or SKN-F1-')
  if (version === 'F1') return parseFoundingToken(text, root, [last, ...rest].join(''))
  if (version !== '1')
    throw badPart('version', `token version ${version ?? 'none'} is not known here; this skein knows 1, and F1 for founding`)
  if (root.length !== digestLength || !/^[0-9a-z]+$/.test(root))
    throw badPart('root', `expected the digest of the cluster's root, ${digestLength} characters of [0-9a-z], got ${root.length}`)
  const letter = last[0]
  if (letter !== 'm' && letter !== 'w') throw badPart('role', `expected m (manager) or w (worker), got ${letter ?? 'nothing'}`)
  const length = last.length - 1 - checksumLength
  if (rest.length > 0 || length !== secretLength || !/^[0-9a-z]+$/.test(last)) {
    const more = rest.length > 0 ? ' and more after a dash' : ''
    throw badPart('secret', `expected ${secretLength} characters of [0-9a-z] and a checksum, got ${Math.max(0, length)}${more}`)
  }
  const body = text.slice(0, -checksumLength)
  if (checksumOf(body) !== text.slice(-checksumLength)) throw mistyped()
  const digest = hex(root)
  if (digest === undefined) throw badPart('root', 'larger than any digest')
  return { role: letter === 'm' ? 'manager' : 'worker', root: digest, secret: last.slice(1, 1 + secretLength) }
}

function parseFoundingToken(text: string, body: string, more: string): JoinToken {
  const length = digestLength + checksumLength
  if (more !== '' || body.length !== length || !/^[0-9a-z]+$/.test(body)) {
    const got = more === '' ? body.length : 'more after a dash'
    throw badPart('seed', `expected ${digestLength} characters of [0-9a-z] and a checksum of ${checksumLength}, got ${got}`)
  }
  if (checksumOf(text.slice(0, -checksumLength)) !== text.slice(-checksumLength)) throw mistyped()
  const digits = hex(body.slice(0, digestLength))
  if (digits === undefined) throw badPart('seed', 'larger than any seed')
  const seed = new Uint8Array(Buffer.from(digits, 'hex'))
  const { certificate, secret } = foundingRoot(seed)
  return { role: 'manager', root: digestOf(certificate), secret, seed }
}

function mistyped(): SkeinError {
  return badPart('checksum', 'it does not fit the rest: a character of the token was mistyped or lost; copy it again')
}

/** Whom the bearer of a token believes. */
export function trustOfToken({ root, seed }: JoinToken): Trust {
  if (seed === undefined) return { type: 'pin', digest: root }
  const { cluster, certificate } = foundingRoot(seed)
  return { type: 'roots', cluster, roots: [certificate], retired: [], crosses: [] }
}

/** Whether two secrets are equal, in a time that says nothing about where they differ. */
export function secretsEqual(a: string, b: string): boolean {
  return timingSafeEqual(createHash('sha256').update(a).digest(), createHash('sha256').update(b).digest())
}

/** The one string another machine needs. */
export function formatJoinString({ token, addresses }: Invitation): string {
  return `${scheme}${formatToken(token)}@${addresses.join(',')}`
}

/**
 * Reads `skein://TOKEN@host:port[,host:port]`; IPv6 hosts stand in brackets.
 * @throws {SkeinError} ERR_SKEIN_BAD_JOIN_STRING; `detail.part`: scheme, address, or a part of the token. The message never shows the secret.
 */
export function parseJoinString(text: string): Invitation {
  if (!text.startsWith(scheme)) throw badPart('scheme', `expected ${scheme}TOKEN@host:port[,host:port]`)
  const at = text.indexOf('@')
  if (at === -1) throw badPart('address', 'no @ between the token and the addresses')
  const token = parseToken(text.slice(scheme.length, at))
  const addresses = text
    .slice(at + 1)
    .split(',')
    .map(readAddress)
    .map(formatHostPort)
  const twice = addresses.find((address, index) => addresses.indexOf(address) !== index)
  // Where founders are listed, a repetition stands where another one was meant, who would be waited for.
  if (twice !== undefined && token.seed !== undefined)
    throw badPart('address', `${twice} stands there twice; name each of those who found the cluster once`)
  return { token, addresses: [...new Set(addresses)] }
}

function readAddress(text: string): HostPort {
  const address = parseHostPort(text.trim())
  if (address === undefined || address.port === 0) throw badPart('address', `expected host:port, got "${text}"`)
  return address
}

function checksumOf(body: string): string {
  return base36(createHash('sha256').update(body).digest()).slice(-checksumLength)
}

function base36(bytes: Uint8Array): string {
  return BigInt(`0x${Buffer.from(bytes).toString('hex')}`)
    .toString(36)
    .padStart(digestLength, '0')
}

function hex(text: string): string | undefined {
  let value = 0n
  for (const character of text) value = value * 36n + BigInt(alphabet.indexOf(character))
  const digits = value.toString(16).padStart(64, '0')
  return digits.length === 64 ? digits : undefined
}

function badPart(part: string, words: string): SkeinError {
  return new SkeinError('ERR_SKEIN_BAD_JOIN_STRING', `join string, ${part}: ${words}`, { part })
}
