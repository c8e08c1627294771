import { helloReportsMax, type ManagerAddress, type SessionApi, type TaskReport } from '../api/session.js'
import { abortable } from '../base/abort.js'
import { backoffMs } from '../base/backoff.js'
import type { Clock } from '../base/clock.js'
import { deferred } from '../base/deferred.js'
import { isSkeinError, messageOf, SkeinError } from '../base/errors.js'
import { type Logger, silentLogger } from '../base/logger.js'
import type { Random } from '../base/random.js'
import type { LogOptions, RuntimeDriver, UnitLogLine } from '../drivers/driver.js'
import { DriverRegistry } from '../drivers/registry.js'
import type { NodeDescription } from '../model/node.js'
import type { Storage } from '../storage/storage.js'
import { liveSession, openSession, type SessionParts } from './agent-session.js'
import { taskLogs } from './logs.js'
import { Reporter, type ReportSink } from './reporter.js'
import { TaskDb } from './task-db.js'
import type { TaskWitness } from './task-witness.js'
import { pause, within } from './waits.js'
import { type Reserved, Worker } from './worker.js'

/** The way to the leading manager. */
export interface AgentLink {
  readonly api: SessionApi
  /** Fires when the link or the leadership behind it is gone. */
  readonly closed: AbortSignal
}

export interface AgentOptions {
  /** Node id. */
  readonly node: string
  /** What the node says of itself; asked anew for each session. */
  readonly description: () => Promise<NodeDescription>
  /** host:port where this peer's links arrive. */
  readonly address: string
  /** The agent's own: closed when it stops. */
  readonly drivers: readonly RuntimeDriver[]
  /** The agent's own: closed when it stops. Keys begin with 'agent'. */
  readonly storage: Storage
  readonly clock: Clock
  readonly random: Random
  readonly logger?: Logger
  /** Finds a way to the leading manager; called again whenever the last one is gone. */
  readonly connect: (signal: AbortSignal) => Promise<AgentLink>
  /** Keeps the latest report of each task for others to read, besides what is told to the leader. */
  readonly rows?: ReportSink
  /** Is told of every task here as it goes. */
  readonly witness?: TaskWitness
  /** Where managers can be reached, whenever the leader says so. */
  readonly onManagers?: (managers: readonly ManagerAddress[]) => void
}

export interface AgentStopOptions {
  /** `stop-tasks` (default): every task is stopped within its grace and told to the manager. `leave-tasks`: they are left to their drivers. */
  readonly drain?: 'stop-tasks' | 'leave-tasks'
}

/** Delay before the next try, drawn from [b/2, b), b doubling from firstMs to maxMs; begins anew with each session that opened. */
const reconnect = { firstMs: 100, maxMs: 2_000 }
/** A leader that bids to wait longer is not obeyed. */
const waitMaxMs = 30_000
/** Redirections followed without a wait: two managers that name each other must not be asked in a tight loop. */
const redirectsMax = 3
/** How long a stopping agent waits for its goodbye to be heard. */
const farewellMs = 1_000
const stopReason = 'the peer stopped'
const removedReason = 'the node was removed from the cluster'

/**
 * The worker's end: holds a session with whichever manager leads, makes what is assigned true on this node, and says what is.
 * Tasks run on while there is no session, but for those that may not (`selfFenceAfterMs`).
 * Source: Docker Swarm's agent.
 */
export class Agent implements AsyncDisposable {
  readonly #options: AgentOptions
  readonly #logger: Logger
  readonly #reporter: Reporter
  readonly #registry: DriverRegistry
  readonly #db: TaskDb
  readonly #worker: Worker
  readonly #stopping = new AbortController()
  readonly #fault = deferred<unknown>()
  #ended: Promise<unknown> = Promise.resolve()
  #stopped: Promise<void> | undefined
  #session: { readonly id: string; readonly api: SessionApi } | undefined

  /** @throws {SkeinError} ERR_SKEIN_INVALID_OPTION when two drivers share a name */
  constructor(options: AgentOptions) {
    this.#options = options
    this.#logger = options.logger ?? silentLogger
    this.#reporter = new Reporter(options.rows)
    this.#registry = new DriverRegistry(options.drivers)
    this.#db = new TaskDb(options.storage)
    this.#worker = new Worker({
      drivers: this.#registry,
      db: this.#db,
      reporter: this.#reporter,
      witness: options.witness,
      clock: options.clock,
      random: options.random,
      logger: this.#logger,
      onFault: (error) => this.#fault.resolve(error),
    })
  }

  /** Never rejects. Resolves to undefined after stop(), to the error if the agent failed by itself (its disk, ERR_SKEIN_REMOVED, ERR_SKEIN_NOT_FOUND). */
  get ended(): Promise<unknown> {
    return this.#ended
  }

  /** Id of the open session, if there is one. */
  get session(): string | undefined {
    return this.#session?.id
  }

  /** Names of its drivers, sorted; what belongs into the node's description. */
  get driverNames(): readonly string[] {
    return this.#registry.names()
  }

  /** What is observed of every task here. */
  tasks(): readonly TaskReport[] {
    return this.#worker.reports()
  }

  /** What the tasks here that have not ended reserve. */
  reserved(): Reserved {
    return this.#worker.reserved()
  }

  /**
   * Takes up what was remembered, then looks for a manager until it is stopped. Resolves before one is found.
   * @throws {SkeinError} ERR_SKEIN_STORAGE, ERR_SKEIN_BAD_MESSAGE, and what a driver's `recover` throws
   */
  async start(): Promise<void> {
    await this.#worker.open()
    const { signal } = this.#stopping
    // A fault of the disk ends the sessions: a node that cannot remember must not be given work.
    const failed = this.#fault.promise.then((error) => {
      this.#stopping.abort()
      return error
    })
    const loop = this.#sessions(signal).then(
      () => undefined,
      (error: unknown) => error,
    )
    this.#ended = Promise.race([failed, loop])
  }

  /** Any number of times; the first call's options count. */
  stop({ drain = 'stop-tasks' }: AgentStopOptions = {}): Promise<void> {
    this.#stopped ??= this.#stop(drain)
    return this.#stopped
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  /** Lines of a task of this node. @throws {SkeinError} ERR_SKEIN_NOT_FOUND */
  logs(task: string, options: LogOptions = {}): AsyncIterable<UnitLogLine> {
    return taskLogs(this.#worker, task, options)
  }

  async #stop(drain: 'stop-tasks' | 'leave-tasks'): Promise<void> {
    await this.#worker.shutFence(stopReason)
    await this.#farewell()
    // First the session: nothing new is taken on while the tasks end, and nobody takes their end for a crash.
    this.#stopping.abort()
    await this.#ended
    if (drain === 'leave-tasks') await this.#worker.leave(stopReason)
    else await this.#worker.halt(stopReason)
    for (const driver of this.#registry.all()) {
      try {
        await driver.close?.()
      } catch (error) {
        this.#logger.warn({ driver: driver.name, why: messageOf(error) }, 'could not close a driver')
      }
    }
    await this.#db.close()
  }

  /** Says goodbye: then the manager replaces the tasks at once instead of after missing heartbeats. */
  async #farewell(): Promise<void> {
    const session = this.#session
    if (session === undefined) return
    const { node, clock } = this.#options
    try {
      // What is known to be over is replaced at once; of what stops itself nobody would believe it for long.
      if (this.#worker.hasFenced) await within(clock, farewellMs, this.#reporter.flushed(), this.#stopping.signal, 'report')
      await within(clock, farewellMs, session.api.leave(node, session.id), this.#stopping.signal, 'leave')
    } catch (error) {
      this.#logger.info({ node, why: messageOf(error) }, 'left without a goodbye')
    }
  }

  /** One session after another. Ends when stopped; rejects when the cluster has removed this node, or never knew it. */
  async #sessions(signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#options
    let attempt = 0
    // After a session that stood, and at first, losing the leader costs no wait; twice in a row it does.
    let mayHurry = true
    let redirects = 0
    while (!signal.aborted) {
      const outcome = await this.#oneSession(signal)
      if (signal.aborted) return
      if (isSkeinError(outcome.error, 'ERR_SKEIN_REMOVED') || isUnknownNode(outcome.error, this.#options.node)) {
        // What it ran is placed elsewhere, and nobody will ever tell it to stop.
        await this.#worker.halt(removedReason)
        throw outcome.error
      }
      this.#logger.info({ node: this.#options.node, why: messageOf(outcome.error) }, 'session ended')
      if (outcome.wasOpen) {
        attempt = 0
        mayHurry = true
        redirects = 0
      }
      if (outcome.isRedirected && redirects++ < redirectsMax) continue
      if (outcome.isLeaderGone && mayHurry) {
        mayHurry = false
        continue
      }
      const waitMs = askedToWaitMs(outcome.error)
      // Never earlier than told, and not all who were told the same at once.
      const delayMs = waitMs === undefined ? backoffMs(attempt++, reconnect, random) : waitMs * (1 + random() / 10)
      // Aborted: the loop's head ends it.
      await pause(clock, delayMs, signal).catch(() => {})
    }
  }

  async #oneSession(signal: AbortSignal): Promise<SessionOutcome> {
    let wasOpen = false
    let closed: AbortSignal | undefined
    const over = new AbortController()
    const end = (): void =>
      over.abort(new SkeinError('ERR_SKEIN_STOPPED', 'the link to the manager is gone', { what: 'session' }))
    signal.addEventListener('abort', end, { once: true })
    try {
      const { connect, description, address, node } = this.#options
      const link = await abortable(connect(over.signal), over.signal, 'connect')
      closed = link.closed
      closed.addEventListener('abort', end, { once: true })
      if (closed.aborted) end()
      const parts = this.#parts(link.api)
      const hello = {
        description: await abortable(description(), over.signal, 'description'),
        address,
        reports: this.#reporter.due(helloReportsMax),
      }
      const opened = await openSession(parts, hello, over.signal)
      wasOpen = true
      this.#session = { id: opened.session, api: link.api }
      parts.onManagers(opened.managers)
      this.#logger.info({ node, session: opened.session, heartbeatMs: opened.heartbeatMs }, 'session opened')
      return await liveSession(parts, opened, over.signal)
    } catch (error) {
      const isNotLeader = isSkeinError(error, 'ERR_SKEIN_NOT_LEADER')
      const isRedirected = isNotLeader && error.detail.leader !== undefined
      return { error, wasOpen, isLeaderGone: closed?.aborted === true || isNotLeader, isRedirected }
    } finally {
      this.#session = undefined
      this.#worker.sessionEnded()
      // Whoever still listens for the end of this session need not.
      end()
      signal.removeEventListener('abort', end)
      closed?.removeEventListener('abort', end)
    }
  }

  #parts(api: SessionApi): SessionParts {
    const { node, clock, onManagers = () => {} } = this.#options
    return { node, api, worker: this.#worker, reporter: this.#reporter, clock, logger: this.#logger, onManagers }
  }
}

/** The leader has no record of this node, and a leader has every record: asking again would be answered the same. */
function isUnknownNode(error: unknown, node: string): boolean {
  return isSkeinError(error, 'ERR_SKEIN_NOT_FOUND') && error.detail.kind === 'node' && error.detail.ref === node
}

/** What a busy leader bids; undefined when it bids nothing that makes sense. */
function askedToWaitMs(error: unknown): number | undefined {
  if (!isSkeinError(error, 'ERR_SKEIN_BUSY')) return undefined
  const { retryAfterMs } = error.detail
  return typeof retryAfterMs === 'number' && retryAfterMs >= 0 && retryAfterMs <= waitMaxMs ? retryAfterMs : undefined
}

interface SessionOutcome {
  readonly error: unknown
  readonly wasOpen: boolean
  readonly isLeaderGone: boolean
  /** The manager asked said who leads. */
  readonly isRedirected: boolean
}
