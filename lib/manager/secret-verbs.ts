/** The verbs about secrets. A value comes in once and is sealed before anything else hears of it; no verb ever answers with one. */
import type { CallHead, ControlVerbs } from '../api/control.js'
import type { Secret } from '../api/types.js'
import { checkLabels } from '../model/check-node.js'
import type { Op } from '../model/command.js'
import { checkSecretData, checkSecretName } from '../model/secret.js'
import { resolveSecret } from '../store/index.js'
import type { View } from '../store/view.js'
import { idFrom } from './object-id.js'
import { presentSecret } from './present.js'

export interface SecretVerbsWorld {
  view(): View
  submit(ops: readonly Op[], head: CallHead): Promise<unknown>
  /** The value as only managers can read it. */
  seal(id: string, data: Uint8Array): Uint8Array
}

type SecretVerb = Extract<keyof ControlVerbs, `secrets.${string}`>
type SecretVerbs = { readonly [V in SecretVerb]: (params: ControlVerbs[V][0], head: CallHead) => Promise<ControlVerbs[V][1]> }

export function secretVerbs({ view, submit, seal }: SecretVerbsWorld): SecretVerbs {
  const shown = (ref: string): Secret => presentSecret(resolveSecret(view(), ref))
  return {
    'secrets.create': async ({ name, data, labels }, head) => {
      const id = idFrom(head.requestId)
      checkSecretName(name)
      checkLabels(labels)
      const sealed = seal(id, checkSecretData(data))
      await submit([{ op: 'secret.create', id, name, labels, sealed }], head)
      return shown(id)
    },
    'secrets.get': async ({ ref }) => shown(ref),
    'secrets.list': async ({ filter: { name = '', labels = {} } }) => {
      const wanted = Object.entries(labels)
      const found = [...view().secrets()].filter(
        (secret) => secret.name.startsWith(name) && wanted.every(([key, value]) => secret.labels[key] === value),
      )
      return { items: found.map(presentSecret), version: view().version, stale: false }
    },
    'secrets.update': async ({ ref, labels }, head) => {
      const { id } = resolveSecret(view(), ref)
      await submit([{ op: 'secret.update', id, labels }], head)
      return shown(id)
    },
    'secrets.remove': async ({ ref }, head) => {
      await submit([{ op: 'secret.remove', id: resolveSecret(view(), ref).id }], head)
      return null
    },
  }
}
