/** What the exit code of a command says; `exitCodeHelp` is the same for people. */
export const exitCodes = {
  done: 0,
  failed: 1,
  usage: 2,
  exhausted: 4,
  unreachable: 5,
  timedOut: 124,
  interrupted: 130,
} as const

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes]

export const exitCodeHelp = `
Exit codes:
  0    done
  1    refused or failed
  2    wrong usage
  4    restart attempts exhausted
  5    no quorum, or nobody reachable
  124  timed out; what was asked for may still happen
  130  interrupted; what was begun goes on and is not undone`

/** The exit code for anything thrown. */
export function exitCodeOf(error: unknown): ExitCode {
  switch (error instanceof Error && 'code' in error ? error.code : undefined) {
    case 'ERR_SKEIN_INVALID_OPTION':
    case 'ERR_SKEIN_BAD_JOIN_STRING':
      return exitCodes.usage
    case 'ERR_SKEIN_TASKS_EXHAUSTED':
      return exitCodes.exhausted
    case 'ERR_SKEIN_NO_QUORUM':
    case 'ERR_SKEIN_UNREACHABLE':
    case 'ERR_SKEIN_LINK_LOST':
      return exitCodes.unreachable
    case 'ERR_SKEIN_TIMEOUT':
    case 'ERR_SKEIN_NOT_CONVERGED':
    case 'ERR_SKEIN_OUTCOME_UNKNOWN':
      return exitCodes.timedOut
    case 'ERR_SKEIN_ABORTED':
      return exitCodes.interrupted
    default:
      return exitCodes.failed
  }
}
