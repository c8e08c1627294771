/** What operations on secrets and configs do. Pure; the values of secrets pass through sealed. */
import { SkeinError } from '../base/errors.js'
import { checkLabels } from '../model/check-node.js'
import type { Op } from '../model/command.js'
import { checkPayload, checkPayloadName, type PayloadHead, type PayloadKind } from '../model/payload.js'
import { checkSealed } from '../model/secret.js'
import type { Draft } from './draft.js'
import { mergeLabels } from './labels.js'
import { servicesUsing } from './queries.js'
import { namedUsers } from './users.js'

type OpOf<Name extends Op['op']> = Extract<Op, { op: Name }>

export function createSecret(draft: Draft, op: OpOf<'secret.create'>): void {
  const { id, name, labels, ...dates } = newHead(draft, 'secret', op)
  draft.write({ kind: 'secret', key: id, record: { id, name, labels, sealed: checkSealed(op.sealed), ...dates } })
}

export function createConfig(draft: Draft, op: OpOf<'config.create'>): void {
  const { id, name, labels, ...dates } = newHead(draft, 'config', op)
  draft.write({ kind: 'config', key: id, record: { id, name, labels, data: checkPayload('config', op.data), ...dates } })
}

export function updateSecret(draft: Draft, { id, labels }: OpOf<'secret.update'>): void {
  const was = draft.tables.secret(id) ?? missing('secret', id)
  draft.write({ kind: 'secret', key: id, record: relabelled(draft, was, labels) })
}

export function updateConfig(draft: Draft, { id, labels }: OpOf<'config.update'>): void {
  const was = draft.tables.config(id) ?? missing('config', id)
  draft.write({ kind: 'config', key: id, record: relabelled(draft, was, labels) })
}

export function removeSecret(draft: Draft, { id }: OpOf<'secret.remove'>): void {
  refuseUsed(draft, 'secret', draft.tables.secret(id) ?? missing('secret', id))
  draft.write({ kind: 'secret', key: id, record: undefined })
}

export function removeConfig(draft: Draft, { id }: OpOf<'config.remove'>): void {
  refuseUsed(draft, 'config', draft.tables.config(id) ?? missing('config', id))
  draft.write({ kind: 'config', key: id, record: undefined })
}

function newHead(
  { tables, atMs, version }: Draft,
  kind: PayloadKind,
  { id, name, labels }: Pick<PayloadHead, 'id' | 'name' | 'labels'>,
): PayloadHead {
  if (tables.payload(kind, id) !== undefined)
    throw new SkeinError('ERR_SKEIN_ALREADY_EXISTS', `${kind} id ${id} exists already`, { kind, name: id })
  if (tables.payloadByName(kind, checkPayloadName(name)) !== undefined) {
    const words = `${kind} ${name} exists already, and its value never changes; give the new value another name`
    throw new SkeinError('ERR_SKEIN_ALREADY_EXISTS', words, { kind, name })
  }
  return { id, name, labels: checkLabels(labels), createdAtMs: atMs, updatedAtMs: atMs, version }
}

function relabelled<Payload extends PayloadHead>(
  { atMs, version }: Draft,
  was: Payload,
  labels: Readonly<Record<string, string | null>>,
): Payload {
  return { ...was, labels: mergeLabels(was.labels, labels), updatedAtMs: atMs, version }
}

function refuseUsed({ tables }: Draft, kind: PayloadKind, { id, name }: PayloadHead): void {
  const users = servicesUsing(tables, kind, id)
  if (users.length === 0) return
  const words = `${kind} ${name} is used by ${namedUsers(users)}; update or remove those services first`
  throw new SkeinError('ERR_SKEIN_PRECONDITION', words, { what: `${kind} is used` })
}

function missing(kind: PayloadKind, id: string): never {
  throw new SkeinError('ERR_SKEIN_NOT_FOUND', `${kind} ${id}: there is none; see the list of ${kind}s`, { kind, ref: id })
}
