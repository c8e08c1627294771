/** Races of membership known from the field, with whole peers. Those of the core: core/membership-races.test.ts. */
import t, { type Test } from 'tap'
import { Group } from './raft-group.js'

function group(t: Test): Group {
  const made = new Group()
  t.teardown(() => made.end())
  return made
}

t.test('of two peers the leader is demoted: the other one leads on, alone', async (t) => {
  const peers = group(t)
  const leader = await peers.found(1, 2)
  const other = peers.member(3 - leader.raft.id)
  await leader.raft.apply({ add: 1 })
  t.same((await leader.raft.demote(leader.raft.id)).voters, [other.raft.id])
  await peers.until(() => other.raft.status().role === 'leader')
  t.equal(await other.raft.apply({ add: 1 }), 2)
  t.same(other.raft.status().conf.learners, [leader.raft.id])
  t.equal(await leader.raft.read(() => leader.machine.sum), 2, 'and the demoted one follows')
})

t.test('of two peers the leader is removed while the other one is dead: refused, for nobody would be left', async (t) => {
  const peers = group(t)
  const { raft } = await peers.found(1, 2)
  const other = 3 - raft.id
  await peers.stop(other)
  for (const act of [() => raft.remove(raft.id), () => raft.demote(raft.id)]) {
    await t.rejects(act(), { code: /ERR_SKEIN_CONF_CHANGE|ERR_SKEIN_NO_QUORUM|ERR_SKEIN_NOT_LEADER/ })
  }
  t.same([...raft.status().conf.voters].sort(), [1, 2])
})

t.test('two learners promoted in quick succession, one of them dead: only who answers gets a vote', async (t) => {
  const peers = group(t)
  const { raft } = await peers.found(1)
  await peers.start(2)
  await raft.addLearner(2)
  await raft.addLearner(3) // never started
  await peers.until(() => raft.status().progress.get(2)?.match === raft.status().lastIndex)
  const [living, dead] = await Promise.allSettled([raft.promote(2), raft.promote(3)])
  t.equal(living.status, 'fulfilled')
  t.match(dead, { status: 'rejected', reason: { code: 'ERR_SKEIN_CONF_CHANGE' } })
  t.same(raft.status().conf.voters, [1, 2])
  t.equal(await raft.apply({ add: 1 }), 1, 'the quorum was never larger than those who answer')
})

t.test('a removed peer that keeps running deposes nobody', async (t) => {
  const peers = group(t)
  const { raft } = await peers.found(1, 2, 3)
  const gone = peers.member([1, 2, 3].find((id) => id !== raft.id) as number)
  peers.cut(gone.raft.id) // it never hears of its removal
  await raft.remove(gone.raft.id)
  const { term } = raft.status()
  await peers.until(() => gone.raft.status().role === 'pre-candidate')
  peers.heal(gone.raft.id)
  for (let i = 1; i <= 20; i++) t.equal(await raft.apply({ add: 1 }), i)
  t.equal(raft.status().term, term)
  t.equal(raft.status().role, 'leader')
})

t.test('a leader dies while it removes a member: the change counts everywhere or nowhere', async (t) => {
  const peers = group(t)
  const { raft } = await peers.found(1, 2, 3, 4, 5)
  const gone = [1, 2, 3, 4, 5].find((id) => id !== raft.id) as number
  const outcome = raft.remove(gone, { deadlineMs: 5_000 }).catch((error: { readonly code: string }) => error.code)
  await peers.stop(raft.id)
  const next = await peers.leader()
  await next.raft.apply({ add: 1 })
  const { voters } = next.raft.status().conf
  t.ok(voters.length === 5 || (voters.length === 4 && !voters.includes(gone)))
  if (Array.isArray(await outcome)) t.notOk(voters.includes(gone), 'what was acknowledged stands')
  const rest = voters.filter((id) => id !== raft.id)
  await Promise.all(rest.map((id) => peers.member(id).raft.barrier()))
  for (const id of rest) t.same(peers.member(id).raft.status().conf.voters, voters, `as peer ${id} has it`)
})
