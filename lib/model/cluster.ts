import type { Access } from './access.js'
import { check, number, object, plainData, wholeNumber } from './validate.js'

/** The one record about the cluster itself. */
export interface Cluster {
  readonly id: string
  readonly createdAtMs: number
  /** Roots and join tokens; what is secret in it is sealed. */
  readonly access: Access
  readonly settings: ClusterSettings
  /** Ids of removed nodes: refused for ever. */
  readonly removedNodes: readonly string[]
  /** Ids in raft of managers that were removed or demoted: never given again. */
  readonly removedRaftIds: readonly number[]
  readonly version: number
  /** Nodes that were managers and are workers now: their manager's certificates are good for nothing but a new one. */
  readonly demotedNodes: readonly string[]
}

export interface ClusterSettings {
  /** Milliseconds between a worker's heartbeats. Default 1,000. */
  readonly heartbeatMs: number
  /** Missed heartbeats before a silent worker's node is degraded: heartbeatMs × graceFactor. Default 3. */
  readonly graceFactor: number
  /** Milliseconds of silence after which a worker is down without any other evidence: so long it may be paused. Default 30,000. */
  readonly pauseToleranceMs: number
  /** Ended tasks kept per slot, for history. Default 5. */
  readonly taskHistory: number
}

export const defaultClusterSettings: ClusterSettings = {
  heartbeatMs: 1000,
  graceFactor: 3,
  pauseToleranceMs: 30_000,
  taskHistory: 5,
}

const settingsSchema = object({
  heartbeatMs: wholeNumber(10, 600_000, 'milliseconds'),
  graceFactor: number(1.5, 100, 'missed heartbeats'),
  pauseToleranceMs: wholeNumber(100, 3_600_000, 'milliseconds'),
  taskHistory: wholeNumber(0, 1000, 'ended tasks kept per slot'),
})

/** @throws {SkeinError} ERR_SKEIN_INVALID_SPEC with the setting's path */
export function checkClusterSettings(value: unknown, path = 'settings'): ClusterSettings {
  return check(settingsSchema, plainData(value, path), path)
}
