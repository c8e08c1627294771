import type { Random } from '../base/random.js'
import { shuffle } from '../base/random.js'
import type { ConfState, RaftId } from '../raft/core/state.js'
import { hasQuorum, votersOf } from './configurations.js'
import type { SimNode } from './sim-node.js'

/** Committed configurations by index, oldest first. */
export type History = readonly { readonly index: number; readonly config: ConfState }[]

/**
 * Configurations that may still decide something: from the oldest that a node may wake up with to the newest. Undefined while a
 * change that nobody has committed is in some log, because then nobody knows which come next.
 */
export function configsInPlay(history: History, nodes: readonly SimNode[]): readonly ConfState[] | undefined {
  const newest = history[history.length - 1]
  if (newest === undefined) return undefined
  let oldest = newest.index
  for (const { id, view, disk, isRetired } of nodes) {
    if (view.log.confIndexBefore(Number.POSITIVE_INFINITY) > newest.index) return undefined
    if (!isRetired && votersOf(newest.config).includes(id)) oldest = Math.min(oldest, disk.storage.snapshot().index)
  }
  return history.filter(({ index }, at) => (history[at + 1]?.index ?? index + 1) > oldest).map(({ config }) => config)
}

/** True when the nodes that have their logs are a quorum of everything in play also without `node`. */
export function canLose(node: SimNode, history: History, nodes: readonly SimNode[]): boolean {
  const sound = new Set(nodes.filter((other) => other !== node && !other.isRetired).map(({ id }) => id))
  const configs = configsInPlay(history, nodes)
  return configs?.every((config) => hasQuorum(config, (id) => sound.has(id))) ?? false
}

/** As few sound nodes as decide in every configuration in play; undefined when that cannot be said, or takes all. */
export function chooseCore(random: Random, history: History, nodes: readonly SimNode[]): ReadonlySet<RaftId> | undefined {
  const configs = configsInPlay(history, nodes)
  if (configs === undefined) return undefined
  const core = new Set(nodes.filter(({ isRetired }) => !isRetired).map(({ id }) => id))
  const suffices = (): boolean => configs.every((config) => hasQuorum(config, (id) => core.has(id)))
  if (!suffices()) return undefined
  for (const { id } of shuffle(random, nodes)) {
    if (!core.delete(id)) continue
    if (!suffices()) core.add(id)
  }
  return core.size < nodes.length ? core : undefined
}
