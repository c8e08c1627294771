import { rm } from 'node:fs/promises'
import { execPath } from 'node:process'
import t from 'tap'
import { Fleet } from '../../lib/cli/demo/fleet.js'
import { foundCluster } from '../../lib/cli/demo/story.js'
import { type Cluster, connect } from '../../lib/index.js'
import { planRaftDirRecovery, recoverRaftDir } from '../../lib/peer/raft-recovery.js'
import { eventually } from './support.js'

const sleeper = [execPath, '-e', 'setInterval(() => 0, 1000)']

async function votersOf(cluster: Cluster): Promise<readonly string[]> {
  const { items } = await cluster.nodes.list()
  return items.filter(({ raft }) => raft === 'leader' || raft === 'voter').map(({ name }) => name)
}

t.test(
  'two of three managers lost for ever: the third goes on alone, keeps everything, and takes in new ones; a lost one stays out',
  { timeout: 180_000 },
  async (t) => {
    const fleet = await Fleet.open('remove')
    t.teardown(() => fleet.stop())
    const { cluster } = await foundCluster(fleet, () => undefined)
    const [m1, m2, m3] = ['m1', 'm2', 'm3'].map((name) => fleet.machine(name)) as [never, never, never]
    await cluster.kv.put('colour', 'blue')
    await cluster.services.create({ name: 'sleepers', mode: { replicas: 2 }, task: { command: sleeper } })
    const running = async (of: Cluster): Promise<boolean> =>
      (await of.tasks.list({ service: 'sleepers' })).items.filter(({ observed }) => observed === 'running').length === 2
    await eventually('both run', () => running(cluster))
    const third = fleet.machine('m3')
    await eventually('the third has the key', async () => {
      const alone = await connect(third.ready?.invite?.manager ?? '')
      const entry = await alone.kv.get('colour')
      await alone[Symbol.asyncDispose]()
      return entry !== undefined
    })
    await cluster[Symbol.asyncDispose]()

    await fleet.kill(m1)
    await fleet.kill(m2)
    await rm(fleet.machine('m1').dir, { recursive: true })
    await t.rejects(planRaftDirRecovery(third.dir), { code: 'ERR_SKEIN_DIR_IN_USE' }, 'not while it runs')
    await fleet.kill(m3)

    const plan = await planRaftDirRecovery(third.dir)
    t.equal(plan.members.voters.length, 3)
    t.same(plan.managers.map(({ name }) => name).sort(), ['m1', 'm2'])
    t.same(await planRaftDirRecovery(third.dir), plan, 'a plan changes nothing')
    const done = await recoverRaftDir(third.dir)
    t.same(done, { ...plan, state: 'done' })
    await t.rejects(recoverRaftDir(third.dir), { code: 'ERR_SKEIN_PRECONDITION', message: /only member already/ })

    const { invite } = await fleet.start(third)
    const manager = invite?.manager ?? ''
    const again = await connect(manager)
    t.teardown(() => again[Symbol.asyncDispose]())
    t.equal(Buffer.from((await again.kv.get('colour'))?.value ?? '').toString(), 'blue')
    await eventually('the workers are back, the lost managers gone', async () => {
      const { items } = await again.nodes.list()
      const ready = items.filter(({ state }) => state === 'ready').map(({ name }) => name)
      return items.length === 3 && ready.sort().join() === 'm3,w1,w2'
    })
    await eventually('the service runs', () => running(again))
    await again.kv.put('colour', 'green')

    for (const name of ['m4', 'm5']) await fleet.start(fleet.add(name, 'manager'), manager)
    await eventually('three voters', async () => (await votersOf(again)).length === 3)
    t.same([...(await votersOf(again))].sort(), ['m3', 'm4', 'm5'])

    const { term } = await again.clusterStatus()
    await t.rejects(fleet.start(fleet.machine('m2')), { message: /was removed from this cluster/ })
    await again.kv.put('colour', 'red')
    t.equal((await again.clusterStatus()).term, term, 'the one that came back disturbed nobody')
    t.equal((await votersOf(again)).length, 3)
  },
)
