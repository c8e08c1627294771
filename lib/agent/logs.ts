import { SkeinError } from '../base/errors.js'
import type { LogOptions, UnitLogLine } from '../drivers/driver.js'
import type { Worker } from './worker.js'

/**
 * Lines of a task of this node, on demand.
 * @throws {SkeinError} ERR_SKEIN_NOT_FOUND at once when no such task is here
 */
export function taskLogs(worker: Worker, task: string, options: LogOptions): AsyncIterable<UnitLogLine> {
  const runner = worker.runner(task)
  if (runner !== undefined) return runner.logs(options)
  throw new SkeinError('ERR_SKEIN_NOT_FOUND', `no task ${task} on this node`, { kind: 'task', ref: task })
}
