/**
 * model: the replicated nouns as readonly data, and their validation at the border.
 *
 * May import: base (and valibot, in validate.ts alone). Must never know: who stores or sends them.
 * Source: Docker Swarm's objects; api.d.ts for the names.
 * @module
 */
export type { Access, NodeCertificate, Root } from './access.js'
export { checkLabels, checkNodeDescription, checkNodeName } from './check-node.js'
export { type Cluster, type ClusterSettings, checkClusterSettings, defaultClusterSettings } from './cluster.js'
export type { Op, Outcome, StoreCommand, TaskObservation } from './command.js'
export type { Config } from './config.js'
export { defaultNetwork, type Network, type NetworkRef } from './network.js'
export type { Availability, Node, NodeDescription, NodeRole, NodeState } from './node.js'
export { checkPayload, checkPayloadName, type PayloadKind, type PayloadRef, payloadBytesMax } from './payload.js'
export { checkName, replicasMax, resolveServiceSpec } from './resolve-service.js'
export { addResources, cpuNanosOf, fits, noResources, type Resources, subtractResources } from './resources.js'
export type { Secret } from './secret.js'
export type {
  ConfigUse,
  Placement,
  ResolvedServiceSpec,
  RestartPolicy,
  SecretUse,
  Service,
  ServiceSpec,
  TaskTemplate,
} from './service.js'
export {
  canAdvance,
  type DesiredState,
  isTerminal,
  parseTaskId,
  rank,
  type Task,
  type TaskState,
  taskId,
  taskStates,
} from './task.js'
