import { type JoinAnswer, type JoinRequest, readJoinAnswer } from '../api/join.js'
import { backoffMs } from '../base/backoff.js'
import type { Clock } from '../base/clock.js'
import { deferred } from '../base/deferred.js'
import { isSkeinError, SkeinError } from '../base/errors.js'
import type { Random } from '../base/random.js'
import type { LinkPool } from '../overlay/transport/index.js'

export interface JoinAttempt {
  readonly pool: LinkPool
  readonly addresses: readonly string[]
  readonly request: JoinRequest
  readonly clock: Clock
  readonly random: Random
  readonly signal: AbortSignal | undefined
}

/** A newcomer gives up when nobody could take it in for this long. */
const joinTimeoutMs = 30_000
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
] as const

/**
 * Asks the addresses in turn to be taken in, following a manager's word on who leads; the same node may ask again.
 * @throws {SkeinError} ERR_SKEIN_BAD_JOIN_SECRET, ERR_SKEIN_OTHER_CLUSTER, ERR_SKEIN_WIRE_VERSION, ERR_SKEIN_REMOVED, ERR_SKEIN_ALREADY_EXISTS at
 * once; ERR_SKEIN_UNREACHABLE or ERR_SKEIN_NO_QUORUM after 30 s
 */
export async function joinCluster({ pool, addresses, request, clock, random, signal }: JoinAttempt): Promise<JoinAnswer> {
  const endMs = clock.now() + joinTimeoutMs
  const queue = [...addresses]
  for (let attempt = 0; ; attempt++) {
    if (signal?.aborted) throw new SkeinError('ERR_SKEIN_ABORTED', 'joining was aborted', { what: 'join' })
    const address = queue.shift() ?? (addresses[attempt % addresses.length] as string)
    try {
      const link = await pool.dial(address, { deadlineMs: dialMs, ...(signal && { signal }) })
      try {
        return readJoinAnswer(await link.call('join.join', request, { deadlineMs: dialMs }))
      } finally {
        link.close('joined')
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
    clock.after(backoffMs(Math.floor(attempt / addresses.length), { firstMs: 50, maxMs: 1_000 }, random), () => over.resolve())
    await over.promise
  }
}
