/**
 * The public face: what `createPeer` and `connect` hand out. camelCase, units in names, dates as Date, watches that cannot go silent.
 * Every call that changes something takes `requestId`: the same id again answers with the first outcome.
 */
import type { LogOptions } from '../drivers/driver.js'
import type { Availability, NodeDescription, NodeRole, NodeState } from '../model/node.js'
import type { ServiceSpec } from '../model/service.js'
import type { DesiredState, TaskState } from '../model/task.js'

/** Raft index of the last change; opaque, comparable. */
export type Version = number

export interface Meta {
  readonly id: string
  readonly version: Version
  readonly createdAt: Date
  readonly updatedAt: Date
  /** True when a manager without quorum answered: true once, perhaps not now. */
  readonly stale?: boolean
}

/** Options of one call. `deadlineMs` is milliseconds from now (default 10,000); past it a write's outcome is unknown, not failed. */
export interface Call {
  readonly signal?: AbortSignal
  readonly deadlineMs?: number
  readonly requestId?: string
}

/** `stale` is true when the answer comes from a manager that has no quorum: true once, perhaps not now. */
export interface List<T> {
  readonly items: readonly T[]
  readonly version: Version
  readonly stale: boolean
}

export interface Service extends Meta {
  readonly name: string
  readonly spec: ServiceSpec
  readonly previous?: ServiceSpec
  readonly specVersion: number
  /** How many slots are wished for and how many have a running task. */
  readonly desired: number
  readonly running: number
}

export interface Task extends Meta {
  /** `web.1` */
  readonly name: string
  readonly service: string
  readonly serviceName: string
  readonly slot: number
  readonly generation: number
  readonly specVersion: number
  readonly node: string | undefined
  readonly nodeName: string | undefined
  readonly desired: DesiredState
  readonly observed: TaskState
  /** The reason of the observed state; for a pending task why it cannot be placed. */
  readonly why: string
  readonly exitCode: number | undefined
  /** It is what the service's present spec asks for; a change that leaves running tasks alone leaves them current. */
  readonly current: boolean
  /** Its slot used up its restart attempts, or may not restart: no further attempt follows. */
  readonly exhausted: boolean
  /** It completed and its policy asks for no further run. */
  readonly finished: boolean
  /** Its node is down: what was last observed is all that is known, and it goes on if the node returns before another runs in its place. */
  readonly away: boolean
}

export interface Node extends Meta {
  readonly name: string
  readonly role: NodeRole
  /** What it was promoted or demoted to, until that is carried out; undefined: it stays what it is. */
  readonly becoming: NodeRole | undefined
  readonly availability: Availability
  readonly state: NodeState
  readonly why: string
  readonly leader: boolean
  /** As raft sees it; undefined for workers. */
  readonly raft: 'leader' | 'voter' | 'learner' | undefined
  readonly address: string
  readonly labels: Readonly<Record<string, string>>
  readonly description: NodeDescription | undefined
  readonly reserved: { readonly cpus: number; readonly memoryBytes: number }
  /** Tasks that run or are about to. */
  readonly tasks: number
  /** How busy it says it is, by gossip; undefined when it did not say so for three minutes, or is down. */
  readonly load: NodeLoad | undefined
}

/** What a node says of its machine and its process, when that differs by a tenth (at most every 10 s) and once a minute; nothing is decided by it. */
export interface NodeLoad {
  /** Used part of the machine's CPU, 0..1, a moving average over some seconds. */
  readonly cpu: number
  readonly memoryFreeBytes: number
  /** How late the process's timers are, a moving average in milliseconds. */
  readonly lagMs: number
}

/** Why a task is where it is: one line for people, and for a pending task the count of nodes per reason (sums to `evaluated`). */
export interface Why {
  readonly task: Task
  readonly text: string
  readonly placement?: {
    readonly evaluated: number
    readonly reasons: readonly { readonly nodes: number; readonly reason: string }[]
  }
  /** Earlier attempts in the slot, newest first. */
  readonly history: readonly Task[]
  readonly stale?: boolean
}

export interface Status {
  readonly cluster: string
  readonly node: string
  readonly name: string
  readonly role: NodeRole
  readonly leading: boolean
  readonly term: number
  readonly leader: string | undefined
  readonly leaderName: string | undefined
  readonly commitIndex: number
  readonly appliedIndex: number
  readonly quorum: { readonly voters: number; readonly reachable: number; readonly mayLose: number }
  readonly stale: boolean
}

/** The cluster's roots: who says who is who. */
export interface CertificateAuthority {
  /** The newest first; that one issues. */
  readonly roots: readonly {
    /** SHA-256 of the certificate, in hex: what join tokens pin. */
    readonly digest: string
    /** `retired`: what it issued is good for nothing but asking for a new certificate. */
    readonly state: 'trusted' | 'retired'
    readonly notAfter: Date
  }[]
  /** During a rotation: nodes that are up and still show a certificate of the old root. */
  readonly waitingFor: readonly string[]
}

export interface LogLine {
  readonly task: string
  readonly node: string
  readonly stream: 'stdout' | 'stderr'
  readonly at: Date
  readonly text: string
}

export type Kind = 'service' | 'task' | 'node' | 'network' | 'kv'

export type Change =
  | {
      readonly type: 'set'
      readonly kind: Kind
      readonly version: Version
      readonly object: Meta
      readonly was: Meta | undefined
    }
  | { readonly type: 'removed'; readonly kind: Kind; readonly version: Version; readonly was: Meta }
  /** Nothing new, still connected; at least every 10 s. */
  | { readonly type: 'mark'; readonly version: Version }
  /** You were too slow or `since` is gone: list again, then go on. */
  | { readonly type: 'resync'; readonly version: Version }

export interface WatchOptions {
  readonly kinds?: readonly Kind[]
  readonly since?: Version
  readonly signal?: AbortSignal
}

export interface Progress {
  readonly desired: number
  readonly running: number
  readonly phase: 'rolling' | 'verifying' | 'converged'
  readonly slots: readonly {
    readonly slot: number
    readonly state: string
    readonly node: string | undefined
    readonly why: string
  }[]
}

export interface Filter {
  readonly name?: string
  readonly labels?: Readonly<Record<string, string>>
}

export interface Services {
  create(spec: ServiceSpec, o?: Call): Promise<Service>
  /** By name, id or unique id prefix. @throws ERR_SKEIN_NOT_FOUND, ERR_SKEIN_AMBIGUOUS */
  get(ref: string, o?: Call): Promise<Service>
  list(filter?: Filter, o?: Call): Promise<List<Service>>
  remove(ref: string, o?: Call): Promise<void>
  /** Reads, calls `change`, writes; again if someone else wrote the spec meanwhile. */
  update(ref: string, change: (spec: ServiceSpec) => ServiceSpec, o?: Call): Promise<Service>
  /** One try against the version you saw. @throws ERR_SKEIN_VERSION_CONFLICT with `detail.current` */
  replace(ref: string, spec: ServiceSpec, version: Version, o?: Call): Promise<Service>
  scale(ref: string, replicas: number, o?: Call): Promise<Service>
  /**
   * Yields progress and ends when every slot runs the current spec and has stayed up for `monitorMs` (default 1,000).
   * @throws ERR_SKEIN_TASKS_EXHAUSTED with the failing task, ERR_SKEIN_NOT_CONVERGED after `timeoutMs` (default 60,000)
   */
  converge(
    ref: string,
    o?: { readonly signal?: AbortSignal; readonly timeoutMs?: number; readonly monitorMs?: number },
  ): AsyncIterable<Progress>
  logs(ref: string, o?: LogOptions): AsyncIterable<LogLine>
  /** Where its running tasks answer, as the leader sees it. @throws ERR_SKEIN_NOT_FOUND, ERR_SKEIN_AMBIGUOUS, ERR_SKEIN_FORBIDDEN (a worker's key) */
  endpoints(ref: string, o?: Call): Promise<List<Endpoint>>
}

/** A value that only tasks can read, and only where a service's spec names it. The value itself is never shown again. */
export interface Secret extends Meta {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
}

/** A new secret or config. */
export interface PayloadSpec {
  readonly name: string
  /** 1 byte to 500 KiB (a secret) or 1,000 KiB (a config); a text is taken as UTF-8. */
  readonly data: Uint8Array | string
  readonly labels?: Readonly<Record<string, string>>
}

export type SecretSpec = PayloadSpec
export type ConfigSpec = PayloadSpec

export interface Secrets {
  /** @throws ERR_SKEIN_ALREADY_EXISTS, ERR_SKEIN_TOO_LARGE, ERR_SKEIN_INVALID_SPEC, ERR_SKEIN_FORBIDDEN (a worker's key) */
  create(spec: SecretSpec, o?: Call): Promise<Secret>
  /** By name, id or unique id prefix. @throws ERR_SKEIN_NOT_FOUND, ERR_SKEIN_AMBIGUOUS */
  get(ref: string, o?: Call): Promise<Secret>
  list(filter?: Filter, o?: Call): Promise<List<Secret>>
  /** Sets labels; null removes one. The value never changes: give another value another name. */
  update(ref: string, change: { readonly labels: Readonly<Record<string, string | null>> }, o?: Call): Promise<Secret>
  /** @throws ERR_SKEIN_PRECONDITION while services use it, naming them */
  remove(ref: string, o?: Call): Promise<void>
}

/** A value that lies open: tasks are given it where a service's spec names it, and who operates the cluster may read it. */
export interface Config extends Meta {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly sizeBytes: number
}

export interface ConfigWithData extends Config {
  readonly data: Uint8Array
}

export interface Configs {
  /** @throws ERR_SKEIN_ALREADY_EXISTS, ERR_SKEIN_TOO_LARGE, ERR_SKEIN_INVALID_SPEC, ERR_SKEIN_FORBIDDEN (a worker's key) */
  create(spec: ConfigSpec, o?: Call): Promise<Config>
  /** By name, id or unique id prefix. @throws ERR_SKEIN_NOT_FOUND, ERR_SKEIN_AMBIGUOUS, ERR_SKEIN_FORBIDDEN */
  get(ref: string, o?: Call): Promise<ConfigWithData>
  /** Without their data. @throws ERR_SKEIN_FORBIDDEN */
  list(filter?: Filter, o?: Call): Promise<List<Config>>
  /** Sets labels; null removes one. The data never change: give other data another name. @throws ERR_SKEIN_NOT_FOUND, ERR_SKEIN_FORBIDDEN */
  update(ref: string, change: { readonly labels: Readonly<Record<string, string | null>> }, o?: Call): Promise<Config>
  /** @throws ERR_SKEIN_PRECONDITION while services use it, naming them; ERR_SKEIN_NOT_FOUND, ERR_SKEIN_FORBIDDEN */
  remove(ref: string, o?: Call): Promise<void>
}

/** A name that services share so that their tasks find each other. Every cluster has `default`, for services that name none. */
export interface Network extends Meta {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
}

export interface NetworkSpec {
  readonly name: string
  readonly labels?: Readonly<Record<string, string>>
}

export interface Networks {
  /** @throws ERR_SKEIN_ALREADY_EXISTS, ERR_SKEIN_TOO_LARGE (1,000 networks are there), ERR_SKEIN_INVALID_SPEC, ERR_SKEIN_FORBIDDEN (a worker's key) */
  create(spec: NetworkSpec, o?: Call): Promise<Network>
  /** By name, id or unique id prefix. @throws ERR_SKEIN_NOT_FOUND, ERR_SKEIN_AMBIGUOUS */
  get(ref: string, o?: Call): Promise<Network>
  list(filter?: Filter, o?: Call): Promise<List<Network>>
  /** @throws ERR_SKEIN_PRECONDITION while services use it, naming them, and for `default` */
  remove(ref: string, o?: Call): Promise<void>
}

/** Where a running task answers, as its node says. */
export interface Endpoint {
  /** Task id. */
  readonly task: string
  /** `web.1` */
  readonly name: string
  readonly service: string
  readonly serviceName: string
  readonly slot: number
  /** Node id. */
  readonly node: string
  /** Names of the networks it is seen on, ascending. */
  readonly networks: readonly string[]
  /** The node's host, as the node advertises itself. */
  readonly host: string
  /** The TCP port in the task's environment variable PORT, if there is one. */
  readonly ports: readonly number[]
  /** `draining`: it is to stop. */
  readonly state: 'ready' | 'draining'
  /** Whether new connections may go there: it is ready, and its node is alive by the word of the members. */
  readonly eligible: boolean
}

/** What an endpoint was when last told, and what it is now; steps in between are one change. */
export interface EndpointChange {
  readonly prev: Endpoint | undefined
  readonly next: Endpoint | undefined
}

export interface EndpointFilter {
  /** Name or id of a service. */
  readonly service?: string
  /** Name of a network. */
  readonly network?: string
}

/**
 * Where services answer, from this process's own memory: nobody is asked, and what was last known stays while managers are away. A
 * worker sees the networks that its own tasks are on, a manager all of them.
 */
export interface Endpoints {
  /** As it is now; by service, then slot. */
  list(filter?: EndpointFilter): readonly Endpoint[]
  /** First what there is, then what changed since this reader last heard, however slow it is. Ends with the signal, or when the peer stops. */
  watch(filter?: EndpointFilter & { readonly signal?: AbortSignal }): AsyncIterable<readonly EndpointChange[]>
}

export interface Tasks {
  /** By id, id prefix or `service.slot` (its newest attempt). */
  get(ref: string, o?: Call): Promise<Task>
  list(filter?: { readonly service?: string; readonly node?: string }, o?: Call): Promise<List<Task>>
  why(ref: string, o?: Call): Promise<Why>
  logs(ref: string, o?: LogOptions): AsyncIterable<LogLine>
}

export interface Nodes {
  get(ref: string, o?: Call): Promise<Node>
  list(o?: Call): Promise<List<Node>>
  /** Moves its tasks elsewhere and gives it no new ones. */
  drain(ref: string, o?: Call): Promise<Node>
  /** Gives it no new tasks; those that run stay. */
  pause(ref: string, o?: Call): Promise<Node>
  activate(ref: string, o?: Call): Promise<Node>
  /** Sets labels; null removes one. */
  label(ref: string, labels: Readonly<Record<string, string | null>>, o?: Call): Promise<Node>
  /**
   * Makes a manager of a worker: its process, its tasks and its name stay. It votes once it has caught up; until it is a manager at
   * all, `becoming` says so. Of a manager it takes back a demotion that is under way, and else changes nothing.
   * @throws ERR_SKEIN_PRECONDITION while the node is down, or when it listens nowhere
   */
  promote(ref: string, o?: Call): Promise<Node>
  /**
   * Makes a worker of a manager: it hands leadership over, leaves raft, forgets the cluster's records and keys, and goes on with its tasks.
   * @throws ERR_SKEIN_PRECONDITION for the last manager, and while too few others answer to keep the quorum
   */
  demote(ref: string, o?: Call): Promise<Node>
  /** Forgets a node for ever. @throws ERR_SKEIN_PRECONDITION unless it is down or `force`; never if it would cost the quorum */
  remove(ref: string, o?: Call & { readonly force?: boolean }): Promise<void>
}

export interface KV {
  /** @throws ERR_SKEIN_NO_QUORUM unless `stale`: then the asked manager's own value, however old */
  get(
    key: string,
    o?: Call & { readonly stale?: boolean },
  ): Promise<{ readonly value: Uint8Array; readonly version: Version } | undefined>
  /** @throws ERR_SKEIN_VERSION_CONFLICT when `ifVersion` does not hold */
  put(key: string, value: Uint8Array | string, o?: Call & { readonly ifVersion?: Version | 'absent' }): Promise<Version>
  delete(key: string, o?: Call): Promise<void>
  list(prefix: string, o?: Call): AsyncIterable<{ readonly key: string; readonly value: Uint8Array; readonly version: Version }>
}

export interface Tokens {
  /** Revokes this role's join token and makes another; answers with the new join string. Whoever has joined stays. */
  rotate(role: NodeRole, o?: Call): Promise<string>
}

export interface Authority {
  show(o?: Call): Promise<CertificateAuthority>
  /**
   * Makes a new root; nodes renew by themselves, and the old one is retired once all that are up have.
   * @throws ERR_SKEIN_PRECONDITION while a rotation is under way
   */
  rotate(o?: Call): Promise<CertificateAuthority>
}

/** The cluster, from any peer or client; followers forward to the leader. */
export interface Cluster {
  readonly services: Services
  readonly tasks: Tasks
  readonly nodes: Nodes
  readonly secrets: Secrets
  readonly configs: Configs
  readonly networks: Networks
  readonly kv: KV
  watch(o?: WatchOptions): AsyncIterable<Change>
  /** Of the cluster as the asked peer sees it. */
  clusterStatus(o?: Call): Promise<Status>
  /** The join string for the next machine. */
  invite(role: NodeRole, o?: Call): Promise<string>
  readonly tokens: Tokens
  readonly ca: Authority
}
