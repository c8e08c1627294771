/** What operations on networks do. Pure. */
import { SkeinError } from '../base/errors.js'
import { checkLabels } from '../model/check-node.js'
import type { Op } from '../model/command.js'
import { checkNetworkName, defaultNetwork, type Network, networksOfClusterMax } from '../model/network.js'
import type { Draft } from './draft.js'
import { missing, refuseUsed } from './users.js'

type OpOf<Name extends Op['op']> = Extract<Op, { op: Name }>

export function createNetwork(draft: Draft, { id, name, labels }: OpOf<'network.create'>): void {
  const { tables } = draft
  if (tables.network(id) !== undefined)
    throw new SkeinError('ERR_SKEIN_ALREADY_EXISTS', `network id ${id} exists already`, { kind: 'network', name: id })
  if (tables.networkByName(checkNetworkName(name)) !== undefined) {
    const words = `network ${name} exists already; use it, or choose another name`
    throw new SkeinError('ERR_SKEIN_ALREADY_EXISTS', words, { kind: 'network', name })
  }
  const size = [...tables.networks()].length
  if (size >= networksOfClusterMax) {
    const words = `network ${name}: the cluster has ${size} already, as many as it may; remove those that no service uses`
    throw new SkeinError('ERR_SKEIN_TOO_LARGE', words, { what: 'networks', size: size + 1, limit: networksOfClusterMax })
  }
  const record: Network = {
    id,
    name,
    labels: checkLabels(labels),
    createdAtMs: draft.atMs,
    updatedAtMs: draft.atMs,
    version: draft.version,
  }
  draft.write({ kind: 'network', key: id, record })
}

export function removeNetwork(draft: Draft, { id }: OpOf<'network.remove'>): void {
  const network = draft.tables.network(id) ?? missing('network', id)
  if (id === defaultNetwork.id) {
    const words = 'network default cannot be removed: services that name no network belong to it'
    throw new SkeinError('ERR_SKEIN_PRECONDITION', words, { what: 'network is the default' })
  }
  refuseUsed(draft.tables, 'network', network)
  draft.write({ kind: 'network', key: id, record: undefined })
}
