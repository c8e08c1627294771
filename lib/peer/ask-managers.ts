import { abortable } from '../base/abort.js'
import { backoffMs } from '../base/backoff.js'
import type { Clock } from '../base/clock.js'
import { isSkeinError, messageOf, SkeinError } from '../base/errors.js'
import { pause } from '../base/pause.js'
import type { Random } from '../base/random.js'
import type { Link, LinkPool } from '../overlay/transport/index.js'
import { Seeds } from './seeds.js'

export interface AskOptions {
  readonly pool: LinkPool
  /** `host:port`, at least one; seeds are looked up anew before every round. */
  readonly addresses: readonly string[] | Seeds
  /** For messages: what is asked for. */
  readonly what: string
  /** Gives up after this. */
  readonly timeoutMs: number
  readonly clock: Clock
  readonly random: Random
  readonly signal: AbortSignal | undefined
}

/** A silent address may not use up the time of the others. */
const [dialMinMs, dialMaxMs] = [1_000, 5_000]

/** Between two addresses, and between two rounds. */
const betweenMs = { firstMs: 50, maxMs: 1_000 } as const

/** Errors that may pass: nobody there yet, an election under way, a leader just gone. */
const passing = [
  'ERR_SKEIN_UNREACHABLE',
  'ERR_SKEIN_LINK_LOST',
  'ERR_SKEIN_NOT_LEADER',
  'ERR_SKEIN_STOPPED',
  'ERR_SKEIN_TIMEOUT',
  'ERR_SKEIN_OUTCOME_UNKNOWN',
  'ERR_SKEIN_NO_QUORUM',
  'ERR_SKEIN_BUSY',
  'ERR_SKEIN_PRECONDITION',
] as const

/** Errors of a dial that say nothing of the other addresses: one was given to another machine since. */
const somebodyElse = ['ERR_SKEIN_BAD_CERTIFICATE', 'ERR_SKEIN_OTHER_CLUSTER'] as const

/** Two managers may each take the other for the leader for a moment. */
const redirectsMax = 3

/**
 * Asks the addresses in turn, over a link of its own to each, following a manager's word on who leads.
 * @throws {SkeinError} what `ask` or the dial is refused with for good, at once; after `timeoutMs` the last passing error, with every
 * address and what became of it; ERR_SKEIN_ABORTED
 */
export async function askManagers<T>(options: AskOptions, ask: (link: Link) => Promise<T>): Promise<T> {
  const { pool, addresses, what, timeoutMs, clock, random, signal } = options
  const endMs = clock.now() + timeoutMs
  const orAborted = <A>(work: Promise<A>): Promise<A> => (signal === undefined ? work : abortable(work, signal, what))
  /** What became of each address last. */
  const missed = new Map<string, unknown>()
  for (let round = 0; ; round++) {
    if (signal?.aborted) throw aborted(what)
    const queue = [...(addresses instanceof Seeds ? await orAborted(addresses.list()) : addresses)]
    const deadlineMs = Math.min(dialMaxMs, Math.max(dialMinMs, timeoutMs / (2 * queue.length)))
    let hope = false
    let redirects = 0
    for (let address = queue.shift(); address !== undefined; address = queue.shift()) {
      if (signal?.aborted) throw aborted(what)
      let link: Link | undefined
      let leader: string | undefined
      try {
        // Not in place of the link there may be to that peer: what runs over that one goes on.
        link = await pool.dial(address, { deadlineMs, purpose: 'bulk', ...(signal && { signal }) })
        return await orAborted(ask(link))
      } catch (error) {
        const isPassing = passing.some((code) => isSkeinError(error, code))
        const isSomebodyElse = link === undefined && somebodyElse.some((code) => isSkeinError(error, code))
        if (!isPassing && !isSomebodyElse) throw error
        hope ||= isPassing
        missed.set(address, error)
        if (clock.now() >= endMs) throw nobody(options, missed)
        const { address: other } = isSkeinError(error, 'ERR_SKEIN_NOT_LEADER') ? error.detail : {}
        if (other !== undefined && other !== address && redirects++ < redirectsMax) leader = other
      } finally {
        link?.close('answered')
      }
      if (leader !== undefined) queue.unshift(leader)
      else if (queue.length > 0) await pause(clock, backoffMs(round, betweenMs, random), signal)
    }
    if (missed.size > 0 && !hope) throw nobody(options, missed)
    if (clock.now() >= endMs) throw nobody(options, missed)
    await pause(clock, backoffMs(round, betweenMs, random), signal)
  }
}

/** Every address with its reason. An answer says more than silence: its code is the error's. */
function nobody({ addresses, what }: AskOptions, missed: ReadonlyMap<string, unknown>): unknown {
  const unknown = addresses instanceof Seeds ? addresses.unknown : []
  const reasons = [
    ...[...missed].map(([address, error]) => `${address} (${messageOf(error)})`),
    ...unknown.map(({ said, why }) => `${said} (${why})`),
  ]
  const errors = [...missed.values()]
  const error = errors.find((each) => !isSkeinError(each, 'ERR_SKEIN_UNREACHABLE')) ?? errors[0]
  if (errors.length === 1 && unknown.length === 0) return error
  const words = `${what}: none of the addresses would: ${reasons.join('; ')}`
  if (error instanceof SkeinError) return new SkeinError(error.code, words, error.detail, { cause: error })
  return error ?? new SkeinError('ERR_SKEIN_UNREACHABLE', words, { address: 'none' })
}

function aborted(what: string): SkeinError<'ERR_SKEIN_ABORTED'> {
  return new SkeinError('ERR_SKEIN_ABORTED', `${what}: aborted`, { what })
}
