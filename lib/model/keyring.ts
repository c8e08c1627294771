/**
 * The keys under which datagrams are sealed: three at a time, so that every node holds a key before anybody uses it and keeps it
 * for a while after. Lives in the cluster record; workers get it in their session. Pure.
 * Source: SwarmKit's keymanager and libnetwork, where `keys[1]` is the primary; here the places have names.
 */
import { assert } from '../base/assert.js'
import { SkeinError } from '../base/errors.js'

export interface ClusterKey {
  /** On the wire, one byte; the next key's is one higher, and 0 follows 255. */
  readonly id: number
  /** 32 random bytes. */
  readonly secret: Uint8Array
  /** Nodes that had been removed from the cluster when it was made: whoever is removed later may have it. */
  readonly removals: number
}

export interface Keyring {
  /** Opens what nodes that missed the last rotation still send. */
  readonly previous: ClusterKey | undefined
  /** Seals what is sent. */
  readonly primary: ClusterKey
  /** Opens what nodes that heard of the next rotation first will send. */
  readonly next: ClusterKey
  /** Leader's wall clock at the last rotation. */
  readonly rotatedAtMs: number
}

export const keyBytes = 32
/** A key seals for this long: far below the 2^32 packets NIST allows one, and short enough for a node away to miss only one rotation a day. */
export const rotationPeriodMs = 12 * 3_600_000

/** Between the rotations that follow a removal: long enough for every node that is up to hear of each. */
export const removalPeriodMs = 30_000

/** The first ring of a cluster. */
export function foundKeyring([first, second]: readonly [Uint8Array, Uint8Array], atMs: number, removals = 0): Keyring {
  const primary = { id: 0, secret: first, removals }
  return { previous: undefined, primary, next: { id: 1, secret: second, removals }, rotatedAtMs: atMs }
}

/** Everything moves one place: the key all nodes hold already becomes the primary. */
export function rotateKeyring({ primary, next }: Keyring, secret: Uint8Array, atMs: number, removals = 0): Keyring {
  assert(secret.length === keyBytes, 'a cluster key has 32 bytes')
  return { previous: primary, primary: next, next: { id: (next.id + 1) & 0xff, secret, removals }, rotatedAtMs: atMs }
}

/**
 * Milliseconds until the next rotation is due; 0: now. Sooner while a removed node may still have one of the keys. A wall clock that
 * jumped back never delays it by more than a period.
 */
export function rotationDueInMs({ previous, primary, next, rotatedAtMs }: Keyring, nowMs: number, removals = 0): number {
  const isClean = [previous, primary, next].every((key) => key === undefined || key.removals === removals)
  const periodMs = isClean ? rotationPeriodMs : removalPeriodMs
  return Math.min(periodMs, Math.max(0, rotatedAtMs + periodMs - nowMs))
}

/** The key of this id, wherever it stands in the ring. */
export function keyOf({ previous, primary, next }: Keyring, id: number): ClusterKey | undefined {
  if (primary.id === id) return primary
  return next.id === id ? next : previous?.id === id ? previous : undefined
}

/** The ring with the arrays of the one known before where they say the same: what is derived from a secret is remembered under it. */
export function sameSecrets(ring: Keyring, known: Keyring | undefined): Keyring {
  const same = (key: ClusterKey): ClusterKey => {
    const before = known && keyOf(known, key.id)
    return before !== undefined && Buffer.compare(before.secret, key.secret) === 0 ? before : key
  }
  return { ...ring, previous: ring.previous && same(ring.previous), primary: same(ring.primary), next: same(ring.next) }
}

/** @throws {SkeinError} ERR_SKEIN_INVALID_SPEC */
export function checkKeyring(ring: Keyring, path = 'keyring'): Keyring {
  const keys = [ring.previous, ring.primary, ring.next].filter((key) => key !== undefined)
  const isSound = ({ id, secret }: ClusterKey): boolean =>
    Number.isInteger(id) && id >= 0 && id <= 0xff && secret.length === keyBytes
  if (keys.every(isSound) && new Set(keys.map(({ id }) => id)).size === keys.length) return ring
  throw new SkeinError('ERR_SKEIN_INVALID_SPEC', `${path}: expected keys of ${keyBytes} bytes with ids of their own in 0..255`, {
    path,
  })
}
