import createDebug from 'debug'
import type { BasicStatus, ConfState, RaftId } from '../core/index.js'

const debug = createDebug('skein:raft')

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

/** Tells who listens, in order. A listener that throws is its caller's trouble. */
export class News {
  readonly #id: RaftId
  readonly #roles = new RoleNews()
  readonly #listeners = new Set<(event: RaftEvent) => void>()
  leaderChanges = 0

  constructor(id: RaftId) {
    this.#id = id
  }

  observe(listener: (event: RaftEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Looks whether the role is news. */
  look(status: BasicStatus, appliedTerm: number): void {
    const event = this.#roles.next(status, appliedTerm)
    if (event === undefined) return
    if (event.leader !== 0) this.leaderChanges++
    this.tell(event)
  }

  tell(event: RaftEvent): void {
    debug('%d: %o', this.#id, event)
    for (const listener of [...this.#listeners]) listener(event)
  }
}

/** Says what changed, once. A leader is news only when it has applied an entry of its own term: before, it may act on old state. */
class RoleNews {
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
