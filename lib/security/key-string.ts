/** A client's certificate with its key in one string, for a file only its owner reads: `skein-key://BODY@host:port[,host:port]`. */
import { SkeinError } from '../base/errors.js'
import { parseHostPort } from '../base/host-port.js'
import type { OwnCertificate } from './credentials.js'
import { readPrivateKey, writePrivateKey } from './keys.js'
import type { Trust } from './trust.js'

export interface KeyString {
  readonly own: OwnCertificate
  readonly trust: Extract<Trust, { type: 'roots' }>
  readonly addresses: readonly string[]
}

const scheme = 'skein-key://'

export function isKeyString(text: string): boolean {
  return text.startsWith(scheme)
}

export function formatKeyString({ own, trust, addresses }: KeyString): string {
  const body = {
    key: encode(writePrivateKey(own.keys)),
    certificate: encode(own.certificate),
    cluster: trust.cluster,
    roots: trust.roots.map(encode),
    crosses: trust.crosses.map(encode),
  }
  return `${scheme}${encode(Buffer.from(JSON.stringify(body)))}@${addresses.join(',')}`
}

/** @throws {SkeinError} ERR_SKEIN_BAD_JOIN_STRING; the message never shows the key */
export function parseKeyString(text: string): KeyString {
  const at = text.lastIndexOf('@')
  const addresses = text.slice(at + 1).split(',')
  if (at === -1 || addresses.some((each) => parseHostPort(each) === undefined))
    throw bad('address', 'expected host:port after the @')
  try {
    const body = JSON.parse(decode(text.slice(scheme.length, at)).toString()) as Record<string, string & readonly string[]>
    const { key, certificate, cluster, roots, crosses } = body
    return {
      own: { keys: readPrivateKey(decode(key as string), 'key string'), certificate: decode(certificate as string) },
      trust: {
        type: 'roots',
        cluster: cluster as string,
        roots: (roots as readonly string[]).map(decode),
        retired: [],
        crosses: (crosses as readonly string[]).map(decode),
      },
      addresses,
    }
  } catch {
    throw bad('key', 'it is damaged; start the peer of this directory again, or use a join string')
  }
}

function encode(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url')
}

function decode(text: string): Buffer {
  return Buffer.from(text, 'base64url')
}

function bad(part: string, words: string): SkeinError<'ERR_SKEIN_BAD_JOIN_STRING'> {
  return new SkeinError('ERR_SKEIN_BAD_JOIN_STRING', `key string, ${part}: ${words}`, { part })
}
