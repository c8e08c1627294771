/**
 * Restart policy: whether a slot gets another task, and from when it may run. No memory: history is read from the slot's retained
 * tasks, deadlines stand in the tasks, so that a new leader goes on where the old one stopped.
 * Source: SwarmKit's restart supervisor. Other than there, losing a node is no crash: it costs no delay and no attempt.
 */
import { isDeepStrictEqual } from 'node:util'
import type { ResolvedServiceSpec, Service } from '../model/service.js'
import { isTerminal, type Task } from '../model/task.js'
import type { View } from '../store/view.js'
import { displacedMessage, isOver, nodeIsGone, nodeIsLost } from './task-facts.js'

export type Verdict =
  /** `createAfterMs`: not even prepared before this time. */
  | { readonly again: true; readonly startAfterMs: number | undefined; readonly createAfterMs?: number }
  /** `finished`: it did what it should. `exhausted`: it failed and may not try again. */
  | { readonly again: false; readonly kind: 'finished' | 'exhausted'; readonly why: string }

/** What follows the last task of a slot, given that no task of the slot can run. `tasks`: all of the slot, oldest first. */
export function verdictAfter(
  view: View,
  tasks: readonly Task[],
  last: Task,
  { specVersion }: Service,
  spec: ResolvedServiceSpec,
  nowMs: number,
): Verdict {
  const { restart } = spec
  if (last.observed === 'complete' && restart.when !== 'any' && isSameProgram(view, last, specVersion, spec)) {
    return { again: false, kind: 'finished', why: 'it completed' }
  }
  // Another spec is another try, however the old one ended.
  if (last.specVersion !== specVersion) return { again: true, startAfterMs: undefined }
  if (restart.when === 'none') return { again: false, kind: 'exhausted', why: "restart policy 'none'" }
  if (!isTerminal(last.observed) || isDisplaced(last)) return { again: true, startAfterMs: stillAhead(last, nowMs) }
  if (restart.attemptsMax > 0 && countsAsAttempt(tasks, last)) {
    const used = attemptsBefore(tasks, last, restart.windowMs)
    if (used >= restart.attemptsMax) {
      return { again: false, kind: 'exhausted', why: `${used} of ${restart.attemptsMax} restarts used up` }
    }
  }
  if (nodeIsLost(view, last)) return { again: true, startAfterMs: stillAhead(last, nowMs) }
  // It ended while it still waited to start (a command nobody finds): preparing another at once would go round without a pause.
  const createAfterMs = stillAhead(last, nowMs)
  return { again: true, startAfterMs: last.observedAtMs + restart.delayMs, ...(createAfterMs !== undefined && { createAfterMs }) }
}

/** A changed placement or restart policy does not make a finished task run again; a changed program does. */
function isSameProgram(view: View, { service, specVersion }: Task, current: number, spec: ResolvedServiceSpec): boolean {
  return specVersion === current || isDeepStrictEqual(view.spec(service, specVersion)?.task, spec.task)
}

/** Its place was taken from it: by losing the node, or because the node no longer meets the constraints. */
function isDisplaced(task: Task): boolean {
  return task.observed === 'orphaned' || (task.observed === 'rejected' && task.message === displacedMessage)
}

/** A replacement that lost its node while it waited hands its waiting time on: a node's end is no way around the delay. */
function stillAhead({ startAfterMs }: Task, nowMs: number): number | undefined {
  return startAfterMs !== undefined && startAfterMs > nowMs ? startAfterMs : undefined
}

/**
 * True when the task ended by itself, and so is an attempt that counts against `attemptsMax`; false when it was stopped, displaced,
 * or reported its end only after it had been replaced (its node was away).
 */
export function countsAsAttempt(tasks: readonly Task[], task: Task): boolean {
  if (task.observed !== 'failed' && task.observed !== 'complete' && task.observed !== 'rejected') return false
  if (isDisplaced(task)) return false
  const next = tasks.find((other) => other.generation > task.generation && other.desired !== 'remove')
  return next === undefined || next.createdAtMs >= task.observedAtMs
}

/** Attempts of the same spec version before `last`, within the window before its end (0: all). */
function attemptsBefore(tasks: readonly Task[], last: Task, windowMs: number): number {
  return tasks.filter(
    (task) =>
      task.generation < last.generation &&
      task.specVersion === last.specVersion &&
      (windowMs === 0 || task.observedAtMs > last.observedAtMs - windowMs) &&
      countsAsAttempt(tasks, task),
  ).length
}

/** How long a replacement waits for its predecessor to stop, at least. Source: SwarmKit's defaultOldTaskTimeout. */
const predecessorWaitMs = 60_000
/** Past its stop grace a predecessor is being killed; what takes longer than this is not waited for. */
const killTimeMs = 5_000

/**
 * Leader wall time from which a task of the slot may run: past its delay, and past its predecessors' end. Predecessors on a node
 * that is gone are not waited for; others at most a minute, or their stop grace if that is longer. -Infinity: at once.
 * @param createdAtMs When the task was created, or now for one that is about to be.
 */
export function startsAtMs(
  view: View,
  predecessors: readonly Task[],
  startAfterMs: number | undefined,
  createdAtMs: number,
): number {
  let at = startAfterMs ?? Number.NEGATIVE_INFINITY
  for (const task of predecessors) {
    if (isOver(task) || nodeIsGone(view, task)) continue
    // Not placed yet, and about to be told not to be: it never runs.
    if (task.node === undefined) continue
    const stopGraceMs = view.spec(task.service, task.specVersion)?.task.stopGraceMs ?? 0
    at = Math.max(at, createdAtMs + Math.max(predecessorWaitMs, stopGraceMs + killTimeMs))
  }
  return at
}
