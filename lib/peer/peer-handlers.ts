/** What a peer answers over its links: method → handler. Each reads its parameters with suspicion. */
import * as v from 'valibot'
import type { ControlCaller, LogRequest } from '../api/control.js'
import { readParams, readStreamParams, streamVerbs, verbs } from '../api/control.js'
import { readCredentialRequest, readJoinRequest, readKeyRequest } from '../api/join.js'
import type { ManagerAddress } from '../api/session.js'
import type { LogLine } from '../api/types.js'
import type { Clock } from '../base/clock.js'
import { SkeinError } from '../base/errors.js'
import type { Manager } from '../manager/index.js'
import type { LinkPool, RpcHandler } from '../overlay/transport/index.js'
import { authorizeNode, mustRenew } from '../security/index.js'
import { read } from './read-parameters.js'
import { installSessionHandlers } from './session-handlers.js'

export interface HandlerWorld {
  /** Undefined on a worker. */
  manager(): Manager | undefined
  /** Managers as last heard of, for who asks a worker. */
  managers(): readonly ManagerAddress[]
  pool(): LinkPool
  readonly clock: Clock
  /** How a worker passes its clients' calls on. */
  readonly relay: ControlCaller
  /** Answers somebody who holds a founding token and asks whether there is a cluster. */
  meet(question: unknown): Promise<unknown>
  localLogs(task: string, request: LogRequest, signal: AbortSignal): AsyncIterable<Omit<LogLine, 'task' | 'node'>>
}

const envelopeSchema = v.object({
  params: v.unknown(),
  requestId: v.pipe(v.string(), v.nonEmpty(), v.maxLength(128)),
  deadlineMs: v.pipe(v.number(), v.minValue(1), v.maxValue(3_600_000)),
  forwarded: v.boolean(),
})
const streamEnvelopeSchema = v.object({ params: v.unknown(), forwarded: v.optional(v.boolean()) })
const short = v.pipe(v.string(), v.maxLength(255))
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
  handlers.set('join.meet', async (value) => await world.meet(value))
  handlers.set(
    'join.renew',
    async (value, { identity, binding }) => await manager().joining().renew(identity, readKeyRequest(value), binding),
  )
  handlers.set('join.credential', async (value, { identity, binding }) =>
    manager().desk.credential(identity, readCredentialRequest(value), binding),
  )
  handlers.set('join.trust', (_value, { identity, signal }) =>
    manager().trustNews(mustRenew(identity) ? 'stranger' : 'member', signal),
  )
  installSessionHandlers(handlers, { manager, pool: world.pool, clock: world.clock })
  handlers.set('agent.logs', (value, { signal }) => {
    const { task, request } = read(agentLogsSchema, value)
    return world.localLogs(task, readStreamParams('logs', request), signal)
  })
  handlers.set('raft.snapshot', async (value) => {
    const { from, piece } = read(snapshotSchema, value)
    return await manager().raft.receiveSnapshotPiece(from, piece)
  })
}
