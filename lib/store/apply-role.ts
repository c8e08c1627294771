/** What operations on nodes' roles do. Pure. The cluster's record takes part in each: members follow it, and so hear of them at once. */
import { SkeinError } from '../base/errors.js'
import type { Cluster } from '../model/cluster.js'
import type { Op } from '../model/command.js'
import type { Node } from '../model/node.js'
import { nodeOf } from './apply-node.js'
import type { Draft } from './draft.js'

type OpOf<Name extends Op['op']> = Extract<Op, { op: Name }>

/** @throws {SkeinError} ERR_SKEIN_NOT_FOUND, ERR_SKEIN_PRECONDITION: the last manager stays one */
export function desireRole(draft: Draft, { id, role }: OpOf<'node.desire'>): void {
  const was = nodeOf(draft, id)
  const becoming = role === was.role ? undefined : role
  if (becoming === was.becoming) return
  if (becoming === 'worker' && ![...draft.tables.nodes()].some((other) => other.id !== id && staysManager(other))) {
    const words = `node ${was.name} is the last manager: promote another node first, and wait until it votes`
    throw new SkeinError('ERR_SKEIN_PRECONDITION', words, { what: 'last manager' })
  }
  draft.write({ kind: 'node', key: id, record: { ...was, becoming, version: draft.version } })
  changeCluster(draft, {})
}

/** @throws {SkeinError} ERR_SKEIN_NOT_FOUND, ERR_SKEIN_PRECONDITION: nobody wishes that any more, or it was done already */
export function becomeRole(draft: Draft, { id, role, raftId }: OpOf<'node.become'>): void {
  const was = nodeOf(draft, id)
  const { removedRaftIds, demotedNodes } = clusterOf(draft)
  const isStranger = role === 'manager' ? removedRaftIds.includes(raftId) : was.raftId !== raftId
  if (was.becoming !== role || was.role === role || isStranger) {
    const words = `node ${was.name} is not to become a ${role} under raft id ${raftId} any more; look at it again`
    throw new SkeinError('ERR_SKEIN_PRECONDITION', words, { what: 'role' })
  }
  if (role === 'manager') {
    draft.write({ kind: 'node', key: id, record: { ...was, role, raftId, becoming: undefined } })
    changeCluster(draft, { demotedNodes: demotedNodes.filter((each) => each !== id) })
  } else {
    draft.write({ kind: 'node', key: id, record: { ...was, role, raftId: undefined, becoming: undefined } })
    changeCluster(draft, { removedRaftIds: [...removedRaftIds, raftId], demotedNodes: [...demotedNodes, id] })
  }
}

function staysManager({ role, becoming }: Node): boolean {
  return role === 'manager' && becoming === undefined
}

function changeCluster(draft: Draft, change: Partial<Cluster>): void {
  draft.write({ kind: 'cluster', key: '', record: { ...clusterOf(draft), ...change, version: draft.version } })
}

function clusterOf(draft: Draft): Cluster {
  const { cluster } = draft.tables
  if (cluster !== undefined) return cluster
  throw new SkeinError('ERR_SKEIN_PRECONDITION', 'there is no cluster yet; found one first', { what: 'cluster' })
}
