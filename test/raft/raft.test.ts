import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { RaftId } from '../../lib/raft/index.js'
import { Group, type Member } from './raft-group.js'

function group(t: Test): Group {
  const made = new Group()
  t.teardown(() => made.end())
  return made
}

function others(group: Group, { raft }: Member): readonly Member[] {
  return group.members.filter((member) => member.raft.id !== raft.id)
}

t.test('apply answers with what the machine returned, and every peer comes to the same state', async (t) => {
  const peers = group(t)
  const leader = await peers.found(1, 2, 3)
  t.equal(await leader.raft.apply({ add: 2 }), 2)
  t.equal(await leader.raft.apply({ add: 3 }), 5)
  for (const { raft, machine } of peers.members) t.equal(await raft.read(() => machine.sum), 5, `as peer ${raft.id} reads it`)
})

t.test('who does not lead refuses what only a leader may do, and names the leader', async (t) => {
  const peers = group(t)
  const leader = await peers.found(1, 2, 3)
  const [follower] = others(peers, leader) as [Member]
  await follower.raft.barrier()
  const refusal = { code: 'ERR_SKEIN_NOT_LEADER', detail: { leader: String(leader.raft.id) } }
  const { raft } = follower
  for (const act of [
    () => raft.apply({ add: 1 }),
    () => raft.verifyLeader(),
    () => raft.addLearner(9),
    () => raft.transferLeadership(),
  ]) {
    await t.rejects(async () => void (await act()), refusal)
  }
})

t.test(
  'a stale read answers at once without a majority, a linearizable one refuses, and the leader cannot be verified',
  async (t) => {
    const peers = group(t)
    const { raft, machine } = await peers.found(1, 2, 3)
    await raft.apply({ add: 4 })
    peers.cut(raft.id)
    t.equal(await raft.read(() => machine.sum, { consistency: 'stale' }), 4)
    await t.rejects(
      raft.read(() => machine.sum, { deadlineMs: 100 }),
      { code: 'ERR_SKEIN_NO_QUORUM' },
    )
    await t.rejects(raft.verifyLeader({ deadlineMs: 100 }), { code: /ERR_SKEIN_NO_QUORUM|ERR_SKEIN_NOT_LEADER/ })
    await t.rejects(
      raft.read(() => 0, { consistency: 'lease' as 'stale' }),
      { code: 'ERR_SKEIN_INVALID_OPTION' },
    )
  },
)

t.test('a retry under its request id answers with the first result and changes nothing, also at another leader', async (t) => {
  const peers = group(t)
  const first = await peers.found(1, 2, 3)
  t.equal(await first.raft.apply({ add: 5 }, { requestId: 'a' }), 5)
  await first.raft.apply({ add: 1 })
  t.equal(await first.raft.apply({ add: 5 }, { requestId: 'a' }), 5)
  await first.raft.transferLeadership()
  const next = await peers.leader()
  t.not(next.raft.id, first.raft.id)
  t.equal(await next.raft.apply({ add: 5 }, { requestId: 'a' }), 5)
  t.equal(next.machine.sum, 6)
  t.equal(next.machine.calls, 2)
})

t.test('after a restart the machine is filled from snapshot and log, and request ids are still known', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'skein-raft-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  const peers = group(t)
  const alone = { bootstrap: [7], dir }
  await peers.start(7, alone)
  const before = await peers.leader()
  await before.raft.apply({ add: 5 }, { requestId: 'a' })
  const index = await before.raft.snapshot()
  t.equal(index, before.raft.status().appliedIndex)
  t.equal(before.raft.metrics().snapshotsTaken, 1)
  await before.raft.apply({ add: 2 }, { requestId: 'b' })
  await peers.stop(7)
  await peers.start(7, alone)
  const { raft, machine } = await peers.leader()
  t.equal(await raft.read(() => machine.sum), 7)
  t.equal(machine.calls, 1, 'what the snapshot covers is not applied again')
  t.equal(await raft.apply({ add: 5 }, { requestId: 'a' }), 5)
  t.equal(await raft.apply({ add: 2 }, { requestId: 'b' }), 7)
  t.equal(machine.sum, 7)
})

t.test('a learner catches up by a snapshot, is promoted, demoted and removed', async (t) => {
  const peers = group(t)
  const { raft, machine } = await peers.found(1)
  for (let i = 0; i < 10; i++) await raft.apply({ add: 1 })
  await raft.snapshot()
  t.same((await raft.addLearner(2)).learners, [2])
  await t.rejects(raft.promote(2), { code: 'ERR_SKEIN_CONF_CHANGE', message: /caught up/ }, 'it does not even run')
  const newcomer = await peers.start(2)
  await peers.until(() => raft.status().progress.get(2)?.state === 'StateReplicate')
  t.same((await raft.promote(2)).voters, [1, 2])
  t.equal(await newcomer.raft.read(() => newcomer.machine.sum), machine.sum)
  t.same((await raft.addVoter(2)).voters, [1, 2], 'it is one already')
  await t.rejects(raft.addLearner(2), { code: 'ERR_SKEIN_CONF_CHANGE', message: /demote/ })
  const demoted = await raft.demote(2)
  t.same([demoted.voters, demoted.learners], [[1], [2]])
  t.same((await raft.remove(2)).learners, [])
  await t.rejects(raft.remove(2), { code: 'ERR_SKEIN_NOT_FOUND' })
  await t.rejects(raft.promote(2), { code: 'ERR_SKEIN_NOT_FOUND' })
})

t.test('who was removed stays out, whoever leads and however often peers were started since', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'skein-raft-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  const peers = group(t)
  const alone = { bootstrap: [1], dir: join(dir, '1'), trailingEntries: 0 }
  await peers.start(1, alone)
  const { raft } = await peers.leader()
  for (const id of [8, 9]) {
    await raft.addLearner(id)
    await raft.remove(id)
    await raft.snapshot()
  }
  await raft.addLearner(7)
  await raft.remove(7) // in the log, behind the snapshot
  await peers.stop(1)
  await peers.start(1, alone)
  const again = (await peers.leader()).raft
  for (const id of [7, 8, 9]) await t.rejects(again.addVoter(id), { code: 'ERR_SKEIN_REMOVED', message: /a new id/ }, `${id}`)

  await again.snapshot()
  await again.addLearner(2)
  await peers.start(2)
  await peers.until(() => again.status().progress.get(2)?.state === 'StateReplicate')
  await again.promote(2)
  const newcomer = peers.member(2).raft
  // A busy machine may be too slow for a transfer's two election timeouts.
  while (newcomer.status().role !== 'leader') {
    await (await peers.leader()).raft.transferLeadership(2).catch(() => undefined)
  }
  await newcomer.verifyLeader()
  for (const id of [7, 8, 9]) await t.rejects(newcomer.addLearner(id), { code: 'ERR_SKEIN_REMOVED' }, 'it has it from a snapshot')
  t.same((await newcomer.addLearner(10)).learners, [10])
})

t.test('a change that would lose the quorum is refused; the dead one may go', async (t) => {
  const peers = group(t)
  const { raft } = await peers.found(1, 2, 3)
  const [dead, live] = raft.status().conf.voters.filter((id) => id !== raft.id) as [RaftId, RaftId]
  await peers.stop(dead)
  await peers.until(() => raft.status().quorum.reachable === 2)
  await t.rejects(raft.remove(live), { code: 'ERR_SKEIN_CONF_CHANGE', message: /no majority/ })
  await t.rejects(raft.demote(live), { code: 'ERR_SKEIN_CONF_CHANGE' })
  t.same((await raft.remove(dead)).voters.length, 2)
  t.same((await raft.demote(live)).voters, [raft.id])
  await t.rejects(raft.remove(raft.id), { code: 'ERR_SKEIN_CONF_CHANGE', message: /only voter/ })
  await t.rejects(raft.demote(raft.id), { code: 'ERR_SKEIN_CONF_CHANGE' })
})

t.test('of two changes at once one goes through and the other one is refused', async (t) => {
  const peers = group(t)
  const { raft } = await peers.found(1, 2, 3)
  const outcomes = await Promise.allSettled([raft.addLearner(8), raft.addLearner(9)])
  t.same(outcomes.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
  const refused = outcomes.find((each) => each.status === 'rejected')
  t.match(refused?.reason, { code: 'ERR_SKEIN_CONF_CHANGE' })
  t.equal(raft.status().conf.learners.length, 1)
})

t.test('leadership goes to whom it is handed, by default to another voter; news say so', async (t) => {
  const peers = group(t)
  const { raft } = await peers.found(1, 2, 3)
  const leaders: RaftId[] = []
  const forget = raft.observe((event) => {
    if (event.type === 'role' && event.leader !== 0) leaders.push(event.leader)
  })
  const [to] = raft.status().conf.voters.filter((id) => id !== raft.id) as [RaftId]
  await raft.transferLeadership(to)
  t.equal(leaders.at(-1), to)
  forget()
  const next = await peers.leader()
  await next.raft.transferLeadership()
  t.not((await peers.leader()).raft.id, next.raft.id)
})

t.test('a leader that is removed steps down, and the others go on', async (t) => {
  const peers = group(t)
  const { raft } = await peers.found(1, 2, 3)
  t.equal((await raft.remove(raft.id)).voters.length, 2)
  await peers.stop(raft.id)
  const next = await peers.leader()
  t.equal(await next.raft.apply({ add: 1 }), 1)
})

t.test('bad input is refused by name', async (t) => {
  const peers = group(t)
  for (const bootstrap of [[], [2, 3], [1, 1], [1, 0.5], 1 as unknown as number[]]) {
    await t.rejects(peers.start(1, { bootstrap }), { code: 'ERR_SKEIN_INVALID_OPTION', detail: { option: 'bootstrap' } })
  }
  const { raft } = await peers.found(1)
  for (const id of [0, -1, 1.5, 2 ** 48, Number.NaN]) await t.rejects(raft.addVoter(id), { code: 'ERR_SKEIN_INVALID_OPTION' })
  const stranger = await peers.start(5)
  await t.rejects(stranger.raft.snapshot(), { code: 'ERR_SKEIN_PRECONDITION' })
  await t.rejects(raft.transferLeadership(), { code: 'ERR_SKEIN_PRECONDITION' })
  await raft.stop()
  for (const act of [() => raft.apply({ add: 1 }), () => raft.barrier(), () => raft.snapshot()])
    await t.rejects(async () => void (await act()), { code: 'ERR_SKEIN_STOPPED' })
})
