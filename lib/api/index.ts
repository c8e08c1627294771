/**
 * api: the contracts. What operators ask (`types`, `control`), what workers ask (`session`), what newcomers ask (`join`), and the public
 * `Cluster` over any caller of the verbs. Each file is imported by itself; here is what the package exports.
 *
 * May import: base, model, wire, security, drivers, overlay/transport. Must never know: how a verb is carried out.
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
} from './types.js'
