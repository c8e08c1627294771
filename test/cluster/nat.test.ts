import { once } from 'node:events'
import { createServer } from 'node:net'
import t from 'tap'
import type { Peer } from '../../lib/index.js'
import { eventually, startPeer } from './support.js'

t.setTimeout(120_000)

/** An address at which nobody answers: what a peer behind address translation may believe to have. */
async function refusingAddress(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  await once(server.close(), 'close')
  return `127.0.0.1:${port}`
}

async function taskOn(asked: Peer, node: string): Promise<string> {
  const task = await eventually('a task runs there', async () => {
    const { items } = await asked.tasks.list({ node })
    return items.find(({ observed }) => observed === 'running')
  })
  return task.id
}

t.test(
  'a worker that can only dial out runs tasks, is asked for their lines by any manager, and is not taken for dead',
  async (t) => {
    const first = await startPeer(t, { name: 'm1', availability: 'drain' })
    const second = await startPeer(t, { name: 'm2', availability: 'drain', join: await first.invite('manager') })
    const advertise = await refusingAddress()
    const worker = await startPeer(t, { name: 'w1', advertise, join: await first.invite('worker') })
    t.equal(worker.address, advertise)
    await first.services.create({
      name: 'talk',
      mode: { replicas: 1 },
      task: { driver: 'process', command: ['sh', '-c', 'echo hello from inside; exec sleep 600'] },
    })
    const task = await taskOn(first, worker.id)
    for (const manager of [first, second]) {
      await eventually(`${manager.name} has its lines`, async () => {
        for await (const { text } of manager.services.logs('talk', {})) if (text.includes('hello from inside')) return true
        return false
      })
    }
    // Longer than a probe, a suspicion and a look at its port take together.
    const states = new Set<string>()
    const endMs = performance.now() + 15_000
    while (performance.now() < endMs) {
      states.add((await first.nodes.get('w1')).state)
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    t.strictSame([...states], ['ready'])
    t.equal(await taskOn(first, worker.id), task, 'nothing was restarted')
  },
)

t.test('it follows the leadership: its session goes to the next leader, and its task stays', async (t) => {
  const first = await startPeer(t, { name: 'm1', availability: 'drain' })
  const others = await Promise.all(
    ['m2', 'm3'].map(async (name) => startPeer(t, { name, availability: 'drain', join: await first.invite('manager') })),
  )
  await eventually('three voters', async () => first.status().quorum.voters === 3)
  const worker = await startPeer(t, { name: 'w1', advertise: await refusingAddress(), join: await first.invite('worker') })
  await first.services.create({
    name: 'stay',
    mode: { replicas: 1 },
    task: { driver: 'process', command: ['sh', '-c', 'exec sleep 600'] },
  })
  const task = await taskOn(first, worker.id)
  await first.stop()
  const [next] = others as [Peer]
  await eventually('w1 is ready under the next leader', async () => {
    const { items } = await next.nodes.list()
    return items.find(({ name }) => name === 'w1')?.state === 'ready' && next.status().leader !== undefined
  })
  t.equal(await taskOn(next, worker.id), task)
})
