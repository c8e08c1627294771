import type { Assignments, ManagerAddress, SessionApi, SessionHello, SessionOpened, TaskReport } from '../api/session.js'
import { isSkeinError, SkeinError } from '../base/errors.js'
import type { Manager } from '../manager/index.js'
import type { LinkPool } from '../overlay/transport/index.js'

export interface SessionFinderWorld {
  readonly node: string
  readonly pool: LinkPool
  /** Undefined on a worker. */
  manager(): Manager | undefined
  /** Managers as last heard of. */
  managers(): readonly ManagerAddress[]
}

export interface FoundSession {
  readonly api: SessionApi
  /** Aborts when this way to the leader is gone. */
  readonly closed: AbortSignal
}

/** A manager that does not answer within this is passed over. */
const callMs = 5_000
/**
 * How long a manager waits for a leader to be known before it says that there is none, to its own agent and to workers that ask:
 * an election ends well within it, and nobody has to guess when to ask again.
 */
export const leaderWaitMs = 1_000

/** Finds the leading manager for the agent: itself, the leader it knows as a manager, or by asking the managers in turn. */
export class SessionFinder {
  readonly #world: SessionFinderWorld
  /** What the last manager asked said of the leader. */
  #hint: ManagerAddress | undefined
  /** The cluster refused this node for good. */
  #refused: SkeinError | undefined
  #turn = 0
  #held: string | undefined

  constructor(world: SessionFinderWorld) {
    this.#world = world
  }

  async connect(signal: AbortSignal): Promise<FoundSession> {
    if (this.#refused !== undefined) throw this.#refused
    const manager = this.#world.manager()
    if (manager?.leading) return { api: localSession(manager), closed: manager.term }
    const target = manager === undefined ? this.#nextManager() : await this.#leaderOf(manager, signal)
    if (target.node !== '') this.#hold(target)
    return { api: this.#remoteSession(target), closed: this.#closedWith(target.node, signal) }
  }

  /** A worker asks the hinted leader first, then everybody in turn. */
  #nextManager(): ManagerAddress {
    const hint = this.#hint
    this.#hint = undefined
    if (hint !== undefined) return hint
    const managers = this.#world.managers()
    const next = managers[this.#turn++ % Math.max(1, managers.length)]
    if (next === undefined) throw new SkeinError('ERR_SKEIN_UNREACHABLE', 'no manager is known', { address: 'none' })
    return next
  }

  async #leaderOf(manager: Manager, signal: AbortSignal): Promise<ManagerAddress> {
    const node = await manager.leaderWithin(leaderWaitMs, signal)
    if (node === undefined || node === this.#world.node) {
      throw new SkeinError('ERR_SKEIN_NOT_LEADER', 'no leader is known yet', { leader: undefined })
    }
    return manager.managers().find((each) => each.node === node) ?? { node, address: '' }
  }

  /** A worker keeps a link to one manager at a time; managers keep their mesh themselves. */
  #hold({ node, address }: ManagerAddress): void {
    if (this.#world.manager() !== undefined) return
    if (this.#held !== undefined && this.#held !== node) this.#world.pool.release(this.#held, 'session')
    this.#held = node
    this.#world.pool.keep(node, address, 'session')
  }

  #closedWith(node: string, signal: AbortSignal): AbortSignal {
    const closed = new AbortController()
    const undo: (() => void)[] = []
    const end = (): void => {
      for (const act of undo.splice(0)) act()
      signal.removeEventListener('abort', end)
      closed.abort()
    }
    undo.push(
      this.#world.pool.observe((event) => {
        // Missed: nobody answers there; whoever waits for that link should ask another.
        if (event.type === 'missed' && event.node === node && event.error.code === 'ERR_SKEIN_REMOVED')
          this.#refused = event.error
        if ((event.type === 'down' || event.type === 'missed') && event.node === node) end()
      }),
    )
    const manager = this.#world.manager()
    if (manager !== undefined) {
      undo.push(
        manager.raft.observe(() => {
          if (manager.leaderNode() !== node) end()
        }),
      )
    }
    signal.addEventListener('abort', end, { once: true })
    return closed.signal
  }

  #remoteSession(target: ManagerAddress): SessionApi {
    const { pool } = this.#world
    const { node } = target
    const call = async (method: string, params: unknown): Promise<unknown> => {
      try {
        return await pool.call(node, method, params, { deadlineMs: callMs })
      } catch (error) {
        if (
          isSkeinError(error, 'ERR_SKEIN_NOT_LEADER') &&
          error.detail.leader !== undefined &&
          error.detail.address !== undefined
        ) {
          this.#hint = { node: error.detail.leader, address: error.detail.address }
        }
        throw error
      }
    }
    return {
      open: async (_node: string, hello: SessionHello) => (await call('session.open', hello)) as SessionOpened,
      beat: async (_node, session) => (await call('session.beat', { session })) as { heartbeatMs: number },
      assignments: (_node, session, signal) =>
        pool.stream(node, 'session.assignments', { session }, { signal }) as AsyncIterable<Assignments>,
      report: async (_node, session, reports: readonly TaskReport[]) =>
        (await call('session.report', { session, reports })) as { forget: readonly string[] },
      leave: async (_node, session) => void (await call('session.leave', { session })),
    }
  }
}

/** The leader's own agent talks to the dispatcher beside it, whichever serves the present term. */
function localSession(manager: Manager): SessionApi {
  return {
    open: async (node, hello) => await manager.sessions().open(node, hello),
    beat: async (node, session) => await manager.sessions().beat(node, session),
    assignments: (node, session, signal) => manager.sessions().assignments(node, session, signal),
    report: async (node, session, reports) => await manager.sessions().report(node, session, reports),
    leave: async (node, session) => await manager.sessions().leave(node, session),
  }
}
