import { SkeinError } from '../../base/errors.js'

export interface AutopilotOptions {
  /** Voters to keep, from 1 to 15. An even number survives no more failures than the odd one below it. */
  readonly voters: number
  /** Milliseconds a learner answers and has caught up, without a break, before it may vote, up to an hour. Default 10,000. */
  readonly stableMs?: number
  /** Milliseconds of silence after which a voter counts as dead, from two election timeouts to a week. Default 60,000. */
  readonly deadMs?: number
  /** Entries behind what is committed at which a learner still counts as caught up, up to a million. Default 1,000. */
  readonly lagEntriesMax?: number
}

export interface ResolvedAutopilotOptions extends Required<AutopilotOptions> {
  /** Milliseconds since it was last heard within which a member counts as healthy: an election timeout. */
  readonly healthyMs: number
}

const weekMs = 7 * 24 * 3_600_000

/** @throws {SkeinError} ERR_SKEIN_INVALID_OPTION naming the option */
export function resolveAutopilotOptions(options: AutopilotOptions, electionMs: number): ResolvedAutopilotOptions {
  if (typeof options !== 'object' || options === null) throw invalid('autopilot', options, 'an object with at least voters')
  const { voters, stableMs = 10_000, deadMs = Math.max(60_000, 2 * electionMs), lagEntriesMax = 1_000 } = options
  whole('voters', voters, 1, 15)
  whole('stableMs', stableMs, 0, 3_600_000)
  whole('deadMs', deadMs, 2 * electionMs, weekMs)
  whole('lagEntriesMax', lagEntriesMax, 0, 1_000_000)
  return Object.freeze({ voters, stableMs, deadMs, lagEntriesMax, healthyMs: electionMs })
}

function whole(name: keyof AutopilotOptions, got: unknown, from: number, to: number): void {
  if (typeof got === 'number' && Number.isSafeInteger(got) && got >= from && got <= to) return
  throw invalid(`autopilot.${name}`, got, `a whole number from ${from} to ${to}`)
}

function invalid(option: string, got: unknown, expected: string): SkeinError<'ERR_SKEIN_INVALID_OPTION'> {
  return new SkeinError('ERR_SKEIN_INVALID_OPTION', `${option}: expected ${expected}, got ${String(got)}`, { option, got })
}
