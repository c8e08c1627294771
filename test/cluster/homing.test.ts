import { createHash } from 'node:crypto'
import t from 'tap'
import type { Peer } from '../../lib/index.js'
import { settleMs, spreadMs } from '../../lib/peer/homing.js'
import { createPeerOver } from '../../lib/peer/peer.js'
import { JumpingClock } from './jumping-clock.js'
import { eventually, freshDir, quick, startPeer } from './support.js'

t.setTimeout(240_000)

t.test('a worker whose manager was restarted goes back to it, and neither its session nor its task ends for it', async (t) => {
  const dirs = ['m1', 'm2', 'm3'].map((name) => ({ name, dir: freshDir(t), availability: 'drain' as const }))
  const [first, ...others] = dirs as [(typeof dirs)[0], ...typeof dirs]
  const managers: Peer[] = [await startPeer(t, first)]
  const join = await (managers[0] as Peer).invite('manager')
  for (const each of others) managers.push(await startPeer(t, { ...each, join }))
  const clock = new JumpingClock()
  const worker = await createPeerOver(
    { clock },
    { name: 'w1', timing: quick, join: await (managers[0] as Peer).invite('worker') },
  )
  t.teardown(() => worker.stop())
  await eventually('three voters', async () => managers[0]?.status().quorum.voters === 3)

  const weight = ({ id }: Peer): string => createHash('sha256').update(`${worker.id} ${id}`).digest('hex')
  const home = managers.reduce((one, other) => (weight(other) < weight(one) ? other : one))
  const asked = managers.find((manager) => manager !== home) as Peer
  const task = { driver: 'process', command: ['sh', '-c', 'exec sleep 600'] }
  await asked.services.create({ name: 'stay', mode: { replicas: 1 }, task })
  const running = async (): Promise<readonly string[]> => {
    const { items } = await asked.tasks.list({ service: 'stay' })
    return items.flatMap(({ id, observed }) => (observed === 'running' ? [id] : []))
  }
  await eventually('it runs', async () => (await running()).length === 1)
  const before = await running()
  const states: string[] = []
  const over = new AbortController()
  const watched = (async () => {
    for await (const change of asked.watch({ kinds: ['node'], signal: over.signal }))
      if (change.type === 'set' && change.object.id === worker.id) states.push((change.object as { state?: string }).state ?? '')
  })()

  await home.stop()
  // Were it back at once, the session could open there at once.
  await eventually('the session goes through another', async () => worker.metrics().skein_session_away === 1)
  const back = await startPeer(t, dirs[managers.indexOf(home)] ?? first)
  t.equal(back.address, home.address)
  const moves = (): unknown => worker.metrics().skein_session_moves_total
  await eventually('all three are in touch', async () => (await asked.clusterStatus()).quorum.reachable === 3)
  t.equal(moves(), 0, 'nothing is hurried')
  clock.pass(settleMs + spreadMs)
  await eventually('it went home', async () => moves() === 1)
  await eventually('where it stays', async () => worker.metrics().skein_session_away === 0)

  await asked.services.scale('stay', 3)
  await eventually('new tasks reach it there', async () => (await running()).length === 3)
  t.ok((await running()).includes(before[0] as string), 'the same task runs on')
  t.notOk(states.includes('down'), states.join())
  over.abort()
  await watched
})
