import { type Command, type Help, Option, type OptionValues } from 'commander'
import type { ExitCode } from './exit-codes.js'
import { timeout } from './flags.js'
import { Session, type SharedOptions } from './session.js'
import type { CliWorld } from './world.js'

/** Makes a command's action: opens a session from the shared flags, does the work, closes, and reports the exit code. */
export type Act = <Args extends readonly unknown[]>(
  work: (session: Session, ...args: Args) => Promise<ExitCode>,
) => (...given: unknown[]) => Promise<void>

export function actIn(world: CliWorld, finish: (code: ExitCode) => void): Act {
  return <Args extends readonly unknown[]>(work: (session: Session, ...args: Args) => Promise<ExitCode>) =>
    async (...given: unknown[]): Promise<void> => {
      const command = given.at(-1) as Command
      await using session = new Session(world, allOptions(command))
      // commander hands over the arguments as declared, then the options; `Args` is written beside that declaration.
      const args = given.slice(0, -1) as unknown as Args
      finish(await session.untilStopped(work(session, ...args)))
    }
}

/** Flags given before the noun count too; those nearer the command win. */
export function allOptions(command: Command): OptionValues & SharedOptions {
  const parent = command.parent
  return { ...(parent === null ? {} : allOptions(parent)), ...command.opts() }
}

/** commander's own heading. */
const ownOptions = 'Options:'

export function addSharedOptions(command: Command): Command {
  return command
    .optionsGroup('Options of every command that asks a cluster:')
    .option('--connect <url>', 'cluster to ask, skein://TOKEN@host:port (env SKEIN_CONNECT)')
    .option('--dir <dir>', 'data directory of a peer to ask when there is no --connect (env SKEIN_DIR, default ./.skein)')
    .addOption(new Option('--format <format>', 'how to print (default table)').choices(['table', 'json', 'jsonl']))
    .option('-q, --quiet', 'print only ids')
    .option('--wide', 'never shorten the last column')
    .option('--timeout <duration>', 'give up after, as 30s', timeout)
    .optionsGroup(ownOptions)
}

/** Help lists a command's own flags before those that every command has. */
export const ownFlagsFirst: Partial<Help> = {
  groupItems<T extends Command | Option>(_all: T[], visible: T[], groupOf: (item: T) => string): Map<string, T[]> {
    const ownFirst = [...visible].sort((a, b) => Number(groupOf(b) === ownOptions) - Number(groupOf(a) === ownOptions))
    const groups = new Map<string, T[]>()
    for (const item of ownFirst) groups.set(groupOf(item), [...(groups.get(groupOf(item)) ?? []), item])
    return groups
  },
}
