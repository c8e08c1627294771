import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { type ConfChange, type ConfState, encodeConfChange } from '../../lib/raft/core/index.js'
import { changeConf, checkConf, sortedConf } from '../../lib/raft/core/membership.js'
import { RaftDisk, type WalBatch } from '../../lib/raft/index.js'
import { changesToStayAlone, planRecovery, recoverRaft } from '../../lib/raft/recovery.js'
import { Group } from './raft-group.js'

async function freshDir(t: Test): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'skein-recovery-'))
  t.teardown(() => rm(dir, { recursive: true, force: true, maxRetries: 5 }))
  return dir
}

/** A log of raft id 1 with these changes of members (index 1 and on, term 2), committed up to `commit`. */
async function logOf(t: Test, changes: readonly ConfChange[], commit: number, more: readonly WalBatch[] = []): Promise<string> {
  const dir = await freshDir(t)
  const { disk } = await RaftDisk.open({ dir, clusterId: 'sums', nodeId: 1 })
  const entries = changes.map((change, i) => ({ ...encodeConfChange(change), term: 2, index: i + 1 }))
  await disk.append([{ entries, hardState: { term: 2, vote: 2, commit } }, ...more])
  await disk.close()
  return dir
}

const single = (type: 'v' | 'l' | 'r', nodeId: number): ConfChange => ({ v1: true, changes: [{ type, nodeId }] })
const three = [1, 2, 3].map((id) => single('v', id))

t.test('one of three voters goes on alone with all it had, and others may be added', async (t) => {
  const dirs = { 1: await freshDir(t), 2: await freshDir(t), 3: await freshDir(t) }
  const peers = new Group()
  t.teardown(() => peers.end())
  for (const id of [1, 2, 3] as const) await peers.start(id, { dir: dirs[id], bootstrap: [1, 2, 3] })
  const { raft } = await peers.leader()
  await raft.apply({ add: 5 })
  const { term } = raft.status()
  await Promise.all(peers.members.map(({ raft }) => raft.barrier()))
  for (const id of [1, 2, 3]) await peers.stop(id)

  const plan = await recoverRaft(dirs[3])
  t.match(plan, { id: 3, clusterId: 'sums', members: { voters: [1, 2, 3] }, removed: [1, 2] })
  t.ok(plan.term > term)
  const { machine, raft: alone } = await peers.start(3, { dir: dirs[3] })
  await peers.leader()
  t.equal(await alone.read(() => machine.sum), 5)
  t.equal(await alone.apply({ add: 1 }), 6)
  await peers.start(4)
  await alone.addLearner(4)
  t.same(alone.status().conf, { voters: [3], votersOutgoing: [], learners: [4], learnersNext: [], autoLeave: false })
})

t.test('entries that were not known to be committed become so, and are named; a plan changes nothing', async (t) => {
  const tail = { type: 'EntryNormal' as const, term: 2, index: 4, data: Buffer.from('maybe') }
  const dir = await logOf(t, three, 3, [{ entries: [tail] }])
  const [name] = await readdir(join(dir, 'log'))
  const file = join(dir, 'log', name as string)
  const before = await readFile(file)
  const plan = await planRecovery(dir, { commands: [Buffer.from('told')] })
  t.match(plan, { commitIndex: 3, lastIndex: 4, term: 3 })
  t.same(await readFile(file), before)
  await recoverRaft(dir, { commands: [Buffer.from('told')] })
  const { disk, contents } = await RaftDisk.open({ dir, clusterId: 'sums', nodeId: 1 })
  await disk.close()
  t.same(contents.hardState, { term: 3, vote: 1, commit: 7 })
  t.same(
    contents.entries.slice(3).map(({ data }) => Buffer.from(data).toString()),
    ['maybe', 'r2', 'r3', 'told'],
  )
})

t.test('a change of members at the end of the log counts, committed or not', async (t) => {
  const dir = await logOf(t, [...three, single('r', 2), single('l', 4)], 3)
  const { members, removed } = await planRecovery(dir)
  t.match(members, { voters: [1, 3], learners: [4] })
  t.same(removed, [3, 4])
})

t.test('a joint configuration is left first', async (t) => {
  const joint: ConfChange = {
    transition: 'explicit',
    changes: [
      { type: 'v', nodeId: 4 },
      { type: 'r', nodeId: 1 },
    ],
  }
  const plan = await recoverRaft(await logOf(t, [...three, joint], 4))
  t.match(plan.members, { votersOutgoing: [1, 2, 3], voters: [2, 3, 4] })
  t.same(
    plan.entries.map(({ data }) => Buffer.from(data).toString()),
    ['', 'v1', 'r2', 'r3', 'r4'],
    'this peer votes again before the others go',
  )
})

t.test('a log that begins with a snapshot knows the members from it', async (t) => {
  const dir = await freshDir(t)
  const { disk } = await RaftDisk.open({ dir, clusterId: 'sums', nodeId: 1 })
  const confState: ConfState = { voters: [1, 2, 3], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false }
  const meta = { index: 9, term: 2, confState }
  await disk.saveSnapshot(meta, [Buffer.from('0')])
  await disk.append([{ snapshot: { ...meta, kind: 'installed' }, hardState: { term: 2, vote: 0, commit: 9 } }])
  await disk.close()
  const plan = await recoverRaft(dir)
  t.match(plan, { removed: [2, 3], lastIndex: 9, entries: [{ index: 10, term: 3 }, { index: 11 }] })
})

t.test('what cannot be recovered is refused by name, and stays as it is', async (t) => {
  const refused = { code: 'ERR_SKEIN_PRECONDITION' }
  await t.rejects(recoverRaft(await freshDir(t)), { ...refused, message: /no raft log/ })
  await t.rejects(recoverRaft(await logOf(t, [single('v', 1)], 1)), { ...refused, message: /only member already/ })
  await t.rejects(recoverRaft(await logOf(t, [...three, single('r', 1)], 4)), { ...refused, message: /it was removed/ })

  const dir = await logOf(t, three, 3)
  const [name] = await readdir(join(dir, 'log'))
  const file = join(dir, 'log', name as string)
  const bytes = await readFile(file)
  bytes[150] = (bytes[150] as number) ^ 1
  await writeFile(file, bytes)
  await t.rejects(recoverRaft(dir), { code: 'ERR_SKEIN_CORRUPT', detail: { file }, message: /Recover on another member/ })
  t.same(await readFile(file), bytes)
})

t.test('whoever was a member, and in whatever role, stays as the only voter by legal changes', async (t) => {
  const ids = fc.uniqueArray(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 9 })
  const recovers = () =>
    fc.assert(
      fc.property(ids, ids, ids, ids, fc.integer({ min: 1, max: 9 }), (voters, outgoing, learners, next, self) => {
        const votersOutgoing = outgoing.filter((id) => outgoing.length > 1 || !voters.includes(id))
        const learnersNext = next.filter((id) => votersOutgoing.includes(id) && !voters.includes(id))
        const plain = learners.filter((id) => !voters.includes(id) && !votersOutgoing.includes(id))
        const conf = sortedConf({ voters, votersOutgoing, learners: plain, learnersNext })
        checkConf(conf)
        const isMember = [...voters, ...votersOutgoing, ...plain].includes(self)
        const changes = changesToStayAlone(self, conf)
        if (!isMember) return changes === undefined
        const end = (changes as readonly ConfChange[]).reduce(changeConf, conf)
        return end.voters.join() === String(self) && end.learners.length === 0 && end.votersOutgoing.length === 0
      }),
    )
  t.doesNotThrow(recovers)
})
