import { backoffMs } from '../base/backoff.js'
import type { Clock } from '../base/clock.js'
import { deferred } from '../base/deferred.js'
import { isSkeinError, SkeinError } from '../base/errors.js'
import type { Random } from '../base/random.js'
import type { Link, LinkPool } from '../overlay/transport/index.js'

export interface AskOptions {
  readonly pool: LinkPool
  /** `host:port`, at least one. */
  readonly addresses: readonly string[]
  /** For messages: what is asked for. */
  readonly what: string
  /** Gives up after this. */
  readonly timeoutMs: number
  readonly clock: Clock
  readonly random: Random
  readonly signal: AbortSignal | undefined
}

const dialMs = 5_000

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

/**
 * Asks the addresses in turn, over a link of its own to each, following a manager's word on who leads.
 * @throws {SkeinError} what `ask` or the dial is refused with for good, at once; the last passing error after `timeoutMs`; ERR_SKEIN_ABORTED
 */
export async function askManagers<T>(options: AskOptions, ask: (link: Link) => Promise<T>): Promise<T> {
  const { pool, addresses, what, timeoutMs, clock, random, signal } = options
  const endMs = clock.now() + timeoutMs
  const queue = [...addresses]
  for (let attempt = 0; ; attempt++) {
    if (signal?.aborted) throw new SkeinError('ERR_SKEIN_ABORTED', `${what}: aborted`, { what })
    const address = queue.shift() ?? (addresses[attempt % addresses.length] as string)
    try {
      // Not in place of the link there may be to that peer: what runs over that one goes on.
      const link = await pool.dial(address, { deadlineMs: dialMs, purpose: 'bulk', ...(signal && { signal }) })
      try {
        return await ask(link)
      } finally {
        link.close('answered')
      }
    } catch (error) {
      if (!passing.some((code) => isSkeinError(error, code)) || clock.now() >= endMs) throw error
      const leader = isSkeinError(error, 'ERR_SKEIN_NOT_LEADER') ? error.detail.address : undefined
      if (leader !== undefined && leader !== address) {
        queue.unshift(leader)
        continue
      }
    }
    const over = deferred()
    const cancel = clock.after(
      backoffMs(Math.floor(attempt / addresses.length), { firstMs: 50, maxMs: 1_000 }, random),
      over.resolve,
    )
    const onAbort = (): void => over.resolve()
    signal?.addEventListener('abort', onAbort, { once: true })
    await over.promise
    cancel()
    signal?.removeEventListener('abort', onAbort)
  }
}
