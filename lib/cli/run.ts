import { CommanderError } from 'commander'
import { deferred } from '../base/deferred.js'
import { type ExitCode, exitCodeOf, exitCodes } from './exit-codes.js'
import { sayFailure, writeJsonFailure } from './failure.js'
import { buildProgram } from './program.js'
import type { CliWorld } from './world.js'

/**
 * Runs one command line (without node and script) and resolves with its exit code; never rejects, never exits the process.
 * A second SIGINT or SIGTERM resolves at once, whatever the command still does.
 */
export async function runCli(argv: readonly string[], world: CliWorld): Promise<number> {
  const forced = deferred<ExitCode>()
  const forget = world.onSignal((_signal, count) => {
    if (count > 1) forced.resolve(exitCodes.interrupted)
  })
  try {
    return await Promise.race([runCommand(argv, world), forced.promise])
  } finally {
    forget()
  }
}

async function runCommand(argv: readonly string[], world: CliWorld): Promise<number> {
  let code: number = exitCodes.done
  const program = buildProgram(world, (given) => {
    code = given
  })
  try {
    await program.parseAsync(argv, { from: 'user' })
    return code
  } catch (error) {
    if (!(error instanceof CommanderError)) {
      sayFailure(world, error, wantsJson(argv) ? 'json' : 'text')
      return exitCodeOf(error)
    }
    if (error.code === 'commander.helpDisplayed' || error.code === 'commander.version') return exitCodes.done
    // commander has put its words on stderr already.
    if (wantsJson(argv)) writeJsonFailure(world, 'ERR_SKEIN_INVALID_OPTION', error.message.replace(/^error: /, ''))
    return exitCodes.usage
  }
}

/** Read from the raw words, because a usage error comes before any flag is understood. */
function wantsJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--')
  const flags = end < 0 ? argv : argv.slice(0, end)
  return flags.some((word, index) => {
    const value =
      word === '--format' ? flags[index + 1] : word.startsWith('--format=') ? word.slice('--format='.length) : undefined
    return value === 'json' || value === 'jsonl'
  })
}
