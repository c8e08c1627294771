/** The replicated tables with their indexes: one way in (`write`), the View and `read` out. Pure; changed only by apply and restore. */
import { unreachable } from '../base/assert.js'
import type { Cluster } from '../model/cluster.js'
import type { Outcome } from '../model/command.js'
import type { Config } from '../model/config.js'
import { defaultNetwork, type Network } from '../model/network.js'
import type { Node } from '../model/node.js'
import type { PayloadHead, PayloadKind } from '../model/payload.js'
import type { Secret } from '../model/secret.js'
import type { ResolvedServiceSpec, Service } from '../model/service.js'
import type { Task } from '../model/task.js'
import { NamedTable } from './named-table.js'
import { type AnsweredRequest, type Counters, type Row, type RowRef, slotKey, specKey, splitKey } from './rows.js'
import { SortedTable } from './sorted-table.js'
import { TaskIndex } from './task-index.js'
import type { KeyValue, View } from './view.js'

/** Commands whose outcome is remembered, so that a retry within them happens once. */
export const requestsKept = 4096

export class Tables implements View {
  /** Raft index of the last applied entry; set by whoever applies. */
  version = 0
  #counters: Counters = Object.freeze({ nextHandle: 1, requests: 0 })
  #cluster: Cluster | undefined
  readonly #nodes = new NamedTable<Node>(({ name }) => name)
  readonly #services = new NamedTable<Service>(({ spec }) => spec.name)
  readonly #specs = new Map<string, ResolvedServiceSpec>()
  readonly #tasksPerSpec = new Map<string, number>()
  readonly #tasks = new TaskIndex()
  readonly #kv = new SortedTable<KeyValue>()
  readonly #secrets = new NamedTable<Secret>(({ name }) => name)
  readonly #configs = new NamedTable<Config>(({ name }) => name)
  readonly #networks = new NamedTable<Network>(({ name }) => name)
  readonly #requests = new Map<number, AnsweredRequest>()
  readonly #outcomeByRequest = new Map<string, Outcome>()

  constructor() {
    this.#networks.set(defaultNetwork.id, defaultNetwork)
  }

  get cluster(): Cluster | undefined {
    return this.#cluster
  }
  get counters(): Counters {
    return this.#counters
  }
  node(id: string): Node | undefined {
    return this.#nodes.get(id)
  }
  nodeByName(name: string): Node | undefined {
    return this.#nodes.byName(name)
  }
  nodes(): Iterable<Node> {
    return this.#nodes.values()
  }
  service(id: string): Service | undefined {
    return this.#services.get(id)
  }
  serviceByName(name: string): Service | undefined {
    return this.#services.byName(name)
  }
  services(): Iterable<Service> {
    return this.#services.values()
  }
  spec(service: string, specVersion: number): ResolvedServiceSpec | undefined {
    return this.#specs.get(specKey(service, specVersion))
  }
  task(handle: number): Task | undefined {
    return this.#tasks.get(handle)
  }
  taskById(id: string): Task | undefined {
    return this.#tasks.byId(id)
  }
  tasks(): Iterable<Task> {
    return this.#tasks.all()
  }
  tasksOfService(service: string): Iterable<Task> {
    return this.#tasks.ofService(service)
  }
  /** Generation ascending. */
  tasksOfSlot(service: string, slot: number): Iterable<Task> {
    return this.#tasks.ofSlot(service, slot)
  }
  tasksOfNode(node: string): Iterable<Task> {
    return this.#tasks.ofNode(node)
  }
  taskCount(): number {
    return this.#tasks.size
  }
  taskCountOfService(service: string): number {
    return this.#tasks.countOfService(service)
  }
  /** Tasks made from this version of the spec that are not yet forgotten. */
  taskCountOfSpec(service: string, specVersion: number): number {
    return this.#tasksPerSpec.get(specKey(service, specVersion)) ?? 0
  }
  lastGeneration(service: string, slot: number): number {
    return this.#tasks.lastGeneration(service, slot) ?? 0
  }
  slotsOfService(service: string): Iterable<{ readonly slot: number; readonly lastGeneration: number }> {
    return this.#tasks.slots(service)
  }
  secret(id: string): Secret | undefined {
    return this.#secrets.get(id)
  }
  secretByName(name: string): Secret | undefined {
    return this.#secrets.byName(name)
  }
  secrets(): Iterable<Secret> {
    return this.#secrets.values()
  }
  config(id: string): Config | undefined {
    return this.#configs.get(id)
  }
  configByName(name: string): Config | undefined {
    return this.#configs.byName(name)
  }
  configs(): Iterable<Config> {
    return this.#configs.values()
  }
  payload(kind: PayloadKind, id: string): PayloadHead | undefined {
    return this.#payloads(kind).get(id)
  }
  payloadByName(kind: PayloadKind, name: string): PayloadHead | undefined {
    return this.#payloads(kind).byName(name)
  }
  network(id: string): Network | undefined {
    return this.#networks.get(id)
  }
  networkByName(name: string): Network | undefined {
    return this.#networks.byName(name)
  }
  /** The default one among them. */
  networks(): Iterable<Network> {
    return this.#networks.values()
  }
  key(key: string): KeyValue | undefined {
    return this.#kv.get(key)
  }
  keys(prefix: string): Iterable<KeyValue> {
    return this.#kv.valuesWithPrefix(prefix)
  }
  /** The answer given to this request, if it was among the last `requestsKept`. */
  outcomeOf(requestId: string): Outcome | undefined {
    return this.#outcomeByRequest.get(requestId)
  }

  read({ kind, key }: RowRef): Row {
    const text = key as string
    switch (kind) {
      case 'counters':
        return { kind, key: '', record: this.#counters }
      case 'cluster':
        return { kind, key: '', record: this.#cluster }
      case 'node':
        return { kind, key: text, record: this.#nodes.get(text) }
      case 'service':
        return { kind, key: text, record: this.#services.get(text) }
      case 'spec':
        return { kind, key: text, record: this.#specs.get(text) }
      case 'slot':
        return { kind, key: text, record: this.#tasks.lastGeneration(...splitKey(text)) }
      case 'task':
        return { kind, key: key as number, record: this.#tasks.get(key as number) }
      case 'kv':
        return { kind, key: text, record: this.#kv.get(text) }
      case 'request':
        return { kind, key: key as number, record: this.#requests.get(key as number) }
      case 'secret':
        return { kind, key: text, record: this.#secrets.get(text) }
      case 'config':
        return { kind, key: text, record: this.#configs.get(text) }
      case 'network':
        return { kind, key: text, record: this.#networks.get(text) }
      default:
        return unreachable(kind)
    }
  }

  write(row: Row): void {
    deepFreeze(row.record)
    switch (row.kind) {
      case 'counters':
        this.#counters = row.record ?? Object.freeze({ nextHandle: 1, requests: 0 })
        break
      case 'cluster':
        this.#cluster = row.record
        break
      case 'node':
        put(this.#nodes, row.key, row.record)
        break
      case 'service':
        put(this.#services, row.key, row.record)
        break
      case 'spec':
        put(this.#specs, row.key, row.record)
        break
      case 'slot':
        this.#tasks.setLastGeneration(...splitKey(row.key), row.record)
        break
      case 'task':
        this.#writeTask(row.key, row.record)
        break
      case 'kv':
        put(this.#kv, row.key, row.record)
        break
      case 'request':
        this.#writeRequest(row.key, row.record)
        break
      case 'secret':
        put(this.#secrets, row.key, row.record)
        break
      case 'config':
        put(this.#configs, row.key, row.record)
        break
      case 'network':
        put(this.#networks, row.key, row.record)
        break
      default:
        unreachable(row)
    }
  }

  /** Every row in a fixed order: equal tables give equal rows. */
  *rows(): Generator<Row> {
    yield { kind: 'counters', key: '', record: this.#counters }
    if (this.#cluster !== undefined) yield { kind: 'cluster', key: '', record: this.#cluster }
    for (const record of this.#nodes.values()) yield { kind: 'node', key: record.id, record }
    for (const record of this.#services.values()) yield { kind: 'service', key: record.id, record }
    for (const key of [...this.#specs.keys()].sort()) yield { kind: 'spec', key, record: this.#specs.get(key) }
    for (const service of this.#tasks.services()) {
      for (const { slot, lastGeneration } of this.#tasks.slots(service)) {
        yield { kind: 'slot', key: slotKey(service, slot), record: lastGeneration }
      }
    }
    for (const record of this.#tasks.all()) yield { kind: 'task', key: record.handle, record }
    for (const record of this.#kv.values()) yield { kind: 'kv', key: record.key, record }
    for (let key = 0; key < requestsKept; key++) {
      const record = this.#requests.get(key)
      if (record !== undefined) yield { kind: 'request', key, record }
    }
    for (const record of this.#secrets.values()) yield { kind: 'secret', key: record.id, record }
    for (const record of this.#configs.values()) yield { kind: 'config', key: record.id, record }
    for (const record of this.#networks.values()) if (record !== defaultNetwork) yield { kind: 'network', key: record.id, record }
  }

  #payloads(kind: PayloadKind): NamedTable<Secret> | NamedTable<Config> {
    return kind === 'secret' ? this.#secrets : this.#configs
  }

  #writeTask(handle: number, task: Task | undefined): void {
    const was = this.#tasks.get(handle)
    if (was !== undefined && task === undefined) this.#countSpec(was, -1)
    if (was === undefined && task !== undefined) this.#countSpec(task, 1)
    if (task === undefined) this.#tasks.delete(handle)
    else this.#tasks.set(task)
  }

  #countSpec({ service, specVersion }: Task, by: 1 | -1): void {
    const key = specKey(service, specVersion)
    const count = (this.#tasksPerSpec.get(key) ?? 0) + by
    if (count === 0) this.#tasksPerSpec.delete(key)
    else this.#tasksPerSpec.set(key, count)
  }

  #writeRequest(place: number, request: AnsweredRequest | undefined): void {
    const was = this.#requests.get(place)
    if (was !== undefined) this.#outcomeByRequest.delete(was.id)
    if (request !== undefined) this.#outcomeByRequest.set(request.id, request.outcome)
    put(this.#requests, place, request)
  }
}

function put<Key, T>(table: { set(key: Key, item: T): unknown; delete(key: Key): unknown }, key: Key, item: T | undefined): void {
  if (item === undefined) table.delete(key)
  else table.set(key, item)
}

function deepFreeze(value: unknown): void {
  // Bytes cannot be frozen; whoever holds them must not write into them.
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value) || Object.isFrozen(value)) return
  Object.freeze(value)
  for (const key in value) deepFreeze((value as Readonly<Record<string, unknown>>)[key])
}
