import type { NodeCertificate } from './access.js'
import type { Resources } from './resources.js'

export type NodeRole = 'manager' | 'worker'
export type Availability = 'active' | 'pause' | 'drain'
/**
 * - `ready`: takes tasks.
 * - `degraded`: silent or stopped, and perhaps back in a moment: takes no new tasks, keeps its own.
 * - `unknown`: a new leader has not heard of it yet; treated as degraded.
 * - `down`: its tasks are replaced.
 */
export const nodeStates = ['ready', 'degraded', 'unknown', 'down'] as const
export type NodeState = (typeof nodeStates)[number]

/** What a peer says of itself when it registers. */
export interface NodeDescription {
  readonly hostname: string
  readonly os: string
  readonly arch: string
  readonly pid: number
  readonly resources: Resources
  /** Names of the runtime drivers it offers. */
  readonly drivers: readonly string[]
}

/** The replicated record of a peer. */
export interface Node {
  readonly id: string
  readonly name: string
  /** What its certificates are issued for. */
  readonly role: NodeRole
  readonly availability: Availability
  readonly labels: Readonly<Record<string, string>>
  /** host:port where its links arrive. */
  readonly address: string
  /** Its present raft id, while it is a manager. */
  readonly raftId: number | undefined
  /** Which key is this node's, and which root said so last. */
  readonly certificate?: NodeCertificate | undefined
  readonly state: NodeState
  /** Why it is in this state, for people. */
  readonly message: string
  readonly description: NodeDescription | undefined
  readonly createdAtMs: number
  readonly stateAtMs: number
  readonly version: number
  /** The operator's wish, while it is not carried out; undefined: it stays what it is. */
  readonly becoming?: NodeRole | undefined
}
