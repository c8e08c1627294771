import { assert, unreachable } from '../base/assert.js'
import { canAdvance, type DesiredState, isTerminal, rank, type TaskState } from '../model/task.js'

/**
 * One task, decided: from what was observed and what is desired to the next act; from an act's outcome to the next observed state.
 * The agent owns every step from `accepted` to the end; each step has one line here and each only rises.
 * Source: Docker Swarm's agent (swarmkit `exec.Do`).
 */

/** What to do next. */
export type Act =
  /** Write this state down; nothing else is needed to reach it. */
  | { readonly type: 'advance'; readonly to: TaskState }
  | { readonly type: 'prepare' }
  | { readonly type: 'start' }
  /** Wait for the unit to end. */
  | { readonly type: 'wait' }
  /** Stop what there is, then it is over. */
  | { readonly type: 'stop' }
  /** Nothing until the desired state changes. */
  | { readonly type: 'hold' }
  /** Over; nothing ever again. */
  | { readonly type: 'end' }

/** @param hasUnit Whether this process holds the prepared unit: after a restart of the agent it may have to be made again. */
export function next(observed: TaskState, desired: DesiredState, hasUnit: boolean): Act {
  if (isTerminal(observed)) return { type: 'end' }
  if (isStopWanted(desired)) return { type: 'stop' }
  switch (observed) {
    case 'new':
    case 'pending':
    case 'assigned':
      return { type: 'advance', to: 'accepted' }
    case 'accepted':
      return { type: 'advance', to: 'preparing' }
    case 'preparing':
      return { type: 'prepare' }
    case 'ready':
      if (!hasUnit) return { type: 'prepare' }
      return desired === 'running' ? { type: 'advance', to: 'starting' } : { type: 'hold' }
    case 'starting':
      return { type: 'start' }
    case 'running':
      return { type: 'wait' }
    default:
      assert(false, `no task is ${observed} and not over`)
  }
}

/** How an act went. */
export type Outcome =
  | { readonly type: 'prepared' }
  | { readonly type: 'started' }
  | { readonly type: 'ended'; readonly code: number; readonly why?: string }
  | { readonly type: 'stopped'; readonly code?: number; readonly why?: string }
  | { readonly type: 'refused'; readonly why: string }

/** What is then observed; `message` is for people. */
export interface Observation {
  readonly state: TaskState
  readonly message: string
  readonly exitCode?: number
}

/** The state after an outcome. Undefined: it changes nothing (the task is over; a unit was prepared a second time). */
export function observe(observed: TaskState, outcome: Outcome): Observation | undefined {
  if (isTerminal(observed)) return undefined
  const found = observation(observed, outcome)
  return canAdvance(observed, found.state) ? found : undefined
}

/** An attempt that never began was rejected; one that may have begun has failed. */
export function refusedState(observed: TaskState): 'rejected' | 'failed' {
  return rank(observed) < rank('starting') ? 'rejected' : 'failed'
}

export function isStopWanted(desired: DesiredState): boolean {
  return desired === 'shutdown' || desired === 'remove'
}

/** The later of two wishes: like what is observed, what is desired only rises. */
export function laterDesired(a: DesiredState, b: DesiredState): DesiredState {
  return desiredOrder.indexOf(b) > desiredOrder.indexOf(a) ? b : a
}

const desiredOrder: readonly DesiredState[] = ['ready', 'running', 'shutdown', 'remove']

function observation(observed: TaskState, outcome: Outcome): Observation {
  switch (outcome.type) {
    case 'prepared':
      return { state: 'ready', message: 'prepared' }
    case 'started':
      return { state: 'running', message: 'started' }
    case 'ended':
      return {
        state: outcome.code === 0 ? 'complete' : 'failed',
        message: outcome.why ?? (outcome.code === 0 ? 'finished' : `exited with code ${outcome.code}`),
        exitCode: outcome.code,
      }
    case 'stopped':
      return {
        state: 'shutdown',
        message: outcome.why ?? 'stopped',
        ...(outcome.code !== undefined && { exitCode: outcome.code }),
      }
    case 'refused':
      return { state: refusedState(observed), message: outcome.why }
    default:
      return unreachable(outcome)
  }
}
