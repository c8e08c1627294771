import type { Access, NodeCertificate } from './access.js'
import type { ClusterSettings } from './cluster.js'
import type { Availability, NodeDescription, NodeRole, NodeState } from './node.js'
import type { ServiceSpec } from './service.js'
import type { DesiredState, TaskState } from './task.js'

/**
 * The only thing that enters the raft log: operations, not objects. All operations of one command happen or none does.
 * Tasks are named by their handles, so that an assignment is two small numbers and a refill of 1,000 slots one range.
 */
export interface StoreCommand {
  /** Makes a retry exactly-once: a command whose id was applied lately answers with the first outcome. */
  readonly requestId: string
  /** Leader's wall clock when proposed; the only time replicas know. */
  readonly atMs: number
  /** Who asked, for the audit trail: node id, 'client' or 'leader'. */
  readonly by: string
  readonly ops: readonly Op[]
}

export type Op =
  | {
      readonly op: 'cluster.found'
      readonly id: string
      readonly access: Access
      readonly settings: ClusterSettings
    }
  | { readonly op: 'cluster.settings'; readonly settings: ClusterSettings }
  /** Refused when the cluster record changed since `ifVersion`: roots and tokens are made from the ones before. */
  | { readonly op: 'cluster.access'; readonly access: Access; readonly ifVersion: number }
  /** After the majority was lost for ever: every manager but `keep` is removed, as by node.remove. */
  | { readonly op: 'cluster.recover'; readonly keep: string }
  | {
      readonly op: 'node.create'
      readonly id: string
      readonly name: string
      readonly role: NodeRole
      readonly availability: Availability
      readonly labels: Readonly<Record<string, string>>
      readonly address: string
      readonly raftId: number | undefined
    }
  /** Operator's or the node's own changes; absent fields stay. */
  | {
      readonly op: 'node.update'
      readonly id: string
      readonly availability?: Availability
      readonly labels?: Readonly<Record<string, string | null>>
      readonly name?: string
      readonly address?: string
      readonly raftId?: number
      readonly ifVersion?: number
    }
  /** The operator's wish: what the node shall be. Said again, or taken back before it is carried out, it costs nothing. */
  | { readonly op: 'node.desire'; readonly id: string; readonly role: NodeRole }
  /** The wish is carried out: a manager begins under this raft id, or has left raft under it. Refused when the wish changed meanwhile. */
  | { readonly op: 'node.become'; readonly id: string; readonly role: NodeRole; readonly raftId: number }
  /** The leader issued a certificate to this node. */
  | ({ readonly op: 'node.certify'; readonly id: string } & NodeCertificate)
  /** Observed by the leader. */
  | {
      readonly op: 'node.status'
      readonly id: string
      readonly state: NodeState
      readonly message: string
      readonly description?: NodeDescription
      readonly address?: string
    }
  /** Its unfinished tasks become orphaned; its id is refused for ever. */
  | { readonly op: 'node.remove'; readonly id: string }
  | { readonly op: 'service.create'; readonly id: string; readonly spec: ServiceSpec }
  | { readonly op: 'service.update'; readonly id: string; readonly spec: ServiceSpec; readonly ifVersion?: number }
  /** The record goes at once; its tasks become desired `remove`. */
  | { readonly op: 'service.remove'; readonly id: string }
  /** One task in each slot from..to (inclusive), each with generation = last generation of the slot + 1, observed `pending`. */
  | {
      readonly op: 'tasks.create'
      readonly service: string
      readonly specVersion: number
      readonly slotFrom: number
      readonly slotTo: number
      readonly desired: DesiredState
      readonly startAfterMs?: number
    }
  /** tasks[i] goes to nodes[i] (node ids); one that is no longer pending, or whose node is not ready and active, is skipped. */
  | { readonly op: 'tasks.assign'; readonly tasks: readonly number[]; readonly nodes: readonly string[] }
  /** Desired states only rise; a lower wish is skipped. */
  | { readonly op: 'tasks.desire'; readonly tasks: readonly number[]; readonly desired: DesiredState }
  /** Observed states only rise; a lower one is skipped. */
  | { readonly op: 'tasks.observe'; readonly updates: readonly TaskObservation[] }
  | { readonly op: 'tasks.remove'; readonly tasks: readonly number[] }
  /** `sealed` was made by the leader for this id: replicas never see the value. */
  | {
      readonly op: 'secret.create'
      readonly id: string
      readonly name: string
      readonly labels: Readonly<Record<string, string>>
      readonly sealed: Uint8Array
    }
  /** Labels are all that may change; null takes one away. */
  | { readonly op: 'secret.update'; readonly id: string; readonly labels: Readonly<Record<string, string | null>> }
  /** Refused while a service's spec names it. */
  | { readonly op: 'secret.remove'; readonly id: string }
  | {
      readonly op: 'config.create'
      readonly id: string
      readonly name: string
      readonly labels: Readonly<Record<string, string>>
      readonly data: Uint8Array
    }
  /** As for secrets: labels are all that may change. */
  | { readonly op: 'config.update'; readonly id: string; readonly labels: Readonly<Record<string, string | null>> }
  /** Refused while a service's spec names it. */
  | { readonly op: 'config.remove'; readonly id: string }
  | {
      readonly op: 'network.create'
      readonly id: string
      readonly name: string
      readonly labels: Readonly<Record<string, string>>
    }
  /** Refused while a service's spec names it. */
  | { readonly op: 'network.remove'; readonly id: string }
  | { readonly op: 'kv.put'; readonly key: string; readonly value: Uint8Array; readonly ifVersion?: number | 'absent' }
  | { readonly op: 'kv.delete'; readonly key: string }

export interface TaskObservation {
  readonly task: number
  readonly state: TaskState
  readonly message: string
  readonly exitCode?: number
}

/** What applying a command answers, on every replica alike. */
export type Outcome =
  | { readonly ok: true; readonly version: number }
  | { readonly ok: false; readonly code: string; readonly message: string; readonly detail: unknown }
