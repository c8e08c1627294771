/** The keys of datagrams as the replicated record holds them: sealed, so that only managers can read them there. */
import { randomBytes } from 'node:crypto'
import type { Access } from '../model/access.js'
import { type ClusterKey, foundKeyring, type Keyring, keyBytes, rotateKeyring } from '../model/keyring.js'
import type { AuthorityWorld } from './authority.js'
import { seal, unseal } from './seal.js'

type Sealing = Pick<AuthorityWorld, 'cluster' | 'dataKey'>

/** The record with its keys moved on one place, or with its first ones. @param removals nodes removed from the cluster so far */
export function withNextKeyring(access: Access, world: AuthorityWorld, removals: number): Access {
  const { keyring } = access
  const next =
    keyring === undefined
      ? foundKeyring([randomBytes(keyBytes), randomBytes(keyBytes)], world.nowMs, removals)
      : rotateKeyring(openKeyring(keyring, world), randomBytes(keyBytes), world.nowMs, removals)
  return { ...access, keyring: eachKey(next, ({ id, secret }) => seal(world.dataKey, purposeOf(id, world), secret)) }
}

/** The keys themselves. @throws {SkeinError} ERR_SKEIN_CORRUPT when the data key is not the record's */
export function openKeyring(sealed: Keyring, world: Sealing): Keyring {
  return eachKey(sealed, ({ id, secret }) => unseal(world.dataKey, purposeOf(id, world), secret))
}

function eachKey(ring: Keyring, secretOf: (key: ClusterKey) => Uint8Array): Keyring {
  const turned = (key: ClusterKey): ClusterKey => ({ ...key, secret: secretOf(key) })
  return { ...ring, previous: ring.previous && turned(ring.previous), primary: turned(ring.primary), next: turned(ring.next) }
}

function purposeOf(id: number, { cluster }: Sealing): string {
  return `datagram key ${id} of ${cluster}`
}
