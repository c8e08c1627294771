import { spawn } from 'node:child_process'
import { once } from 'node:events'
import t from 'tap'
import { inlineDriver, type Node, type Peer } from '../../lib/index.js'
import { eventually, freshDir, startPeer } from './support.js'

const workersTotal = 6
/** Elections soon, and not so soon that a busy machine makes more of them. */
const timing = { tickMs: 50, electionTicks: 10 }

/** A manager that can be killed: a process of its own, whose first words are the two join strings. */
const founder = `
const { createPeer } = await import(process.argv[1])
const peer = await createPeer({ dir: process.argv[2], availability: 'drain', timing: JSON.parse(process.argv[3]) })
process.send([await peer.invite('manager'), await peer.invite('worker')])
process.once('disconnect', () => process.exit())
`

t.test('the leader is killed: no worker is down for it, and no task starts anew', { timeout: 180_000 }, async (t) => {
  const index = new URL('../../lib/index.js', import.meta.url).href
  const args = ['--input-type=module', '-e', founder, index, freshDir(t), JSON.stringify(timing)]
  const first = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  t.teardown(() => first.kill('SIGKILL'))
  const [[asManager, asWorker]] = (await once(first, 'message')) as [[string, string]]
  const starts: string[] = []
  const driver = () =>
    inlineDriver({
      functions: {
        web: async ({ signal, task }) => {
          starts.push(task.id)
          if (!signal.aborted) await once(signal, 'abort')
        },
      },
    })
  const managers = await Promise.all(
    [2, 3].map(() => startPeer(t, { timing, join: asManager, availability: 'drain', dir: freshDir(t) })),
  )
  const workers: Peer[] = []
  for (let at = 0; at < workersTotal; at++) workers.push(await startPeer(t, { timing, join: asWorker, drivers: [driver()] }))
  const [second] = managers as [Peer, Peer]
  await eventually('three voters', async () => (await second.clusterStatus()).quorum.voters === 3)
  await second.services.create({
    name: 'web',
    mode: { replicas: 2 * workersTotal },
    task: { driver: 'inline', command: ['web'] },
  })
  await eventually('all run', async () => (await second.services.get('web')).running === 2 * workersTotal)
  const ids = new Set(workers.map(({ id }) => id))
  const said: string[] = []
  const watching = new AbortController()
  const watched = (async () => {
    for await (const change of second.watch({ kinds: ['node'], signal: watching.signal }))
      if (change.type === 'set' && ids.has(change.object.id)) said.push((change.object as Node).state)
  })().catch(() => undefined)
  const startsBefore = starts.length
  t.equal(startsBefore, 2 * workersTotal)

  first.kill('SIGKILL')
  const leader = await eventually('another leads', async () => managers.find((manager) => manager.leading))
  await eventually('all workers have a session with it', async () => {
    const { items } = await leader.nodes.list()
    return items.filter(({ id, state }) => ids.has(id) && state === 'ready').length === workersTotal
  })
  // A change goes through the new leader to every worker and back.
  await eventually('it has a quorum', () => leader.services.scale('web', 3 * workersTotal))
  await eventually('all run', async () => (await leader.services.get('web')).running === 3 * workersTotal)
  t.equal(starts.length, 3 * workersTotal, 'only the new replicas started')
  t.equal(new Set(starts).size, starts.length, 'each once')
  t.notOk(said.includes('down'))
  watching.abort()
  await watched
})

t.test(
  'a manager that does not lead is stopped: the workers whose sessions it passed on go on',
  { timeout: 180_000 },
  async (t) => {
    const leader = await startPeer(t, { timing, availability: 'drain' })
    const [asManager, asWorker] = [await leader.invite('manager'), await leader.invite('worker')]
    const others = await Promise.all([2, 3].map(() => startPeer(t, { timing, join: asManager, availability: 'drain' })))
    await eventually('three voters', async () => (await leader.clusterStatus()).quorum.voters === 3)
    let starts = 0
    const driver = () =>
      inlineDriver({
        functions: {
          web: async ({ signal }) => {
            starts++
            if (!signal.aborted) await once(signal, 'abort')
          },
        },
      })
    for (let at = 0; at < workersTotal; at++) await startPeer(t, { timing, join: asWorker, drivers: [driver()] })
    await leader.services.create({ name: 'web', mode: { replicas: workersTotal }, task: { driver: 'inline', command: ['web'] } })
    await eventually('all run', async () => (await leader.services.get('web')).running === workersTotal)
    await others[0]?.stop()
    await eventually('it has a quorum', () => leader.services.scale('web', 2 * workersTotal))
    await eventually('all run', async () => (await leader.services.get('web')).running === 2 * workersTotal)
    t.equal(starts, 2 * workersTotal)
    const states = (await leader.nodes.list()).items.filter(({ role }) => role === 'worker').map(({ state }) => state)
    t.same(new Set(states), new Set(['ready']))
  },
)
