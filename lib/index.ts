/**
 * skein: Node processes form a cluster, replicate what should run, and keep it running.
 *
 * The public API; nothing else is public but the subpaths of package.json. Importing starts nothing.
 * @module
 */
export type {
  Call,
  Change,
  Cluster,
  Config,
  ConfigSpec,
  Configs,
  ConfigWithData,
  Endpoint,
  EndpointChange,
  EndpointFilter,
  Endpoints,
  Filter,
  Kind,
  KV,
  List,
  LogLine,
  Meta,
  Network,
  NetworkSpec,
  Networks,
  Node,
  NodeLoad,
  Nodes,
  PayloadSpec,
  Progress,
  Secret,
  SecretSpec,
  Secrets,
  Service,
  Services,
  Status,
  Task,
  Tasks,
  Version,
  WatchOptions,
  Why,
} from './api/index.js'
export { type ErrorCode, type ErrorDetail, isSkeinError, type Logger, SkeinError } from './base/index.js'
export {
  type Assigned,
  inlineDriver,
  type LogOptions,
  processDriver,
  type RuntimeDriver,
  type Unit,
  type UnitEnd,
  type UnitLogLine,
} from './drivers/index.js'
export type { ConfigUse, Placement, RestartPolicy, SecretUse, ServiceSpec, TaskTemplate } from './model/service.js'
export { connect, createPeer, type Metrics, type Peer, type PeerEvents, type PeerOptions } from './peer/index.js'
export { makeFoundingToken } from './security/index.js'
