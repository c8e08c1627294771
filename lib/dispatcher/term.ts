/** One leadership of the dispatcher: sessions, their timers, what workers are told and what they report. Ends once, for good. */

import {
  type Assignments,
  type BeatAnswer,
  type ManagerAddress,
  reportedStates,
  type SessionHello,
  type SessionOpened,
  type TaskReport,
} from '../api/session.js'
import type { Rows, TaskRow } from '../api/worker-rows.js'
import type { Clock } from '../base/clock.js'
import { type Deferred, deferred } from '../base/deferred.js'
import { SkeinError } from '../base/errors.js'
import type { Random } from '../base/random.js'
import { checkNodeDescription } from '../model/check-node.js'
import type { Op, TaskObservation } from '../model/command.js'
import { canAdvance, type TaskState } from '../model/task.js'
import type { Evidence } from '../overlay/transport/transport.js'
import type { Change, Store } from '../store/index.js'
import { Admission, type AdmissionOptions } from './admission.js'
import { AssignmentFeed, type OpenSecret } from './assignments.js'
import type { DialFinding } from './confirmations.js'
import { Contacts } from './contacts.js'
import { beatPeriodMs, type HeartbeatSettings } from './heartbeat.js'
import { type Membership, NodeWatch } from './node-watch.js'
import { followRows } from './row-follower.js'
import { Sessions } from './sessions.js'
import { Standing } from './standing.js'
import { StatusBatch } from './status-batch.js'

export interface DispatcherWorld {
  readonly store: Pick<Store, 'view' | 'onChange' | 'submit'>
  readonly clock: Clock
  readonly random: Random
  /** The cluster's present settings. */
  settings(): HeartbeatSettings
  /** Where managers can be reached now. */
  managers(): readonly ManagerAddress[]
  /** Who is alive by the word of many; undefined: only sessions and links tell. */
  readonly membership?: Membership | undefined
  /** Connects to an address and hangs up, never rejects: what a broken link has to be confirmed by. undefined: none counts as proof. */
  readonly dial?: ((address: string) => Promise<DialFinding>) | undefined
  /** Resolves when a majority has confirmed, since the call, that this manager leads; undefined: workers are told nothing of that. */
  readonly confirm?: (() => Promise<void>) | undefined
  /** How many workers may register at once, and a second. */
  readonly admission?: AdmissionOptions | undefined
  /** Opens the secrets that workers' tasks need; undefined: none can be opened. */
  readonly openSecret?: OpenSecret | undefined
  /** What workers say of their tasks besides; undefined: only their sessions tell. */
  readonly rows?: Rows<TaskRow> | undefined
}

type NodeStatus = Extract<Op, { op: 'node.status' }>

interface Stream {
  readonly session: string
  woken: Deferred<void>
}

/** Milliseconds a proposal of the dispatcher may take; then it counts as failed, and is made again. */
const proposeMs = 5_000
/** Longest message of a task in the log: a thousand reports fit one command with room to spare. */
const messageLengthMax = 300
/** Descriptions are large; this many fit one command. */
const nodesPerProposal = 100

const workerStates: ReadonlySet<TaskState> = new Set(reportedStates)

export class Term {
  readonly #world: DispatcherWorld
  readonly #sessions: Sessions
  readonly #admission: Admission
  readonly #streams = new Map<string, Stream>()
  readonly #nodes: StatusBatch<string, NodeStatus>
  readonly #tasks: StatusBatch<number, TaskObservation>
  readonly #watch: NodeWatch
  readonly #contacts: Contacts
  readonly #standing: Standing | undefined
  readonly #ending = new AbortController()
  #cleanups: (() => void)[] = []
  #following: Promise<void> = Promise.resolve()

  constructor(world: DispatcherWorld) {
    this.#world = world
    this.#sessions = new Sessions(world.random)
    this.#admission = new Admission(world.random, world.admission)
    this.#contacts = new Contacts(world.clock)
    this.#standing = world.confirm && new Standing({ clock: world.clock, confirm: world.confirm })
    this.#nodes = new StatusBatch({
      clock: world.clock,
      itemsMax: nodesPerProposal,
      merge: (was, next) => ({ ...was, ...next }),
      propose: (ops) => this.#submit(ops),
    })
    this.#tasks = new StatusBatch({
      clock: world.clock,
      merge: (was, next) => (canAdvance(was.state, next.state) ? next : was),
      propose: (updates) => this.#submit([{ op: 'tasks.observe', updates }]),
    })
    this.#watch = new NodeWatch({
      clock: world.clock,
      sessions: this.#sessions,
      membership: world.membership,
      dial: world.dial,
      settings: () => world.settings(),
      view: () => world.store.view(),
      record: (id, state, message) => this.#nodes.add([[id, { op: 'node.status', id, state, message }]]),
      lost: (node) => this.#wake(node),
    })
  }

  /**
   * Nobody has spoken to this leader yet. Who is alive by the word of many stays ready; who else was ready is unknown until it
   * registers. Nobody is down for it.
   */
  begin(): void {
    const { store, clock, membership } = this.#world
    const unheard: [string, NodeStatus][] = []
    for (const { id, state } of store.view().nodes()) {
      if (state === 'down') continue
      this.#sessions.expect(id, clock.now())
      if (state === 'ready' && membership?.member(id)?.state !== 'alive')
        unheard.push([id, { op: 'node.status', id, state: 'unknown', message: 'the new leader has not heard of it yet' }])
    }
    this.#nodes.add(unheard).catch(() => {
      // It stays ready by its record then, and is judged by its silence all the same.
    })
    this.#cleanups.push(store.onChange((changes) => this.#changed(changes)))
    this.#watch.begin()
    this.#standing?.begin(this.#world.settings().heartbeatMs)
    this.#following = this.#followRows()
  }

  /** Closes every session; resolves when nothing of this term is under way. */
  async end(): Promise<void> {
    this.#ending.abort()
    for (const cleanup of this.#cleanups.splice(0)) cleanup()
    this.#watch.end()
    this.#standing?.end()
    for (const node of this.#streams.keys()) this.#wake(node)
    await Promise.all([this.#nodes.close(notLeading()), this.#tasks.close(notLeading()), this.#following])
  }

  async open(node: string, { description, address, reports }: SessionHello): Promise<SessionOpened> {
    this.#refuseStranger(node)
    const checked = checkNodeDescription(description)
    const { clock } = this.#world
    const retryAfterMs = this.#admission.ask(clock.now())
    if (retryAfterMs !== undefined) {
      // Whoever knocks lives: waiting to be let in is no silence.
      this.#sessions.heard(node, clock.now())
      const words = `too many workers register at once; ask again in ${retryAfterMs} ms`
      throw new SkeinError('ERR_SKEIN_BUSY', words, { limit: 'sessions', retryAfterMs })
    }
    // An open session is proof of itself: it is recorded by a majority.
    this.#contacts.answer(node)
    // Before the node is ready: what ended while it was away must not be seen as running on a node that is back.
    await this.#tasks.add(this.#newsOf(node, reports).news)
    const session = this.#sessions.register(node, clock.now())
    this.#watch.registered(node)
    this.#wake(node)
    const status: NodeStatus = { op: 'node.status', id: node, state: 'ready', message: 'ready', description: checked, address }
    try {
      await this.#nodes.add([[node, status]])
    } catch (error) {
      this.#sessions.withdraw(node, session, clock.now())
      throw error
    }
    return { session, heartbeatMs: beatPeriodMs(this.#world.settings(), this.#world.random), managers: this.#world.managers() }
  }

  beat(node: string, session: string, agoMs = 0): BeatAnswer {
    this.#signOfLife(node, session, agoMs)
    this.#contacts.answer(node)
    const heartbeatMs = beatPeriodMs(this.#world.settings(), this.#world.random)
    const ledAgoMs = this.#standing?.agoMs()
    return { heartbeatMs, ...(ledAgoMs !== undefined && { ledAgoMs }) }
  }

  /** Milliseconds for which the node was certainly answered by no leader. */
  silentMs(node: string): number {
    return this.#contacts.silentMs(node)
  }

  /** A second stream of a session ends the first: the agent has opened it again. */
  async *assignments(node: string, session: string, signal: AbortSignal): AsyncGenerator<Assignments, void, void> {
    this.#refuseWithoutSession(node, session)
    const feed = new AssignmentFeed(node, this.#world.openSecret)
    const stream: Stream = { session, woken: deferred() }
    this.#wake(node)
    this.#streams.set(node, stream)
    const onAbort = (): void => stream.woken.resolve()
    signal.addEventListener('abort', onAbort)
    try {
      yield feed.complete(this.#world.store.view(), this.#world.managers())
      while (!signal.aborted && this.#streams.get(node) === stream) {
        this.#refuseWithoutSession(node, session)
        const message = feed.difference(this.#world.store.view(), this.#world.managers())
        if (message !== undefined) yield message
        else await stream.woken.promise
        stream.woken = deferred()
      }
    } finally {
      signal.removeEventListener('abort', onAbort)
      if (this.#streams.get(node) === stream) this.#streams.delete(node)
    }
  }

  async report(node: string, session: string, reports: readonly TaskReport[]): Promise<{ readonly forget: readonly string[] }> {
    this.#signOfLife(node, session)
    const { news, forget } = this.#newsOf(node, reports)
    await this.#tasks.add(news)
    return { forget }
  }

  /** What is to be recorded of a worker's reports, and what the worker is to forget. */
  #newsOf(
    node: string,
    reports: readonly TaskReport[],
  ): { readonly news: readonly (readonly [number, TaskObservation])[]; readonly forget: readonly string[] } {
    const view = this.#world.store.view()
    const forget: string[] = []
    const news: [number, TaskObservation][] = []
    for (const { id, state, message, exitCode } of reports) {
      if (!workerStates.has(state)) {
        throw new SkeinError('ERR_SKEIN_BAD_MESSAGE', `report of ${id}: a worker does not say ${state}`, {
          path: 'reports.state',
        })
      }
      const task = view.taskById(id)
      if (task === undefined) {
        forget.push(id)
        continue
      }
      if (task.node !== node) {
        const words = `report of ${id}: it runs on node ${task.node ?? '(none)'}, not on ${node}`
        throw new SkeinError('ERR_SKEIN_FORBIDDEN', words, { role: 'worker', verb: 'report' })
      }
      if (!canAdvance(task.observed, state)) continue
      const update = { task: task.handle, state, message: message.slice(0, messageLengthMax) }
      news.push([task.handle, exitCode === undefined ? update : { ...update, exitCode }])
    }
    return { news, forget }
  }

  async leave(node: string, session: string): Promise<void> {
    this.#refuseWithoutSession(node, session)
    this.#sessions.forget(node)
    this.#wake(node)
    await this.#nodes.add([[node, { op: 'node.status', id: node, state: 'down', message: 'stopped' }]])
  }

  linkDown(node: string, evidence: Evidence): void {
    this.#watch.linkDown(node, evidence)
  }

  linkUp(node: string): void {
    this.#watch.linkUp(node)
  }

  async #submit(ops: readonly Op[]): Promise<void> {
    await this.#world.store.submit(ops, { by: 'leader', deadlineMs: proposeMs, signal: this.#ending.signal })
  }

  async #followRows(): Promise<void> {
    const { rows, clock, store } = this.#world
    if (rows === undefined) return
    const record = (updates: readonly TaskObservation[]): Promise<void> =>
      this.#tasks.add(updates.map((update) => [update.task, update] as const))
    await followRows({ rows, clock, view: () => store.view(), record }, this.#ending.signal)
  }

  #changed(changes: readonly Change[]): void {
    const touched = new Set<string>()
    for (const change of changes) {
      if (change.kind === 'task') {
        const { node } = change.type === 'set' ? change.object : change.was
        if (node !== undefined) touched.add(node)
      }
      if (change.kind !== 'node') continue
      this.#nodeChanged(change)
      // The list of managers may be another one. Not for every worker: each wakes all, and when many come that is all by all.
      if (concernsManagers(change)) for (const node of this.#streams.keys()) touched.add(node)
    }
    for (const node of touched) this.#wake(node)
  }

  #nodeChanged(change: Extract<Change, { kind: 'node' }>): void {
    if (change.type === 'removed') {
      this.#sessions.forget(change.was.id)
    } else if (change.was === undefined) {
      this.#sessions.expect(change.object.id, this.#world.clock.now())
      this.#watch.soon()
    }
  }

  #wake(node: string): void {
    this.#streams.get(node)?.woken.resolve()
  }

  #signOfLife(node: string, session: string, agoMs = 0): void {
    if (this.#ending.signal.aborted) throw notLeading()
    if (!this.#sessions.beat(node, session, this.#world.clock.now() - agoMs)) throw sessionInvalid(node)
    this.#watch.heard(node)
  }

  #refuseWithoutSession(node: string, session: string): void {
    if (this.#ending.signal.aborted) throw notLeading()
    if (!this.#sessions.holds(node, session)) throw sessionInvalid(node)
  }

  #refuseStranger(node: string): void {
    if (this.#ending.signal.aborted) throw notLeading()
    const view = this.#world.store.view()
    if (view.node(node) !== undefined) return
    if (view.cluster?.removedNodes.includes(node)) {
      throw new SkeinError('ERR_SKEIN_REMOVED', `node ${node} was removed; start it with an empty directory to join again`, {
        node,
      })
    }
    const words = `node ${node}: this cluster has no record of it; start it with an empty directory and a join string`
    throw new SkeinError('ERR_SKEIN_NOT_FOUND', words, { kind: 'node', ref: node })
  }
}

function concernsManagers(change: Extract<Change, { kind: 'node' }>): boolean {
  const next = change.type === 'set' ? change.object : undefined
  if (change.was?.role !== 'manager' && next?.role !== 'manager') return false
  return change.was?.role !== next?.role || change.was?.address !== next?.address
}

export function notLeading(): SkeinError<'ERR_SKEIN_NOT_LEADER'> {
  return new SkeinError('ERR_SKEIN_NOT_LEADER', 'this manager does not lead; ask the others', { leader: undefined })
}

function sessionInvalid(node: string): SkeinError<'ERR_SKEIN_SESSION_INVALID'> {
  return new SkeinError('ERR_SKEIN_SESSION_INVALID', `node ${node}: the session is unknown or has expired; register again`, {
    node,
  })
}
