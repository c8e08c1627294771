/**
 * What a peer answers to workers' sessions. Any manager holds a worker's session: the leader itself, the others by passing each call on
 * to the leader over the managers' mesh, so that a worker whose manager is lost goes on over a link it has already.
 */
import * as v from 'valibot'
import {
  type Assignments,
  helloReportsMax,
  reportedStates,
  type SessionApi,
  type SessionHello,
  type SessionOpened,
  type TaskReport,
} from '../api/session.js'
import type { Clock } from '../base/clock.js'
import { isSkeinError, SkeinError } from '../base/errors.js'
import type { Manager } from '../manager/index.js'
import type { LinkPool, RpcHandler } from '../overlay/transport/index.js'
import { answerBeats, BeatRelay } from './beat-relay.js'
import { read } from './read-parameters.js'
import { leaderWaitMs } from './session-finder.js'

export interface SessionHandlerWorld {
  /** @throws {SkeinError} ERR_SKEIN_NOT_LEADER on a worker */
  manager(): Manager
  pool(): Pick<LinkPool, 'call' | 'stream' | 'ended'>
  readonly clock: Clock
}

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
const reportsSchema = v.object({ session: short, reports: v.pipe(v.array(report), v.maxLength(10_000)) })
/** What a manager passes on: for which node, and its words as they came. */
const relayedSchema = v.object({ node: short, params: v.unknown() })

/** A relayed call takes no longer than the caller waits for it. */
const relayMs = 5_000

type Act = keyof SessionApi

/** Fills `handlers`; called once, before the first link. */
export function installSessionHandlers(handlers: Map<string, RpcHandler>, world: SessionHandlerWorld): void {
  const { manager, pool } = world

  const beats = new BeatRelay(world)
  const perform = async (act: Exclude<Act, 'assignments' | 'beat'>, node: string, params: unknown): Promise<unknown> => {
    const api = manager().sessions()
    if (act === 'open') return await api.open(node, helloOf(params))
    if (act === 'report') {
      const { session, reports } = read(reportsSchema, params)
      return await api.report(node, session, reports.map(known))
    }
    await api.leave(node, read(sessionSchema, params).session)
    return null
  }
  const listen = (node: string, params: unknown, signal: AbortSignal): AsyncIterable<Assignments> =>
    manager().sessions().assignments(node, read(sessionSchema, params).session, signal)

  for (const act of ['open', 'report', 'leave'] as const) {
    handlers.set(`session.${act}`, async (params, { identity, signal }) => {
      if (act === 'open') await manager().servingWithin(leaderWaitMs, signal)
      const leader = relayTo(manager())
      const answer =
        leader === undefined
          ? await perform(act, identity.node, params)
          : await passedOn(pool().call(leader, `relay.${act}`, { node: identity.node, params }, { deadlineMs: relayMs, signal }))
      return act === 'open' && leader !== undefined ? { ...(answer as SessionOpened), leader } : answer
    })
    handlers.set(`relay.${act}`, async (value, { signal }) => {
      const { node, params } = read(relayedSchema, value)
      if (act === 'open') await manager().servingWithin(leaderWaitMs, signal)
      // Never passed on twice: two managers that take each other for the leader must not play ball.
      return await perform(act, node, params)
    })
  }
  // Its signal is not asked for: beats are what a leader hears most, and one signal would cost more than one of them.
  handlers.set('session.beat', async (params, { identity }) => {
    const { session } = read(sessionSchema, params)
    const leader = relayTo(manager())
    if (leader === undefined) return await manager().sessions().beat(identity.node, session)
    return await passedOn(beats.beat(leader, identity.node, session))
  })
  handlers.set('relay.beats', async (value) => await answerBeats(manager().sessions(), value))
  handlers.set('session.assignments', (params, { identity, signal }) => {
    const leader = relayTo(manager())
    if (leader === undefined) return listen(identity.node, params, signal)
    return relayed(pool().stream(leader, 'relay.assignments', { node: identity.node, params }, { signal }))
  })
  handlers.set('relay.assignments', (value, { signal }) => {
    const { node, params } = read(relayedSchema, value)
    return listen(node, params, signal)
  })
}

/** The manager to pass a worker's words on to; undefined: this one answers, or refuses, itself. */
function relayTo(manager: Manager): string | undefined {
  const leader = manager.leaderNode()
  return manager.leading || leader === manager.node ? undefined : leader
}

/** A leader that is lost on the way is for the worker what one that steps down is. */
async function passedOn<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    throw lostLeader(error)
  }
}

async function* relayed(stream: AsyncIterable<unknown>): AsyncGenerator<unknown, void, void> {
  try {
    yield* stream
  } catch (error) {
    throw lostLeader(error)
  }
}

const lost = ['ERR_SKEIN_LINK_LOST', 'ERR_SKEIN_UNREACHABLE', 'ERR_SKEIN_STOPPED', 'ERR_SKEIN_TIMEOUT'] as const

function lostLeader(error: unknown): unknown {
  if (!lost.some((code) => isSkeinError(error, code))) return error
  return new SkeinError('ERR_SKEIN_NOT_LEADER', 'the leader is gone; ask again', { leader: undefined }, { cause: error })
}

function helloOf(params: unknown): SessionHello {
  const hello = read(helloSchema, params)
  return { ...hello, reports: hello.reports.map(known) }
}

function known({ exitCode, ...rest }: v.InferOutput<typeof report>): TaskReport {
  return { ...rest, ...(exitCode !== undefined && { exitCode }) }
}
