/** The verbs about networks. */
import type { CallHead, ControlVerbs } from '../api/control.js'
import type { Network } from '../api/types.js'
import { checkLabels } from '../model/check-node.js'
import type { Op } from '../model/command.js'
import { checkNetworkName } from '../model/network.js'
import { resolveNetwork } from '../store/index.js'
import type { View } from '../store/view.js'
import { fits } from './filter.js'
import { idFrom } from './object-id.js'
import { presentNetwork } from './present.js'

export interface NetworkVerbsWorld {
  view(): View
  submit(ops: readonly Op[], head: CallHead): Promise<unknown>
}

type NetworkVerb = Extract<keyof ControlVerbs, `networks.${string}`>
type NetworkVerbs = { readonly [V in NetworkVerb]: (params: ControlVerbs[V][0], head: CallHead) => Promise<ControlVerbs[V][1]> }

export function networkVerbs({ view, submit }: NetworkVerbsWorld): NetworkVerbs {
  const shown = (ref: string): Network => presentNetwork(view(), resolveNetwork(view(), ref))
  return {
    'networks.create': async ({ name, labels }, head) => {
      const id = idFrom(head.requestId)
      checkNetworkName(name)
      checkLabels(labels)
      await submit([{ op: 'network.create', id, name, labels }], head)
      return shown(id)
    },
    'networks.get': async ({ ref }) => shown(ref),
    'networks.list': async ({ filter }) => {
      const found = [...view().networks()].filter((network) => fits(network, filter))
      return { items: found.map((network) => presentNetwork(view(), network)), version: view().version, stale: false }
    },
    'networks.remove': async ({ ref }, head) => {
      await submit([{ op: 'network.remove', id: resolveNetwork(view(), ref).id }], head)
      return null
    },
  }
}
