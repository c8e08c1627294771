/** Pure: which single change of members an operator's wish is, and when it must be refused. */
import { SkeinError } from '../base/errors.js'
import type { ConfChangeSingle, ConfState, ProgressStatus, RaftId } from './core/index.js'

export type MemberAct = 'addVoter' | 'addLearner' | 'promote' | 'demote' | 'remove'

export interface MembersView {
  readonly conf: ConfState
  readonly progress: ReadonlyMap<RaftId, Pick<ProgressStatus, 'state'>>
  /** Voters of `voters` that answered lately. */
  reachable(voters: readonly RaftId[]): number
}

export function isRaftId(id: unknown): id is RaftId {
  return typeof id === 'number' && Number.isSafeInteger(id) && id >= 1 && id < 2 ** 48
}

/**
 * The change to propose; undefined when the members are as wished already.
 * @throws {SkeinError} ERR_SKEIN_CONF_CHANGE (a change is under way, or the quorum would be lost), ERR_SKEIN_NOT_FOUND (no such member)
 * @see Ongaro 2014 §4.2: a newcomer that must catch up is a learner first
 */
export function planMember(act: MemberAct, id: RaftId, view: MembersView): ConfChangeSingle | undefined {
  const { conf } = view
  if (conf.votersOutgoing.length > 0) throw refused(act, id, 'another change of members is under way; wait until it is done')
  const [isVoter, isLearner] = [conf.voters.includes(id), conf.learners.includes(id)]
  switch (act) {
    case 'addVoter':
      if (isVoter) return undefined
      return isLearner ? planMember('promote', id, view) : { type: 'v', nodeId: id }
    case 'addLearner':
      if (isLearner) return undefined
      if (isVoter) throw refused(act, id, 'it is a voter; demote it instead')
      return { type: 'l', nodeId: id }
    case 'promote':
      if (isVoter) return undefined
      refuseStranger(id, isLearner)
      refuseIfBehind(id, view)
      return { type: 'v', nodeId: id }
    case 'demote':
      if (isLearner) return undefined
      refuseStranger(id, isVoter)
      refuseLostQuorum(act, id, view)
      return { type: 'l', nodeId: id }
    case 'remove':
      refuseStranger(id, isVoter || isLearner)
      if (isVoter) refuseLostQuorum(act, id, view)
      return { type: 'r', nodeId: id }
  }
}

function refuseStranger(id: RaftId, isMember: boolean): void {
  if (isMember) return
  throw new SkeinError('ERR_SKEIN_NOT_FOUND', `raft id ${id} is no member; see status().conf`, {
    kind: 'member',
    ref: String(id),
  })
}

/** A learner that still lacks entries, or does not answer, would only make the quorum larger. */
function refuseIfBehind(id: RaftId, { progress, reachable }: MembersView): void {
  if (progress.get(id)?.state === 'StateReplicate' && reachable([id]) === 1) return
  throw refused(
    'promote',
    id,
    'it has not caught up, or does not answer; wait until status().progress shows it in StateReplicate',
  )
}

function refuseLostQuorum(act: MemberAct, id: RaftId, { conf, reachable }: MembersView): void {
  const left = conf.voters.filter((voter) => voter !== id)
  if (left.length === 0) throw refused(act, id, 'it is the only voter; add another one first')
  const answering = reachable(left)
  if (answering * 2 > left.length) return
  throw refused(
    act,
    id,
    `of the ${left.length} voters left only ${answering} would answer, which is no majority; start them, or remove a dead one`,
  )
}

function refused(act: MemberAct, id: RaftId, why: string): SkeinError<'ERR_SKEIN_CONF_CHANGE'> {
  return new SkeinError('ERR_SKEIN_CONF_CHANGE', `${act} ${id}: ${why}`, { what: `${act} ${id}: ${why}` })
}
