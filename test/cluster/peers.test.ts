import { once } from 'node:events'
import { createServer } from 'node:net'
import t from 'tap'
import { connect, createPeer, inlineDriver, isSkeinError, type Peer } from '../../lib/index.js'
import { formatJoinString, parseJoinString } from '../../lib/security/index.js'
import { eventually, freshDir, quick, startPeer } from './support.js'

const untilAborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))

t.test('one process alone is a cluster', async (t) => {
  const peer = await startPeer(t, { name: 'solo' })
  t.equal(peer.leading, true)
  t.match(await peer.clusterStatus(), {
    leaderName: 'solo',
    role: 'manager',
    stale: false,
    quorum: { voters: 1, reachable: 1, mayLose: 0 },
  })
  await peer.kv.put('theme', 'dark', { ifVersion: 'absent' })
  t.equal(Buffer.from((await peer.kv.get('theme'))?.value ?? []).toString(), 'dark')
  await t.rejects(peer.kv.put('theme', 'light', { ifVersion: 'absent' }), { code: 'ERR_SKEIN_VERSION_CONFLICT' })
})

t.test(
  'three managers and a worker run a service of functions, and a stopped node loses its tasks to the others',
  { timeout: 180_000 },
  async (t) => {
    const running = new Set<string>()
    const driver = () =>
      inlineDriver({
        functions: {
          web: async ({ signal, task }) => {
            running.add(task.id)
            await untilAborted(signal)
            running.delete(task.id)
          },
        },
      })
    const first = await startPeer(t, { name: 'm1', drivers: [driver()] })
    const [asManager, asWorker] = [await first.invite('manager'), await first.invite('worker')]
    const others = await Promise.all([
      startPeer(t, { name: 'm2', join: asManager, drivers: [driver()] }),
      startPeer(t, { name: 'm3', join: asManager, drivers: [driver()] }),
      startPeer(t, { name: 'w1', join: asWorker, drivers: [driver()] }),
    ])
    const worker = others[2] as Peer
    t.same(
      others.map(({ role }) => role),
      ['manager', 'manager', 'worker'],
    )
    await eventually('three voters', async () => (await first.clusterStatus()).quorum.voters === 3)

    const spec = { name: 'web', mode: { replicas: 4 }, task: { driver: 'inline', command: ['web'] } }
    await t.rejects(
      worker.services.create(spec),
      { code: 'ERR_SKEIN_FORBIDDEN', message: /manager/ },
      'a worker does not operate',
    )
    await first.services.create(spec)
    const phases: string[] = []
    for await (const { phase } of worker.services.converge('web', { monitorMs: 100 })) phases.push(phase)
    t.equal(phases.at(-1), 'converged')
    t.equal(running.size, 4)
    const { items } = await others[0]!.tasks.list({ service: 'web' })
    t.equal(new Set(items.map(({ nodeName }) => nodeName)).size, 4, 'one on each node')

    await worker.stop()
    await eventually('four tasks on the three that are left', async () => {
      const { items } = await first.tasks.list({ service: 'web' })
      const now = items.filter(({ observed, desired }) => observed === 'running' && desired === 'running')
      return now.length === 4 && now.every(({ nodeName }) => nodeName !== 'w1')
    })
    await first.services.scale('web', 2)
    await eventually('two functions run', async () => running.size === 2)
    await first.services.remove('web')
    await eventually('none runs', async () => running.size === 0)
  },
)

t.test('a planned stop of the leader hands over, and the rest goes on', { timeout: 180_000 }, async (t) => {
  const first = await startPeer(t, { name: 'm1' })
  const join = await first.invite('manager')
  const [second, third] = await Promise.all([startPeer(t, { name: 'm2', join }), startPeer(t, { name: 'm3', join })])
  await eventually('three voters', async () => (await first.clusterStatus()).quorum.voters === 3)
  // Through several checks of the quorum, each of which clears what raft remembers of its followers: no write is refused.
  const untilMs = performance.now() + 5 * quick.tickMs * quick.electionTicks
  while (performance.now() < untilMs) await first.kv.put('a', '1')
  const client = await connect(`${join.replace(/@.*/, '@')}${second.address},${third.address}`)
  t.teardown(() => client[Symbol.asyncDispose]())
  await first.stop()
  await client.kv.put('b', '2')
  t.equal(Buffer.from((await client.kv.get('a'))?.value ?? []).toString(), '1')
  t.equal([second, third].filter(({ leading }) => leading).length, 1)
})

t.test('without a quorum reads are marked stale and writes are refused by name', { timeout: 180_000 }, async (t) => {
  const first = await startPeer(t, { name: 'm1' })
  const join = await first.invite('manager')
  const [second, third] = await Promise.all([startPeer(t, { name: 'm2', join }), startPeer(t, { name: 'm3', join })])
  await eventually('three voters', async () => (await first.clusterStatus()).quorum.voters === 3)
  await first.kv.put('a', '1')
  await Promise.all([second.stop(), third.stop()])
  await eventually('it no longer leads', async () => !first.leading)
  await t.rejects(first.kv.put('b', '2'), { code: 'ERR_SKEIN_NO_QUORUM', detail: { voters: 3, reachable: 1 } })
  await t.rejects(first.kv.get('a'), { code: 'ERR_SKEIN_NO_QUORUM' }, 'a key is never silently old')
  t.equal(Buffer.from((await first.kv.get('a', { stale: true }))?.value ?? []).toString(), '1')
  t.equal((await first.nodes.get('m1')).stale, true)
  const list = await first.nodes.list()
  t.equal(list.stale, true)
  t.equal(list.items.length, 3)
})

t.test('who may not join is told why', { timeout: 180_000 }, async (t) => {
  const peer = await startPeer(t, { name: 'm1' })
  const other = await startPeer(t, { name: 'x1' })
  const join = await peer.invite('worker')
  const { token, addresses } = parseJoinString(join)
  const wrongSecret = formatJoinString({ token: { ...token, secret: '0'.repeat(26) }, addresses })
  const wrongRole = formatJoinString({ token: { ...token, role: 'manager' }, addresses })
  const otherCluster = `${(await other.invite('worker')).replace(/@.*/, '@')}${peer.address}`
  t.teardown(async () => undefined)
  await t.rejects(createPeer({ join: wrongSecret }), { code: 'ERR_SKEIN_BAD_JOIN_SECRET', detail: { part: 'secret' } })
  await t.rejects(createPeer({ join: wrongRole }), { code: 'ERR_SKEIN_BAD_JOIN_SECRET', detail: { part: 'role' } })
  await t.rejects(createPeer({ join: otherCluster }), { code: 'ERR_SKEIN_OTHER_CLUSTER' })
  await t.rejects(createPeer({ join: 'skein://nonsense' }), { code: 'ERR_SKEIN_BAD_JOIN_STRING' })
  await t.rejects(createPeer({ join, name: 'm1' }), { code: 'ERR_SKEIN_ALREADY_EXISTS' })
})

t.test(
  'a taken port, a used directory and a directory of another cluster are three different errors',
  { timeout: 180_000 },
  async (t) => {
    const taken = createServer().listen(0, '127.0.0.1')
    t.teardown(() => taken.close())
    await once(taken, 'listening')
    const { port } = taken.address() as { port: number }
    await t.rejects(createPeer({ listen: `127.0.0.1:${port}` }), { code: 'ERR_SKEIN_PORT_IN_USE' })

    const dir = freshDir(t)
    const peer = await startPeer(t, { dir })
    await t.rejects(createPeer({ dir }), { code: 'ERR_SKEIN_DIR_IN_USE' })
    await peer.stop()
    const other = await startPeer(t, { name: 'other' })
    await t.rejects(createPeer({ dir, join: await other.invite('worker') }), { code: 'ERR_SKEIN_OTHER_CLUSTER' })
    await t.rejects(createPeer({ dir: '/dev/null/nowhere' }), { code: 'ERR_SKEIN_DIR_UNUSABLE' })
  },
)

t.test('bad options are refused by name', async (t) => {
  await t.rejects(createPeer({ timing: { tickMs: 1 } }), {
    code: 'ERR_SKEIN_INVALID_OPTION',
    detail: { option: 'timing.tickMs' },
  })
  await t.rejects(createPeer({ nmae: 'x' } as object), /nmae: unknown option/)
  await t.rejects(createPeer({ listen: 'here' }), { code: 'ERR_SKEIN_INVALID_OPTION', detail: { option: 'listen' } })
})

t.test('a peer comes back from its directory as itself, with everything it acknowledged', { timeout: 180_000 }, async (t) => {
  const dir = freshDir(t)
  const peer = await createPeer({ dir, timing: quick, name: 'm1' })
  const { id, address } = peer
  await peer.kv.put('a', '1')
  await peer.services.create({ name: 'idle', mode: { replicas: 0 }, task: { command: ['true'] } })
  await peer.stop()
  t.equal(await peer.ended, undefined)
  const again = await startPeer(t, { dir })
  t.equal(again.id, id)
  t.equal(again.name, 'm1')
  t.equal(again.address, address, 'on its last port, so that others find it')
  t.equal(Buffer.from((await again.kv.get('a'))?.value ?? []).toString(), '1')
  t.equal((await again.services.get('idle')).spec.name, 'idle')
})

t.test('a removed node is refused for ever', { timeout: 180_000 }, async (t) => {
  const dir = freshDir(t)
  const first = await startPeer(t, { name: 'm1' })
  const worker = await createPeer({ dir, name: 'w1', join: await first.invite('worker'), timing: quick })
  await t.rejects(first.nodes.remove('w1'), { code: 'ERR_SKEIN_PRECONDITION' }, 'not while it is ready')
  await worker.stop()
  await eventually('it is down', async () => (await first.nodes.get('w1')).state === 'down')
  await first.nodes.remove('w1')
  await t.rejects(first.nodes.get('w1'), { code: 'ERR_SKEIN_NOT_FOUND' })
  const abort = AbortSignal.timeout(3_000)
  const error = await createPeer({ dir, timing: quick, signal: abort }).then(
    (peer) => peer.stop(),
    (error: unknown) => error,
  )
  t.ok(isSkeinError(error, 'ERR_SKEIN_REMOVED'), String(error))
})

t.test('a worker whose managers have all moved finds them where its join string says now', { timeout: 180_000 }, async (t) => {
  const [managerDir, dir] = [freshDir(t), freshDir(t)]
  const before = await startPeer(t, { name: 'm1', dir: managerDir })
  const string = await before.invite('worker')
  const worker = await startPeer(t, { name: 'w1', dir, join: string })
  const { id } = worker
  await worker.stop()
  await before.stop()
  // Somebody else is where it was.
  const { host, port } = new URL(`http://${before.address}`)
  const squatter = createServer().listen(Number(port), host.split(':')[0])
  await once(squatter, 'listening')
  t.teardown(() => squatter.close())
  const after = await startPeer(t, { dir: managerDir, listen: '127.0.0.1:0' })
  t.not(after.address, before.address)
  const back = await startPeer(t, { dir, join: string.replace(before.address, after.address) })
  t.equal(back.id, id)
  await back.kv.put('found', 'again')
})
