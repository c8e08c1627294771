/**
 * A task: one attempt to fill a place (slot) of a service. It has two states, both of which only rise:
 * what was observed, written by one owner per transition, and what is desired, written by managers.
 * Source: Docker Swarm's task model.
 */

/** In order: a state may only be followed by one further right. */
export const taskStates = [
  'new',
  'pending',
  'assigned',
  'accepted',
  'preparing',
  'ready',
  'starting',
  'running',
  'complete',
  'shutdown',
  'failed',
  'rejected',
  'remove',
  'orphaned',
] as const

export type TaskState = (typeof taskStates)[number]

/** States a task may be wished into; `ready` means prepare but do not start. */
export type DesiredState = 'ready' | 'running' | 'shutdown' | 'remove'

const rankOf = new Map<TaskState, number>(taskStates.map((state, rank) => [state, rank]))

/** Place of a state in the order, from 0. */
export function rank(state: TaskState): number {
  return rankOf.get(state) ?? -1
}

/** True when `to` is strictly later than `from`; states never go back. */
export function canAdvance(from: TaskState, to: TaskState): boolean {
  return rank(to) > rank(from)
}

/** Past running: this attempt is over and its resources are free. */
export function isTerminal(state: TaskState): boolean {
  return rank(state) > rank('running')
}

/** The replicated record of one attempt. Small on purpose: the spec is stored once, under (service, specVersion). */
export interface Task {
  /** Dense number given by the store; what log entries and assignments carry. */
  readonly handle: number
  /** Service id. */
  readonly service: string
  /** Place in the service, from 1. */
  readonly slot: number
  /** Attempt in this slot, from 1. */
  readonly generation: number
  readonly specVersion: number
  /** Node id once assigned; never changes after. */
  readonly node: string | undefined
  readonly desired: DesiredState
  readonly observed: TaskState
  /** Why it is in this state, for people. */
  readonly message: string
  readonly exitCode: number | undefined
  /** A replacement waits (desired `ready`) until this leader wall time before it may run; undefined: at once. */
  readonly startAfterMs: number | undefined
  readonly createdAtMs: number
  /** When the leader recorded the observed state (leader's wall clock). */
  readonly observedAtMs: number
  readonly version: number
}

/** `service.slot.generation`: derived, so that a planner that plans again makes the same id. */
export function taskId(task: Pick<Task, 'service' | 'slot' | 'generation'>): string {
  return `${task.service}.${task.slot}.${task.generation}`
}

/** The parts of a task id, or undefined if it is none. */
export function parseTaskId(id: string): { service: string; slot: number; generation: number } | undefined {
  const parts = /^([0-9a-z]{12})\.(\d{1,9})\.(\d{1,9})$/.exec(id)
  if (parts === null) return undefined
  return { service: parts[1] as string, slot: Number(parts[2]), generation: Number(parts[3]) }
}
