import t from 'tap'
import { Fleet } from '../../lib/cli/demo/fleet.js'
import { clientUrl } from '../../lib/cli/demo/observe.js'
import { foundCluster } from '../../lib/cli/demo/story.js'
import { connect } from '../../lib/index.js'
import { eventually } from './support.js'

t.test(
  'whoever is killed in the middle of a promotion or demotion, all end as they were wished and no acknowledged write is lost',
  { timeout: 180_000 },
  async (t) => {
    const fleet = await Fleet.open('remove')
    t.teardown(() => fleet.stop())
    const founded = await foundCluster(fleet, () => undefined)
    await founded.cluster[Symbol.asyncDispose]()
    const cluster = await connect(clientUrl(fleet))
    t.teardown(() => cluster[Symbol.asyncDispose]())
    const acknowledged: string[] = []
    const write = async (key: string): Promise<void> => {
      await eventually(`${key} is written`, () => cluster.kv.put(key, key))
      acknowledged.push(key)
    }
    const leader = (): Promise<string> =>
      eventually('somebody leads', async () => (await cluster.nodes.list()).items.find((node) => node.leader)?.name)
    /** The process is killed, something is written without it, and it comes back. */
    const replace = async (name: string): Promise<void> => {
      await fleet.kill(fleet.machine(name))
      await write(`without ${name} ${acknowledged.length}`)
      await fleet.start(fleet.machine(name))
    }
    const wish = async (verb: 'promote' | 'demote', name: string): Promise<void> => {
      await write(`${verb} ${name}`)
      await eventually(`${verb} ${name}`, () => cluster.nodes[verb](name))
    }

    await wish('promote', 'w1')
    await replace('w1') // before it had, or kept, or used its new certificate
    const first = await leader()
    await wish('demote', first)
    await replace(first) // while it hands over, or another one takes it out of raft
    await wish('promote', 'w2')
    await replace(await leader()) // who was to issue the certificate, or had
    await wish('promote', first)
    await eventually('it is called', async () => (await cluster.nodes.get(first)).role === 'manager')
    await wish('demote', first)
    await eventually('its record says worker', async () => (await cluster.nodes.get(first)).role === 'worker')
    await replace(first) // before it heard of it, or while it forgets

    const expected = new Map(['m1', 'm2', 'm3', 'w1', 'w2'].map((name) => [name, name === first ? 'worker' : 'manager']))
    await eventually('all are what was wished', async () => {
      const { items, stale } = await cluster.nodes.list()
      return (
        !stale &&
        items.length === expected.size &&
        items.every(
          ({ name, role, becoming, state, raft }) =>
            role === expected.get(name) &&
            becoming === undefined &&
            state === 'ready' &&
            (role === 'manager') === (raft === 'voter' || raft === 'leader'),
        )
      )
    })
    for (const key of acknowledged)
      t.equal(Buffer.from((await cluster.kv.get(key))?.value ?? '').toString(), key, `${key} is there`)
  },
)
