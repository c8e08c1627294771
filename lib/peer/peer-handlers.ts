/** What a peer answers over its links: method → handler. Each reads its parameters with suspicion. */
import * as v from 'valibot'
import type { ControlCaller, LogRequest } from '../api/control.js'
import { readParams, readStreamParams, streamVerbs, verbs } from '../api/control.js'
import { readCredentialRequest, readJoinRequest, readKeyRequest } from '../api/join.js'
import { helloReportsMax, type ManagerAddress, reportedStates, type TaskReport } from '../api/session.js'
import type { LogLine } from '../api/types.js'
import { SkeinError } from '../base/errors.js'
import type { Manager } from '../manager/index.js'
import type { RpcHandler } from '../overlay/transport/index.js'
import { authorizeNode } from '../security/index.js'
import { leaderWaitMs } from './session-finder.js'

export interface HandlerWorld {
  /** Undefined on a worker. */
  manager(): Manager | undefined
  /** Managers as last heard of, for who asks a worker. */
  managers(): readonly ManagerAddress[]
  /** How a worker passes its clients' calls on. */
  readonly relay: ControlCaller
  localLogs(task: string, request: LogRequest, signal: AbortSignal): AsyncIterable<Omit<LogLine, 'task' | 'node'>>
}

const envelopeSchema = v.object({
  params: v.unknown(),
  requestId: v.pipe(v.string(), v.nonEmpty(), v.maxLength(128)),
  deadlineMs: v.pipe(v.number(), v.minValue(1), v.maxValue(3_600_000)),
  forwarded: v.boolean(),
})
const streamEnvelopeSchema = v.object({ params: v.unknown(), forwarded: v.optional(v.boolean()) })
const resources = v.object({ cpuNanos: v.number(), memoryBytes: v.number() })
const short = v.pipe(v.string(), v.maxLength(255))
const report = v.object({
  id: short,
  state: v.picklist(reportedStates),
  message: v.pipe(v.string(), v.maxLength(4096)),
  exitCode: v.optional(v.number()),
})
const helloSchema = v.object({
  address: short,
  reports: v.pipe(v.array(report), v.maxLength(helloReportsMax)),
  description: v.object({
    hostname: short,
    os: short,
    arch: short,
    pid: v.number(),
    resources,
    drivers: v.pipe(v.array(short), v.maxLength(64)),
  }),
})
const sessionSchema = v.object({ session: short })
const reportsSchema = v.object({
  session: short,
  reports: v.pipe(v.array(report), v.maxLength(10_000)),
})
const agentLogsSchema = v.object({ task: short, request: v.unknown() })
const snapshotSchema = v.object({ from: v.pipe(v.number(), v.safeInteger()), piece: v.instance(Uint8Array) })

/** Fills `handlers`; called once, before the first link. */
export function installHandlers(handlers: Map<string, RpcHandler>, world: HandlerWorld): void {
  const manager = (): Manager => {
    const found = world.manager()
    if (found !== undefined) return found
    const [address] = world.managers().map((each) => each.address)
    throw new SkeinError('ERR_SKEIN_NOT_LEADER', 'this peer is a worker; ask a manager', {
      leader: undefined,
      ...(address !== undefined && { address }),
    })
  }
  for (const verb of verbs) {
    handlers.set(`control.${verb}`, async (value, { signal, identity }) => {
      const { params, requestId, deadlineMs, forwarded } = read(envelopeSchema, value)
      const head = { requestId, deadlineMs, signal }
      const known = readParams(verb, params)
      const refusal = 'ref' in known ? authorizeNode(identity, `control.${verb}`, known.ref) : undefined
      if (refusal !== undefined) throw refusal
      const own = world.manager()
      if (own === undefined) return await world.relay.call(verb, known, head)
      return forwarded ? await own.control.carryOut(verb, known, head) : await own.control.call(verb, known, head)
    })
  }
  for (const verb of streamVerbs) {
    handlers.set(`control.${verb}`, (value, { signal }) => {
      const { params, forwarded } = read(streamEnvelopeSchema, value)
      const known = readStreamParams(verb, params)
      const own = world.manager()
      if (own === undefined) return world.relay.stream(verb, known, signal)
      return forwarded ? own.control.carryOutStream(verb, known, signal) : own.control.stream(verb, known, signal)
    })
  }
  handlers.set('join.join', async (value, { binding }) => await manager().joining().join(readJoinRequest(value), binding))
  handlers.set(
    'join.renew',
    async (value, { identity, binding }) => await manager().joining().renew(identity, readKeyRequest(value), binding),
  )
  handlers.set('join.credential', async (value, { identity, binding }) =>
    manager().desk.credential(identity, readCredentialRequest(value), binding),
  )
  handlers.set('join.trust', (_value, { identity, signal }) =>
    manager().trustNews(identity.role === 'returning' ? 'stranger' : 'member', signal),
  )
  handlers.set('session.open', async (value, { identity, signal }) => {
    const hello = read(helloSchema, value)
    await manager().leaderWithin(leaderWaitMs, signal)
    return await manager()
      .sessions()
      .open(identity.node, { ...hello, reports: hello.reports.map(known) })
  })
  handlers.set(
    'session.beat',
    async (value, { identity }) => await manager().sessions().beat(identity.node, read(sessionSchema, value).session),
  )
  handlers.set('session.leave', async (value, { identity }) => {
    await manager().sessions().leave(identity.node, read(sessionSchema, value).session)
    return null
  })
  handlers.set('session.assignments', (value, { identity, signal }) =>
    manager().sessions().assignments(identity.node, read(sessionSchema, value).session, signal),
  )
  handlers.set('session.report', async (value, { identity }) => {
    const { session, reports } = read(reportsSchema, value)
    return await manager().sessions().report(identity.node, session, reports.map(known))
  })
  handlers.set('agent.logs', (value, { signal }) => {
    const { task, request } = read(agentLogsSchema, value)
    return world.localLogs(task, readStreamParams('logs', request), signal)
  })
  handlers.set('raft.snapshot', async (value) => {
    const { from, piece } = read(snapshotSchema, value)
    return await manager().raft.receiveSnapshotPiece(from, piece)
  })
}

function known({ exitCode, ...rest }: v.InferOutput<typeof report>): TaskReport {
  return { ...rest, ...(exitCode !== undefined && { exitCode }) }
}

function read<S extends v.GenericSchema>(schema: S, value: unknown): v.InferOutput<S> {
  const result = v.safeParse(schema, value)
  if (result.success) return result.output
  const path = v.getDotPath(result.issues[0]) ?? 'parameters'
  throw new SkeinError('ERR_SKEIN_BAD_MESSAGE', `${path}: ${result.issues[0].message}`, { path })
}
