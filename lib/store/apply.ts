/**
 * (tables, command) → outcome and changes. Pure and deterministic: replicas that apply the same commands stay equal byte for byte.
 * Source: Docker Swarm's task model; decisions 8 to 11.
 */
import { SkeinError } from '../base/errors.js'
import type { Op, Outcome, StoreCommand } from '../model/command.js'
import { deleteKey, foundCluster, putKey, setAccess, setClusterSettings } from './apply-cluster.js'
import { createNetwork, removeNetwork } from './apply-network.js'
import { certifyNode, createNode, keepOneManager, observeNode, removeNode, updateNode } from './apply-node.js'
import { createConfig, createSecret, removeConfig, removeSecret, updateConfig, updateSecret } from './apply-payload.js'
import { becomeRole, desireRole } from './apply-role.js'
import { createService, removeService, updateService } from './apply-service.js'
import { assignTasks, createTasks, desireTasks, observeTasks, removeTasks } from './apply-tasks.js'
import type { Change } from './changes.js'
import { Draft } from './draft.js'
import type { RowRef } from './rows.js'
import { requestsKept, type Tables } from './tables.js'

const handlers: { readonly [Name in Op['op']]: (draft: Draft, op: Extract<Op, { op: Name }>) => void } = {
  'cluster.found': foundCluster,
  'cluster.settings': setClusterSettings,
  'cluster.access': setAccess,
  'cluster.recover': keepOneManager,
  'node.create': createNode,
  'node.update': updateNode,
  'node.desire': desireRole,
  'node.become': becomeRole,
  'node.certify': certifyNode,
  'node.status': observeNode,
  'node.remove': removeNode,
  'service.create': createService,
  'service.update': updateService,
  'service.remove': removeService,
  'tasks.create': createTasks,
  'tasks.assign': assignTasks,
  'tasks.desire': desireTasks,
  'tasks.observe': observeTasks,
  'tasks.remove': removeTasks,
  'secret.create': createSecret,
  'secret.update': updateSecret,
  'secret.remove': removeSecret,
  'config.create': createConfig,
  'config.update': updateConfig,
  'config.remove': removeConfig,
  'network.create': createNetwork,
  'network.remove': removeNetwork,
  'kv.put': putKey,
  'kv.delete': deleteKey,
}

export interface Applied {
  readonly outcome: Outcome
  /** For watchers: one per public object. Empty when the command was refused or had been answered before. */
  readonly changes: readonly Change[]
  /** For the disk: every row written, the private ones too. */
  readonly rows: readonly RowRef[]
}

/**
 * Applies one committed command at raft index `index`: all its operations, or none and an outcome that says why.
 * A `requestId` among the last `requestsKept` answers with its first outcome and changes nothing.
 * @throws {SkeinBug} only when our own invariants are broken
 */
export function applyCommand(tables: Tables, command: StoreCommand, index: number): Applied {
  tables.version = index
  const known = tables.outcomeOf(command.requestId)
  if (known !== undefined) return { outcome: known, changes: [], rows: [] }
  const draft = new Draft(tables, index, command.atMs)
  const outcome = attempt(draft, command.ops)
  const changes = draft.changes()
  remember(draft, command.requestId, outcome)
  return { outcome, changes, rows: draft.rows() }
}

function attempt(draft: Draft, ops: readonly Op[]): Outcome {
  try {
    for (const op of ops) applyOp(draft, op)
    return { ok: true, version: draft.version }
  } catch (error) {
    draft.undo()
    if (!(error instanceof SkeinError)) throw error
    return { ok: false, code: error.code, message: error.message, detail: error.detail }
  }
}

function applyOp(draft: Draft, op: Op): void {
  if (!Object.hasOwn(handlers, op.op)) throw unknownOp(op)
  // The table pairs each name with its own handler; indexing by a union loses that.
  const handler = handlers[op.op] as (draft: Draft, op: Op) => void
  handler(draft, op)
}

function unknownOp(op: Op): SkeinError<'ERR_SKEIN_BAD_MESSAGE'> {
  const words = `operation ${String(op.op)}: unknown to this version; bring every manager to the same version`
  return new SkeinError('ERR_SKEIN_BAD_MESSAGE', words, { path: 'ops' })
}

function remember(draft: Draft, id: string, outcome: Outcome): void {
  const { counters } = draft.tables
  draft.write({ kind: 'request', key: counters.requests % requestsKept, record: { id, outcome } })
  draft.write({ kind: 'counters', key: '', record: { ...counters, requests: counters.requests + 1 } })
}
