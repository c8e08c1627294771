import t from 'tap'
import { Fleet } from '../../lib/cli/demo/fleet.js'
import { clientUrl } from '../../lib/cli/demo/observe.js'
import { foundCluster } from '../../lib/cli/demo/story.js'
import { connect } from '../../lib/index.js'
import { eventually } from './support.js'

t.test('every acknowledged write is there after SIGKILL of all five processes at once', { timeout: 180_000 }, async (t) => {
  const fleet = await Fleet.open('remove')
  t.teardown(() => fleet.stop())
  const { cluster } = await foundCluster(fleet, () => undefined)
  // Writers go on until the lights go out: some writes are under way when every process dies.
  const acknowledged: string[] = []
  let stopped = false
  const write = async (writer: number): Promise<void> => {
    for (let n = 0; !stopped; n++) {
      const key = `w${writer}/${n}`
      try {
        await cluster.kv.put(key, key, { deadlineMs: 2_000 })
        acknowledged.push(key)
      } catch (error) {
        if (!stopped) throw error
      }
    }
  }
  const writers = [1, 2, 3, 4].map(write)
  await eventually('a hundred writes acknowledged', async () => acknowledged.length >= 100)
  stopped = true
  const atTheEnd = [...acknowledged]
  await Promise.all(fleet.machines.map((machine) => fleet.kill(machine)))
  await Promise.all(writers)
  await cluster[Symbol.asyncDispose]()

  await Promise.all(fleet.machines.map((machine) => fleet.start(machine)))
  const again = await connect(clientUrl(fleet))
  t.teardown(() => again[Symbol.asyncDispose]())
  await eventually('five nodes ready', async () => {
    const { items, stale } = await again.nodes.list()
    return !stale && items.length === 5 && items.every(({ state }) => state === 'ready')
  })
  const found = new Set<string>()
  for await (const { key } of again.kv.list('w')) found.add(key)
  t.same(
    acknowledged.filter((key) => !found.has(key)),
    [],
  )
  t.ok(atTheEnd.length >= 100)
})
