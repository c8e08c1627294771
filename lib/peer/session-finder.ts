import { createHash } from 'node:crypto'
import type {
  Assignments,
  BeatAnswer,
  ManagerAddress,
  SessionApi,
  SessionHello,
  SessionOpened,
  TaskReport,
} from '../api/session.js'
import type { Clock } from '../base/clock.js'
import { isSkeinError, SkeinError } from '../base/errors.js'
import { pause } from '../base/pause.js'
import type { Random } from '../base/random.js'
import type { Manager } from '../manager/index.js'
import type { LinkPool } from '../overlay/transport/index.js'
import { Homing } from './homing.js'

export interface SessionFinderWorld {
  readonly node: string
  readonly pool: Pick<LinkPool, 'call' | 'stream' | 'keep' | 'release' | 'link' | 'observe'>
  readonly clock: Clock
  readonly random: Random
  /** Undefined on a worker, and on a manager that never heard of a leader yet. */
  manager(): Pick<Manager, 'leading' | 'term' | 'sessions' | 'leaderWithin' | 'leaderNode' | 'managers' | 'raft'> | undefined
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
/** Workers that lost the same manager come to the next one within this, not all at once. */
const switchWithinMs = 100
/** The link that is only held ready is made within this: handshakes are what costs managers most. */
const standbyWithinMs = 1_000

/** What went out over the way before is answered over it, or counts as lost. */
const lingerMs = 10_000

/** Through which manager a session goes; a worker's may go through another one while it stands. */
interface Way {
  manager: ManagerAddress
  /** Aborts when it goes through another one. */
  moved: AbortController
  /** Aborts when there is no way any more. */
  readonly closed: AbortController
}

/**
 * Finds the way to the leader for the agent. On a manager: itself, or the leader it knows. On a worker: any manager, since each passes
 * sessions on; which one is drawn from the ids, so that workers spread. A second link is held ready: to the leader if the session
 * is with another manager (it reaches every worker so), else to the next in line. A worker that loses its manager goes on over it,
 * without a dial, and in time goes back (`homing`).
 */
export class SessionFinder {
  readonly #world: SessionFinderWorld
  /** The cluster refused this node for good. */
  #refused: SkeinError | undefined
  /** With whom the session is, or was last. */
  #session: ManagerAddress | undefined
  #standby: ManagerAddress | undefined
  /** Who leads, as the last session's manager said. */
  #leader: string | undefined
  /** Asked in vain since a session last opened. */
  readonly #tried = new Set<string>()
  /** Calls of the present session that wait for an answer. */
  #calls = { unanswered: 0 }
  #cancelStandby: (() => void) | undefined
  #homing: Homing | undefined
  /** Times a session went on through its own manager while it stood. */
  moves = 0
  /** Lets the link go that the session has left. */
  #leave: (() => void) | undefined

  /** A session is open, and goes through another manager than its own. */
  get isAway(): boolean {
    return this.#homing?.isAway === true
  }

  constructor(world: SessionFinderWorld) {
    this.#world = world
  }

  /** @throws {SkeinError} ERR_SKEIN_UNREACHABLE (no manager is known), ERR_SKEIN_NOT_LEADER, ERR_SKEIN_REMOVED */
  async connect(signal: AbortSignal): Promise<FoundSession> {
    if (this.#refused !== undefined) throw this.#refused
    const manager = this.#world.manager()
    if (manager !== undefined) this.#letGo()
    if (manager?.leading) return { api: localSession(manager), closed: manager.term }
    if (manager === undefined) await this.#spread(signal)
    const target = manager === undefined ? this.#nextManager() : await this.#leaderOf(manager, signal)
    if (manager === undefined) this.#hold(target)
    const way: Way = { manager: target, moved: new AbortController(), closed: new AbortController() }
    return { api: this.#remoteSession(way), closed: this.#closedWith(way, signal) }
  }

  /** Not all workers at once, and each without a guess when to ask. */
  async #spread(signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#world
    if (this.#session !== undefined) await pause(clock, random() * switchWithinMs, signal)
  }

  /** First those not asked in vain, of these first whoever there is a link to, then by the order drawn from the ids. */
  #nextManager(): ManagerAddress {
    const { pool } = this.#world
    // It lives, by its link, and does not answer: another one first.
    if (this.#session !== undefined && this.#calls.unanswered > 0) this.#tried.add(this.#session.node)
    const line = this.#line()
    if (line.every(({ node }) => this.#tried.has(node))) this.#tried.clear()
    const untried = line.filter(({ node }) => !this.#tried.has(node))
    const next = untried.find(({ node }) => pool.link(node) !== undefined) ?? untried[0]
    if (next === undefined) throw new SkeinError('ERR_SKEIN_UNREACHABLE', 'no manager is known', { address: 'none' })
    this.#tried.add(next.node)
    return next
  }

  /** All managers in this worker's order: rendezvous hashing, so that a manager that comes or goes moves only its own share. */
  #line(): readonly ManagerAddress[] {
    const { node, managers } = this.#world
    return managers()
      .filter((manager) => manager.node !== node) // itself, while it is on the way to be one
      .map((manager) => ({ manager, weight: createHash('sha256').update(`${node} ${manager.node}`).digest('hex') }))
      .sort((a, b) => (a.weight < b.weight ? -1 : 1))
      .map(({ manager }) => manager)
  }

  async #leaderOf(manager: NonNullable<ReturnType<SessionFinderWorld['manager']>>, signal: AbortSignal): Promise<ManagerAddress> {
    const node = await manager.leaderWithin(leaderWaitMs, signal)
    if (node === undefined || node === this.#world.node) {
      throw new SkeinError('ERR_SKEIN_NOT_LEADER', 'no leader is known yet', { leader: undefined })
    }
    return manager.managers().find((each) => each.node === node) ?? { node, address: '' }
  }

  /** Managers keep their mesh themselves; a worker keeps the link of its session. */
  #hold(next: ManagerAddress): void {
    const { pool } = this.#world
    const before = this.#session
    this.#session = next
    // Kept before the other is let go: it may be the same link.
    pool.keep(next.node, next.address, 'session')
    if (before !== undefined && before.node !== next.node) pool.release(before.node, 'session')
  }

  /** What was held as a worker a manager does not need: its mesh reaches them all. */
  #letGo(): void {
    const { pool } = this.#world
    this.#cancelStandby?.()
    if (this.#session !== undefined) pool.release(this.#session.node, 'session')
    if (this.#standby !== undefined) pool.release(this.#standby.node, 'standby')
    this.#session = undefined
    this.#standby = undefined
  }

  /** The session is open: the other link is made or moved, in its own time, and the session may go home. */
  #opened(way: Way, { session, leader }: SessionOpened): void {
    this.#tried.clear()
    this.#leader = leader
    // The answer came after the link was lost, or we stopped: nobody would end what begins here.
    if (way.closed.signal.aborted || this.#world.manager() !== undefined) return
    this.#planStandby()
    const { clock, random, pool } = this.#world
    this.#homing?.stop()
    this.#homing = new Homing({
      clock,
      random,
      pool,
      home: () => this.#line()[0],
      through: () => way.manager.node,
      isKnownAt: async (manager) => {
        try {
          await this.#beat(manager, session)
          return true
        } catch {
          // Whatever the reason, the way there is now is as good as it was.
          return false
        }
      },
      move: (to) => this.#move(way, to),
    })
    this.#homing.start()
  }

  #planStandby(): void {
    const { clock, random } = this.#world
    const inLine = this.#line().filter(({ node }) => node !== this.#session?.node)
    const next = inLine.find(({ node }) => node === this.#leader) ?? inLine[0]
    this.#cancelStandby?.()
    // The first is made at once: a worker that starts comes alone, those that lost a manager come all together.
    const delayMs = this.#standby === undefined ? 0 : random() * standbyWithinMs
    if (next?.node === this.#standby?.node && next?.address === this.#standby?.address) return
    this.#cancelStandby = clock.after(delayMs, () => {
      const { pool } = this.#world
      const before = this.#standby
      this.#standby = next
      if (next !== undefined) pool.keep(next.node, next.address, 'standby')
      if (before !== undefined && before.node !== next?.node) pool.release(before.node, 'standby')
    })
  }

  /** The same session through another manager, over a link that stands: its assignments are told anew, its next words go there. */
  #move(way: Way, to: ManagerAddress): void {
    const { clock, pool } = this.#world
    const { manager: before, moved } = way
    this.#leave?.()
    pool.keep(to.node, to.address, 'session')
    this.#session = to
    way.manager = to
    this.moves++
    way.moved = new AbortController()
    moved.abort()
    const cancel = clock.after(lingerMs, () => this.#leave?.())
    this.#leave = () => {
      cancel()
      this.#leave = undefined
      if (this.#session?.node !== before.node) pool.release(before.node, 'session')
    }
    this.#planStandby()
  }

  #closedWith(way: Way, signal: AbortSignal): AbortSignal {
    const { closed } = way
    const undo: (() => void)[] = []
    const end = (): void => {
      for (const act of undo.splice(0)) act()
      this.#cancelStandby?.()
      this.#homing?.stop()
      this.#leave?.()
      signal.removeEventListener('abort', end)
      closed.abort()
    }
    undo.push(
      this.#world.pool.observe((event) => {
        const { node } = way.manager
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
          if (manager.leaderNode() !== way.manager.node) end()
        }),
      )
    }
    signal.addEventListener('abort', end, { once: true })
    if (signal.aborted) end()
    return closed.signal
  }

  async #call(manager: string, method: string, params: unknown): Promise<unknown> {
    return await this.#world.pool.call(manager, method, params, { deadlineMs: callMs })
  }

  /** On a channel of its own: what else goes to that manager, however large, must not make this node look silent. */
  async #beat(manager: string, session: string): Promise<unknown> {
    return await this.#world.pool.call(manager, 'session.beat', { session }, { deadlineMs: callMs, channel: 'session' })
  }

  #remoteSession(way: Way): SessionApi {
    const calls = { unanswered: 0 }
    this.#calls = calls
    const counted = async (work: Promise<unknown>): Promise<unknown> => {
      calls.unanswered++
      try {
        return await work
      } finally {
        calls.unanswered--
      }
    }
    const call = (method: string, params: unknown): Promise<unknown> => counted(this.#call(way.manager.node, method, params))
    return {
      open: async (_node: string, hello: SessionHello) => {
        try {
          const opened = (await call('session.open', hello)) as SessionOpened
          this.#opened(way, opened)
          return opened
        } catch (error) {
          // The leader lets them in one by one: another manager would only ask the same leader, over a link still to be made.
          if (isSkeinError(error, 'ERR_SKEIN_BUSY')) this.#tried.delete(way.manager.node)
          throw error
        }
      },
      beat: async (_node, session) => (await counted(this.#beat(way.manager.node, session))) as BeatAnswer,
      assignments: (_node, session, signal) => this.#assignments(way, session, signal),
      report: async (_node, session, reports: readonly TaskReport[]) =>
        (await call('session.report', { session, reports })) as { forget: readonly string[] },
      leave: async (_node, session) => void (await call('session.leave', { session })),
    }
  }

  /** One stream over one way after another; each begins with everything. */
  async *#assignments(way: Way, session: string, signal: AbortSignal): AsyncGenerator<Assignments, void, void> {
    for (;;) {
      const { manager, moved } = way
      const leg = AbortSignal.any([signal, moved.signal])
      try {
        yield* this.#world.pool.stream(
          manager.node,
          'session.assignments',
          { session },
          { signal: leg },
        ) as AsyncIterable<Assignments>
        if (way.moved === moved) return
      } catch (error) {
        if (way.moved === moved) throw error
      }
    }
  }
}

/** The leader's own agent talks to the dispatcher beside it, whichever serves the present term. */
function localSession(manager: Pick<Manager, 'sessions'>): SessionApi {
  return {
    open: async (node, hello) => await manager.sessions().open(node, hello),
    beat: async (node, session) => await manager.sessions().beat(node, session),
    assignments: (node, session, signal) => manager.sessions().assignments(node, session, signal),
    report: async (node, session, reports) => await manager.sessions().report(node, session, reports),
    leave: async (node, session) => await manager.sessions().leave(node, session),
  }
}
