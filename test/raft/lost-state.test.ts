import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Group, type Member } from './raft-group.js'

async function freshDir(t: Test): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'skein-lost-'))
  t.teardown(() => rm(dir, { recursive: true, force: true, maxRetries: 5 }))
  return dir
}

/** Three peers with directories; the leader, and a follower that is stopped with a copy of its directory from before the last write. */
async function withOldCopy(t: Test) {
  const peers = new Group()
  t.teardown(() => peers.end())
  const dirs: Record<number, string> = { 1: await freshDir(t), 2: await freshDir(t), 3: await freshDir(t) }
  for (const id of [1, 2, 3]) await peers.start(id, { dir: dirs[id], bootstrap: [1, 2, 3] })
  const leader = await peers.leader()
  const id = [1, 2, 3].find((each) => each !== leader.raft.id) as number
  await leader.raft.apply({ add: 1 })
  await peers.member(id).raft.barrier()
  await peers.stop(id)
  const copy = join(await freshDir(t), 'copy')
  await cp(dirs[id] as string, copy, { recursive: true })
  await peers.start(id, { dir: dirs[id] })
  for (let i = 0; i < 5; i++) await leader.raft.apply({ add: 1 })
  await peers.member(id).raft.barrier()
  await peers.until(() => leader.raft.status().progress.get(id)?.match === leader.raft.status().lastIndex)
  await peers.stop(id)
  return { peers, leader, id, dir: dirs[id] as string, copy }
}

async function endsAsForgetful(t: Test, { raft }: Member): Promise<void> {
  const error = await raft.ended
  t.match(error, { code: 'ERR_SKEIN_CORRUPT', message: /acknowledged entry \d+, and its log ends at \d+.*under a new raft id/ })
  await t.rejects(raft.apply({ add: 1 }), { code: 'ERR_SKEIN_CORRUPT' }, 'and takes no part any more')
}

t.test('a peer that was put back to an older copy of its directory ends, and says what to do', async (t) => {
  const { peers, leader, id, copy } = await withOldCopy(t)
  const restored = await peers.start(id, { dir: copy })
  await endsAsForgetful(t, restored)
  t.equal(await leader.raft.apply({ add: 1 }), 7, 'the others go on')
})

t.test('a raft id that comes back with an empty directory ends: it could vote twice', async (t) => {
  const { peers, leader, id } = await withOldCopy(t)
  const empty = await peers.start(id, { dir: await freshDir(t) })
  await endsAsForgetful(t, empty)
  t.equal(await leader.raft.apply({ add: 1 }), 7)
})

t.test('under a new raft id it is welcome, and the old one goes', async (t) => {
  const { peers, leader, id } = await withOldCopy(t)
  const newcomer = await peers.start(9, { dir: await freshDir(t) })
  await leader.raft.addLearner(9)
  await peers.until(() => leader.raft.status().progress.get(9)?.match === leader.raft.status().lastIndex)
  await leader.raft.promote(9)
  await leader.raft.remove(id)
  t.equal(await newcomer.raft.read(() => newcomer.machine.sum), 6)
  t.same([...leader.raft.status().conf.voters].sort(), [leader.raft.id, 9, 6 - id - leader.raft.id].sort())
})
