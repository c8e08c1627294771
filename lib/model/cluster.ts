/** The one record about the cluster itself. */
export interface Cluster {
  readonly id: string
  readonly createdAtMs: number
  /** Join secrets; a holder of the manager's may operate the cluster. */
  readonly secrets: { readonly manager: string; readonly worker: string }
  readonly settings: ClusterSettings
  /** Ids of removed nodes and raft members: refused for ever. */
  readonly removedNodes: readonly string[]
  readonly version: number
}

export interface ClusterSettings {
  /** Milliseconds between a worker's heartbeats. Default 1,000. */
  readonly heartbeatMs: number
  /** Missed heartbeats before a silent worker's node is down: heartbeatMs × graceFactor. Default 3. */
  readonly graceFactor: number
  /** Ended tasks kept per slot, for history. Default 5. */
  readonly taskHistory: number
}

export const defaultClusterSettings: ClusterSettings = { heartbeatMs: 1000, graceFactor: 3, taskHistory: 5 }
