/** What an operator may not do to managers, or with what cannot be one, since it could cost the quorum. Pure. */
import { SkeinError } from '../base/errors.js'
import type { Node } from '../model/node.js'
import type { ConfState } from '../raft/core/state.js'
import { mayRemoveVoter } from './roles.js'

export interface QuorumView {
  /** Node id of the leader, which asks. */
  readonly leader: string
  readonly conf: ConfState
  /** Voters that answer now, the leader among them. */
  readonly reachable: ReadonlySet<number>
  /** Of `managers`: how many managers vote, the others being spare; undefined: all. */
  readonly votersWanted: number | undefined
}

/** @throws {SkeinError} ERR_SKEIN_PRECONDITION */
export function checkRemovable({ id, name, role, raftId }: Node, { leader, conf, reachable }: QuorumView): void {
  if (role !== 'manager' || raftId === undefined) return
  if (id === leader) {
    throw new SkeinError('ERR_SKEIN_PRECONDITION', `node ${name} leads: stop its process first, then remove it`, {
      what: 'node leads',
    })
  }
  if (!conf.voters.includes(raftId) || mayRemoveVoter(conf, reachable, raftId)) return
  const words = `removing manager ${name} would lose the quorum: bring another manager back first`
  throw new SkeinError('ERR_SKEIN_PRECONDITION', words, { what: 'quorum' })
}

/** Where one manager is to vote, another one that is promoted is only spare. */
const moreVoters =
  'one manager is to vote here (--managers 1): start the managers with --managers 2 or more, promote another node, and wait until it votes'

/** @throws {SkeinError} ERR_SKEIN_PRECONDITION with the counts */
export function checkDemotable({ name, raftId }: Node, { conf, reachable, votersWanted }: QuorumView): void {
  if (raftId === undefined || !conf.voters.includes(raftId) || mayRemoveVoter(conf, reachable, raftId)) return
  const left = conf.voters.filter((id) => id !== raftId)
  const answering = left.filter((id) => reachable.has(id)).length
  const [counts, remedy] =
    left.length === 0
      ? ['it is the only voter', votersWanted === 1 ? moreVoters : 'promote another node first, and wait until it votes']
      : [
          `of the ${left.length} voters that stay only ${answering} answer, and ${Math.floor(left.length / 2) + 1} are needed`,
          'bring a manager back, or promote another node first',
        ]
  const words = `demoting manager ${name} would lose the quorum: ${counts}; ${remedy}`
  throw new SkeinError('ERR_SKEIN_PRECONDITION', words, { what: 'quorum' })
}

/** @throws {SkeinError} ERR_SKEIN_PRECONDITION */
export function checkPromotable({ name, state, address }: Node): void {
  if (state === 'down') {
    const words = `node ${name} is down, and could not become a manager: bring it back first`
    throw new SkeinError('ERR_SKEIN_PRECONDITION', words, { what: 'node is down' })
  }
  if (address !== '') return
  const words = `node ${name} only dials out, and the others dial a manager: start it with an address to listen on first`
  throw new SkeinError('ERR_SKEIN_PRECONDITION', words, { what: 'node listens nowhere' })
}
