import t from 'tap'
import { Fleet } from '../../lib/cli/demo/fleet.js'
import type { Peer } from '../../lib/index.js'
import { eventually, startPeer } from '../cluster/support.js'

const members = (peer: Peer): unknown => peer.metrics().skein_members

t.test(
  'real processes: one that stops for 4 s loses nothing, one that is killed is missed by everybody',
  { timeout: 120_000 },
  async (t) => {
    const first = await startPeer(t, { name: 'm1' })
    const join = await first.invite('worker')
    const second = await startPeer(t, { name: 'w1', join })
    const linksOnly = await startPeer(t, { name: 'w2', join, datagrams: false })
    const here = [first, second, linksOnly]
    const fleet = await Fleet.open('remove')
    t.teardown(() => fleet.stop())
    const machine = fleet.add('w3', 'worker')
    const { id } = await fleet.start(machine, join)
    await eventually('four members', async () => here.every((peer) => members(peer) === 4))

    await first.services.create({
      name: 'idle',
      mode: { replicas: 4 },
      task: { driver: 'process', command: [process.execPath, '-e', 'setInterval(() => {}, 1000)'] },
    })
    const running = async (): Promise<string[]> => {
      const { items } = await first.tasks.list({ service: 'idle' })
      return items.flatMap((task) => (task.observed === 'running' ? [task.id] : [])).sort()
    }
    await eventually('four tasks run', async () => (await running()).length === 4)
    const before = await running()
    const { load } = await eventually('it says how busy it is', async () => {
      const node = await first.nodes.get(id)
      return node.load === undefined ? undefined : node
    })
    t.match(load, { cpu: Number, lagMs: Number })
    t.ok((load?.memoryFreeBytes ?? 0) > 0)

    const states: string[] = []
    const watching = new AbortController()
    const watched = (async () => {
      for await (const change of first.watch({ kinds: ['node'], signal: watching.signal }))
        if (change.type === 'set' && (change.object as { id?: string }).id === id)
          states.push((change.object as { state?: string }).state ?? '')
    })()
    machine.process?.kill('SIGSTOP')
    await new Promise((resolve) => setTimeout(resolve, 4_000)) // the pause itself, not a wait for something
    machine.process?.kill('SIGCONT')
    await eventually('it is ready again', async () => (await first.nodes.get(id)).state === 'ready')
    t.notOk(states.includes('down'), states.join())
    t.same(await running(), before, 'the same tasks')
    t.ok(
      here.every((peer) => members(peer) === 4),
      'and nobody took it for dead',
    )
    watching.abort()
    await watched

    await fleet.kill(machine)
    await eventually('three members', async () => here.every((peer) => members(peer) === 3))
    await eventually('it is down', async () => (await first.nodes.get(id)).state === 'down')
    t.equal((await first.nodes.get(id)).load, undefined, 'who is down says nothing')
    await eventually('its task runs elsewhere', async () => {
      const { items } = await first.tasks.list({ service: 'idle' })
      const live = items.filter(({ observed, desired }) => observed === 'running' && desired === 'running')
      return live.length === 4 && live.every(({ nodeName }) => nodeName !== 'w3')
    })

    const datagrams = here.map((peer) => peer.metrics().skein_datagrams_received_total)
    t.ok(Number(datagrams[0]) > 0 && Number(datagrams[1]) > 0, 'they were probed by datagrams')
    t.equal(datagrams[2], undefined, 'and who wanted none over its links')
    t.equal(linksOnly.metrics().skein_swim_stream_only, 1)
  },
)
