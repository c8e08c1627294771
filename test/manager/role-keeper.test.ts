import t from 'tap'
import { deferred } from '../../lib/base/deferred.js'
import { SkeinError } from '../../lib/base/errors.js'
import { RoleKeeper, type RoleKeeperWorld } from '../../lib/manager/role-keeper.js'
import { changeConf } from '../../lib/raft/core/membership.js'
import type { ConfChange, ConfState } from '../../lib/raft/index.js'
import type { WaitOptions } from '../../lib/raft/runner/index.js'
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
  lead(self: number, asked: (change: ConfChange, o?: WaitOptions) => Promise<ConfState> = (change) => this.#change(change)) {
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
        changeConf: asked,
      },
      votes: 'all',
      log: () => settled.resolve(),
    }
    return { keeper: new RoleKeeper(world as unknown as RoleKeeperWorld), settled: settled.promise }
  }

  async #change(change: ConfChange): Promise<ConfState> {
    const { fate } = this
    if (fate !== 'lost before') {
      this.conf = changeConf(this.conf, change)
      this.changed.push(change.changes.map(({ type, nodeId }) => `${type}${nodeId}`).join(' '))
    }
    if (fate === 'done') return this.conf
    throw new SkeinError('ERR_SKEIN_OUTCOME_UNKNOWN', 'this peer lost its leadership', { requestId: '' })
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

t.test('a removal that takes a minute to commit is asked for once, and the record says so as soon as it is done', async (t) => {
  const clock = fakeClock()
  const committed = deferred()
  const released = deferred()
  const asked: string[] = []
  let conf: ConfState = { voters: [1, 2, 3], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false }
  const nodes = () =>
    [1, 2, 3].map((raftId) => ({ id: `n${raftId}`, role: 'manager', raftId, becoming: raftId === 3 ? 'worker' : undefined }))
  const world = {
    clock,
    store: {
      view: () => ({ nodes }),
      onChange: () => () => undefined,
      submit: async () => released.resolve(),
    },
    raft: {
      status: () => ({ id: 1, conf, commitIndex: 10, progress: new Map(), quorum: { answering: [1, 2, 3] } }),
      changeConf: async (change: ConfChange, { deadlineMs = 5_000, signal }: WaitOptions = {}) => {
        asked.push(change.changes.map(({ type, nodeId }) => `${type}${nodeId}`).join(' '))
        const unknown = new SkeinError('ERR_SKEIN_OUTCOME_UNKNOWN', 'the caller no longer waits', { requestId: '' })
        const late = deferred()
        if (deadlineMs < Number.POSITIVE_INFINITY) clock.after(deadlineMs, () => late.reject(unknown))
        signal?.addEventListener('abort', () => late.reject(unknown))
        await Promise.race([committed.promise, late.promise])
        conf = changeConf(conf, change)
        return conf
      },
    },
    votes: 'all',
    log: () => undefined,
  } as unknown as RoleKeeperWorld
  const keeper = new RoleKeeper(world)
  keeper.start()
  for (let second = 0; second < 60; second++) {
    clock.advance(1_000)
    await new Promise((resolve) => setImmediate(resolve))
  }
  t.same(asked, ['r3'])
  committed.resolve()
  await new Promise((resolve) => setImmediate(resolve))
  clock.advance(0)
  await released.promise
  await keeper.stop()
})

t.test('a duty that is stopped while a removal is under way waits for it no longer', async (t) => {
  const shared = new SharedWorld([1, 2, 3], [1, 2])
  const waits = deferred<AbortSignal | undefined>()
  const { keeper } = shared.lead(1, (_change, { signal } = {}) => {
    waits.resolve(signal)
    return new Promise((_, reject) => signal?.addEventListener('abort', () => reject(new Error('stopped'))))
  })
  keeper.start()
  const signal = await waits.promise
  t.equal(signal?.aborted, false)
  await keeper.stop()
  t.equal(signal?.aborted, true)
})
