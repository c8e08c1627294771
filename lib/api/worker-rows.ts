/** What a worker says of itself in gossip: rows that only it writes. They are hints with an age; decisions stand in raft. */
import type { TaskState } from '../model/task.js'
import { integer, natural, number, object, oneOf, optional, type Reader, refine, string } from '../wire/decode.js'
import { reportedStates, type TaskReport } from './session.js'

/** The scope every manager holds, and workers tell their own rows to. */
export const managersScope = 'managers'
export const taskTable = 'tasks'
export const loadTable = 'load'

/** An observed task; its key is the task's id, which names one attempt: `service.slot.generation`. */
export interface TaskRow {
  readonly state: TaskState
  readonly message: string
  readonly exitCode?: number
}

/** A statement of load comes at least this often: by it others know that the last one is not stale. */
export const loadPeriodMs = 60_000

/** How busy a node is; one row a node, its key is ''. */
export interface LoadRow {
  /** Goes up by one with each statement, so that one that repeats itself is heard as alive. */
  readonly count: number
  /** Used part of the machine's CPU, 0..1, a moving average. */
  readonly cpu: number
  readonly memoryFreeBytes: number
  /** What no task reserves. */
  readonly unreservedCpuNanos: number
  readonly unreservedMemoryBytes: number
  /** Tasks that have not ended. */
  readonly tasks: number
  /** How late the process's timers are, a moving average in milliseconds. */
  readonly lagMs: number
}

/** Longest message of a task in a row. */
const messageLengthMax = 300

const reported = oneOf(...reportedStates)
/** What a worker says beyond that goes into no record. */
const shortened = refine(string, (message) => message.slice(0, messageLengthMax))

export const readTaskRow = object({ state: reported, message: shortened, exitCode: optional(integer) }) as Reader<TaskRow>

export const readLoadRow = object({
  count: natural,
  cpu: number,
  memoryFreeBytes: number,
  unreservedCpuNanos: number,
  unreservedMemoryBytes: number,
  tasks: natural,
  lagMs: number,
}) as Reader<LoadRow>

export function taskRowOf({ state, message, exitCode }: TaskReport): TaskRow {
  return { state, message: message.slice(0, messageLengthMax), ...(exitCode !== undefined && { exitCode }) }
}

/** A manager's way to everybody's rows of one table. */
export interface Rows<T> {
  rows(): Iterable<{ readonly owner: string; readonly key: string; readonly value: T }>
  /** Level-triggered: what a row was when last told, and is now. Ends with the signal. */
  watch(
    signal: AbortSignal,
  ): AsyncIterable<readonly { readonly owner: string; readonly key: string; readonly next: T | undefined }[]>
  /** Milliseconds since the owner last said something new, by our own clock; undefined: never. */
  ageMs(owner: string): number | undefined
}
