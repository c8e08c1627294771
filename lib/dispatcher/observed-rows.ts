/**
 * What a row that a worker gossips may change, and what it may not. Pure.
 *
 * 1. Existence and wishes come from raft alone: a row of a task the cluster does not know creates nothing. Its node is told to forget
 *    the task when it reports it over its session (`term`).
 * 2. It counts only from the node the task was given to, and only for the very attempt: a task's id names its generation, and a
 *    generation is given to one node, once. So a row of an earlier assignment is a row of another task.
 * 3. Observed states only rise; an end is an end.
 * 4. It is a hint with an age: by our own clock since its owner last said something new, never by the owner's.
 * Whether a node is down, rows do not say at all: that is for `node-verdicts`.
 */
import { type LoadRow, loadPeriodMs, type TaskRow } from '../api/worker-rows.js'
import type { TaskObservation } from '../model/command.js'
import { canAdvance } from '../model/task.js'
import type { View } from '../store/view.js'

/** A task's row as it lies in the table. */
export interface ObservedRow {
  /** Node that wrote it. */
  readonly owner: string
  /** Task id. */
  readonly key: string
  readonly value: TaskRow
}

/** What is to be recorded, in the order of the rows. */
export function findInRows(rows: Iterable<ObservedRow>, view: View): readonly TaskObservation[] {
  const updates: TaskObservation[] = []
  for (const { owner, key, value } of rows) {
    const task = view.taskById(key)
    if (task === undefined || task.node !== owner || !canAdvance(task.observed, value.state)) continue
    const { state, message, exitCode } = value
    updates.push({ task: task.handle, state, message, ...(exitCode !== undefined && { exitCode }) })
  }
  return updates
}

/** So many periods without a statement of load make the last one stale. */
const freshPeriods = 3

/** How busy a node is, if it said so lately. */
export function freshLoad(row: LoadRow | undefined, ageMs: number | undefined): LoadRow | undefined {
  return ageMs === undefined || ageMs > freshPeriods * loadPeriodMs ? undefined : row
}
