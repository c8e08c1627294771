/** A secret's plaintext is where its task runs, and nowhere else: no file, line, number or link shows it. */
import { rmSync, writeFileSync } from 'node:fs'
import { inspect } from 'node:util'
import t from 'tap'
import { type InlineFunction, inlineDriver } from '../../lib/drivers/index.js'
import type { Peer, PeerOptions, ServiceSpec } from '../../lib/index.js'
import { WsTransport } from '../../lib/overlay/transport/index.js'
import { createPeerOver } from '../../lib/peer/index.js'
import { systemClock } from '../../lib/peer/system-world.js'
import { valueBytesMax } from '../../lib/store/apply-cluster.js'
import { eventually, freshDir, quick, type Teardown } from './support.js'
import { filesUnder, filesWith, hasTrace, Recorder, tracesOf } from './traces.js'

/** Long and without repeats: no compression of a database could hide them. */
const plaintext = 'Hq7xW2vK0nB6mT4rY1pL8sD3fG5hJ9cA-nobody-else-may-find-this'
const openText = 'Tk3uN8eX4bQ7wV0zM5yH2tC6oP9iS1dF-this-lies-open-and-is-found'

/** Runs until it is stopped; its line says that both were there. */
const reading: InlineFunction = async ({ signal, secrets, configs, log }) => {
  log(`${Buffer.from(secrets.get('password') ?? []).toString() === plaintext} ${configs.get('open.conf')?.length}`)
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}

const idle: InlineFunction = ({ signal }) =>
  new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))

interface Place {
  readonly peer: Peer
  readonly recorder: Recorder
}

/** A peer whose every word to others goes over links that are heard. */
async function heardPeer(t: Teardown, options: PeerOptions): Promise<Place> {
  const recorder = new Recorder()
  const transport = recorder.over(new WsTransport({ clock: systemClock }))
  const drivers = [inlineDriver({ functions: { reading, idle } })]
  const peer = await createPeerOver({ transport }, { timing: quick, datagrams: false, drivers, ...options })
  t.teardown(() => peer.stop())
  return { peer, recorder }
}

async function deploy(manager: Peer, constraint: string): Promise<void> {
  await manager.secrets.create({ name: 'password', data: plaintext })
  await manager.configs.create({ name: 'open.conf', data: openText })
  await manager.services.create({
    name: 'reader',
    task: { driver: 'inline', command: ['reading'], secrets: ['password'], configs: ['open.conf'] },
    placement: { constraints: [constraint] },
    restart: { delayMs: 0 },
  })
}

/** Resolves when a task of the service runs on this node. */
async function runOn(manager: Peer, node: string, spec: ServiceSpec): Promise<void> {
  await manager.services.create({ ...spec, placement: { constraints: [`node.name == ${node}`] } })
  await eventually(`${spec.name} on ${node}`, async () =>
    (await manager.tasks.list({ service: spec.name })).items.some(({ observed }) => observed === 'running'),
  )
}

/** Resolves when the service's newest task has read its secret on this node. */
async function readOn(manager: Peer, node: string): Promise<void> {
  await eventually(`the task on ${node}`, async () => {
    const { items } = await manager.tasks.list({ service: 'reader' })
    const task = items.find(({ nodeName, observed }) => nodeName === node && observed === 'running')
    if (task === undefined) return false
    for await (const { text } of manager.tasks.logs(task.id)) return text === `true ${openText.length}`
    return false
  })
}

t.test('what is looked for is found, however it is written and whatever stands around it', async (t) => {
  const bytes = Buffer.from(plaintext)
  for (const before of ['', 'a', 'ab', 'abc']) {
    const around = Buffer.concat([Buffer.from(before), bytes, Buffer.from('xyz')])
    const written = [
      around,
      around.toString('hex'),
      around.toString('hex').toUpperCase(),
      around.toString('base64'),
      around.toString('base64url'),
      inspect(around),
      inspect(Uint8Array.from(around), { breakLength: Number.POSITIVE_INFINITY }),
      JSON.stringify(around),
    ]
    for (const each of written) t.ok(hasTrace(each, plaintext), `${before}: ${String(each).slice(0, 40)}`)
  }
  t.notOk(hasTrace(openText, plaintext))
  t.ok(tracesOf(plaintext).every(({ length }) => length >= 24))
})

t.test('no log segment, snapshot, database, metric or log line of any peer shows a secret', { timeout: 180_000 }, async (t) => {
  const logged: unknown[] = []
  const write = (...words: unknown[]): void => void logged.push(words)
  const logger = { debug: write, info: write, warn: write, error: write }
  const dirs = [freshDir(t), freshDir(t), freshDir(t)] as const
  const [m1] = [await heardPeer(t, { name: 'm1', dir: dirs[0], availability: 'drain', logger })]
  const join = await m1.peer.invite('worker')
  const w1 = await heardPeer(t, { name: 'w1', dir: dirs[1], join, logger })
  const m2 = await heardPeer(t, {
    name: 'm2',
    dir: dirs[2],
    availability: 'drain',
    join: await m1.peer.invite('manager'),
    logger,
  })
  const peers = [m1.peer, w1.peer, m2.peer]
  await deploy(m1.peer, 'node.name == w1')
  await readOn(m1.peer, 'w1')
  t.same(filesWith(plaintext, dirs), [], 'while its task runs')
  const bait = `${dirs[0]}/raft/bait`
  writeFileSync(bait, `x${plaintext}`)
  t.same(filesWith(plaintext, dirs), [bait], 'the same search finds it where it lies open')
  rmSync(bait)

  await m1.peer.services.remove('reader')
  await eventually('the task is gone', async () => (await m1.peer.tasks.list()).items.length === 0)
  t.same(filesWith(plaintext, dirs), [], 'on the worker after its task has ended')

  // Each overwrites the last: much of a log, little of a state. Past 64 MiB every manager takes a snapshot.
  const filler = Buffer.alloc(valueBytesMax, 'filler')
  const snapshots = (): string[] => filesUnder(dirs).filter((file) => /\/snapshots\/[^/]+$/.test(file))
  for (let puts = 0; puts < 100 && snapshots().length < 2; puts++) await m1.peer.kv.put('filler', filler)
  const recorded = (): Set<string | undefined> => {
    const whole = snapshots().filter((file) => file.endsWith('.snapshot'))
    return new Set(whole.map((file) => file.split('/raft/')[0]))
  }
  await eventually('a snapshot of each manager, which the secret’s record is in', async () => recorded().size === 2)
  t.same(filesWith(plaintext, dirs), [], 'in snapshots')

  const shown = inspect([logged, peers.map((peer) => peer.metrics())], {
    depth: 12,
    maxArrayLength: null,
    maxStringLength: null,
    breakLength: Number.POSITIVE_INFINITY,
  })
  t.match(shown, /skein_raft_/)
  t.notOk(hasTrace(shown, plaintext), 'in logs and metrics')
  for (const peer of peers.reverse()) await peer.stop()
  t.same(filesWith(plaintext, dirs), [], 'after all have stopped')
})

t.test(
  'a link carries a secret to the node whose task needs it, and no word of it to another',
  { timeout: 180_000 },
  async (t) => {
    const m1 = await heardPeer(t, { name: 'm1', availability: 'drain' })
    const join = await m1.peer.invite('worker')
    const [w1, w2] = [await heardPeer(t, { name: 'w1', join }), await heardPeer(t, { name: 'w2', join })]
    await m1.peer.nodes.pause('w2')
    await deploy(m1.peer, 'node.role == worker')
    await readOn(m1.peer, 'w1')
    // Something is said to the other as well: the tasks it is given, and what it asks for.
    await m1.peer.nodes.activate('w2')
    await runOn(m1.peer, 'w2', { name: 'idle', task: { driver: 'inline', command: ['idle'] } })
    t.equal((await w2.peer.services.get('reader')).name, 'reader')

    for (const text of [plaintext, openText]) {
      t.ok(hasTrace(w1.recorder.bytes, text), 'the worker that needs it is sent it')
      t.notOk(hasTrace(w2.recorder.bytes, text), 'the other is not')
    }
    const { bytes } = w2.recorder
    t.ok(bytes.includes('idle') && bytes.includes('password'), 'though what is said to it was heard')

    await m1.peer.nodes.drain('w1')
    await readOn(m1.peer, 'w2')
    for (const text of [plaintext, openText]) t.ok(hasTrace(w2.recorder.bytes, text), 'once its task is there')
  },
)
