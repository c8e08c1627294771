/**
 * The one loop: wakes, plans, submits, sleeps. Leader only; a new leader just starts one, since planners need no memory.
 * It keeps nothing but the latest reasons why tasks wait for a node, which are never written to the log.
 */
import { assert } from '../base/assert.js'
import { type BackoffOptions, backoffMs } from '../base/backoff.js'
import type { Clock } from '../base/clock.js'
import { type Deferred, deferred } from '../base/deferred.js'
import { messageOf } from '../base/errors.js'
import type { Op } from '../model/command.js'
import { groupKeyOf, type PlacementReport, placementSteps } from '../scheduler/index.js'
import type { View } from '../store/view.js'
import { chunksOf, commandBytesMax, sizeOf, taskOpsMax } from './chunks.js'
import { planEnforcement } from './enforcer.js'
import { noSilence, type Silence } from './fencing.js'
import { earlier, type PlanStep } from './plan.js'
import { planReaping } from './reaper.js'
import { planServices } from './replicated.js'

export interface ReconcilerDeps {
  /** The tables as they are now; asked anew for every planner. */
  readonly view: () => View
  /** Calls the listener after every change of the tables; the returned function ends that. */
  readonly onChange: (listener: () => void) => () => void
  /** Proposes operations as one command; resolves when they are applied here. An outcome with `ok: false` counts as a failure. */
  readonly submit: (ops: readonly Op[]) => Promise<unknown>
  readonly clock: Clock
  /** How long nodes were not answered; left out: nothing is over that was not said to be. */
  readonly silence?: Silence
  /** Resolves when the tables hold all that earlier leaders decided; nothing is planned before. Asked again when it rejects. */
  readonly caughtUp?: () => Promise<void>
  /** Told what went wrong, in words. */
  readonly logger?: (message: string) => void
}

/** How long planning may hold the thread before others run: raft heartbeats share it. */
const sliceMs = 8
/** Passes follow each other at most so far apart that planning takes half of the time. */
const restMaxMs = 1_000
/** A look without cause, at least so often: wall clocks jump. */
const sleepMaxMs = 60_000
const backoff: BackoffOptions = { firstMs: 100, maxMs: 5_000 }

export class Reconciler {
  readonly #deps: ReconcilerDeps
  #state: 'new' | 'running' | 'stopped' = 'new'
  #changed = false
  /** Milliseconds this pass has held the thread, waiting not counted. */
  #workedMs = 0
  /** Set while sleeping or pausing. */
  #sleep: { readonly done: Deferred<void>; readonly wakesOnChange: boolean } | undefined
  readonly #stopping = deferred()
  #ended: Promise<unknown> = Promise.resolve()
  #reports: ReadonlyMap<string, PlacementReport> = new Map()

  constructor(deps: ReconcilerDeps) {
    this.#deps = deps
  }

  /** Never rejects. Resolves to undefined after stop(), to the error if a planner failed: then nothing is planned any more. */
  get ended(): Promise<unknown> {
    return this.#ended
  }

  /** Begins to plan; once. */
  start(): void {
    assert(this.#state === 'new', 'a reconciler is started once')
    this.#state = 'running'
    const unsubscribe = this.#deps.onChange(() => {
      this.#changed = true
      if (this.#sleep?.wakesOnChange) this.#sleep.done.resolve()
    })
    this.#ended = this.#run()
      .then(
        () => undefined,
        (error: unknown) => {
          this.#deps.logger?.(`planning failed and has stopped: ${messageOf(error)}`)
          return error
        },
      )
      .finally(() => {
        this.#state = 'stopped'
        unsubscribe()
      })
  }

  /** Plans nothing more and submits nothing more from now on; resolves when the loop has ended. Any number of times. */
  async stop(): Promise<void> {
    this.#state = 'stopped'
    this.#stopping.resolve()
    this.#sleep?.done.resolve()
    await this.#ended
  }

  /** Why a task waits for a node, as of the last pass; undefined when it does not wait or was not looked at yet. */
  why(task: number): PlacementReport | undefined {
    const record = this.#deps.view().task(task)
    return record?.observed === 'pending' ? this.#reports.get(groupKeyOf(record)) : undefined
  }

  get #isStopped(): boolean {
    return this.#state !== 'running'
  }

  async #run(): Promise<void> {
    const { logger } = this.#deps
    let failures = 0
    let isCaughtUp = false
    while (!this.#isStopped) {
      this.#changed = false
      this.#workedMs = 0
      let wakeAtMs: number | undefined
      try {
        if (!isCaughtUp) await this.#catchUp()
        isCaughtUp = true
        if (!this.#isStopped) wakeAtMs = await this.#pass()
        failures = 0
      } catch (error) {
        if (!(error instanceof SubmitFailed)) throw error
        logger?.(error.message)
        // Half of the bound at least; there is only one leader, so chance would keep nobody apart.
        await this.#pause(backoffMs(failures++, backoff, () => 1))
        continue
      }
      await this.#pause(Math.min(restMaxMs, this.#workedMs))
      if (!this.#changed) await this.#sleepUntil(wakeAtMs)
    }
  }

  /** A leader that does not see its predecessor's last decisions would fill places that are taken. */
  async #catchUp(): Promise<void> {
    try {
      await Promise.race([this.#deps.caughtUp?.(), this.#stopping.promise])
    } catch (error) {
      throw new SubmitFailed(messageOf(error), { cause: error })
    }
  }

  /** Every planner once, each on the tables as its predecessor left them. Answers when to look again without a change. */
  async #pass(): Promise<number | undefined> {
    const { view, clock, silence = noSilence } = this.#deps
    const reports = new Map<string, PlacementReport>()
    const stages: readonly (() => Iterable<PlanStep>)[] = [
      () => planEnforcement(view()),
      () => planServices(view(), clock.wallMs(), silence),
      () => reporting(placementSteps(view(), clock.wallMs()), reports),
      () => planReaping(view(), clock.wallMs(), silence),
    ]
    let wakeAtMs: number | undefined
    for (const stage of stages) wakeAtMs = earlier(wakeAtMs, await this.#carryOut(stage()))
    this.#reports = reports
    return wakeAtMs
  }

  /** Takes a plan step by step; submits when a command is full or the slice is over, so that little is planned on an old view. */
  async #carryOut(steps: Iterable<PlanStep>): Promise<number | undefined> {
    const { clock } = this.#deps
    let wakeAtMs: number | undefined
    let ops: Op[] = []
    let tasks = 0
    let bytes = 0
    let fromMs = clock.now()
    for (const step of steps) {
      if (this.#isStopped) return undefined
      wakeAtMs = earlier(wakeAtMs, step.wakeAtMs)
      for (const op of step.ops) {
        const size = sizeOf(op)
        tasks += size.tasks
        bytes += size.bytes
        ops.push(op)
      }
      if (tasks < taskOpsMax && bytes < commandBytesMax && clock.now() - fromMs < sliceMs) continue
      this.#workedMs += clock.now() - fromMs
      if (ops.length === 0) await this.#pause(0)
      else await this.#submit(ops)
      ops = []
      tasks = 0
      bytes = 0
      fromMs = clock.now()
    }
    this.#workedMs += clock.now() - fromMs
    await this.#submit(ops)
    return wakeAtMs
  }

  /** One command at a time; stops waiting, not the command, when told to stop. */
  async #submit(ops: readonly Op[]): Promise<void> {
    for (const chunk of chunksOf(ops)) {
      if (this.#isStopped) return
      let outcome: unknown
      try {
        outcome = await Promise.race([this.#deps.submit(chunk), this.#stopping.promise])
      } catch (error) {
        throw new SubmitFailed(messageOf(error), { cause: error })
      }
      if (isRefusal(outcome)) throw new SubmitFailed(outcome.message ?? 'refused')
    }
  }

  async #sleepUntil(wakeAtMs: number | undefined): Promise<void> {
    const delayMs = wakeAtMs === undefined ? sleepMaxMs : Math.max(0, wakeAtMs - this.#deps.clock.wallMs())
    await this.#rest(Math.min(delayMs, sleepMaxMs), { wakesOnChange: true })
  }

  /** Lets others run; a change does not shorten it. */
  async #pause(delayMs: number): Promise<void> {
    await this.#rest(delayMs, { wakesOnChange: false })
  }

  async #rest(delayMs: number, { wakesOnChange }: { readonly wakesOnChange: boolean }): Promise<void> {
    if (this.#isStopped) return
    const done = deferred()
    this.#sleep = { done, wakesOnChange }
    const cancel = this.#deps.clock.after(delayMs, () => done.resolve())
    await done.promise
    cancel()
    this.#sleep = undefined
  }
}

class SubmitFailed extends Error {
  override readonly name = 'SubmitFailed'
}

function isRefusal(outcome: unknown): outcome is { readonly ok: false; readonly message?: string } {
  return typeof outcome === 'object' && outcome !== null && 'ok' in outcome && outcome.ok === false
}

function* reporting(steps: ReturnType<typeof placementSteps>, reports: Map<string, PlacementReport>): Generator<PlanStep, void> {
  for (const { ops, report } of steps) {
    if (report !== undefined) reports.set(report.group, report)
    yield { ops, wakeAtMs: undefined }
  }
}
