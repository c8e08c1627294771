/**
 * Rows ↔ plain data, one fixed shape per kind: a record that went through bytes has the same keys in the same order as one
 * that apply made, so a restored replica stays byte-equal with the others. Records are arrays by field: small and canonical.
 */
import type { Access, NodeCertificate, Root } from '../model/access.js'
import type { Cluster } from '../model/cluster.js'
import type { Outcome } from '../model/command.js'
import type { Config } from '../model/config.js'
import type { ClusterKey, Keyring } from '../model/keyring.js'
import { defaultNetwork, type Network, type NetworkRef } from '../model/network.js'
import { type Node, type NodeDescription, nodeStates } from '../model/node.js'
import type { PayloadRef } from '../model/payload.js'
import type { Secret } from '../model/secret.js'
import type { ResolvedServiceSpec, Service, ServiceSpec } from '../model/service.js'
import { type Task, taskStates } from '../model/task.js'
import {
  anything,
  array,
  badMessage,
  bytes,
  integer,
  natural,
  number,
  oneOf,
  type Reader,
  record,
  string,
} from '../wire/decode.js'
import { type AnsweredRequest, type Counters, type Row, type RowRef, rowKinds } from './rows.js'
import type { KeyValue } from './view.js'

interface Form<T> {
  pack(value: T): unknown
  readonly unpack: Reader<T>
}

/** The row as plain data, for the codec of `wire`. */
export function packRow({ kind, key, record: value }: Row): unknown {
  // Kind and record belong together in every row; the union of forms cannot say so.
  const form = forms[kind] as Form<unknown>
  return [rowKinds.indexOf(kind), key, form.pack(value)]
}

/** @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE with the path of what is wrong */
export function unpackRow(value: unknown, path: string): Row {
  if (!Array.isArray(value) || value.length !== 3) throw badMessage(path, 'a row of three parts', value)
  const parts: readonly unknown[] = value
  const ref = unpackRef(parts[0], parts[1], path)
  return { ...ref, record: forms[ref.kind].unpack(parts[2], `${path}.${ref.kind}.${ref.key}`) } as Row
}

/** @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE */
function unpackRef(code: unknown, key: unknown, path: string): RowRef {
  const kind = rowKinds[integer(code, `${path}[0]`)]
  if (kind === undefined) throw badMessage(`${path}[0]`, `a kind of row below ${rowKinds.length}`, code)
  return { kind, key: kind === 'task' || kind === 'request' ? natural(key, `${path}[1]`) : string(key, `${path}[1]`) }
}

/** Fields in the order given, as an array; undefined as nil. */
function fields<T extends object>(shape: { readonly [Key in keyof T]-?: Form<T[Key]> }): Form<T> {
  const entries = Object.entries(shape) as unknown as readonly [keyof T & string, Form<unknown>][]
  return {
    pack: (value) => entries.map(([key, form]) => form.pack(value[key])),
    unpack: (value, path) => {
      if (!Array.isArray(value)) throw badMessage(path, 'an array of fields', value)
      const parts: readonly unknown[] = value
      const result: Partial<T> = {}
      for (const [index, [key, form]] of entries.entries()) {
        result[key] = form.unpack(parts[index], `${path}.${key}`) as T[typeof key]
      }
      return result as T
    },
  }
}

function plain<T>(unpack: Reader<T>): Form<T> {
  return { pack: (value) => value, unpack }
}

/** nil stands for undefined: not for values that may be null themselves. */
function maybe<T>(form: Form<T>): Form<T | undefined> {
  return {
    pack: (value) => (value === undefined ? null : form.pack(value)),
    unpack: (value, path) => (value === null || value === undefined ? undefined : form.unpack(value, path)),
  }
}

function list<T>(form: Form<T>): Form<readonly T[]> {
  return {
    pack: (value) => value.map((item) => form.pack(item)),
    unpack: (value, path) => array(form.unpack)(value, path),
  }
}

/** A list that rows written by an earlier version do not have. */
function listOr<T>(form: Form<T>, absent: readonly T[]): Form<readonly T[]> {
  const { pack, unpack } = list(form)
  return { pack, unpack: (value, path) => (value === undefined ? absent : unpack(value, path)) }
}

/** Anything a user may have written, null included. */
const free: Form<unknown> = {
  pack: (value) => (value === undefined ? [] : [value]),
  unpack: (value, path) => {
    if (Array.isArray(value) && value.length <= 1) return (value as readonly unknown[])[0]
    throw badMessage(path, 'at most one value', value)
  },
}

const text = plain(string)
const count = plain(natural)
const texts = plain(array(string))
const counts = plain(array(natural))
const labels = plain(record(string))
// Checked before it was stored; its keys, and their order, are the user's.
const userSpec = plain<ServiceSpec>((value, path) => {
  if (typeof value === 'object' && value !== null && 'name' in value && 'task' in value) return value as ServiceSpec
  throw badMessage(path, 'a service spec', value)
})

const countersForm = fields<Counters>({ nextHandle: count, requests: count })

const rootForm = fields<Root>({
  certificate: plain(bytes),
  cross: maybe(plain(bytes)),
  key: maybe(plain(bytes)),
  state: plain(oneOf('trusted', 'retired')),
})

const clusterKeyForm = fields<ClusterKey>({ id: count, secret: plain(bytes), removals: count })

const accessForm = fields<Access>({
  roots: list(rootForm),
  tokens: fields<Access['tokens']>({ manager: plain(bytes), worker: plain(bytes) }),
  revoked: texts,
  keyring: maybe(
    fields<Keyring>({ previous: maybe(clusterKeyForm), primary: clusterKeyForm, next: clusterKeyForm, rotatedAtMs: count }),
  ),
})

const clusterForm = fields<Cluster>({
  id: text,
  createdAtMs: count,
  access: accessForm,
  settings: fields<Cluster['settings']>({
    heartbeatMs: count,
    graceFactor: plain(number),
    pauseToleranceMs: count,
    taskHistory: count,
  }),
  removedNodes: texts,
  removedRaftIds: counts,
  version: count,
  demotedNodes: listOr(text, []),
})

const nodeForm = fields<Node>({
  id: text,
  name: text,
  role: plain(oneOf('manager', 'worker')),
  availability: plain(oneOf('active', 'pause', 'drain')),
  labels,
  address: text,
  raftId: maybe(count),
  certificate: maybe(fields<NodeCertificate>({ key: text, root: text, notAfterMs: count, before: maybe(text) })),
  state: plain(oneOf(...nodeStates)),
  message: text,
  description: maybe(
    fields<NodeDescription>({
      hostname: text,
      os: text,
      arch: text,
      pid: count,
      resources: fields<NodeDescription['resources']>({ cpuNanos: count, memoryBytes: count }),
      drivers: texts,
    }),
  ),
  createdAtMs: count,
  stateAtMs: count,
  version: count,
  becoming: maybe(plain(oneOf('manager', 'worker'))),
})

const serviceForm = fields<Service>({
  id: text,
  spec: userSpec,
  previous: maybe(userSpec),
  specVersion: count,
  createdAtMs: count,
  updatedAtMs: count,
  version: count,
})

const payloadRefForm = fields<PayloadRef>({ id: text, target: text })

const networkRefForm = fields<NetworkRef>({ id: text, name: text })

const specForm = fields<ResolvedServiceSpec>({
  name: text,
  labels,
  task: fields<ResolvedServiceSpec['task']>({
    driver: text,
    command: texts,
    env: labels,
    workingDir: maybe(text),
    stopSignal: text,
    stopGraceMs: count,
    reserve: fields<ResolvedServiceSpec['task']['reserve']>({ cpuNanos: count, memoryBytes: count }),
    limit: fields<ResolvedServiceSpec['task']['limit']>({ cpuNanos: maybe(count), memoryBytes: maybe(count) }),
    options: free,
    secrets: listOr(payloadRefForm, []),
    configs: listOr(payloadRefForm, []),
    networks: listOr(networkRefForm, [{ id: defaultNetwork.id, name: defaultNetwork.name }]),
    selfFenceAfterMs: maybe(count),
  }),
  mode: fields<ResolvedServiceSpec['mode']>({ replicas: count }),
  placement: fields<ResolvedServiceSpec['placement']>({ constraints: texts, spread: texts, maxPerNode: count }),
  restart: fields<ResolvedServiceSpec['restart']>({
    when: plain(oneOf('any', 'on-failure', 'none')),
    delayMs: count,
    attemptsMax: count,
    windowMs: count,
  }),
})

const taskForm = fields<Task>({
  handle: count,
  service: text,
  slot: count,
  generation: count,
  specVersion: count,
  node: maybe(text),
  desired: plain(oneOf('ready', 'running', 'shutdown', 'remove')),
  observed: plain(oneOf(...taskStates)),
  message: text,
  exitCode: maybe(plain(integer)),
  startAfterMs: maybe(plain(number)),
  createdAtMs: plain(number),
  observedAtMs: plain(number),
  version: count,
})

const kvForm = fields<KeyValue>({ key: text, value: plain(bytes), version: count })

const secretForm = fields<Secret>({
  id: text,
  name: text,
  labels,
  sealed: plain(bytes),
  createdAtMs: count,
  updatedAtMs: count,
  version: count,
})

const configForm = fields<Config>({
  id: text,
  name: text,
  labels,
  data: plain(bytes),
  createdAtMs: count,
  updatedAtMs: count,
  version: count,
})

const networkForm = fields<Network>({
  id: text,
  name: text,
  labels,
  createdAtMs: count,
  updatedAtMs: count,
  version: count,
})

const outcomeForm: Form<Outcome> = {
  pack: (outcome) => (outcome.ok ? [outcome.version] : [outcome.code, outcome.message, outcome.detail ?? null]),
  unpack: (value, path) => {
    const parts = array(anything)(value, path)
    if (parts.length === 1) return { ok: true, version: natural(parts[0], path) }
    return { ok: false, code: string(parts[0], path), message: string(parts[1], path), detail: parts[2] }
  },
}

const requestForm = fields<AnsweredRequest>({ id: text, outcome: outcomeForm })

const forms: { readonly [Kind in Row['kind']]: Form<NonNullable<Extract<Row, { kind: Kind }>['record']>> } = {
  counters: countersForm,
  cluster: clusterForm,
  node: nodeForm,
  service: serviceForm,
  spec: specForm,
  slot: count,
  task: taskForm,
  kv: kvForm,
  request: requestForm,
  secret: secretForm,
  config: configForm,
  network: networkForm,
}
