import type { AssignedTask, Assignments, TaskReport } from '../api/session.js'
import type { Clock } from '../base/clock.js'
import type { Logger } from '../base/logger.js'
import type { Moment } from '../base/moment.js'
import type { Random } from '../base/random.js'
import type { RuntimeDriver, Unit } from '../drivers/driver.js'
import type { DriverRegistry } from '../drivers/registry.js'
import { addResources, noResources, type Resources } from '../model/resources.js'
import { isTerminal, rank } from '../model/task.js'
import { Fence, type FencedTask } from './fence.js'
import { PayloadVault } from './payload-vault.js'
import type { Reporter } from './reporter.js'
import type { TaskDb, TaskRow } from './task-db.js'
import { isStopWanted } from './task-machine.js'
import { assignedOf, type TaskPayloads, TaskRunner } from './task-runner.js'
import type { TaskWitness } from './task-witness.js'

export interface WorkerOptions {
  readonly drivers: DriverRegistry
  readonly db: TaskDb
  readonly reporter: Reporter
  readonly witness?: TaskWitness | undefined
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** The disk refused: what is true here can no longer be remembered, so nothing new may begin. */
  readonly onFault: (error: unknown) => void
}

/** What tasks that have not ended hold of a node. */
export interface Reserved extends Resources {
  readonly tasks: number
}

/** Why a task is lost that ran when the agent ended and that no driver took over. */
export const restartReason = 'the peer restarted'

/** The tasks assigned to this node against the tasks that run here. Tasks go on whether or not a manager can be reached, but for those that say otherwise (`Fence`). */
export class Worker {
  readonly #options: WorkerOptions
  readonly #runners = new Map<string, TaskRunner>()
  /** Tasks on their way out, with what is assigned under their id meanwhile. */
  readonly #leaving = new Map<string, AssignedTask | undefined>()
  readonly #removals = new Set<Promise<void>>()
  readonly #secrets = new PayloadVault('secret')
  readonly #configs = new PayloadVault('config')
  readonly #fence: Fence
  #closing = false

  constructor(options: WorkerOptions) {
    this.#options = options
    this.#fence = new Fence({
      clock: options.clock,
      tasks: () => this.#fencedTasks(),
      stop: (id, why) => this.#stopFenced(id, why),
    })
  }

  /**
   * Takes up what was remembered: units that still run are adopted; what ran and is gone is over, so that it is replaced;
   * what had not begun goes on from where it was. Tasks that stop themselves without a manager do so now: how long there was none is
   * not known.
   * @throws {SkeinError} ERR_SKEIN_STORAGE, ERR_SKEIN_BAD_MESSAGE, and what a driver's `recover` throws
   */
  async open(): Promise<void> {
    const { db, reporter } = this.#options
    const rows = await db.load()
    const units = await this.#recover(rows)
    const found = rows.map((row) => ({ task: row.task, report: afterRestart(row, units.has(row.task.id)) }))
    await db.write({ put: found.filter(({ report }, index) => report !== rows[index]?.report) })
    for (const { task, report } of found) {
      reporter.update(report)
      this.#begin(task, report, units.get(task.id))
    }
    this.#fence.look()
  }

  /** The leader answered what was sent then, and led `ledAgoMs` before that or later. */
  heard(sent: Moment, ledAgoMs: number): void {
    this.#fence.heard(sent, ledAgoMs)
  }

  /**
   * The agent ends: stops every task that stops itself without a manager, now and from now on. Resolves when none of them runs; one that
   * cannot be stopped is given up, and not said to be over.
   */
  async shutFence(why: string): Promise<void> {
    this.#fence.shut(why)
    await Promise.all(this.#fenced.map((runner) => this.#guarded(runner.halt(why))))
  }

  /** States of all tasks here, by id. */
  reports(): readonly TaskReport[] {
    return [...this.#runners.values()].map(({ report }) => report)
  }

  reserved(): Reserved {
    const running = [...this.#runners.values()].filter(({ report }) => !isTerminal(report.state))
    const resources = running.map(({ task }) => task.spec.reserve).reduce(addResources, noResources)
    return { ...resources, tasks: running.length }
  }

  /** Whether any task here stops itself without a manager, ended or not. */
  get hasFenced(): boolean {
    return this.#fenced.length > 0
  }

  runner(id: string): TaskRunner | undefined {
    return this.#runners.get(id)
  }

  /**
   * Makes the assignment true here: resolves when it is remembered; stopping and starting go on by themselves.
   * @throws {SkeinError} ERR_SKEIN_STORAGE
   */
  async apply(assignments: Assignments): Promise<void> {
    if (this.#closing) return
    this.#applyPayloads(assignments)
    const { type, set, remove } = assignments
    const put: TaskRow[] = []
    const wanted = new Set(set.map(({ id }) => id))
    for (const task of set) {
      const runner = this.#runners.get(task.id)
      if (this.#leaving.has(task.id)) this.#leaving.set(task.id, task)
      else if (runner === undefined) put.push({ task, report: newReport(task) })
      else if (runner.desire(task.desired)) {
        put.push({ task: runner.task, report: runner.report })
        this.#saw(runner)
      }
    }
    await this.#options.db.write({ put })
    for (const { task, report } of put) {
      if (!this.#runners.has(task.id)) this.#begin(task, report, undefined)
    }
    if (put.length > 0) this.#fence.look()
    this.forget(
      type === 'complete' ? [...this.#runners.keys()].filter((id) => !wanted.has(id)) : remove.filter((id) => !wanted.has(id)),
    )
  }

  /** Nobody says any more what is needed here: secrets and configs of tasks that are neither over nor about to be are kept. */
  sessionEnded(): void {
    const running = [...this.#runners.values()].filter(({ report }) => !isTerminal(report.state))
    this.#keepPayloadsOf(running.map(({ task }) => task))
  }

  /** Stops these tasks and forgets them. */
  forget(ids: readonly string[]): void {
    for (const id of ids) {
      const runner = this.#runners.get(id)
      if (runner === undefined || this.#closing) continue
      if (this.#leaving.has(id)) this.#leaving.set(id, undefined)
      else {
        this.#leaving.set(id, undefined)
        this.#options.reporter.forget(id)
        const removal = this.#guarded(this.#remove(id, runner)).finally(() => this.#removals.delete(removal))
        this.#removals.add(removal)
        this.#saw(runner)
      }
    }
  }

  /** Stops every task, side by side, each within its grace; then nothing runs and nothing begins. */
  async halt(why: string): Promise<void> {
    this.#closing = true
    this.#fence.close()
    const halts = [...this.#runners.values()].map((runner) => this.#guarded(runner.halt(why)))
    for (const { task, report } of this.#runners.values()) this.#options.witness?.saw({ ...task, desired: 'remove' }, report)
    await Promise.all(halts)
    await Promise.all(this.#removals)
    this.#keepPayloadsOf([])
  }

  /** Lets go of every task without stopping it, but for those that must not run without a manager. */
  async leave(why: string): Promise<void> {
    this.#closing = true
    await this.shutFence(why)
    this.#fence.close()
    await Promise.all([...this.#runners.values()].map((runner) => this.#guarded(runner.leave())))
    await Promise.all(this.#removals)
    this.#keepPayloadsOf([])
  }

  get #fenced(): readonly TaskRunner[] {
    return [...this.#runners.values()].filter(({ task }) => task.spec.selfFenceAfterMs !== undefined)
  }

  *#fencedTasks(): Generator<FencedTask, void> {
    for (const { task, report, isStopping } of this.#runners.values()) {
      const { selfFenceAfterMs: afterMs } = task.spec
      if (afterMs !== undefined && !isStopping && !isTerminal(report.state)) yield { id: task.id, afterMs }
    }
  }

  #stopFenced(id: string, why: string): void {
    const runner = this.#runners.get(id)
    if (runner === undefined) return
    const { task, report } = runner
    this.#options.logger.warn({ task: id, why }, 'stopping a task that must not run without a manager')
    void this.#guarded(runner.fence(why))
    this.#options.witness?.saw({ ...task, desired: 'shutdown' }, report)
  }

  #applyPayloads({ type, set, secrets = [], dropSecrets = [], configs = [], dropConfigs = [] }: Assignments): void {
    if (type === 'complete') this.#keepPayloadsOf(set)
    this.#secrets.drop(dropSecrets)
    this.#secrets.take(secrets)
    this.#configs.drop(dropConfigs)
    this.#configs.take(configs)
  }

  /** Of these tasks, while they are not on their way out. */
  #keepPayloadsOf(tasks: readonly AssignedTask[]): void {
    const wanted = tasks.filter(({ desired, ended }) => !isStopWanted(desired) && ended === undefined)
    this.#secrets.keepOnly(new Set(wanted.flatMap(({ spec }) => spec.secrets.map(({ id }) => id))))
    this.#configs.keepOnly(new Set(wanted.flatMap(({ spec }) => spec.configs.map(({ id }) => id))))
  }

  async #gather({ id, spec }: AssignedTask, signal: AbortSignal): Promise<TaskPayloads> {
    const configs = await this.#configs.gather(id, spec.configs, signal)
    // Last: a copy of a secret waits for nothing else.
    return { configs, secrets: await this.#secrets.gather(id, spec.secrets, signal) }
  }

  async #recover(rows: readonly TaskRow[]): Promise<ReadonlyMap<string, Unit>> {
    const units = new Map<string, Unit>()
    for (const driver of this.#options.drivers.all()) {
      for (const [id, unit] of await recoverWith(driver, rows)) units.set(id, unit)
    }
    return units
  }

  #begin(task: AssignedTask, report: TaskReport, unit: Unit | undefined): void {
    const { drivers, clock, random, logger } = this.#options
    const runner: TaskRunner = new TaskRunner({
      task,
      report,
      unit,
      driver: (name) => drivers.get(name),
      payloads: (task, signal) => this.#gather(task, signal),
      record: (report) => this.#record(runner.task, report),
      clock,
      random,
      logger,
    })
    this.#runners.set(task.id, runner)
    this.#saw(runner)
    void this.#guarded(runner.run())
  }

  async #record(task: AssignedTask, report: TaskReport): Promise<void> {
    const { db, reporter, logger } = this.#options
    logger.debug({ task: report.id, state: report.state, why: report.message }, 'task')
    await db.write({ put: [{ task, report }] })
    this.#options.witness?.saw(task, report)
    if (!this.#leaving.has(report.id)) reporter.update(report)
  }

  async #remove(id: string, runner: TaskRunner): Promise<void> {
    await runner.remove()
    // Left, not stopped: whoever takes it up again must know of it.
    if (!isTerminal(runner.report.state)) return
    await this.#options.db.write({ remove: [id] })
    this.#runners.delete(id)
    this.#options.witness?.gone(id)
    const again = this.#leaving.get(id)
    this.#leaving.delete(id)
    if (again === undefined || this.#closing) return
    const report = newReport(again)
    await this.#options.db.write({ put: [{ task: again, report }] })
    this.#begin(again, report, undefined)
  }

  #saw({ task, report }: TaskRunner): void {
    this.#options.witness?.saw(task, report)
  }

  /** Never rejects. */
  async #guarded(work: Promise<void>): Promise<void> {
    try {
      await work
    } catch (error) {
      this.#options.onFault(error)
    }
  }
}

/** A task whose end this node has forgotten, but the cluster has not, never runs again. */
function newReport({ id, ended }: AssignedTask): TaskReport {
  return { id, state: ended ?? 'assigned', message: ended === undefined ? 'assigned' : 'ended before' }
}

/** Only what may run is asked after; a driver without `recover` has nothing that outlives the peer. */
async function recoverWith(driver: RuntimeDriver, rows: readonly TaskRow[]): Promise<ReadonlyMap<string, Unit>> {
  const tasks = rows
    .filter((row) => row.task.spec.driver === driver.name && mayRun(row.report))
    .map(({ task }) => assignedOf(task))
  return (await driver.recover?.(tasks)) ?? new Map()
}

function mayRun({ state }: TaskReport): boolean {
  return rank(state) >= rank('starting') && !isTerminal(state)
}

/** The same report if nothing changed. */
function afterRestart({ task, report }: TaskRow, isRecovered: boolean): TaskReport {
  if (!mayRun(report)) return report
  if (isRecovered) return report.state === 'running' ? report : { id: report.id, state: 'running', message: 'taken over' }
  return { id: report.id, state: isStopWanted(task.desired) ? 'shutdown' : 'failed', message: restartReason }
}
