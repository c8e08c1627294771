/** Replicated records as the public API shows them. Pure. */

import type { Meta, Network, Node, NodeLoad, Service, Task } from '../api/types.js'
import type { Network as NetworkRecord } from '../model/network.js'
import type { Node as NodeRecord } from '../model/node.js'
import type { Service as ServiceRecord } from '../model/service.js'
import { isTerminal, rank, type Task as TaskRecord, taskId } from '../model/task.js'
import { isAway } from '../orchestrator/index.js'
import type { KeyValue, View } from '../store/view.js'

/** What the records alone do not say: raft's view of members, what nodes gossip of themselves, and the leader's reasons. */
export interface Lights {
  readonly leader: string | undefined
  raftRole(raftId: number): Node['raft']
  load(node: string): NodeLoad | undefined
  /** Why a pending task is not placed; known on the leader. */
  pendingWhy(task: TaskRecord): string | undefined
  current(view: View, task: TaskRecord): boolean
  /** How its slot came to rest with this task; undefined while it has not. */
  slotEnd(view: View, task: TaskRecord): 'exhausted' | 'finished' | undefined
}

export function presentService(view: View, service: ServiceRecord): Service {
  let running = 0
  for (const task of view.tasksOfService(service.id)) {
    if (task.observed === 'running' && task.desired === 'running' && !isAway(view, task)) running++
  }
  return {
    id: service.id,
    name: service.spec.name,
    version: service.version,
    createdAt: new Date(service.createdAtMs),
    updatedAt: new Date(service.updatedAtMs),
    spec: service.spec,
    ...(service.previous && { previous: service.previous }),
    specVersion: service.specVersion,
    desired: service.spec.mode?.replicas ?? 1,
    running,
  }
}

export function presentTask(view: View, task: TaskRecord, lights: Lights): Task {
  const serviceName = serviceNameOf(view, task)
  const end = lights.slotEnd(view, task)
  return {
    id: taskId(task),
    name: `${serviceName}.${task.slot}`,
    version: task.version,
    createdAt: new Date(task.createdAtMs),
    updatedAt: new Date(task.observedAtMs),
    service: task.service,
    serviceName,
    slot: task.slot,
    generation: task.generation,
    specVersion: task.specVersion,
    node: task.node,
    nodeName: task.node === undefined ? undefined : (view.node(task.node)?.name ?? task.node),
    desired: task.desired,
    observed: task.observed,
    why: (task.observed === 'pending' ? lights.pendingWhy(task) : undefined) ?? task.message,
    exitCode: task.exitCode,
    current: lights.current(view, task),
    exhausted: end === 'exhausted',
    finished: end === 'finished',
    away: isAway(view, task),
  }
}

/** A removed service's tasks still show its name while they end. */
function serviceNameOf(view: View, task: TaskRecord): string {
  return view.service(task.service)?.spec.name ?? view.spec(task.service, task.specVersion)?.name ?? task.service
}

export function presentNode(view: View, node: NodeRecord, lights: Lights): Node {
  let cpuNanos = 0
  let memoryBytes = 0
  let tasks = 0
  for (const task of view.tasksOfNode(node.id)) {
    if (isTerminal(task.observed) || rank(task.desired) > rank('running')) continue
    const reserve = view.spec(task.service, task.specVersion)?.task.reserve
    cpuNanos += reserve?.cpuNanos ?? 0
    memoryBytes += reserve?.memoryBytes ?? 0
    tasks++
  }
  return {
    id: node.id,
    name: node.name,
    version: node.version,
    createdAt: new Date(node.createdAtMs),
    updatedAt: new Date(node.stateAtMs),
    role: node.role,
    becoming: node.becoming,
    availability: node.availability,
    state: node.state,
    why: node.message,
    leader: lights.leader === node.id,
    raft: node.raftId === undefined ? undefined : lights.raftRole(node.raftId),
    address: node.address,
    labels: node.labels,
    description: node.description,
    reserved: { cpus: cpuNanos / 1e9, memoryBytes },
    tasks,
    load: lights.load(node.id),
  }
}

/** The default one is as old as the cluster. */
export function presentNetwork(view: View, { id, name, labels, version, createdAtMs, updatedAtMs }: NetworkRecord): Network {
  const foundedMs = view.cluster?.createdAtMs ?? 0
  return {
    id,
    name,
    labels,
    version,
    createdAt: new Date(createdAtMs || foundedMs),
    updatedAt: new Date(updatedAtMs || foundedMs),
  }
}

export function presentKey({ key, value, version }: KeyValue): { key: string; value: Uint8Array; version: number } {
  return { key, value, version }
}

/** Newest attempt of each slot first, then by slot: how people read `service ps`. */
export function bySlotNewestFirst(a: Task, b: Task): number {
  return a.serviceName.localeCompare(b.serviceName) || a.slot - b.slot || b.generation - a.generation
}

/** A key as an object of the watch. */
export function presentKeyMeta({ key, version }: KeyValue): Meta {
  const never = new Date(0)
  return { id: key, version, createdAt: never, updatedAt: never }
}
