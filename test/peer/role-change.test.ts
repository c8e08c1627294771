import t from 'tap'
import type { RenewAnswer } from '../../lib/api/join.js'
import type { NodeRole } from '../../lib/model/node.js'
import type { ManagerPart } from '../../lib/peer/manager-part.js'
import { RoleChange, type RoleChangeWorld } from '../../lib/peer/role-change.js'
import type { StoredIdentity } from '../../lib/peer/state-dir.js'
import type { KeyPair } from '../../lib/security/index.js'

interface Answer {
  readonly role: NodeRole
  readonly raftId: number | undefined
}

/** What a peer's directory holds, and what its processes did with it, one after the other. */
class Disk {
  identity: Answer
  keys: NodeRole
  /** Whose raft log lies there. */
  log: number | undefined
  /** Raft ids whose log was thrown away: they have forgotten their votes. */
  readonly forgotten = new Set<number>()
  /** Writes until the process is killed; each that is carried out counts. */
  writesLeft = Number.POSITIVE_INFINITY
  writes = 0
  /** Raft ids under which a manager ran, in this order. */
  readonly ran: number[] = []

  constructor(identity: Answer) {
    this.identity = identity
    this.keys = identity.role
    this.log = identity.raftId
  }

  write(act: () => void): void {
    if (this.writesLeft-- <= 0) throw new Error('killed')
    act()
    this.writes++
  }

  /** A process on this directory that is told what to be whenever its keys or its identity are not that yet. */
  async run(answer: Answer): Promise<{ readonly role: NodeRole; readonly failed: unknown }> {
    let failed: unknown
    let shown = this.keys
    let running: number | undefined
    const world = {
      own: {
        credentials: {
          get role() {
            return shown
          },
        },
        certified: async () => this.write(() => (this.keys = shown = answer.role)),
      },
      pool: { renewLinks: () => undefined },
      logger: { debug() {}, info() {}, warn() {}, error() {} },
      self: () => ({ node: 'me', managers: [], ...this.identity }) as unknown as StoredIdentity,
      keep: async ({ role, raftId }: StoredIdentity) => this.write(() => (this.identity = { role, raftId })),
      managers: () => [{ node: 'me', address: '' }],
      openManager: async () => {
        const { raftId } = this.identity
        if (raftId === undefined || this.keys !== 'manager') throw new Error('a manager without its id or keys')
        if (this.log !== undefined && this.log !== raftId) throw new Error('the log is of another raft id')
        if (this.forgotten.has(raftId)) throw new Error('votes under this id are forgotten')
        if (running !== undefined) throw new Error('two at once')
        running = raftId
        const start = (): void => {
          this.log = raftId
          this.ran.push(raftId)
        }
        const stop = async (): Promise<void> => {
          running = undefined
        }
        return { start, stop, manager: { release: () => undefined } } as unknown as ManagerPart
      },
      settle: () => undefined,
      forget: async () =>
        this.write(() => {
          if (running !== undefined) throw new Error('thrown away while it runs')
          if (this.log !== undefined) this.forgotten.add(this.log)
          this.log = undefined
        }),
      fail: (error: unknown) => {
        failed = error
      },
    }
    const roles = new RoleChange(world as unknown as RoleChangeWorld)
    const isTold = (): boolean => shown !== this.identity.role || shown !== answer.role || this.identity.raftId !== answer.raftId
    try {
      await roles.begin()
      if (isTold()) await roles.renewed({} as KeyPair, { ...answer, was: shown } as unknown as RenewAnswer)
    } catch (error) {
      failed ??= error
    }
    await roles.stop()
    return { role: this.identity.role, failed }
  }
}

const cases: readonly (readonly [words: string, before: Answer, after: Answer])[] = [
  ['promoted', { role: 'worker', raftId: undefined }, { role: 'manager', raftId: 7 }],
  ['demoted', { role: 'manager', raftId: 3 }, { role: 'worker', raftId: undefined }],
  ['demoted and promoted while it did not look', { role: 'manager', raftId: 3 }, { role: 'manager', raftId: 7 }],
]
for (const [words, before, after] of cases) {
  t.test(`${words}: killed after any write, the next process ends where this one was going`, async (t) => {
    const whole = new Disk(before)
    t.equal((await whole.run(after)).failed, undefined)
    t.ok(whole.writes >= 3, 'there are steps to be killed between')
    for (let writes = 0; writes < whole.writes; writes++) {
      const disk = new Disk(before)
      disk.writesLeft = writes
      t.match((await disk.run(after)).failed, { message: 'killed' }, `after ${writes} writes`)
      disk.writesLeft = Number.POSITIVE_INFINITY
      const { role, failed } = await disk.run(after)
      t.equal(failed, undefined, `after ${writes} writes`)
      t.same([role, disk.keys, disk.identity.raftId], [after.role, after.role, after.raftId])
      t.equal(disk.log, after.raftId, 'a worker has no log, a manager its own')
      if (after.role === 'manager') t.equal(disk.ran.at(-1), after.raftId)
      else t.notOk(disk.ran.includes(7))
    }
  })
}

t.test('a certificate that says what it is already changes nothing', async (t) => {
  const disk = new Disk({ role: 'manager', raftId: 3 })
  const answer: Answer = { role: 'manager', raftId: 3 }
  t.equal((await disk.run(answer)).failed, undefined)
  t.same([disk.writes, disk.ran, disk.log], [0, [3], 3])
})
