/** What planners answer, and small helpers to write it down compactly. */
import type { Op } from '../model/command.js'
import type { Task } from '../model/task.js'
import type { View } from '../store/view.js'

/** A bit of a plan, complete in itself; between two of them the caller may let others run. */
export interface PlanStep {
  readonly ops: readonly Op[]
  /** Earliest leader wall time at which planning again would answer differently without any change of the view. */
  readonly wakeAtMs: number | undefined
}

/** Pure: reads the view lazily, one service or one bounded piece per step. */
export type Planner = (view: View, nowMs: number) => Iterable<PlanStep>

export interface Plan extends PlanStep {
  /** True when it stopped early: apply `ops` and plan again. */
  readonly more: boolean
}

/** Runs a planner to its end, or until `shouldYield` says stop. */
export function runPlanner(planner: Planner, view: View, nowMs: number, shouldYield = (): boolean => false): Plan {
  const ops: Op[] = []
  let wakeAtMs: number | undefined
  for (const step of planner(view, nowMs)) {
    ops.push(...step.ops)
    wakeAtMs = earlier(wakeAtMs, step.wakeAtMs)
    if (shouldYield()) return { ops, wakeAtMs, more: true }
  }
  return { ops, wakeAtMs, more: false }
}

/** The earlier of two times; undefined is never. */
export function earlier(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return a ?? b
  return Math.min(a, b)
}

/**
 * Collects what is to happen to the tasks of one service and writes it as few operations: wishes first, then new tasks,
 * neighbouring slots as one range. Any prefix of the operations is a valid step: planning again finishes the rest.
 */
export class TaskChanges {
  readonly #remove: number[] = []
  readonly #shutdown: number[] = []
  readonly #run: number[] = []
  readonly #create: NewTasks[] = []

  remove(task: Task): void {
    this.#remove.push(task.handle)
  }

  shutdown(task: Task): void {
    this.#shutdown.push(task.handle)
  }

  run(task: Task): void {
    this.#run.push(task.handle)
  }

  create(slot: number, desired: 'ready' | 'running', startAfterMs: number | undefined): void {
    const last = this.#create.at(-1)
    if (last !== undefined && last.slotTo === slot - 1 && last.desired === desired && last.startAfterMs === startAfterMs)
      last.slotTo = slot
    else this.#create.push({ slotFrom: slot, slotTo: slot, desired, startAfterMs })
  }

  ops(service: string, specVersion: number): Op[] {
    const ops: Op[] = []
    if (this.#remove.length > 0) ops.push({ op: 'tasks.desire', tasks: this.#remove, desired: 'remove' })
    if (this.#shutdown.length > 0) ops.push({ op: 'tasks.desire', tasks: this.#shutdown, desired: 'shutdown' })
    for (const { slotFrom, slotTo, desired, startAfterMs } of this.#create) {
      ops.push({
        op: 'tasks.create',
        service,
        specVersion,
        slotFrom,
        slotTo,
        desired,
        ...(startAfterMs !== undefined && { startAfterMs }),
      })
    }
    if (this.#run.length > 0) ops.push({ op: 'tasks.desire', tasks: this.#run, desired: 'running' })
    return ops
  }
}

interface NewTasks {
  readonly slotFrom: number
  slotTo: number
  readonly desired: 'ready' | 'running'
  readonly startAfterMs: number | undefined
}
