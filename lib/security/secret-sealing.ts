/** Values of secrets at rest: sealed for one secret of one cluster, so that none can be put in another's place. */
import type { Secret } from '../model/secret.js'
import type { AuthorityWorld } from './authority.js'
import { seal, unseal } from './seal.js'

type Sealing = Pick<AuthorityWorld, 'cluster' | 'dataKey'>

export function sealSecret(id: string, data: Uint8Array, { cluster, dataKey }: Sealing): Uint8Array {
  return seal(dataKey, purposeOf(id, cluster), data)
}

/** @throws {SkeinError} ERR_SKEIN_CORRUPT: damaged, of another secret, or sealed with another key */
export function openSecret({ id, sealed }: Pick<Secret, 'id' | 'sealed'>, { cluster, dataKey }: Sealing): Uint8Array {
  return unseal(dataKey, purposeOf(id, cluster), sealed)
}

function purposeOf(id: string, cluster: string): string {
  return `secret ${id} of ${cluster}`
}
