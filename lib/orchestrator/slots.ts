/** A service's tasks grouped by place, and what each place needs. Source: Swarm's slots, with the verdict spelled out as a union. */
import type { ResolvedServiceSpec, Service } from '../model/service.js'
import { isTerminal, rank, type Task } from '../model/task.js'
import type { View } from '../store/view.js'
import { type Verdict, verdictAfter } from './restart.js'
import { isWished, nodeIsLost } from './task-facts.js'

/** The tasks of one place, oldest attempt first. */
export interface Slot {
  readonly number: number
  readonly tasks: readonly Task[]
}

/** What a slot is like, as far as the orchestrator has to act. */
export type Occupancy =
  /** No task, or only tasks that are to be removed: a free number. */
  | { readonly state: 'vacant' }
  /** A task that is wished to run and still can. */
  | { readonly state: 'filled'; readonly task: Task }
  /** Its last task has ended, or lost its node, and another takes its place. */
  | {
      readonly state: 'empty'
      readonly last: Task
      readonly startAfterMs: number | undefined
      /** The other is not created before this time; undefined: at once. */
      readonly createAfterMs: number | undefined
    }
  /** Its last task has ended and the restart policy lets it rest. */
  | { readonly state: 'ended'; readonly last: Task; readonly verdict: Extract<Verdict, { readonly again: false }> }

/** Slots with at least one task, by number. */
export function slotsOf(view: View, service: string): Slot[] {
  const slots: { number: number; tasks: Task[] }[] = []
  for (const task of view.tasksOfService(service)) {
    const last = slots.at(-1)
    if (last?.number === task.slot) last.tasks.push(task)
    else slots.push({ number: task.slot, tasks: [task] })
  }
  return slots
}

/**
 * Of two attempts that can run the one that got further stays, if equal the later one: a task whose node came back goes on, unless
 * its replacement runs already. In the order of raft's log: what a node that was down has ended is recorded before that it is back.
 */
function furthest(a: Task, b: Task): Task {
  return rank(b.observed) >= rank(a.observed) ? b : a
}

export function occupancyOf(view: View, slot: Slot, service: Service, spec: ResolvedServiceSpec, nowMs: number): Occupancy {
  const kept = slot.tasks.filter((task) => task.desired !== 'remove')
  const last = kept.at(-1)
  if (last === undefined) return { state: 'vacant' }
  const able = kept.filter((task) => isWished(task) && !isTerminal(task.observed) && !nodeIsLost(view, task))
  if (able.length > 0) return { state: 'filled', task: able.reduce(furthest) }
  const verdict = verdictAfter(view, slot.tasks, last, service, spec, nowMs)
  if (verdict.again) return { state: 'empty', last, startAfterMs: verdict.startAfterMs, createAfterMs: verdict.createAfterMs }
  return { state: 'ended', last, verdict }
}
