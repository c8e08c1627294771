/**
 * The verbs about secrets and configs. A secret's value comes in once and is sealed before anything else hears of it; no verb ever
 * answers with one. A config lies open: who operates the cluster may read it.
 */
import type { CallHead, ControlVerbs } from '../api/control.js'
import type { Config, ConfigWithData, Secret } from '../api/types.js'
import { checkLabels } from '../model/check-node.js'
import type { Op } from '../model/command.js'
import type { Config as ConfigRecord } from '../model/config.js'
import { checkPayload, checkPayloadName, type PayloadKind } from '../model/payload.js'
import type { Secret as SecretRecord } from '../model/secret.js'
import { resolveConfig, resolveSecret } from '../store/index.js'
import type { View } from '../store/view.js'
import { fits } from './filter.js'
import { idFrom } from './object-id.js'

export interface PayloadVerbsWorld {
  view(): View
  submit(ops: readonly Op[], head: CallHead): Promise<unknown>
  /** The value of a secret as only managers can read it. */
  seal(id: string, data: Uint8Array): Uint8Array
}

type PayloadVerb = Extract<keyof ControlVerbs, `secrets.${string}` | `configs.${string}`>
type PayloadVerbs = { readonly [V in PayloadVerb]: (params: ControlVerbs[V][0], head: CallHead) => Promise<ControlVerbs[V][1]> }

export function payloadVerbs({ view, submit, seal }: PayloadVerbsWorld): PayloadVerbs {
  const secretOf = (ref: string): SecretRecord => resolveSecret(view(), ref)
  const configOf = (ref: string): ConfigRecord => resolveConfig(view(), ref)
  const list = <T>(items: readonly T[]) => ({ items, version: view().version, stale: false })
  return {
    'secrets.create': async (params, head) => {
      const id = idFrom(head.requestId)
      const { name, labels, data } = checked('secret', params)
      await submit([{ op: 'secret.create', id, name, labels, sealed: seal(id, data) }], head)
      return presentSecret(secretOf(id))
    },
    'secrets.get': async ({ ref }) => presentSecret(secretOf(ref)),
    'secrets.list': async ({ filter }) => list([...view().secrets()].filter((each) => fits(each, filter)).map(presentSecret)),
    'secrets.update': async ({ ref, labels }, head) => {
      const { id } = secretOf(ref)
      await submit([{ op: 'secret.update', id, labels }], head)
      return presentSecret(secretOf(id))
    },
    'secrets.remove': async ({ ref }, head) => {
      await submit([{ op: 'secret.remove', id: secretOf(ref).id }], head)
      return null
    },
    'configs.create': async (params, head) => {
      const id = idFrom(head.requestId)
      await submit([{ op: 'config.create', id, ...checked('config', params) }], head)
      return presentConfig(configOf(id))
    },
    'configs.get': async ({ ref }) => presentWhole(configOf(ref)),
    'configs.list': async ({ filter }) => list([...view().configs()].filter((each) => fits(each, filter)).map(presentConfig)),
    'configs.update': async ({ ref, labels }, head) => {
      const { id } = configOf(ref)
      await submit([{ op: 'config.update', id, labels }], head)
      return presentConfig(configOf(id))
    },
    'configs.remove': async ({ ref }, head) => {
      await submit([{ op: 'config.remove', id: configOf(ref).id }], head)
      return null
    },
  }
}

type NewPayload = ControlVerbs['secrets.create'][0]

/** @throws {SkeinError} ERR_SKEIN_INVALID_SPEC, ERR_SKEIN_TOO_LARGE */
function checked(kind: PayloadKind, { name, labels, data }: NewPayload): NewPayload {
  return { name: checkPayloadName(name), labels: checkLabels(labels), data: checkPayload(kind, data) }
}

/** Never its value, sealed or not. */
function presentSecret({ id, name, labels, version, createdAtMs, updatedAtMs }: SecretRecord): Secret {
  return { id, name, labels, version, createdAt: new Date(createdAtMs), updatedAt: new Date(updatedAtMs) }
}

function presentConfig({ id, name, labels, data, version, createdAtMs, updatedAtMs }: ConfigRecord): Config {
  const dates = { createdAt: new Date(createdAtMs), updatedAt: new Date(updatedAtMs) }
  return { id, name, labels, sizeBytes: data.length, version, ...dates }
}

function presentWhole(config: ConfigRecord): ConfigWithData {
  return { ...presentConfig(config), data: config.data }
}
