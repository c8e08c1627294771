import t from 'tap'
import { Group } from '../raft-group.js'

/** Election timeouts of 200 ms: whoever is silent for twice as long is dead. */
const autopilot = { voters: 3, stableMs: 100, deadMs: 400 }

t.test('a voter that is gone for ever is replaced by a learner, one step at a time, and may not come back', async (t) => {
  const peers = new Group()
  t.teardown(() => peers.end())
  for (const id of [1, 2, 3]) await peers.start(id, { bootstrap: [1, 2, 3], autopilot })
  for (const id of [4, 5]) await peers.start(id, { autopilot })
  const { raft } = await peers.leader()
  for (const id of [4, 5]) await raft.addLearner(id)
  await raft.apply({ add: 1 })
  await peers.until(() => raft.status().autopilot !== undefined)
  t.match(raft.status().autopilot, { step: undefined, waiting: [] }, 'all is as wished')

  const sizes: number[] = []
  raft.observe((event) => event.type === 'conf' && sizes.push(event.conf.voters.length))
  const lost = [1, 2, 3].find((id) => id !== raft.id) as number
  await peers.stop(lost)
  await peers.until(() => raft.status().conf.voters.length === 3 && !raft.status().conf.voters.includes(lost))
  t.same(sizes, [4, 3], 'the newcomer first, then the dead one goes')
  t.equal(raft.status().conf.learners.length, 1)
  t.equal(await raft.apply({ add: 1 }), 2)
  await t.rejects(raft.addLearner(lost), { code: 'ERR_SKEIN_REMOVED', detail: { node: String(lost) } })
})

t.test('without a learner a dead voter keeps its place, and the status says why', async (t) => {
  const peers = new Group()
  t.teardown(() => peers.end())
  for (const id of [1, 2, 3]) await peers.start(id, { bootstrap: [1, 2, 3], autopilot })
  const { raft } = await peers.leader()
  const lost = [1, 2, 3].find((id) => id !== raft.id) as number
  await peers.stop(lost)
  const reasons = () => raft.status().autopilot?.waiting.map(({ why }) => why) ?? []
  await peers.until(() => reasons().some((why) => /dead; it keeps its place/.test(why)))
  t.match(reasons().join('\n'), /2 of 3 wanted voters live, and there is no learner to promote/)
  t.equal(raft.status().conf.voters.length, 3)
})

t.test('learners fill free places by themselves; off, they stay learners and the status has no plan', async (t) => {
  const peers = new Group()
  t.teardown(() => peers.end())
  const { raft } = await peers.start(1, { bootstrap: [1], autopilot })
  for (const id of [2, 3, 4]) await peers.start(id)
  await peers.leader()
  for (const id of [2, 3, 4]) await raft.addLearner(id)
  await peers.until(() => raft.status().conf.voters.length === 3)
  t.equal(raft.status().conf.learners.length, 1)
  t.equal(peers.member(2).raft.status().autopilot, undefined)
})

t.test('a bad autopilot option is refused before anything is opened', async (t) => {
  const peers = new Group()
  t.teardown(() => peers.end())
  await t.rejects(peers.start(1, { bootstrap: [1], autopilot: { voters: 0 } }), {
    code: 'ERR_SKEIN_INVALID_OPTION',
    detail: { option: 'autopilot.voters' },
  })
})
