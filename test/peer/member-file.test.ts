import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type Deferred, deferred } from '../../lib/base/deferred.js'
import type { NodeId } from '../../lib/base/ids.js'
import { silentLogger } from '../../lib/base/logger.js'
import { type KeptMember, type MemberSnapshot, readSnapshot } from '../../lib/overlay/swim/index.js'
import { keptMembers, MemberFile } from '../../lib/peer/member-file.js'
import { ManualClock } from '../../lib/testing/manual-clock.js'
import { decode } from '../../lib/wire/index.js'

const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** The members now are `number` of one epoch, which counts the changes. */
function world(number = 3) {
  const clock = new ManualClock()
  const group = { epoch: 0, snapshots: 0 }
  const snapshot = (): MemberSnapshot => {
    group.snapshots++
    const { epoch } = group
    const profile = { address: 'a:1', lanes: 'both', meta: new Uint8Array(), profileVersion: 1 } as const
    const member = (at: number): KeptMember => ({
      id: String(at).padStart(12, '0') as NodeId,
      epoch,
      incarnation: 0,
      state: 'alive',
      ...profile,
    })
    return { members: Array.from({ length: number }, (_none, at) => member(at)) }
  }
  /** What was written, by its epoch, and how each write ends. */
  const writes: { readonly epoch: number | undefined; readonly end: Deferred<void> }[] = []
  const warnings: string[] = []
  const logger = { ...silentLogger, warn: (_about: object, words: string) => warnings.push(words) }
  const file = new MemberFile('members', {
    clock,
    logger,
    snapshot,
    write: async (_file, bytes) => {
      const end = deferred()
      writes.push({ epoch: readSnapshot(decode(bytes, 64 * 1024 * 1024)).members[0]?.epoch, end })
      await end.promise
    },
  })
  /** Something changes every so often, and each write takes so long as is told, or for ever. */
  const live = async (ms: number, { everyMs, writeMs }: { everyMs: number; writeMs: number }): Promise<void> => {
    for (let passed = 0; passed < ms; passed += everyMs) {
      group.epoch++
      file.changed()
      const begun = writes.length
      clock.advance(everyMs)
      await turns()
      if (writes.length > begun && Number.isFinite(writeMs)) clock.after(writeMs, () => writes.at(-1)?.end.resolve())
    }
  }
  return { clock, group, file, writes, warnings, live }
}

t.test('while the disk hangs nothing waits behind the one write, and the next one says how things stand then', async (t) => {
  const { clock, group, file, writes, live } = world()
  await live(600_000, { everyMs: 1_000, writeMs: Number.POSITIVE_INFINITY })
  t.same([writes.length, group.snapshots, clock.pending], [1, 1, 0])
  writes[0]?.end.resolve()
  await turns()
  clock.advance(10_000)
  await turns()
  t.same([writes.length, writes[1]?.epoch], [2, group.epoch])
  writes[1]?.end.resolve()
  await turns()
  clock.advance(600_000)
  t.equal(writes.length, 2, 'and nothing more, as nothing has changed')
  const stopped = file.stop()
  await turns()
  writes[2]?.end.resolve()
  await stopped
})

t.test(
  'what is new is kept within a second; in a group that never rests, now and then, the larger the more rarely',
  async (t) => {
    const first = world()
    await first.live(1_000, { everyMs: 500, writeMs: 10 })
    t.equal(first.writes.length, 1)
    const counts: number[] = []
    for (const members of [3, 1_000, 10_000]) {
      const { writes, live } = world(members)
      await live(120_000, { everyMs: 500, writeMs: 10 })
      counts.push(writes.length)
    }
    const [small, middle, large] = counts as [number, number, number]
    t.ok(small <= 24 && small > 15, `${small} writes of 3 members in two minutes`)
    t.ok(middle < small && large < middle && large <= 9 && large > 4, counts.join())
  },
)

t.test('a suspicion, or a member that is slow for a while, writes nothing', async (t) => {
  const { clock, file, writes } = world()
  for (const type of ['suspect', 'degraded'] as const) file.heard(type)
  t.equal(clock.pending, 0)
  for (const type of ['joined', 'alive', 'failed', 'left', 'updated'] as const) {
    const before = writes.length
    file.heard(type)
    clock.advance(10_000)
    await turns()
    t.equal(writes.length, before + 1, type)
    writes.at(-1)?.end.resolve()
    await turns()
  }
})

t.test('who stops keeps how things stand at that moment, after the write under way, once', async (t) => {
  const { clock, group, file, writes, live } = world()
  await live(2_000, { everyMs: 1_000, writeMs: Number.POSITIVE_INFINITY })
  t.equal(writes.length, 1)
  group.epoch = 77
  const stopped = file.stop()
  group.epoch = 78
  file.changed()
  await turns()
  t.equal(writes.length, 1, 'one at a time')
  writes[0]?.end.resolve()
  await turns()
  t.equal(writes[1]?.epoch, 77)
  writes[1]?.end.resolve()
  await Promise.all([stopped, file.stop()])
  t.same([writes.length, clock.pending], [2, 0])
})

t.test('a disk that refuses is said once, and tried again until it takes the members', async (t) => {
  const { clock, file, writes, warnings } = world()
  file.changed()
  for (let time = 0; time < 4; time++) {
    clock.advance(10_000)
    await turns()
    if (time < 3) writes.at(-1)?.end.reject(new Error('ENOSPC'))
    else writes.at(-1)?.end.resolve()
    await turns()
  }
  t.equal(writes.length, 4)
  t.same(warnings, ['the members could not be kept'])
  clock.advance(60_000)
  t.equal(writes.length, 4)
})

t.test('what was kept is read again', async (t) => {
  const path = join(t.testdir(), 'members')
  t.equal(await keptMembers(path, silentLogger), undefined)
  const members = [{ id: 'member000001' as NodeId, epoch: 1, incarnation: 2, state: 'dead', address: 'a:1' } as const]
  const snapshot = {
    members: members.map((each) => ({ ...each, lanes: 'both' as const, meta: Uint8Array.of(7), profileVersion: 3 })),
  }
  await new MemberFile(path, { clock: new ManualClock(), logger: silentLogger, snapshot: () => snapshot }).stop()
  t.match(await keptMembers(path, silentLogger), snapshot)
  t.notOk(existsSync(`${path}.tmp`))
})
