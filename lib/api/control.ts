/**
 * ControlApi: the verbs of operators and embedding apps, as data. One table of verbs with their parameters and results serves
 * the peer's own `Cluster` object, the client over a link and the manager that carries them out.
 */
import * as v from 'valibot'
import { type ErrorCode, SkeinError } from '../base/errors.js'
import type { NodeRole } from '../model/node.js'
import type { ServiceSpec } from '../model/service.js'
import { hasProtoKey, mapOf, protoKeyWords } from '../model/validate.js'
import type {
  CertificateAuthority,
  Change,
  Config,
  ConfigWithData,
  Endpoint,
  Filter,
  Kind,
  List,
  LogLine,
  Network,
  Node,
  Secret,
  Service,
  Status,
  Task,
  Version,
  Why,
} from './types.js'

/** verb → [parameters, result]. */
export interface ControlVerbs {
  status: [Record<never, never>, Status]
  invite: [{ readonly role: NodeRole }, string]
  /** The new join string; whoever has joined stays. */
  'tokens.rotate': [{ readonly role: NodeRole }, string]
  'ca.show': [Record<never, never>, CertificateAuthority]
  'ca.rotate': [Record<never, never>, CertificateAuthority]
  'nodes.list': [Record<never, never>, List<Node>]
  'nodes.get': [{ readonly ref: string }, Node]
  'nodes.availability': [{ readonly ref: string; readonly availability: 'active' | 'pause' | 'drain' }, Node]
  'nodes.label': [{ readonly ref: string; readonly labels: Readonly<Record<string, string | null>> }, Node]
  'nodes.role': [{ readonly ref: string; readonly role: NodeRole }, Node]
  'nodes.remove': [{ readonly ref: string; readonly force: boolean }, null]
  'services.create': [{ readonly spec: ServiceSpec }, Service]
  'services.get': [{ readonly ref: string }, Service]
  'services.list': [{ readonly filter: Filter }, List<Service>]
  'services.replace': [{ readonly ref: string; readonly spec: ServiceSpec; readonly version: Version }, Service]
  'services.scale': [{ readonly ref: string; readonly replicas: number }, Service]
  'services.remove': [{ readonly ref: string }, null]
  'services.endpoints': [{ readonly ref: string }, List<Endpoint>]
  'tasks.list': [{ readonly service?: string; readonly node?: string }, List<Task>]
  'tasks.get': [{ readonly ref: string }, Task]
  'tasks.why': [{ readonly ref: string }, Why]
  'secrets.create': [NewPayload, Secret]
  'secrets.get': [{ readonly ref: string }, Secret]
  'secrets.list': [{ readonly filter: Filter }, List<Secret>]
  'secrets.update': [{ readonly ref: string; readonly labels: Readonly<Record<string, string | null>> }, Secret]
  'secrets.remove': [{ readonly ref: string }, null]
  'configs.create': [NewPayload, Config]
  'configs.get': [{ readonly ref: string }, ConfigWithData]
  'configs.list': [{ readonly filter: Filter }, List<Config>]
  'configs.update': [{ readonly ref: string; readonly labels: Readonly<Record<string, string | null>> }, Config]
  'configs.remove': [{ readonly ref: string }, null]
  'networks.create': [{ readonly name: string; readonly labels: Readonly<Record<string, string>> }, Network]
  'networks.get': [{ readonly ref: string }, Network]
  'networks.list': [{ readonly filter: Filter }, List<Network>]
  'networks.remove': [{ readonly ref: string }, null]
  'kv.get': [{ readonly key: string; readonly stale: boolean }, { readonly value: Uint8Array; readonly version: Version } | null]
  'kv.put': [{ readonly key: string; readonly value: Uint8Array; readonly ifVersion?: Version | 'absent' }, Version]
  'kv.delete': [{ readonly key: string }, null]
  'kv.list': [{ readonly prefix: string }, List<{ readonly key: string; readonly value: Uint8Array; readonly version: Version }>]
}

interface NewPayload {
  readonly name: string
  readonly data: Uint8Array
  readonly labels: Readonly<Record<string, string>>
}

/** Verbs that answer with a stream: verb → [parameters, item]. */
export interface ControlStreams {
  watch: [{ readonly kinds?: readonly Kind[]; readonly since?: Version }, Change]
  logs: [LogRequest, LogLine]
}

export interface LogRequest {
  readonly service?: string
  readonly task?: string
  readonly follow: boolean
  readonly tail?: number
  readonly sinceMs?: number
  readonly streams?: readonly ('stdout' | 'stderr')[]
}

export type Verb = keyof ControlVerbs
export type StreamVerb = keyof ControlStreams

/** What travels beside the parameters. `requestId` makes a retried write exactly-once. */
export interface CallHead {
  readonly requestId: string
  readonly deadlineMs: number
  readonly signal?: AbortSignal
}

/** Whoever can carry verbs to a manager: a link, or the manager itself. */
export interface ControlCaller {
  call<V extends Verb>(verb: V, params: ControlVerbs[V][0], head: CallHead): Promise<ControlVerbs[V][1]>
  stream<V extends StreamVerb>(
    verb: V,
    params: ControlStreams[V][0],
    signal: AbortSignal | undefined,
  ): AsyncIterable<ControlStreams[V][1]>
}

/** Verbs that only read: safe to retry. */
export const readVerbs: ReadonlySet<Verb> = new Set<Verb>([
  'status',
  'ca.show',
  'nodes.list',
  'nodes.get',
  'services.get',
  'services.list',
  'services.endpoints',
  'tasks.list',
  'tasks.get',
  'tasks.why',
  'secrets.get',
  'secrets.list',
  'configs.get',
  'configs.list',
  'networks.get',
  'networks.list',
  'kv.get',
  'kv.list',
])

/** Reads that a manager without quorum answers from its own tables, marked stale. A key is not among them: code decides on its value. */
export const maybeStaleVerbs: ReadonlySet<Verb> = new Set(
  [...readVerbs].filter((verb) => verb !== 'kv.get' && verb !== 'kv.list'),
)

/** Refusals of one try, made before anything was written: they say nothing of an earlier try of the same call. */
export const refusedUntried = ['ERR_SKEIN_NO_QUORUM', 'ERR_SKEIN_BUSY'] as const satisfies readonly ErrorCode[]

const ref = v.pipe(v.string(), v.nonEmpty('a name, id or id prefix'), v.maxLength(256))
const labels = mapOf(v.string(), v.string())
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
const nothing = v.strictObject({})
const byRef = v.strictObject({ ref })
// The spec's own keys are checked by the model, which names the key path; here only that it is an object at all.
const spec = v.pipe(
  v.custom<ServiceSpec>((value) => typeof value === 'object' && value !== null && !Array.isArray(value), 'an object'),
  v.check((value) => !hasProtoKey(value), protoKeyWords),
)
const bytes = v.instance(Uint8Array)
const filter = v.strictObject({ name: v.optional(v.string()), labels: v.optional(labels) })
const labelChanges = mapOf(v.string(), v.nullable(v.string()))
const newPayload = v.strictObject({ name: v.string(), data: bytes, labels })

const verbSchemas = {
  status: nothing,
  invite: v.strictObject({ role: v.picklist(['manager', 'worker']) }),
  'tokens.rotate': v.strictObject({ role: v.picklist(['manager', 'worker']) }),
  'ca.show': nothing,
  'ca.rotate': nothing,
  'nodes.list': nothing,
  'nodes.get': byRef,
  'nodes.availability': v.strictObject({ ref, availability: v.picklist(['active', 'pause', 'drain']) }),
  'nodes.label': v.strictObject({ ref, labels: labelChanges }),
  'nodes.role': v.strictObject({ ref, role: v.picklist(['manager', 'worker']) }),
  'nodes.remove': v.strictObject({ ref, force: v.boolean() }),
  'services.create': v.strictObject({ spec }),
  'services.get': byRef,
  'services.list': v.strictObject({ filter }),
  'services.replace': v.strictObject({ ref, spec, version: count }),
  'services.scale': v.strictObject({ ref, replicas: v.number() }),
  'services.remove': byRef,
  'services.endpoints': byRef,
  'tasks.list': v.strictObject({ service: v.optional(ref), node: v.optional(ref) }),
  'tasks.get': byRef,
  'tasks.why': byRef,
  'secrets.create': newPayload,
  'secrets.get': byRef,
  'secrets.list': v.strictObject({ filter }),
  'secrets.update': v.strictObject({ ref, labels: labelChanges }),
  'secrets.remove': byRef,
  'configs.create': newPayload,
  'configs.get': byRef,
  'configs.list': v.strictObject({ filter }),
  'configs.update': v.strictObject({ ref, labels: labelChanges }),
  'configs.remove': byRef,
  'networks.create': v.strictObject({ name: v.string(), labels }),
  'networks.get': byRef,
  'networks.list': v.strictObject({ filter }),
  'networks.remove': byRef,
  'kv.get': v.strictObject({ key: v.string(), stale: v.boolean() }),
  'kv.put': v.strictObject({ key: v.string(), value: bytes, ifVersion: v.optional(v.union([count, v.literal('absent')])) }),
  'kv.delete': v.strictObject({ key: v.string() }),
  'kv.list': v.strictObject({ prefix: v.string() }),
} as const satisfies Record<Verb, v.GenericSchema>

const streamSchemas = {
  watch: v.strictObject({
    kinds: v.optional(v.array(v.picklist(['service', 'task', 'node', 'network', 'kv']))),
    since: v.optional(count),
  }),
  logs: v.strictObject({
    service: v.optional(ref),
    task: v.optional(ref),
    follow: v.boolean(),
    tail: v.optional(count),
    sinceMs: v.optional(v.number()),
    streams: v.optional(v.array(v.picklist(['stdout', 'stderr']))),
  }),
} as const satisfies Record<StreamVerb, v.GenericSchema>

export const verbs = Object.keys(verbSchemas) as readonly Verb[]
export const streamVerbs = Object.keys(streamSchemas) as readonly StreamVerb[]

/** Reads a verb's parameters with suspicion. @throws {SkeinError} ERR_SKEIN_INVALID_OPTION naming verb, path and what was expected */
export function readParams<V extends Verb>(verb: V, params: unknown): ControlVerbs[V][0] {
  return read(verb, verbSchemas[verb], params) as ControlVerbs[V][0]
}

/** Reads a stream verb's parameters with suspicion. @throws {SkeinError} ERR_SKEIN_INVALID_OPTION */
export function readStreamParams<V extends StreamVerb>(verb: V, params: unknown): ControlStreams[V][0] {
  return read(verb, streamSchemas[verb], params) as ControlStreams[V][0]
}

function read(verb: string, schema: v.GenericSchema, params: unknown): unknown {
  const result = v.safeParse(schema, params ?? {})
  if (result.success) return result.output
  const issue = result.issues[0]
  const option = v.getDotPath(issue) ?? 'parameters'
  // What was got is repeated to whom asked, but not what may be a secret or is long, however wrong its type.
  const isPayload = (verb === 'secrets.create' || verb === 'configs.create') && option.startsWith('data')
  const words = isPayload ? 'expected bytes' : issue.message
  const detail = isPayload ? { option } : { option, got: issue.received }
  throw new SkeinError('ERR_SKEIN_INVALID_OPTION', `${verb}: ${option}: ${words}`, detail)
}
