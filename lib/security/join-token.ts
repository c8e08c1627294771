import { createHash, timingSafeEqual } from 'node:crypto'
import { SkeinError } from '../base/errors.js'
import { formatHostPort, type HostPort, parseHostPort } from '../base/host-port.js'
import { type ClusterId, parseClusterId } from '../base/ids.js'
import type { Random } from '../base/random.js'
import type { SecretKind } from './identity.js'

/** What a join token says: `SKN-1-<m|w>-<cluster id>-<secret>`. */
export interface JoinToken {
  /** What the bearer may join as, and which secret this is. */
  readonly role: SecretKind
  readonly cluster: ClusterId
  readonly secret: string
}

/** What a join string says: `skein://TOKEN@host:port[,host:port]`. */
export interface Invitation {
  readonly token: JoinToken
  /** `host:port` of peers to ask, at least one. */
  readonly addresses: readonly string[]
}

/** 26 characters of [0-9a-z]: 134 bits, beyond guessing even offline. */
export const secretLength = 26

const alphabet = '0123456789abcdefghijklmnopqrstuvwxyz'
const scheme = 'skein://'

/** A new join secret. @param random must be unguessable outside tests. */
export function makeSecret(random: Random): string {
  let secret = ''
  while (secret.length < secretLength) secret += alphabet[Math.floor(random() * alphabet.length)]
  return secret
}

/** The text of a token. */
export function formatToken({ role, cluster, secret }: JoinToken): string {
  return `SKN-1-${role === 'manager' ? 'm' : 'w'}-${cluster}-${secret}`
}

/** @throws {SkeinError} ERR_SKEIN_BAD_JOIN_STRING; `detail.part` is what is wrong: prefix, version, role, cluster, secret */
export function parseToken(text: string): JoinToken {
  const [prefix, version, letter, cluster = '', secret = '', ...rest] = text.split('-')
  if (prefix !== 'SKN') throw badPart('prefix', 'a token begins with SKN-1-')
  if (version !== '1') throw badPart('version', `token version ${version ?? 'none'} is not known here; this skein knows 1`)
  if (letter !== 'm' && letter !== 'w') throw badPart('role', `expected m (manager) or w (worker), got ${letter ?? 'nothing'}`)
  if (!/^[0-9a-z]{12}$/.test(cluster)) throw badPart('cluster', 'expected the cluster id, 12 characters of [0-9a-z]')
  if (rest.length > 0 || !/^[0-9a-z]{26}$/.test(secret)) {
    throw badPart(
      'secret',
      `expected ${secretLength} characters of [0-9a-z], got ${secret.length}${rest.length > 0 ? ' and more after a dash' : ''}`,
    )
  }
  return { role: letter === 'm' ? 'manager' : 'worker', cluster: parseClusterId(cluster), secret }
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
  return { token, addresses: [...new Set(addresses)] }
}

function readAddress(text: string): HostPort {
  const address = parseHostPort(text.trim())
  if (address === undefined || address.port === 0) throw badPart('address', `expected host:port, got "${text}"`)
  return address
}

function badPart(part: string, words: string): SkeinError {
  return new SkeinError('ERR_SKEIN_BAD_JOIN_STRING', `join string, ${part}: ${words}`, { part })
}
