import type { Clock } from '../base/clock.js'
import { messageOf } from '../base/errors.js'
import type { RaftRunner, WaitOptions } from '../raft/runner/index.js'
import type { Store } from '../store/store.js'
import type { Duty } from './leadership.js'
import { planRoles, type RolesStep, type RolesView } from './roles.js'

export interface RoleKeeperWorld {
  readonly clock: Clock
  readonly store: Pick<Store, 'view' | 'onChange' | 'submit'>
  readonly raft: Pick<RaftRunner, 'status' | 'changeConf' | 'transferLeadership'>
  /** As in `RolesView`. */
  readonly votes: RolesView['votes']
  log(words: string, detail: object): void
}

/** How often a waiting step (a learner that catches up) is looked at again. */
const lookAgainMs = 50
/** After a refused change. */
const retryMs = 500

/** Leader's duty: makes raft's members equal the managers' records, and workers of managers that raft let go, one safe step at a time. */
export class RoleKeeper implements Duty {
  readonly name = 'roles'
  readonly #world: RoleKeeperWorld
  #unsubscribe: (() => void) | undefined
  #cancelTimer: (() => void) | undefined
  #work: Promise<void> | undefined
  readonly #stopping = new AbortController()

  constructor(world: RoleKeeperWorld) {
    this.#world = world
  }

  start(): void {
    this.#unsubscribe = this.#world.store.onChange((changes) => {
      if (changes.some(({ kind }) => kind === 'node')) this.#wake()
    })
    this.#wake()
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#unsubscribe?.()
    this.#cancelTimer?.()
    await this.#work
  }

  #wake(): void {
    if (this.#stopping.signal.aborted || this.#work !== undefined) return
    this.#cancelTimer?.()
    this.#work = this.#step().then((againMs) => {
      this.#work = undefined
      if (againMs !== undefined && !this.#stopping.signal.aborted)
        this.#cancelTimer = this.#world.clock.after(againMs, () => this.#wake())
    })
  }

  /** Never rejects. Resolves with when to look again; undefined when members and records are equal. */
  async #step(): Promise<number | undefined> {
    const { raft, store, votes, log } = this.#world
    const { id: self, conf, commitIndex, progress, quorum } = raft.status()
    const managers = [...store.view().nodes()].flatMap(({ id, role, raftId, becoming }) =>
      role === 'manager' && raftId !== undefined ? [{ node: id, raftId, becoming }] : [],
    )
    const wanted = managers.filter(({ becoming }) => becoming !== 'worker')
    const leaving = managers.filter(({ becoming }) => becoming === 'worker')
    const answering = new Set(quorum.answering)
    const step = planRoles({ self, conf, commitIndex, wanted, leaving, votes, progress, answering })
    if (step === undefined) return leaving.length === 0 && equal(wanted, conf, votes) ? undefined : lookAgainMs
    try {
      await this.#carryOut(step)
      return 0
    } catch (error) {
      log('a membership change did not go through', { step, why: messageOf(error) })
      return retryMs
    }
  }

  async #carryOut(step: RolesStep): Promise<unknown> {
    const { raft, store } = this.#world
    switch (step.type) {
      case 'change':
        return await raft.changeConf({ changes: [step.change] }, untilDecided(this.#stopping.signal))
      case 'hand-over':
        return await raft.transferLeadership(step.to)
      case 'release': {
        const { node: id, raftId } = step.member
        return await store.submit([{ op: 'node.become', id, role: 'worker', raftId }], { by: 'leader' })
      }
    }
  }
}

/**
 * As long as this peer leads: a change that is in the log may go through at any time, however slow the disks are, and until then raft
 * takes no other. A deadline would only ask again for what is under way, and be late to see that it was done.
 */
function untilDecided(signal: AbortSignal): WaitOptions {
  return { deadlineMs: Number.POSITIVE_INFINITY, signal }
}

function equal(
  wanted: readonly { readonly raftId: number }[],
  conf: { readonly voters: readonly number[]; readonly learners: readonly number[] },
  votes: RolesView['votes'],
): boolean {
  if (votes === 'chosen') return conf.voters.length + conf.learners.length === wanted.length
  return conf.learners.length === 0 && conf.voters.length === wanted.length
}
