import { nanoid } from 'nanoid'
import { toBytes } from '../base/bytes.js'
import type { Clock } from '../base/clock.js'
import { isSkeinError, SkeinError } from '../base/errors.js'
import type { LogOptions } from '../drivers/driver.js'
import { checkPayload, type PayloadKind } from '../model/payload.js'
import type { ServiceSpec } from '../model/service.js'
import { type CallHead, type ControlCaller, type ControlVerbs, type LogRequest, readParams, type Verb } from './control.js'
import { converge } from './converge.js'
import type { Call, Cluster, PayloadSpec, Services, WatchOptions } from './types.js'

/** Milliseconds a call may take unless it says otherwise. */
const defaultDeadlineMs = 10_000
/** How often `services.update` tries again when someone else wrote the spec meanwhile. */
const updateTriesMax = 10

/** The public `Cluster` object over anything that can carry verbs. */
export function clusterOver(caller: ControlCaller, clock: Clock): Cluster {
  // Checked here too: a manager's own calls pass no link on which they would be. Async: what is refused rejects, it does not throw.
  const call = async <V extends Verb>(verb: V, params: ControlVerbs[V][0], o?: Call): Promise<ControlVerbs[V][1]> =>
    await caller.call(verb, readParams(verb, params), headOf(o))
  const services: Services = {
    create: (spec, o) => call('services.create', { spec }, o),
    get: (ref, o) => call('services.get', { ref }, o),
    list: (filter = {}, o) => call('services.list', { filter }, o),
    remove: async (ref, o) => void (await call('services.remove', { ref }, o)),
    replace: (ref, spec, version, o) => call('services.replace', { ref, spec, version }, o),
    scale: (ref, replicas, o) => call('services.scale', { ref, replicas }, o),
    async update(ref, change, o) {
      for (let tries = 1; ; tries++) {
        const { spec, version, id } = await services.get(ref, o)
        try {
          // A fresh request id per try: each is another write.
          return await call('services.replace', { ref: id, spec: change(spec) as ServiceSpec, version }, withoutRequestId(o))
        } catch (error) {
          if (tries === updateTriesMax || !isSkeinError(error, 'ERR_SKEIN_VERSION_CONFLICT')) throw error
        }
      }
    },
    converge: (ref, o = {}) => converge(caller, clock, ref, o),
    logs: (ref, o) => caller.stream('logs', logRequest({ service: ref }, o), o?.signal),
    endpoints: (ref, o) => call('services.endpoints', { ref }, o),
  }
  return {
    services,
    tasks: {
      get: (ref, o) => call('tasks.get', { ref }, o),
      list: (filter = {}, o) => call('tasks.list', filter, o),
      why: (ref, o) => call('tasks.why', { ref }, o),
      logs: (ref, o) => caller.stream('logs', logRequest({ task: ref }, o), o?.signal),
    },
    nodes: {
      get: (ref, o) => call('nodes.get', { ref }, o),
      list: (o) => call('nodes.list', {}, o),
      drain: (ref, o) => call('nodes.availability', { ref, availability: 'drain' }, o),
      pause: (ref, o) => call('nodes.availability', { ref, availability: 'pause' }, o),
      activate: (ref, o) => call('nodes.availability', { ref, availability: 'active' }, o),
      label: (ref, labels, o) => call('nodes.label', { ref, labels }, o),
      promote: (ref, o) => call('nodes.role', { ref, role: 'manager' }, o),
      demote: (ref, o) => call('nodes.role', { ref, role: 'worker' }, o),
      remove: async (ref, o) => void (await call('nodes.remove', { ref, force: o?.force ?? false }, o)),
    },
    secrets: {
      create: async (spec, o) => await call('secrets.create', newPayload('secret', spec), o),
      get: (ref, o) => call('secrets.get', { ref }, o),
      list: (filter = {}, o) => call('secrets.list', { filter }, o),
      update: (ref, { labels }, o) => call('secrets.update', { ref, labels }, o),
      remove: async (ref, o) => void (await call('secrets.remove', { ref }, o)),
    },
    configs: {
      create: async (spec, o) => await call('configs.create', newPayload('config', spec), o),
      get: (ref, o) => call('configs.get', { ref }, o),
      list: (filter = {}, o) => call('configs.list', { filter }, o),
      update: (ref, { labels }, o) => call('configs.update', { ref, labels }, o),
      remove: async (ref, o) => void (await call('configs.remove', { ref }, o)),
    },
    networks: {
      create: ({ name, labels = {} }, o) => call('networks.create', { name, labels }, o),
      get: (ref, o) => call('networks.get', { ref }, o),
      list: (filter = {}, o) => call('networks.list', { filter }, o),
      remove: async (ref, o) => void (await call('networks.remove', { ref }, o)),
    },
    kv: {
      get: async (key, o) => (await call('kv.get', { key, stale: o?.stale ?? false }, o)) ?? undefined,
      put: async (key, value, o) =>
        await call(
          'kv.put',
          { key, value: toBytes(value), ...(o?.ifVersion === undefined ? {} : { ifVersion: o.ifVersion }) },
          o,
        ),
      delete: async (key, o) => void (await call('kv.delete', { key }, o)),
      async *list(prefix, o) {
        yield* (await call('kv.list', { prefix }, o)).items
      },
    },
    watch: ({ kinds, since, signal }: WatchOptions = {}) =>
      caller.stream('watch', { ...(kinds && { kinds }), ...(since !== undefined && { since }) }, signal),
    clusterStatus: (o) => call('status', {}, o),
    invite: (role, o) => call('invite', { role }, o),
    tokens: { rotate: (role, o) => call('tokens.rotate', { role }, o) },
    ca: { show: (o) => call('ca.show', {}, o), rotate: (o) => call('ca.rotate', {}, o) },
  }
}

/** Checked before it travels. @throws {SkeinError} ERR_SKEIN_INVALID_SPEC, ERR_SKEIN_TOO_LARGE */
function newPayload(kind: PayloadKind, { name, data, labels = {} }: PayloadSpec): ControlVerbs['secrets.create'][0] {
  return { name, data: checkPayload(kind, toBytes(data)), labels }
}

/** Fills in what a call leaves open. @throws {SkeinError} ERR_SKEIN_INVALID_OPTION */
function headOf(o: Call | undefined): CallHead {
  const deadlineMs = o?.deadlineMs ?? defaultDeadlineMs
  if (!(deadlineMs > 0 && Number.isFinite(deadlineMs))) {
    throw new SkeinError('ERR_SKEIN_INVALID_OPTION', `deadlineMs: expected milliseconds above 0, got ${deadlineMs}`, {
      option: 'deadlineMs',
      got: deadlineMs,
    })
  }
  return { requestId: o?.requestId ?? nanoid(), deadlineMs, ...(o?.signal && { signal: o.signal }) }
}

function withoutRequestId(o: Call | undefined): Call {
  return { ...(o?.signal && { signal: o.signal }), ...(o?.deadlineMs !== undefined && { deadlineMs: o.deadlineMs }) }
}

function logRequest(which: Pick<LogRequest, 'service' | 'task'>, o: LogOptions = {}): LogRequest {
  return {
    ...which,
    follow: o.follow ?? false,
    ...(o.tail !== undefined && { tail: o.tail }),
    ...(o.since && { sinceMs: o.since.getTime() }),
    ...(o.streams && { streams: o.streams }),
  }
}
