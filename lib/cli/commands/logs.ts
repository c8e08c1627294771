import type { Command } from 'commander'
import type { LogLine, Services } from '../../api/types.js'
import { isSkeinError, SkeinError } from '../../base/errors.js'
import { type ExitCode, exitCodes } from '../exit-codes.js'
import { count, instant } from '../flags.js'
import { printable } from '../print.js'
import type { Session } from '../session.js'

type LogOptions = NonNullable<Parameters<Services['logs']>[1]>

export interface LogFlags {
  readonly follow?: boolean
  readonly tail?: number
  readonly since?: string
  readonly timestamps?: boolean
}

export function addLogOptions(command: Command): Command {
  return command
    .option('-f, --follow', 'go on with new lines until interrupted')
    .option('--tail <n>', 'only the last so many lines of each task', count)
    .option('--since <when>', 'only lines since, as 10m or 2026-01-31T12:00:00Z')
    .option('--timestamps', 'begin each line with its time')
}

/** The flags as the API wants them. @throws {SkeinError} ERR_SKEIN_INVALID_OPTION */
export function logOptions(session: Session, flags: LogFlags): LogOptions {
  return { signal: session.signal, follow: flags.follow ?? false, ...tailOf(flags), ...sinceOf(flags, session) }
}

/**
 * Prints lines as they come: on the stream they were written to, or as JSON lines on stdout. Ctrl-C is how following ends.
 * @param nameOf What people call the task of an id.
 */
export async function printLogs(
  session: Session,
  flags: LogFlags,
  lines: AsyncIterable<LogLine>,
  nameOf: (task: string) => string,
): Promise<ExitCode> {
  try {
    for await (const line of lines) {
      const time = flags.timestamps === true ? `${line.at.toISOString()} ` : ''
      session.output.line(line, `${time}${nameOf(line.task)}@${line.node} | ${printable(line.text)}`, line.stream)
    }
    session.signal.throwIfAborted() // a stream may end instead of failing when it is told to stop
  } catch (error) {
    const interrupted = isSkeinError(session.signal.reason, 'ERR_SKEIN_ABORTED')
    if (interrupted && flags.follow === true) return exitCodes.interrupted
    throw error
  }
  return exitCodes.done
}

function tailOf({ tail }: LogFlags): Pick<LogOptions, 'tail'> {
  return tail === undefined ? {} : { tail }
}

function sinceOf({ since: text }: LogFlags, { world }: Session): Pick<LogOptions, 'since'> {
  if (text === undefined) return {}
  const since = instant(text, world.clock.wallMs())
  if (since !== undefined) return { since }
  const words = `--since: expected a duration as 10m or a date as 2026-01-31T12:00:00Z, got "${text}"`
  throw new SkeinError('ERR_SKEIN_INVALID_OPTION', words, { option: 'since', got: text })
}
