/** What managers keep shows nothing of what it means to who reads their disks: no key, value, spec, label or name. */
import { readFileSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { Peer } from '../../lib/index.js'
import { unlockPeerDir } from '../../lib/peer/lock.js'
import { inspectLog, RaftDisk } from '../../lib/raft/wal/index.js'
import { KeyStore, makeSealKey } from '../../lib/security/index.js'
import { valueBytesMax } from '../../lib/store/apply-cluster.js'
import { encodeCommand } from '../../lib/store/index.js'
import { eventually, freshDir, startPeer } from './support.js'
import { filesUnder, filesWith } from './traces.js'

/** Each at a place of its own; long and without repeats, so that no compression could hide them. */
const markers = {
  key: 'Kq7xW2vK0nB6mT4rY1pL8sD3fG5hJ9cA',
  value: 'Vk3uN8eX4bQ7wV0zM5yH2tC6oP9iS1dF',
  env: 'Em2yT7rC4vB9nX1kL6pQ0wZ5sD8fG3hJ',
  config: 'Cz9aP4oI6uY1tR8eW3qL7kJ2hG5fD0sM',
  label: 'Lb5nV8cX2zM7aS1dF4gH9jK6lQ0wE3rT',
  service: 'sx4h7j2k9l1q6w8e3r5t0y-service',
  network: 'nb8v3c6x1z9m4a7s2d5f0g-network',
} as const

async function fill(peer: Peer): Promise<void> {
  const { key, value, env, config, label, service, network } = markers
  await peer.kv.put(key, value)
  await peer.networks.create({ name: network, labels: { colour: label } })
  await peer.configs.create({ name: 'settings', data: config })
  await peer.services.create({
    name: service,
    labels: { tone: label },
    task: { driver: 'inline', command: ['nothing'], env: { TOKEN: env }, configs: ['settings'], networks: [network] },
    placement: { constraints: ['node.name == nowhere'] },
  })
}

async function readKey(peer: Peer): Promise<string> {
  return Buffer.from((await peer.kv.get(markers.key))?.value ?? '').toString()
}

function found(dirs: readonly string[]): readonly string[] {
  return Object.entries(markers).flatMap(([what, text]) => filesWith(text, dirs).map((file) => `${what}: ${file}`))
}

function snapshotsUnder(dir: string): string[] {
  return filesUnder([join(dir, 'raft', 'snapshots')]).filter((file) => file.endsWith('.snapshot'))
}

t.test(
  'log, snapshots and tables show nothing: while managers run, after a snapshot, after a restart, on one that joined by a snapshot, on a promoted one',
  { timeout: 180_000 },
  async (t) => {
    const dirs = [freshDir(t), freshDir(t), freshDir(t)] as const
    const options = { name: 'm1', dir: dirs[0], availability: 'drain' } as const
    const m1 = await startPeer(t, options)
    const w1 = await startPeer(t, { name: 'w1', dir: dirs[2], availability: 'drain', join: await m1.invite('worker') })
    await fill(m1)
    t.equal(await readKey(m1), markers.value)

    // Each overwrites the last: much of a log, little of a state. Past 64 MiB a manager takes a snapshot.
    const filler = Buffer.alloc(valueBytesMax, 'filler')
    for (let puts = 0; puts < 100 && snapshotsUnder(dirs[0]).length === 0; puts++) await m1.kv.put('filler', filler)
    await eventually(
      'a log that begins after the markers',
      async () => ((await inspectLog(join(dirs[0], 'raft'))).snapshot?.index ?? 0) > 30,
    )
    t.same(found(dirs), [], 'with a snapshot')

    const m2 = await startPeer(t, { name: 'm2', dir: dirs[1], availability: 'drain', join: await m1.invite('manager') })
    await eventually('the newcomer was sent the snapshot', async () => snapshotsUnder(dirs[1]).length > 0)
    await m1.nodes.promote('w1')
    await eventually('the worker has become a manager', async () => w1.role === 'manager' && snapshotsUnder(dirs[2]).length > 0)
    for (const peer of [m1, m2, w1]) t.equal(await eventually('the key', () => readKey(peer)), markers.value)
    const [one, two, three] = await Promise.all([m1, m2, w1].map((peer) => peer.services.get(markers.service)))
    t.same(two, one)
    t.same(three, one)
    t.same(found(dirs), [], 'on three managers')

    for (const peer of [w1, m2, m1]) await peer.stop()
    t.same(found(dirs), [], 'when all have stopped and written what was left')
    const again = await Promise.all([
      startPeer(t, options),
      startPeer(t, { name: 'm2', dir: dirs[1], availability: 'drain' }),
      startPeer(t, { name: 'w1', dir: dirs[2], availability: 'drain' }),
    ])
    for (const peer of again) t.equal(await readKey(peer), markers.value)
    t.equal((await again[0].services.get(markers.service)).spec.task.env?.TOKEN, markers.env)
    t.same(found(dirs), [], 'started again')
  },
)

t.test('with a passphrase no file shows a key: without it no start, with it everything is there', async (t) => {
  const dir = freshDir(t)
  const passphrase = 'correct horse battery staple'
  const peer = await startPeer(t, { dir, passphrase, availability: 'drain' })
  await fill(peer)
  await peer.stop()
  const keys = await new KeyStore(dir).read(passphrase)
  if (keys?.dataKey === undefined) throw new Error('no data key')
  const privateKey = keys.keys.privateKey.export({ type: 'pkcs8', format: 'der' })
  const secrets = [Buffer.from(keys.dataKey), privateKey]
  for (const secret of secrets) t.same(filesShowing(secret, dir), [])
  t.same(found([dir]), [])
  await t.rejects(startPeer(t, { dir }), { code: 'ERR_SKEIN_LOCKED' })
  const again = await startPeer(t, { dir, passphrase })
  t.equal(await readKey(again), markers.value)
  await again.stop()
  await unlockPeerDir(dir, passphrase)
  for (const secret of secrets) t.same(filesShowing(secret, dir), [join(dir, 'keys.json')], 'unlocked, the same search finds it')
})

function filesShowing(secret: Buffer, dir: string): readonly string[] {
  const forms = [secret, ...(['base64', 'hex'] as const).map((each) => Buffer.from(secret.toString(each)))]
  return filesUnder([dir]).filter((file) => {
    const bytes = readFileSync(file)
    const body = Buffer.from(bodyOf(file, bytes), 'base64')
    return forms.some((form) => bytes.includes(form) || body.includes(form))
  })
}

/** The keys of a file that is not sealed lie in it as base64. */
function bodyOf(file: string, bytes: Buffer): string {
  return file.endsWith('keys.json') ? (JSON.parse(bytes.toString()) as { readonly body: string }).body : ''
}

t.test('what a log holds from before commands were sealed is applied', async (t) => {
  const dir = freshDir(t)
  const peer = await startPeer(t, { dir, availability: 'drain' })
  await peer.stop()
  const { cluster: clusterId, raftId: nodeId } = JSON.parse(await readFile(join(dir, 'identity.json'), 'utf8')) as {
    readonly cluster: string
    readonly raftId: number
  }
  const { disk, contents } = await RaftDisk.open({ dir: join(dir, 'raft'), clusterId, nodeId })
  const [term, index] = [contents.hardState?.term ?? 0, (contents.entries.at(-1)?.index ?? 0) + 1]
  const ops = [{ op: 'kv.put', key: 'old', value: Buffer.from('open') }] as const
  const data = encodeCommand({ requestId: 'r', atMs: 1, by: 'client', ops })
  await disk.append([{ entries: [{ type: 'EntryNormal', data, term, index }] }])
  await disk.close()
  const again = await startPeer(t, { dir, availability: 'drain' })
  t.equal(Buffer.from((await again.kv.get('old'))?.value ?? '').toString(), 'open')
})

t.test('a manager without its data key, or with another one, is refused with the remedy', async (t) => {
  const dir = freshDir(t)
  const peer = await startPeer(t, { dir, availability: 'drain' })
  await fill(peer)
  await peer.stop()
  const store = new KeyStore(dir)
  const keys = await store.read(undefined)
  if (keys === undefined) throw new Error('no keys')
  await store.write({ ...keys, dataKey: undefined })
  const remedy = /keys\.json holds no data key.*put back the keys\.json that belongs to them/
  await t.rejects(startPeer(t, { dir }), { code: 'ERR_SKEIN_CORRUPT', message: remedy })
  await store.write({ ...keys, dataKey: makeSealKey() })
  await t.rejects(startPeer(t, { dir }), { code: 'ERR_SKEIN_CORRUPT', message: /another data key than that in keys\.json/ })

  // The tables are only a copy: without them the log says the same, to who has its key.
  await rm(join(dir, 'db'), { recursive: true })
  await t.rejects(startPeer(t, { dir }), { code: 'ERR_SKEIN_CORRUPT', message: /entry \d+ of the raft log cannot be opened/ })
  await store.write(keys)
  t.equal(await readKey(await startPeer(t, { dir })), markers.value)
  t.same(found([dir]), [])
})
