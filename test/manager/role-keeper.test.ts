import t from 'tap'
import { deferred } from '../../lib/base/deferred.js'
import { SkeinError } from '../../lib/base/errors.js'
import { RoleKeeper, type RoleKeeperWorld } from '../../lib/manager/role-keeper.js'
import { changeConf } from '../../lib/raft/core/membership.js'
import type { ConfChange, ConfState } from '../../lib/raft/index.js'
import { fakeClock } from '../cli/fake-world.js'

/** Raft and the managers' records as every leader of this cluster finds them. */
class SharedWorld {
  conf: ConfState
  readonly wanted: number[]
  /** What becomes of the next change: it goes through, or the leader dies before or after it did. */
  fate: 'done' | 'lost before' | 'lost after' = 'done'
  readonly changed: string[] = []

  constructor(voters: readonly number[], wanted: number[]) {
    this.conf = { voters, votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false }
    this.wanted = wanted
  }

  /** The duty of a leader with this raft id; `settled` resolves when it has nothing to do, or has failed at something. */
  lead(self: number) {
    const clock = fakeClock()
    const settled = deferred()
    const nodes = () => this.wanted.map((raftId) => ({ id: `n${raftId}`, role: 'manager', raftId }))
    const progress = () => new Map(this.conf.voters.map((id) => [id, { match: 10, recentActive: true }]))
    const world = {
      clock,
      store: { view: () => ({ nodes }), onChange: () => () => undefined },
      raft: {
        status: () => ({
          id: self,
          conf: this.conf,
          commitIndex: 10,
          progress: progress(),
          quorum: { answering: this.conf.voters },
        }),
        changeConf: async (change: ConfChange) => {
          const { fate } = this
          if (fate !== 'lost before') {
            this.conf = changeConf(this.conf, change)
            this.changed.push(change.changes.map(({ type, nodeId }) => `${type}${nodeId}`).join(' '))
          }
          if (fate === 'done') return this.conf
          throw new SkeinError('ERR_SKEIN_OUTCOME_UNKNOWN', 'this peer lost its leadership', { requestId: '' })
        },
      },
      votes: 'all',
      log: () => settled.resolve(),
    }
    return { keeper: new RoleKeeper(world as unknown as RoleKeeperWorld), settled: settled.promise }
  }
}

for (const fate of ['lost before', 'lost after'] as const) {
  t.test(
    `a manager's record is gone and the leader dies, its change of raft ${fate}: the next leader finishes, once`,
    async (t) => {
      const shared = new SharedWorld([1, 2, 3], [1, 2])
      shared.fate = fate
      const first = shared.lead(1)
      first.keeper.start()
      await first.settled
      await first.keeper.stop()
      shared.fate = 'done'
      const second = shared.lead(2)
      second.keeper.start()
      await second.keeper.stop()
      t.same(shared.conf.voters, [1, 2])
      t.same(shared.changed, ['r3'])
    },
  )
}
