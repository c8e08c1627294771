import type { ResolvedServiceSpec } from '../model/service.js'

/** What runs tasks: a function here, a child process, a container. It only runs; the agent decides. */
export interface RuntimeDriver {
  readonly name: string
  /** What this driver can offer on this machine. */
  describe(): Promise<DriverDescription>
  /** Everything short of starting (look the command up, make directories). @throws what the task is then `rejected` with */
  prepare(task: Assigned, signal: AbortSignal): Promise<Unit>
  /** Units of these tasks that still run since before this agent started, by task id; what is not returned will be replaced. */
  recover?(tasks: readonly Assigned[]): Promise<ReadonlyMap<string, Unit>>
  /** Stops what the driver itself holds (helpers, watchers); units are stopped by the agent before. */
  close?(): Promise<void>
}

export interface DriverDescription {
  readonly cpus: number
  readonly memoryBytes: number
  readonly platform?: string
  /** Whether a task can be kept from using more than its `resources.limit`. Left out: not known. */
  readonly limits?: 'enforced' | 'ignored'
}

/** One task as a driver sees it. */
export interface Assigned {
  readonly id: string
  readonly service: string
  readonly slot: string
  readonly spec: ResolvedServiceSpec['task']
  /** By target. The task's own copies: not to be written anywhere that outlives it, and overwritten once they are handed over. */
  readonly secrets: ReadonlyMap<string, Uint8Array>
  /** By target, a path that leads only down. The task's own copies. */
  readonly configs: ReadonlyMap<string, Uint8Array>
}

/** One prepared task. Calls come in order prepare → start → wait/stop → remove; stop and remove any number of times. */
export interface Unit {
  /** Resolves when it runs. @throws what the task then `failed` with */
  start(signal: AbortSignal): Promise<void>
  /** Resolves when it has ended, however; never rejects. */
  wait(): Promise<UnitEnd>
  /** Asks it to stop, waits `graceMs`, then forces it; resolves when it is gone with all it started. */
  stop(graceMs: number): Promise<void>
  /** Frees what it held on disk. */
  remove(): Promise<void>
  logs(options: LogOptions): AsyncIterable<UnitLogLine>
}

export interface UnitEnd {
  /** Exit code; 128 + signal number when a signal ended it. */
  readonly code: number
  readonly why?: string
}

export interface LogOptions {
  /** Go on with new lines until the unit ends. Default false. */
  readonly follow?: boolean
  /** Only the last so many lines of what is kept. Default all. */
  readonly tail?: number
  readonly since?: Date
  readonly streams?: readonly ('stdout' | 'stderr')[]
  readonly signal?: AbortSignal
}

export interface UnitLogLine {
  readonly stream: 'stdout' | 'stderr'
  readonly at: Date
  readonly text: string
}
