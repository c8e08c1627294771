/** What operations on nodes do. Pure. */
import { SkeinError } from '../base/errors.js'
import { checkLabels, checkNodeName } from '../model/check-node.js'
import type { Op } from '../model/command.js'
import type { Node } from '../model/node.js'
import { isTerminal } from '../model/task.js'
import type { Draft } from './draft.js'
import { mergeLabels } from './labels.js'

type OpOf<Name extends Op['op']> = Extract<Op, { op: Name }>

export function createNode(draft: Draft, { id, name, role, availability, labels, address, raftId }: OpOf<'node.create'>): void {
  const { cluster } = draft.tables
  const isGone = cluster?.removedNodes.includes(id) || (raftId !== undefined && cluster?.removedRaftIds.includes(raftId))
  if (isGone === true) {
    throw new SkeinError('ERR_SKEIN_REMOVED', `node ${id} was removed and may not come back; start it with an empty directory`, {
      node: id,
    })
  }
  if (draft.tables.node(id) !== undefined) {
    throw new SkeinError('ERR_SKEIN_ALREADY_EXISTS', `node ${id} exists already`, { kind: 'node', name: id })
  }
  const record: Node = {
    id,
    name: freeName(draft, checkNodeName(name)),
    role,
    availability,
    labels: checkLabels(labels),
    address,
    raftId,
    certificate: undefined,
    state: 'unknown',
    message: 'has not reported yet',
    description: undefined,
    createdAtMs: draft.atMs,
    stateAtMs: draft.atMs,
    version: draft.version,
    becoming: undefined,
  }
  draft.write({ kind: 'node', key: id, record })
}

/** People name nodes by these, so no two may share one; not even with one that is down: it may come back. */
function freeName(draft: Draft, name: string): string {
  const node = draft.tables.nodeByName(name)
  if (node === undefined) return name
  const words = `a node named ${name} exists already (${node.id}, ${node.state}): give this one another name, or remove that one first`
  throw new SkeinError('ERR_SKEIN_ALREADY_EXISTS', words, { kind: 'node', name })
}

export function updateNode(draft: Draft, op: OpOf<'node.update'>): void {
  const was = nodeOf(draft, op.id)
  if (op.ifVersion !== undefined && op.ifVersion !== was.version) {
    const words = `node ${was.name}: changed since version ${op.ifVersion}, now at ${was.version}; read it again`
    throw new SkeinError('ERR_SKEIN_VERSION_CONFLICT', words, {
      expected: op.ifVersion,
      current: { id: was.id, version: was.version },
    })
  }
  const wished = {
    name: op.name === undefined || op.name === was.name ? was.name : freeName(draft, checkNodeName(op.name)),
    availability: op.availability ?? was.availability,
    labels: op.labels === undefined ? was.labels : mergeLabels(was.labels, op.labels),
  }
  // As with services: only what an operator wishes counts as a new version, so that a moved address is nobody's conflict.
  const version = op.name === undefined && op.availability === undefined && op.labels === undefined ? was.version : draft.version
  const record: Node = { ...was, ...wished, address: op.address ?? was.address, raftId: op.raftId ?? was.raftId, version }
  draft.write({ kind: 'node', key: was.id, record })
}

/** As with reports, nobody's version: an operator's change does not clash with a renewal. */
export function certifyNode(draft: Draft, { id, key, root, notAfterMs, before }: OpOf<'node.certify'>): void {
  const was = nodeOf(draft, id)
  draft.write({ kind: 'node', key: id, record: { ...was, certificate: { key, root, notAfterMs, before } } })
}

/** A node removed meanwhile is skipped: the report was true when it was made. */
export function observeNode(draft: Draft, { id, state, message, description, address }: OpOf<'node.status'>): void {
  const was = draft.tables.node(id)
  if (was === undefined) return
  const record: Node = {
    ...was,
    address: address ?? was.address,
    state,
    message,
    description: description ?? was.description,
    stateAtMs: state === was.state ? was.stateAtMs : draft.atMs,
  }
  draft.write({ kind: 'node', key: id, record })
}

export function removeNode(draft: Draft, { id }: OpOf<'node.remove'>): void {
  const node = nodeOf(draft, id)
  const { cluster } = draft.tables
  if (cluster === undefined)
    throw new SkeinError('ERR_SKEIN_PRECONDITION', 'there is no cluster yet; found one first', { what: 'cluster' })
  for (const task of [...draft.tables.tasksOfNode(id)]) {
    if (isTerminal(task.observed)) continue
    const message = `node ${node.name} was removed`
    const record = { ...task, observed: 'orphaned' as const, message, observedAtMs: draft.atMs, version: draft.version }
    draft.write({ kind: 'task', key: task.handle, record })
  }
  draft.write({ kind: 'node', key: id, record: undefined })
  const record = {
    ...cluster,
    removedNodes: [...cluster.removedNodes, id],
    removedRaftIds: [...cluster.removedRaftIds, ...(node.raftId === undefined ? [] : [node.raftId])],
    version: draft.version,
    demotedNodes: cluster.demotedNodes.filter((each) => each !== id),
  }
  draft.write({ kind: 'cluster', key: '', record })
}

/** The managers that were lost would else be taken back into raft, one by one. */
export function keepOneManager(draft: Draft, { keep }: OpOf<'cluster.recover'>): void {
  const kept = nodeOf(draft, keep)
  if (kept.role !== 'manager')
    throw new SkeinError('ERR_SKEIN_PRECONDITION', `node ${kept.name} is no manager and cannot lead alone`, { what: 'recover' })
  for (const { id, role } of [...draft.tables.nodes()])
    if (role === 'manager' && id !== keep) removeNode(draft, { op: 'node.remove', id })
  // It was to be demoted: now it is the last one.
  if (kept.becoming !== undefined) draft.write({ kind: 'node', key: keep, record: { ...kept, becoming: undefined } })
}

/** @throws {SkeinError} ERR_SKEIN_NOT_FOUND */
export function nodeOf(draft: Draft, id: string): Node {
  const node = draft.tables.node(id)
  if (node !== undefined) return node
  throw new SkeinError('ERR_SKEIN_NOT_FOUND', `node ${id}: there is none; see the list of nodes`, { kind: 'node', ref: id })
}
