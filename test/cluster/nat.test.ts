import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { connect, createPeer, type Peer } from '../../lib/index.js'
import { Laptop } from './laptop.js'
import { eventually, freshDir, quick, startPeer } from './support.js'

t.setTimeout(240_000)

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

/** Ports this process has open. */
function ports(): number {
  return process.getActiveResourcesInfo().filter((kind) => /^(TCPServerWrap|UDPWrap)$/i.test(kind)).length
}

t.test('a worker that listens nowhere opens no port, runs tasks, tells their lines, and comes back the same way', async (t) => {
  const first = await startPeer(t, { name: 'm1', availability: 'drain' })
  const second = await startPeer(t, { name: 'm2', availability: 'drain', join: await first.invite('manager') })
  const dir = freshDir(t)
  const before = ports()
  t.ok(before > 0, 'the managers have some')
  const worker = await createPeer({ name: 'w1', dir, listen: 'none', join: await first.invite('worker'), timing: quick })
  t.equal(ports(), before)
  t.equal(worker.address, '')
  await startPeer(t, { name: 'w2', join: await first.invite('worker'), availability: 'drain' })
  await first.services.create({
    name: 'talk',
    mode: { replicas: 1 },
    task: { driver: 'process', command: ['sh', '-c', 'echo hello from inside; exec sleep 600'] },
  })
  await taskOn(first, worker.id)
  for (const manager of [first, second]) {
    await eventually(`${manager.name} has its lines`, async () => {
      for await (const { text } of manager.services.logs('talk', {})) if (text.includes('hello from inside')) return true
      return false
    })
  }
  await eventually('four members', async () => [first, second, worker].every((peer) => peer.metrics().skein_members === 4))
  t.equal((await first.nodes.get('w1')).address, '')
  await using client = await connect((JSON.parse(readFileSync(join(dir, 'control.json'), 'utf8')) as { url: string }).url)
  t.equal((await client.services.get('talk')).name, 'talk', 'its control file leads to a manager')
  await worker.stop()
  await eventually('it is down', async () => (await first.nodes.get('w1')).state === 'down')
  const again = await startPeer(t, { dir, listen: 'none' })
  t.equal(again.id, worker.id)
  await taskOn(first, worker.id)
})

t.test('a process that listens nowhere and is killed is missed within seconds', async (t) => {
  const first = await startPeer(t, { name: 'm1' })
  const join = await first.invite('worker')
  await Promise.all(['w1', 'w2'].map((name) => startPeer(t, { name, join })))
  const laptop = await Laptop.start(t, { join, listen: 'none' })
  await eventually('it is ready', async () => (await first.nodes.get('laptop')).state === 'ready')
  laptop.kill()
  await eventually('it is down', async () => (await first.nodes.get('laptop')).state === 'down')
})

t.test(
  'a manager that would listen nowhere is refused, whether it founds, joins or comes back; so is an address for it',
  async (t) => {
    const first = await startPeer(t, {})
    const dir = freshDir(t)
    const refusal = { code: 'ERR_SKEIN_INVALID_OPTION', detail: { option: 'listen' }, message: /address to listen on/ }
    await t.rejects(createPeer({ listen: 'none' }), refusal)
    await t.rejects(createPeer({ listen: 'none', join: await first.invite('manager') }), refusal)
    const manager = await createPeer({ dir, timing: quick })
    await manager.stop()
    await t.rejects(createPeer({ dir, listen: 'none' }), refusal)
    await t.rejects(createPeer({ listen: 'none', advertise: 'here:1' }), {
      code: 'ERR_SKEIN_INVALID_OPTION',
      detail: { option: 'advertise' },
    })
  },
)
