import type { ConfChange, ConfState, RaftId } from '../raft/core/state.js'
import { isJoint, membersOf } from './configurations.js'

/** What an operator knows of a node. */
export interface Serviced {
  readonly id: RaftId
  readonly isUp: boolean
  readonly isRetired: boolean
  readonly applied: number
}

/** Entries that a learner may lack when it becomes a voter. */
const LAG_MAX = 2

/**
 * The next step in replacing a member that lost its log: a newcomer learns, and once it has caught up it takes the other's place
 * in one joint change. The old id is never used again. Undefined when every member has its log, or the step before has to end.
 */
export function nextRepair(
  config: ConfState,
  applied: number,
  nodes: readonly Serviced[],
  addSpare: () => RaftId | undefined,
): ConfChange | undefined {
  const isMember = new Set(membersOf(config))
  const lost = nodes.find(({ id, isRetired }) => isRetired && isMember.has(id))
  if (lost === undefined) return undefined
  if (isJoint(config)) return config.autoLeave ? undefined : { transition: 'auto', changes: [] }
  const removal = { type: 'r', nodeId: lost.id } as const
  if (config.learners.includes(lost.id)) return { transition: 'auto', changes: [removal] }
  const learner = nodes.find(({ id, isRetired }) => !isRetired && config.learners.includes(id))
  if (learner !== undefined) {
    if (!learner.isUp || learner.applied + LAG_MAX < applied) return undefined
    return { transition: 'auto', changes: [{ type: 'v', nodeId: learner.id }, removal] }
  }
  const spare = addSpare()
  return spare === undefined ? undefined : { transition: 'auto', changes: [{ type: 'l', nodeId: spare }] }
}
