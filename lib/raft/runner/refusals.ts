/** The words of every "no" of a runner. "Definitely not" and "nobody knows" have different codes. */
import { SkeinError } from '../../base/errors.js'
import { type BasicStatus, RaftError, type RaftId } from '../core/index.js'
import type { QuorumStatus } from './status.js'

export function busy(limit: string): SkeinError<'ERR_SKEIN_BUSY'> {
  return new SkeinError('ERR_SKEIN_BUSY', `too much is under way (${limit}); try again later`, { limit })
}

export function tooLarge(size: number, limit: number): SkeinError<'ERR_SKEIN_TOO_LARGE'> {
  return new SkeinError('ERR_SKEIN_TOO_LARGE', `a proposal of ${size} bytes; expected 1 to ${limit}`, {
    what: 'proposal',
    size,
    limit,
  })
}

export function withoutLease(): SkeinError<'ERR_SKEIN_INVALID_OPTION'> {
  return new SkeinError(
    'ERR_SKEIN_INVALID_OPTION',
    'consistency: lease needs the option leaseReads on every peer; or ask linearizable',
    {
      option: 'consistency',
      got: 'lease',
    },
  )
}

export function notAVoter(id: RaftId): SkeinError<'ERR_SKEIN_PRECONDITION'> {
  return new SkeinError('ERR_SKEIN_PRECONDITION', `raft id ${id} is not a voter; promote it first`, {
    what: 'transferLeadership',
  })
}

export function aborted(what: string): SkeinError<'ERR_SKEIN_ABORTED'> {
  return new SkeinError('ERR_SKEIN_ABORTED', `${what}: the caller's signal was aborted`, { what })
}

/** After a failure of the disk its own error says more. */
export function stopped(cause?: unknown): SkeinError {
  if (cause instanceof SkeinError) return cause
  return new SkeinError(
    'ERR_SKEIN_STOPPED',
    'this peer is stopped',
    { what: 'raft' },
    cause === undefined ? undefined : { cause },
  )
}

export function confChangeRefused(why: string): SkeinError<'ERR_SKEIN_CONF_CHANGE'> {
  return new SkeinError('ERR_SKEIN_CONF_CHANGE', `the change of members was refused: ${why}`, { what: why })
}

export function notLeader({ id, lead }: BasicStatus): SkeinError<'ERR_SKEIN_NOT_LEADER'> {
  const leader = lead === 0 || lead === id ? undefined : String(lead)
  const words = leader === undefined ? 'no leader is known' : `raft id ${leader} leads`
  return new SkeinError('ERR_SKEIN_NOT_LEADER', `this peer does not lead: ${words}`, { leader })
}

export function noQuorum({ voters, reachable }: QuorumStatus): SkeinError<'ERR_SKEIN_NO_QUORUM'> {
  return new SkeinError('ERR_SKEIN_NO_QUORUM', `no majority confirmed the read: ${reachable} of ${voters} voters answer`, {
    voters,
    reachable,
  })
}

/** Why the core did not take a proposal, for the proposer; anything else as it is. */
export function proposalRefused(error: unknown, status: BasicStatus): unknown {
  if (!(error instanceof RaftError) || error.code !== 'ERR_PROPOSAL_DROPPED') return error
  switch (error.reason) {
    case 'too-much-uncommitted':
      return busy('maxUncommittedBytes')
    case 'transferring':
      return busy('leadership is being handed over')
    default:
      return notLeader(status)
  }
}
