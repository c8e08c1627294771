import type { Cluster } from '../model/cluster.js'
import type { Config } from '../model/config.js'
import type { Network } from '../model/network.js'
import type { Node } from '../model/node.js'
import type { Secret } from '../model/secret.js'
import type { ResolvedServiceSpec, Service } from '../model/service.js'
import type { Task } from '../model/task.js'

/** A replicated key with its value. */
export interface KeyValue {
  readonly key: string
  readonly value: Uint8Array
  readonly version: number
}

/**
 * Named finders over the replicated tables; what planners and readers see. Synchronous; records are frozen.
 * Iteration order is fixed (ids ascending; tasks by slot, then generation), so that equal tables give equal plans.
 */
export interface View {
  /** Raft index of the last applied entry. */
  readonly version: number
  readonly cluster: Cluster | undefined
  node(id: string): Node | undefined
  nodeByName(name: string): Node | undefined
  nodes(): Iterable<Node>
  service(id: string): Service | undefined
  serviceByName(name: string): Service | undefined
  services(): Iterable<Service>
  /** The spec a task was made from, defaults filled in; kept while a task refers to it. */
  spec(service: string, specVersion: number): ResolvedServiceSpec | undefined
  task(handle: number): Task | undefined
  taskById(id: string): Task | undefined
  tasks(): Iterable<Task>
  tasksOfService(service: string): Iterable<Task>
  /** Generation ascending. */
  tasksOfSlot(service: string, slot: number): Iterable<Task>
  tasksOfNode(node: string): Iterable<Task>
  taskCount(): number
  secret(id: string): Secret | undefined
  secretByName(name: string): Secret | undefined
  secrets(): Iterable<Secret>
  config(id: string): Config | undefined
  configByName(name: string): Config | undefined
  configs(): Iterable<Config>
  network(id: string): Network | undefined
  networkByName(name: string): Network | undefined
  /** The default one among them. */
  networks(): Iterable<Network>
  key(key: string): KeyValue | undefined
  keys(prefix: string): Iterable<KeyValue>
}
