/**
 * When a task that stops itself (`selfFenceAfterMs`) is certainly over though nobody could say so: its node was silent for as long as
 * it may run without a manager, for its stop grace, and for what clocks and kills take besides. Pure.
 */
import type { ResolvedServiceSpec } from '../model/service.js'
import { isTerminal, type Task } from '../model/task.js'
import type { View } from '../store/view.js'

/**
 * Milliseconds for which this leader has certainly not answered the node, by its monotonic clock; a new leader counts from its own
 * beginning. Never the wall clock: somebody may set it.
 */
export type Silence = (node: string) => number

/** Everybody was answered a moment ago: nothing is over unless it was said to be. */
export const noSilence: Silence = () => 0

/** No clock goes faster or slower than true by a larger part than this; quartz is off by a thousandth of it. */
const clockDriftMax = 0.01
/** Past the grace a task is being killed, by a process that may be woken late. */
const killTimeMs = 2_000

/** Silence of its node after which the task is over. */
export function fencedAfterMs({ stopGraceMs }: ResolvedServiceSpec['task'], selfFenceAfterMs: number): number {
  // Our clock may be fast where the worker's is slow.
  const drift = (1 + clockDriftMax) / (1 - clockDriftMax)
  return Math.ceil((selfFenceAfterMs + stopGraceMs) * drift) + killTimeMs
}

/** Whether the task stops itself when its node hears no manager. By its own spec: a changed service says nothing of tasks that run. */
export function fencesItself(view: View, task: Task): boolean {
  return view.spec(task.service, task.specVersion)?.task.selfFenceAfterMs !== undefined
}

/** Milliseconds until the task is certainly over, if its node stays silent; 0: it is, or it is none that stops itself. */
export function fencedInMs(view: View, task: Task, silence: Silence): number {
  // Orphaned is our own word for what nobody is left to report.
  if (task.node === undefined || (isTerminal(task.observed) && task.observed !== 'orphaned')) return 0
  const spec = view.spec(task.service, task.specVersion)?.task
  if (spec?.selfFenceAfterMs === undefined) return 0
  return Math.max(0, fencedAfterMs(spec, spec.selfFenceAfterMs) - silence(task.node))
}

/** Time from which none of these tasks can run any more; -Infinity: now. Nodes that are heard put it off, until they report the end. */
export function fencedUntilMs(view: View, tasks: readonly Task[], silence: Silence, nowMs: number): number {
  const inMs = tasks.reduce((most, task) => Math.max(most, fencedInMs(view, task, silence)), 0)
  return inMs === 0 ? Number.NEGATIVE_INFINITY : nowMs + inMs
}
