import type { BasicStatus, ConfState, RaftId } from '../core/index.js'

export type RaftRole = 'leader' | 'follower' | 'candidate' | 'pre-candidate'

/** News for whoever acts on leadership and membership, in order. */
export type RaftEvent =
  | { readonly type: 'role'; readonly role: RaftRole; readonly term: number; readonly leader: RaftId }
  | { readonly type: 'conf'; readonly conf: ConfState }

const roles = {
  StateLeader: 'leader',
  StateFollower: 'follower',
  StateCandidate: 'candidate',
  StatePreCandidate: 'pre-candidate',
} as const satisfies Record<BasicStatus['raftState'], RaftRole>

export function roleOf({ raftState }: Pick<BasicStatus, 'raftState'>): RaftRole {
  return roles[raftState]
}

/** Says what changed, once. A leader is news only when it has applied an entry of its own term: before, it may act on old state. */
export class RoleNews {
  #role: RaftRole = 'follower'
  #term = 0
  #leader: RaftId = 0

  next(status: BasicStatus, appliedTerm: number): Extract<RaftEvent, { type: 'role' }> | undefined {
    const role = roleOf(status)
    const { term, lead: leader } = status
    if (role === this.#role && term === this.#term && leader === this.#leader) return undefined
    if (role === 'leader' && appliedTerm !== term) return undefined
    this.#role = role
    this.#term = term
    this.#leader = leader
    return { type: 'role', role, term, leader }
  }
}
