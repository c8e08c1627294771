/** What operations on secrets and configs do. Pure; the values of secrets pass through sealed. */
import { SkeinError } from '../base/errors.js'
import { checkLabels } from '../model/check-node.js'
import type { Op } from '../model/command.js'
import { checkPayload, checkPayloadName, type PayloadHead, type PayloadKind } from '../model/payload.js'
import { checkSealed } from '../model/secret.js'
import type { Draft } from './draft.js'
import { mergeLabels } from './labels.js'
import { missing, refuseUsed } from './users.js'

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
  refuseUsed(draft.tables, 'secret', draft.tables.secret(id) ?? missing('secret', id))
  draft.write({ kind: 'secret', key: id, record: undefined })
}

export function removeConfig(draft: Draft, { id }: OpOf<'config.remove'>): void {
  refuseUsed(draft.tables, 'config', draft.tables.config(id) ?? missing('config', id))
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
