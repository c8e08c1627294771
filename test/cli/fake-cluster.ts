import type {
  CertificateAuthority,
  Cluster,
  ConfigWithData,
  Endpoint,
  List,
  LogLine,
  Network,
  Node,
  Progress,
  Secret,
  Service,
  Status,
  Task,
  Why,
} from '../../lib/api/types.js'
import { SkeinError } from '../../lib/base/errors.js'
import type { ServiceSpec } from '../../lib/model/service.js'

/** What a fake cluster holds and what was asked of it. Every answer is made from `state`; tests change it freely. */
export interface FakeState {
  services: Service[]
  tasks: Task[]
  nodes: Node[]
  secrets: Secret[]
  configs: ConfigWithData[]
  networks: Network[]
  endpoints: Endpoint[]
  kv: Map<string, { value: Uint8Array; version: number }>
  authority: CertificateAuthority
  logs: LogLine[]
  /** Replaces `logs` when set. */
  logLines: (() => AsyncIterable<LogLine>) | undefined
  status: Status
  why: Omit<Why, 'task'>
  stale: boolean
  /** What converge yields, by service name; an error at the end is thrown. */
  converge: (service: string, signal: AbortSignal | undefined) => AsyncIterable<Progress>
  /** Thrown by the call of this name, as `services.create`. */
  failures: Map<string, Error>
  readonly calls: { readonly verb: string; readonly args: readonly unknown[] }[]
}

const day = new Date('2026-01-31T12:00:00.000Z')
export const epochMs = day.getTime()

export function meta(id: string, version = 1): { id: string; version: number; createdAt: Date; updatedAt: Date } {
  return { id, version, createdAt: day, updatedAt: day }
}

export function fakeService(name: string, more: Partial<Service> = {}): Service {
  const spec: ServiceSpec = { name, task: { command: ['node', 'server.mjs'] } }
  return { ...meta(`id-${name}`), name, spec, specVersion: 1, desired: 1, running: 1, ...more }
}

export function fakeTask(service: string, slot: number, more: Partial<Task> = {}): Task {
  return {
    ...meta(`id-${service}.${slot}.${more.generation ?? 1}`),
    name: `${service}.${slot}`,
    service: `id-${service}`,
    serviceName: service,
    slot,
    generation: 1,
    specVersion: 1,
    node: 'id-m1',
    nodeName: 'm1',
    desired: 'running',
    observed: 'running',
    why: 'started',
    exitCode: undefined,
    current: true,
    exhausted: false,
    finished: false,
    away: false,
    ...more,
  }
}

export function fakeNode(name: string, more: Partial<Node> = {}): Node {
  return {
    ...meta(`id-${name}`),
    name,
    role: 'manager',
    becoming: undefined,
    availability: 'active',
    state: 'ready',
    why: '',
    leader: false,
    raft: 'voter',
    address: '127.0.0.1:7946',
    labels: {},
    description: {
      hostname: 'host',
      os: 'linux',
      arch: 'x64',
      pid: 1,
      resources: { cpuNanos: 4e9, memoryBytes: 8 * 1024 ** 3 },
      drivers: ['process'],
    },
    reserved: { cpus: 0.5, memoryBytes: 64 * 1024 ** 2 },
    tasks: 1,
    load: undefined,
    ...more,
  }
}

export function fakeState(): FakeState {
  return {
    services: [],
    tasks: [],
    nodes: [],
    secrets: [],
    configs: [],
    endpoints: [],
    networks: [{ ...meta('default'), name: 'default', labels: {} }],
    kv: new Map(),
    authority: { roots: [{ digest: 'ab'.repeat(32), state: 'trusted', notAfter: new Date(0) }], waitingFor: [] },
    logs: [],
    logLines: undefined,
    status: {
      cluster: 'cluster1',
      node: 'id-m1',
      name: 'm1',
      role: 'manager',
      leading: true,
      term: 3,
      leader: 'id-m1',
      leaderName: 'm1',
      commitIndex: 40,
      appliedIndex: 39,
      quorum: { voters: 3, reachable: 3, mayLose: 1 },
      stale: false,
    },
    why: { text: 'it runs', history: [] },
    stale: false,
    async *converge() {
      yield { desired: 1, running: 0, phase: 'rolling', slots: [{ slot: 1, state: 'starting', node: 'm1', why: '' }] }
      yield { desired: 1, running: 1, phase: 'verifying', slots: [{ slot: 1, state: 'running', node: 'm1', why: 'started' }] }
      yield { desired: 1, running: 1, phase: 'converged', slots: [{ slot: 1, state: 'running', node: 'm1', why: 'started' }] }
    },
    failures: new Map(),
    calls: [],
  }
}

/** A Cluster in memory: enough of the real one's manners for the command line to be tried without peers. */
export function fakeCluster(state: FakeState): Cluster {
  const heard = (verb: string, ...args: readonly unknown[]): void => {
    state.calls.push({ verb, args })
    const failure = state.failures.get(verb)
    if (failure !== undefined) throw failure
  }
  const listOf = <T>(items: readonly T[]): List<T> => ({ items, version: 7, stale: state.stale })
  const find = <T extends { readonly id: string; readonly name: string }>(kind: string, items: readonly T[], ref: string): T => {
    const found = items.find(({ id, name }) => id === ref || name === ref)
    if (found === undefined) throw new SkeinError('ERR_SKEIN_NOT_FOUND', `no ${kind} "${ref}"`, { kind, ref })
    return found
  }
  const put = (service: Service): Service => {
    state.services = [...state.services.filter(({ id }) => id !== service.id), service]
    return service
  }
  const lines = async function* (): AsyncGenerator<LogLine> {
    yield* state.logLines?.() ?? state.logs
  }
  return {
    services: {
      async create(spec) {
        heard('services.create', spec)
        return put(fakeService(spec.name, { spec, desired: spec.mode?.replicas ?? 1, running: 0 }))
      },
      async get(ref) {
        heard('services.get', ref)
        return find('service', state.services, ref)
      },
      async list(filter) {
        heard('services.list', filter)
        const wanted = Object.entries(filter?.labels ?? {})
        return listOf(state.services.filter(({ spec }) => wanted.every(([key, value]) => spec.labels?.[key] === value)))
      },
      async remove(ref) {
        heard('services.remove', ref)
        const { id } = find('service', state.services, ref)
        state.services = state.services.filter((service) => service.id !== id)
      },
      async update(ref, change) {
        const service = find('service', state.services, ref)
        return put({ ...service, spec: change(service.spec) })
      },
      async replace(ref, spec, version) {
        heard('services.replace', ref, spec, version)
        return put({ ...find('service', state.services, ref), spec, desired: spec.mode?.replicas ?? 1 })
      },
      async scale(ref, replicas) {
        heard('services.scale', ref, replicas)
        return put({ ...find('service', state.services, ref), desired: replicas })
      },
      converge(ref, o) {
        heard('services.converge', ref, o)
        return state.converge(find('service', state.services, ref).name, o?.signal)
      },
      logs(ref, o) {
        heard('services.logs', ref, o)
        return lines()
      },
      async endpoints(ref) {
        heard('services.endpoints', ref)
        const { id } = find('service', state.services, ref)
        return listOf(state.endpoints.filter(({ service }) => service === id))
      },
    },
    tasks: {
      async get(ref) {
        heard('tasks.get', ref)
        return find('task', state.tasks, ref)
      },
      async list(filter) {
        heard('tasks.list', filter)
        return listOf(
          state.tasks.filter(({ service, node }) => service === (filter?.service ?? service) && node === (filter?.node ?? node)),
        )
      },
      async why(ref) {
        heard('tasks.why', ref)
        return { task: find('task', state.tasks, ref), ...state.why }
      },
      logs(ref, o) {
        heard('tasks.logs', ref, o)
        return lines()
      },
    },
    tokens: {
      async rotate(role) {
        heard('tokens.rotate', role)
        return `skein://SKN-1-next-${role}@127.0.0.1:7946`
      },
    },
    ca: {
      async show() {
        heard('ca.show')
        return state.authority
      },
      async rotate() {
        heard('ca.rotate')
        return state.authority
      },
    },
    nodes: {
      async get(ref) {
        heard('nodes.get', ref)
        return find('node', state.nodes, ref)
      },
      async list() {
        heard('nodes.list')
        return listOf(state.nodes)
      },
      async drain(ref) {
        heard('nodes.drain', ref)
        return { ...find('node', state.nodes, ref), availability: 'drain' }
      },
      async pause(ref) {
        heard('nodes.pause', ref)
        return { ...find('node', state.nodes, ref), availability: 'pause' }
      },
      async activate(ref) {
        heard('nodes.activate', ref)
        return { ...find('node', state.nodes, ref), availability: 'active' }
      },
      async promote(ref) {
        heard('nodes.promote', ref)
        return { ...find('node', state.nodes, ref), becoming: 'manager' }
      },
      async demote(ref) {
        heard('nodes.demote', ref)
        return { ...find('node', state.nodes, ref), role: 'worker' }
      },
      async label(ref, labels) {
        heard('nodes.label', ref, labels)
        const kept = Object.entries(labels).filter((entry): entry is [string, string] => entry[1] !== null)
        return { ...find('node', state.nodes, ref), labels: Object.fromEntries(kept) }
      },
      async remove(ref, o) {
        heard('nodes.remove', ref, o?.force)
        find('node', state.nodes, ref)
      },
    },
    secrets: {
      async create({ name, data, labels = {} }) {
        heard('secrets.create', name, Buffer.from(data).toString(), labels)
        const secret = { ...meta(`id-${name}`), name, labels }
        state.secrets = [...state.secrets, secret]
        return secret
      },
      async get(ref) {
        heard('secrets.get', ref)
        return find('secret', state.secrets, ref)
      },
      async list(filter) {
        heard('secrets.list', filter)
        return listOf(state.secrets)
      },
      async update(ref, change) {
        heard('secrets.update', ref, change)
        return find('secret', state.secrets, ref)
      },
      async remove(ref) {
        heard('secrets.remove', ref)
        const { id } = find('secret', state.secrets, ref)
        state.secrets = state.secrets.filter((secret) => secret.id !== id)
      },
    },
    configs: {
      async create({ name, data, labels = {} }) {
        heard('configs.create', name, Buffer.from(data).toString(), labels)
        const bytes = Buffer.from(data)
        const config = { ...meta(`id-${name}`), name, labels, sizeBytes: bytes.length, data: bytes }
        state.configs = [...state.configs, config]
        return config
      },
      async get(ref) {
        heard('configs.get', ref)
        return find('config', state.configs, ref)
      },
      async list(filter) {
        heard('configs.list', filter)
        const wanted = Object.entries(filter?.labels ?? {})
        return listOf(state.configs.filter(({ labels }) => wanted.every(([key, value]) => labels[key] === value)))
      },
      async update(ref, change) {
        heard('configs.update', ref, change)
        return find('config', state.configs, ref)
      },
      async remove(ref) {
        heard('configs.remove', ref)
        const { id } = find('config', state.configs, ref)
        state.configs = state.configs.filter((config) => config.id !== id)
      },
    },
    networks: {
      async create({ name, labels = {} }) {
        heard('networks.create', name, labels)
        const network = { ...meta(`id-${name}`), name, labels }
        state.networks = [...state.networks, network]
        return network
      },
      async get(ref) {
        heard('networks.get', ref)
        return find('network', state.networks, ref)
      },
      async list(filter) {
        heard('networks.list', filter)
        const wanted = Object.entries(filter?.labels ?? {})
        return listOf(state.networks.filter(({ labels }) => wanted.every(([key, value]) => labels[key] === value)))
      },
      async remove(ref) {
        heard('networks.remove', ref)
        const { id } = find('network', state.networks, ref)
        state.networks = state.networks.filter((network) => network.id !== id)
      },
    },
    kv: {
      async get(key, o) {
        heard('kv.get', key, o?.stale)
        return state.kv.get(key)
      },
      async put(key, value, o) {
        heard('kv.put', key, value, o?.ifVersion)
        return 8
      },
      async delete(key) {
        heard('kv.delete', key)
      },
      async *list(prefix) {
        heard('kv.list', prefix)
        for (const [key, entry] of state.kv) if (key.startsWith(prefix)) yield { key, ...entry }
      },
    },
    async *watch() {},
    async clusterStatus() {
      heard('status')
      return state.status
    },
    async invite(role) {
      heard('invite', role)
      return `skein://${role}-token@127.0.0.1:7946`
    },
  }
}
