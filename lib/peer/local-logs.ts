import type { Agent } from '../agent/index.js'
import type { LogRequest } from '../api/control.js'
import type { LogLine } from '../api/types.js'
import { SkeinError } from '../base/errors.js'

/** Lines of a task of this node, as a manager asks for them. @throws {SkeinError} ERR_SKEIN_NOT_FOUND */
export function localLogs(
  agent: Agent | undefined,
  task: string,
  request: LogRequest,
  signal: AbortSignal,
): AsyncIterable<Omit<LogLine, 'task' | 'node'>> {
  if (agent === undefined)
    throw new SkeinError('ERR_SKEIN_NOT_FOUND', `task ${task} is not on this node`, { kind: 'task', ref: task })
  return agent.logs(task, {
    follow: request.follow,
    signal,
    ...(request.tail !== undefined && { tail: request.tail }),
    ...(request.sinceMs !== undefined && { since: new Date(request.sinceMs) }),
    ...(request.streams && { streams: request.streams }),
  })
}
