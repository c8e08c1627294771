import type { AssignedTask, TaskReport } from '../api/session.js'
import { abortable } from '../base/abort.js'
import { unreachable } from '../base/assert.js'
import { backoffMs } from '../base/backoff.js'
import type { Clock } from '../base/clock.js'
import { type Deferred, deferred } from '../base/deferred.js'
import { messageOf } from '../base/errors.js'
import type { Logger } from '../base/logger.js'
import type { Random } from '../base/random.js'
import type { Assigned, LogOptions, RuntimeDriver, Unit, UnitEnd, UnitLogLine } from '../drivers/driver.js'
import { type DesiredState, isTerminal } from '../model/task.js'
import { isStopWanted, laterDesired, next, type Observation, type Outcome, observe, refusedState } from './task-machine.js'
import { pause } from './waits.js'

export interface TaskRunnerOptions {
  readonly task: AssignedTask
  /** What was last observed. */
  readonly report: TaskReport
  /** The unit that still runs since before a restart of the agent. */
  readonly unit?: Unit | undefined
  /** @throws {SkeinError} ERR_SKEIN_NO_DRIVER */
  readonly driver: (name: string) => RuntimeDriver
  /** The task's secrets and configs by target, once they are here. @throws {SkeinError} ERR_SKEIN_TASK_REJECTED, ERR_SKEIN_ABORTED */
  readonly payloads: (task: AssignedTask, signal: AbortSignal) => Promise<TaskPayloads>
  /** Resolves when the state is remembered; only then is it acted on. */
  readonly record: (report: TaskReport) => Promise<void>
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

export type TaskPayloads = Pick<Assigned, 'secrets' | 'configs'>

const stopRetry = { firstMs: 500, maxMs: 30_000 }
/** When the whole agent stops, a unit that cannot be stopped is given up after so many tries. */
const haltTriesMax = 3

type Stopped =
  | { readonly type: 'gone'; readonly end: UnitEnd }
  | { readonly type: 'never-began' }
  | { readonly type: 'stuck'; readonly why: string }
  | { readonly type: 'left' }

/** Walks one task through its states against one unit of a driver. Decisions are the task machine's; this carries them out. */
export class TaskRunner {
  readonly #options: TaskRunnerOptions
  readonly #stopWanted = new AbortController()
  /** Fires when the loop shall look again, whatever it waits for. */
  readonly #leaving = new AbortController()
  readonly #prepared = deferred()
  #report: TaskReport
  #desired: DesiredState
  #unit: Unit | undefined
  #desireChanged: Deferred<void> = deferred()
  #halted: string | undefined
  #fenced: string | undefined
  #ended: Promise<void> | undefined

  constructor(options: TaskRunnerOptions) {
    this.#options = options
    this.#report = options.report
    this.#desired = options.task.desired
    if (isStopWanted(this.#desired)) this.#stopWanted.abort()
    if (options.unit !== undefined) this.#hold(options.unit)
  }

  /** The assignment with the present wish. */
  get task(): AssignedTask {
    return { ...this.#options.task, desired: this.#desired }
  }

  get report(): TaskReport {
    return this.#report
  }

  /** Resolves when the task is over or was left; rejects when its state could not be remembered. */
  run(): Promise<void> {
    this.#ended ??= this.#run()
    return this.#ended
  }

  /** A wish that is not later than the present one is ignored. Says whether it was news. */
  desire(desired: DesiredState): boolean {
    const later = laterDesired(this.#desired, desired)
    if (later === this.#desired) return false
    this.#desired = later
    if (isStopWanted(later)) this.#stopWanted.abort()
    this.#wake()
    return true
  }

  /** Stops the task because this agent ends: for the cluster the attempt is lost (rejected or failed, with this reason). */
  async halt(why: string): Promise<void> {
    this.#halted ??= why
    await this.#stopNow()
  }

  /** Stops the task because it must not run unheard of: as if it was wished, but it is this node's own decision, and final. */
  async fence(why: string): Promise<void> {
    this.#fenced ??= why
    await this.#stopNow()
  }

  /** It is on its way out, by whoever's wish. */
  get isStopping(): boolean {
    return this.#stopWanted.signal.aborted
  }

  async #stopNow(): Promise<void> {
    this.#stopWanted.abort()
    this.#wake()
    try {
      await this.run()
    } catch (error) {
      // Its state cannot be remembered any more; it must not run on for that.
      await this.#unit?.stop(this.#options.task.spec.stopGraceMs)
      throw error
    }
  }

  /** Ends the loop and leaves the unit as it is. */
  async leave(): Promise<void> {
    this.#leaving.abort()
    this.#stopWanted.abort()
    this.#wake()
    await this.run()
  }

  /** Stops the task and frees what its unit held. */
  async remove(): Promise<void> {
    this.desire('remove')
    await this.run()
    if (this.#leaving.signal.aborted) return
    try {
      await this.#unit?.remove()
    } catch (error) {
      // The task is over; what it left on disk must not keep it in the cluster's memory.
      this.#options.logger.warn({ task: this.#report.id, why: messageOf(error) }, 'could not remove what a task left behind')
    }
  }

  /** Lines of the unit. Before there is one: none, or with `follow` those that will come. */
  async *logs(options: LogOptions = {}): AsyncGenerator<UnitLogLine, void, undefined> {
    if (this.#unit === undefined && options.follow === true && !isTerminal(this.#report.state)) {
      const { signal } = options
      // An aborted reader ends quietly, as in a driver's own logs.
      await (signal === undefined ? this.#prepared.promise : abortable(this.#prepared.promise, signal, 'logs').catch(() => {}))
    }
    if (this.#unit !== undefined) yield* this.#unit.logs(options)
  }

  async #run(): Promise<void> {
    while (!this.#leaving.signal.aborted) {
      const isOurs = this.#halted !== undefined || this.#fenced !== undefined
      const desired = isOurs ? laterDesired(this.#desired, 'shutdown') : this.#desired
      const act = next(this.#report.state, desired, this.#unit !== undefined)
      switch (act.type) {
        case 'advance':
          await this.#observed({ state: act.to, message: act.to })
          break
        case 'prepare':
          await this.#learned(await this.#prepare())
          break
        case 'start':
          await this.#learned(await this.#start())
          break
        case 'wait':
          await this.#learned(await this.#wait())
          break
        case 'stop':
          await this.#stopped(await this.#stop())
          break
        case 'hold':
          await this.#desireChanged.promise
          break
        case 'end':
          this.#prepared.resolve()
          return
        default:
          unreachable(act)
      }
    }
  }

  /** Undefined: a stop came first. A driver that prepares on regardless makes a unit nobody starts; it is removed when it comes. */
  async #prepare(): Promise<Outcome | undefined> {
    const { signal } = this.#stopWanted
    let work: Promise<Unit> | undefined
    try {
      const { task } = this.#options
      const driver = this.#options.driver(task.spec.driver)
      work = driver.prepare(assignedOf(task, await this.#options.payloads(task, signal)), signal)
      this.#hold(await abortable(work, signal, 'prepare'))
      return { type: 'prepared' }
    } catch (error) {
      if (!signal.aborted) return { type: 'refused', why: messageOf(error) }
      void work?.then((unit) => (unit === this.#unit ? undefined : unit.remove())).catch(() => {})
      return undefined
    }
  }

  async #start(): Promise<Outcome | undefined> {
    const { signal } = this.#stopWanted
    try {
      if (this.#unit === undefined) return { type: 'refused', why: 'its unit was lost' }
      await abortable(this.#unit.start(signal), signal, 'start')
      return { type: 'started' }
    } catch (error) {
      return signal.aborted ? undefined : { type: 'refused', why: messageOf(error) }
    }
  }

  async #wait(): Promise<Outcome | undefined> {
    const { signal } = this.#stopWanted
    try {
      if (this.#unit === undefined) return { type: 'refused', why: 'its unit was lost' }
      return { type: 'ended', ...(await abortable(this.#unit.wait(), signal, 'wait')) }
    } catch (error) {
      return signal.aborted ? undefined : { type: 'refused', why: messageOf(error) }
    }
  }

  /** Until it is stopped: to call a task over that still runs would let its successor run beside it. */
  async #stop(): Promise<Stopped> {
    const unit = this.#unit
    if (unit === undefined) return { type: 'never-began' }
    const { clock, random, logger, task } = this.#options
    const { signal } = this.#leaving
    for (let attempt = 0; ; attempt++) {
      try {
        await abortable(unit.stop(task.spec.stopGraceMs), signal, 'stop')
        return { type: 'gone', end: await abortable(unit.wait(), signal, 'stop') }
      } catch (error) {
        if (signal.aborted) return { type: 'left' }
        const why = messageOf(error)
        logger.warn({ task: task.id, attempt, why }, 'could not stop a task')
        if (this.#halted !== undefined && attempt + 1 >= haltTriesMax) return { type: 'stuck', why }
        try {
          await pause(clock, backoffMs(attempt, stopRetry, random), signal)
        } catch {
          return { type: 'left' } // only an abort ends a pause early
        }
      }
    }
  }

  async #stopped(stopped: Stopped): Promise<void> {
    if (stopped.type === 'left') return
    const stuck = stopped.type === 'stuck' ? `could not be stopped: ${stopped.why}` : undefined
    if (this.#fenced !== undefined && !isStopWanted(this.#desired)) {
      // Whatever is called over here is replaced elsewhere: left, it is not.
      if (stuck !== undefined) return this.#leaving.abort()
      const code = stopped.type === 'gone' ? { code: stopped.end.code } : {}
      return this.#learned({ type: 'stopped', why: this.#fenced, ...code })
    }
    if (this.#halted !== undefined && !isStopWanted(this.#desired)) {
      const message = stuck === undefined ? this.#halted : `${this.#halted}; the task ${stuck}`
      return this.#observed({ state: refusedState(this.#report.state), message })
    }
    if (stuck !== undefined) return this.#learned({ type: 'stopped', why: stuck })
    if (stopped.type === 'gone') return this.#learned({ type: 'stopped', ...stopped.end })
    return this.#learned({ type: 'stopped', why: 'stopped before it started' })
  }

  async #learned(outcome: Outcome | undefined): Promise<void> {
    const observation = outcome && observe(this.#report.state, outcome)
    if (observation !== undefined) await this.#observed(observation)
  }

  async #observed(observation: Observation): Promise<void> {
    if (this.#leaving.signal.aborted) return
    this.#report = { id: this.#report.id, ...observation }
    await this.#options.record(this.#report)
  }

  #hold(unit: Unit): void {
    this.#unit = unit
    this.#prepared.resolve()
  }

  #wake(): void {
    const { resolve } = this.#desireChanged
    this.#desireChanged = deferred()
    resolve()
  }
}

/** The task as its driver is told of it. */
export function assignedOf(
  { id, service, slot, spec }: AssignedTask,
  { secrets, configs }: TaskPayloads = { secrets: new Map(), configs: new Map() },
): Assigned {
  return { id, service, slot: String(slot), spec, secrets, configs }
}
