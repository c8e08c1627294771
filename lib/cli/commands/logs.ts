import type { Command } from 'commander'
import type { LogLine, Services } from '../../api/types.js'
import { SkeinError } from '../../base/errors.js'
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

/** Prints lines as they come: on the stream they were written to, or as JSON lines on stdout. */
export async function printLogs(
  session: Session,
  flags: LogFlags,
  open: (options: LogOptions) => AsyncIterable<LogLine>,
): Promise<ExitCode> {
  const since = flags.since === undefined ? undefined : instant(flags.since, session.world.clock.wallMs())
  if (flags.since !== undefined && since === undefined) {
    const words = `--since: expected a duration as 10m or a date as 2026-01-31T12:00:00Z, got "${flags.since}"`
    throw new SkeinError('ERR_SKEIN_INVALID_OPTION', words, { option: 'since', got: flags.since })
  }
  const options: LogOptions = {
    signal: session.signal,
    follow: flags.follow ?? false,
    ...(flags.tail === undefined ? {} : { tail: flags.tail }),
    ...(since === undefined ? {} : { since }),
  }
  for await (const line of open(options)) {
    const time = flags.timestamps === true ? `${line.at.toISOString()} ` : ''
    session.output.line(line, `${time}${line.task}@${line.node} | ${printable(line.text)}`, line.stream)
  }
  session.signal.throwIfAborted() // a stream may end instead of failing when it is told to stop
  return exitCodes.done
}
