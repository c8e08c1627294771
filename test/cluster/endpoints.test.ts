/** Endpoints on real peers of one process: who sees what, from the first task to the last, and while managers are away. */
import t from 'tap'
import { Fleet } from '../../lib/cli/demo/fleet.js'
import { foundCluster } from '../../lib/cli/demo/story.js'
import { type Endpoint, inlineDriver, type Peer } from '../../lib/index.js'
import { UdpSocket } from '../../lib/overlay/datagram/index.js'
import { tcpTriage } from '../../lib/overlay/swim/index.js'
import { everybody, LinkFaults, WsTransport } from '../../lib/overlay/transport/index.js'
import { createPeerOver } from '../../lib/peer/index.js'
import { systemClock } from '../../lib/peer/system-world.js'
import { eventually, freshDir, quick, startPeer } from './support.js'

const command = ['sh', '-c', 'exec sleep 1000']

const shown = (peer: Peer, service: string): string[] =>
  peer.endpoints.list({ service }).map(({ name, state, eligible }) => `${name} ${state} ${eligible ? 'yes' : 'no'}`)

t.test(
  'endpoints are known on the nodes of their network and on managers, and on nobody else',
  { timeout: 180_000 },
  async (t) => {
    const manager = await startPeer(t, { name: 'm1', availability: 'drain', timing: quick })
    const join = await manager.invite('worker')
    const workers = await Promise.all(['w1', 'w2', 'w3'].map((name) => startPeer(t, { name, join })))
    const [w1, w2, w3] = workers as [Peer, Peer, Peer]
    const news = manager.watch({ kinds: ['network'] })[Symbol.asyncIterator]()
    t.equal((await news.next()).value?.type, 'mark')
    const told = news.next()
    await manager.networks.create({ name: 'a' })
    await manager.networks.create({ name: 'b' })
    t.match((await told).value, { type: 'set', kind: 'network', object: { name: 'a' }, was: undefined })
    await news.return?.()
    t.same(
      (await w1.networks.list()).items.map(({ name }) => name).sort(),
      ['a', 'b', 'default'],
      'a worker may read what networks there are',
    )
    await t.rejects(w1.networks.create({ name: 'c' }), { code: 'ERR_SKEIN_FORBIDDEN' })
    const seen = new Map<string, Endpoint>()
    const stop = new AbortController()
    const watching = (async () => {
      for await (const changes of w1.endpoints.watch({ service: 'web', signal: stop.signal }))
        for (const { prev, next } of changes) {
          t.same(seen.get((next ?? prev)?.task ?? ''), prev, 'a change begins where the last one ended')
          if (next === undefined) seen.delete(prev?.task ?? '')
          else seen.set(next.task, next)
        }
    })()
    await manager.services.create({
      name: 'web',
      task: { command, networks: ['a'], env: { PORT: '8080' } },
      mode: { replicas: 2 },
      placement: { constraints: ['node.name != w3'], maxPerNode: 1 },
    })
    await manager.services.create({
      name: 'other',
      task: { command, networks: ['b'] },
      placement: { constraints: ['node.name == w3'] },
    })
    for (const peer of [manager, w1, w2])
      await eventually('both endpoints', async () => shown(peer, 'web').join() === 'web.1 ready yes,web.2 ready yes')
    await eventually('the other’s', async () => shown(w3, 'other').join() === 'other.1 ready yes')
    const [one] = w1.endpoints.list({ service: 'web' })
    t.match(one, { host: '127.0.0.1', ports: [8080], networks: ['a'], slot: 1, serviceName: 'web' })
    t.same(new Set(w2.endpoints.list().map(({ node }) => node)), new Set([w1.id, w2.id]))
    t.same(shown(w3, 'web'), [], 'not on its network')
    t.same(shown(w1, 'other'), [])
    t.same(
      (await manager.services.endpoints('web')).items.map(({ name }) => name),
      ['web.1', 'web.2'],
    )
    await t.rejects(w3.services.endpoints('web'), { code: 'ERR_SKEIN_FORBIDDEN' })
    await t.rejects(manager.networks.remove('a'), { code: 'ERR_SKEIN_PRECONDITION', message: /used by web/ })

    await manager.services.scale('web', 1)
    for (const peer of [manager, w1, w2].filter(({ id }) => id === manager.id || id === one?.node))
      await eventually('one endpoint', async () => shown(peer, 'web').length === 1)
    await manager.services.remove('web')
    for (const peer of [manager, w1, w2]) await eventually('none', async () => shown(peer, 'web').length === 0)
    await eventually('the watch too', async () => seen.size === 0)
    await eventually('the network is free', async () => {
      await manager.networks.remove('a')
      return true
    })
    stop.abort()
    await watching
  },
)

t.test(
  'a worker that is cut off gets no new connections and has its endpoint back after; without managers all goes on as it was',
  { timeout: 180_000 },
  async (t) => {
    const faults = new LinkFaults()
    const untilAborted = ({ signal }: { signal: AbortSignal }): Promise<void> =>
      new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
    const drivers = () => [inlineDriver({ functions: { web: untilAborted } })]
    const manager = await startPeer(t, { name: 'm1', availability: 'drain', drivers: drivers() })
    const join = await manager.invite('worker')
    const dir = freshDir(t)
    const w1 = await startPeer(t, { name: 'w1', join, drivers: drivers() })
    const network = {
      transport: faults.over(new WsTransport({ clock: systemClock })),
      datagrams: async (address: string) => faults.losing(await UdpSocket.bind(address)),
      triage: faults.trying(tcpTriage(systemClock), systemClock),
    }
    const startCut = (): Promise<Peer> => createPeerOver(network, { name: 'w2', join, dir, timing: quick, drivers: drivers() })
    let w2 = await startCut()
    t.teardown(() => w2.stop())
    await manager.services.create({
      name: 'web',
      task: { driver: 'inline', command: ['web'] },
      mode: { replicas: 2 },
      placement: { maxPerNode: 1 },
      restart: { delayMs: 0 },
    })
    const ready = 'web.1 ready yes,web.2 ready yes'
    for (const peer of [manager, w1, w2]) await eventually('both', async () => shown(peer, 'web').join() === ready)
    t.same(new Set(w1.endpoints.list().map(({ networks }) => networks.join())), new Set(['default']))
    const usable = (): number => w1.endpoints.list({ service: 'web' }).filter(({ eligible }) => eligible).length

    faults.set(everybody, 'silent')
    await eventually('one is not to be used', async () => usable() === 1)
    faults.heal(everybody)
    await eventually('both again', async () => usable() === 2)

    const before = w2.endpoints.list({ service: 'web' }).filter(({ node }) => node === w2.id)
    await w2.stop()
    await eventually('gone with its node', async () => w1.endpoints.list().every(({ node }) => node !== w2.id))
    w2 = await startCut()
    for (const peer of [manager, w1, w2])
      await eventually('back from its directory', async () => shown(peer, 'web').join() === ready)
    const after = w1.endpoints.list({ service: 'web' }).filter(({ node }) => node === w2.id)
    t.not(after[0]?.task, before[0]?.task, 'by another attempt')

    await manager.stop()
    t.equal(shown(w1, 'web').join(), ready)
    t.equal(shown(w2, 'web').join(), ready)
  },
)

t.test('of a process that was killed no endpoint is left, and its tasks answer elsewhere', { timeout: 180_000 }, async (t) => {
  const fleet = await Fleet.open('remove')
  t.teardown(() => fleet.stop())
  const { cluster } = await foundCluster(fleet, () => undefined)
  t.teardown(() => cluster[Symbol.asyncDispose]())
  await cluster.services.create({ name: 'web', mode: { replicas: 6 }, task: { command }, restart: { delayMs: 0 } })
  const eligible = async (): Promise<readonly Endpoint[]> =>
    (await cluster.services.endpoints('web')).items.filter((endpoint) => endpoint.eligible)
  await eventually('six', async () => (await eligible()).length === 6)
  const worker = (await cluster.nodes.list()).items.find(({ role }) => role === 'worker')
  const machine = fleet.machines.find(({ name }) => name === worker?.name)
  if (machine === undefined) throw new Error('no worker')
  t.ok(
    (await eligible()).some(({ node }) => node === worker?.id),
    'it runs some of them',
  )
  await fleet.kill(machine)
  await eventually('six elsewhere', async () => {
    const now = await eligible()
    return now.length === 6 && now.every(({ node }) => node !== worker?.id)
  })
  t.notOk(
    (await cluster.services.endpoints('web')).items.some(({ node }) => node === worker?.id),
    'not even shown',
  )
})
