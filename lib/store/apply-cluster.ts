/** What operations on the cluster record and on keys do. Pure. */
import { SkeinError } from '../base/errors.js'
import { checkClusterSettings } from '../model/cluster.js'
import type { Op } from '../model/command.js'
import type { Draft } from './draft.js'

/** Longest key, in bytes of UTF-8. */
export const keyBytesMax = 512
/** Largest value of a key. */
export const valueBytesMax = 1024 * 1024

type OpOf<Name extends Op['op']> = Extract<Op, { op: Name }>

export function foundCluster(draft: Draft, { id, access, settings }: OpOf<'cluster.found'>): void {
  const { cluster } = draft.tables
  if (cluster !== undefined) {
    const words = `the cluster is founded already, as ${cluster.id}; join it instead`
    throw new SkeinError('ERR_SKEIN_ALREADY_EXISTS', words, { kind: 'cluster', name: cluster.id })
  }
  const record = {
    id,
    createdAtMs: draft.atMs,
    access,
    settings: checkClusterSettings(settings),
    removedNodes: [],
    removedRaftIds: [],
    version: draft.version,
    demotedNodes: [],
  }
  draft.write({ kind: 'cluster', key: '', record })
}

export function setClusterSettings(draft: Draft, { settings }: OpOf<'cluster.settings'>): void {
  const { cluster } = draft.tables
  if (cluster === undefined)
    throw new SkeinError('ERR_SKEIN_PRECONDITION', 'there is no cluster yet; found one first', { what: 'cluster' })
  draft.write({
    kind: 'cluster',
    key: '',
    record: { ...cluster, settings: checkClusterSettings(settings), version: draft.version },
  })
}

export function setAccess(draft: Draft, { access, ifVersion }: OpOf<'cluster.access'>): void {
  const { cluster } = draft.tables
  if (cluster === undefined)
    throw new SkeinError('ERR_SKEIN_PRECONDITION', 'there is no cluster yet; found one first', { what: 'cluster' })
  if (cluster.version !== ifVersion) {
    const words = `the cluster’s record changed since version ${ifVersion}, now at ${cluster.version}; read it again`
    throw new SkeinError('ERR_SKEIN_VERSION_CONFLICT', words, {
      expected: ifVersion,
      current: { id: cluster.id, version: cluster.version },
    })
  }
  draft.write({ kind: 'cluster', key: '', record: { ...cluster, access, version: draft.version } })
}

export function putKey(draft: Draft, { key, value, ifVersion }: OpOf<'kv.put'>): void {
  refuseOver('key', Buffer.byteLength(key), keyBytesMax)
  refuseOver('value', value.byteLength, valueBytesMax)
  if (key === '')
    throw new SkeinError('ERR_SKEIN_INVALID_OPTION', 'key: expected at least one character, got ""', { option: 'key', got: key })
  const version = draft.tables.key(key)?.version
  if (ifVersion !== undefined && ifVersion !== (version ?? 'absent')) {
    const words = `key ${key}: expected ${said(ifVersion)}, but it is ${said(version ?? 'absent')}; read it again`
    const expected = ifVersion === 'absent' ? 0 : ifVersion
    throw new SkeinError('ERR_SKEIN_VERSION_CONFLICT', words, {
      expected,
      current: version === undefined ? undefined : { id: key, version },
    })
  }
  draft.write({ kind: 'kv', key, record: { key, value, version: draft.version } })
}

/** A key that is not there is deleted already. */
export function deleteKey(draft: Draft, { key }: OpOf<'kv.delete'>): void {
  if (draft.tables.key(key) !== undefined) draft.write({ kind: 'kv', key, record: undefined })
}

function said(version: number | 'absent'): string {
  return version === 'absent' ? 'absent' : `version ${version}`
}

function refuseOver(what: string, size: number, limit: number): void {
  if (size > limit) throw new SkeinError('ERR_SKEIN_TOO_LARGE', `${what}: ${size} bytes, at most ${limit}`, { what, size, limit })
}
