/** What operations on secrets do. Pure; their values pass through sealed. */
import { SkeinError } from '../base/errors.js'
import { checkLabels } from '../model/check-node.js'
import type { Op } from '../model/command.js'
import { checkSealed, checkSecretName, type Secret } from '../model/secret.js'
import type { Draft } from './draft.js'
import { mergeLabels } from './labels.js'
import { servicesUsingSecret } from './queries.js'

type OpOf<Name extends Op['op']> = Extract<Op, { op: Name }>

/** Services that a refusal names at most. */
const namedMax = 10

export function createSecret(draft: Draft, { id, name, labels, sealed }: OpOf<'secret.create'>): void {
  const { tables } = draft
  if (tables.secret(id) !== undefined)
    throw new SkeinError('ERR_SKEIN_ALREADY_EXISTS', `secret id ${id} exists already`, { kind: 'secret', name: id })
  if (tables.secretByName(checkSecretName(name)) !== undefined) {
    const words = `secret ${name} exists already, and its value never changes; give the new value another name`
    throw new SkeinError('ERR_SKEIN_ALREADY_EXISTS', words, { kind: 'secret', name })
  }
  const record: Secret = {
    id,
    name,
    labels: checkLabels(labels),
    sealed: checkSealed(sealed),
    createdAtMs: draft.atMs,
    updatedAtMs: draft.atMs,
    version: draft.version,
  }
  draft.write({ kind: 'secret', key: id, record })
}

export function updateSecret(draft: Draft, { id, labels }: OpOf<'secret.update'>): void {
  const was = secretOf(draft, id)
  const record: Secret = {
    ...was,
    labels: mergeLabels(was.labels, labels),
    updatedAtMs: draft.atMs,
    version: draft.version,
  }
  draft.write({ kind: 'secret', key: id, record })
}

export function removeSecret(draft: Draft, { id }: OpOf<'secret.remove'>): void {
  const { name } = secretOf(draft, id)
  const users = servicesUsingSecret(draft.tables, id).map(({ spec }) => spec.name)
  if (users.length > 0) {
    const more = users.length > namedMax ? ` and ${users.length - namedMax} more` : ''
    const words = `secret ${name} is used by ${users.slice(0, namedMax).join(', ')}${more}; update or remove those services first`
    throw new SkeinError('ERR_SKEIN_PRECONDITION', words, { what: 'secret is used' })
  }
  draft.write({ kind: 'secret', key: id, record: undefined })
}

function secretOf(draft: Draft, id: string): Secret {
  const secret = draft.tables.secret(id)
  if (secret !== undefined) return secret
  throw new SkeinError('ERR_SKEIN_NOT_FOUND', `secret ${id}: there is none; see the list of secrets`, { kind: 'secret', ref: id })
}
