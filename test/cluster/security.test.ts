import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { type Socket, connect as tcpConnect } from 'node:net'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { readRenewAnswer } from '../../lib/api/join.js'
import { connect, createPeer, isSkeinError } from '../../lib/index.js'
import { LinkPool } from '../../lib/overlay/transport/index.js'
import { joinCluster } from '../../lib/peer/join.js'
import { systemClock, systemRandom } from '../../lib/peer/system-world.js'
import {
  Credentials,
  digestOf,
  formatJoinString,
  type KeyPair,
  KeyStore,
  makeKeyPair,
  parseJoinString,
  provePossession,
  trustOfToken,
} from '../../lib/security/index.js'
import { eventually, freshDir, quick, startPeer } from './support.js'

/** Every file under a directory. */
function files(dir: string): string[] {
  return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const path = join(dir, entry.name)
    return entry.isDirectory() ? files(path) : [path]
  })
}

t.test(
  'a root is rotated under a running cluster: nothing stops, and who was away finds back',
  { timeout: 180_000 },
  async (t) => {
    const dirs = { m2: freshDir(t), away: freshDir(t) }
    const first = await startPeer(t, { name: 'm1' })
    const asWorker = await first.invite('worker')
    const second = await startPeer(t, { name: 'm2', dir: dirs.m2, join: await first.invite('manager') })
    const worker = await startPeer(t, { name: 'w1', join: asWorker })
    const sleeper = await createPeer({ name: 'w2', dir: dirs.away, join: asWorker, timing: quick })
    await sleeper.stop()
    await eventually('w2 is down', async () => (await first.nodes.get('w2')).state === 'down')
    const before = await first.ca.show()
    t.equal(before.roots.length, 1)
    const states: string[] = []
    const stopWatching = new AbortController()
    const watching = (async () => {
      for await (const change of first.watch({ kinds: ['node'], signal: stopWatching.signal }))
        if (change.type === 'set')
          states.push(`${(change.object as { name?: string }).name} ${(change.object as { state?: string }).state}`)
    })()

    const during = await first.ca.rotate()
    t.equal(during.roots.length, 2)
    t.not(during.roots[0]?.digest, before.roots[0]?.digest)
    await t.rejects(first.ca.rotate(), { code: 'ERR_SKEIN_PRECONDITION' }, 'one rotation at a time')
    const after = await eventually('the old root is retired', async () => {
      const shown = await first.ca.show()
      return shown.roots[1]?.state === 'retired' ? shown : undefined
    })
    t.equal(after.roots[0]?.state, 'trusted')
    await worker.kv.put('still', 'here')
    t.equal((await second.clusterStatus()).quorum.reachable, 2)
    stopWatching.abort()
    await watching
    t.notOk(
      states.some((state) => state === 'w1 down' || state === 'm2 down'),
      `nobody was taken for dead: ${states.join()}`,
    )

    // The old join string pins a root that is retired, and the newcomer it brings is told so or taken in; the new one always works.
    const late = await startPeer(t, { name: 'w3', join: await first.invite('worker') })
    t.equal(late.role, 'worker')
    const again = await startPeer(t, { dir: dirs.away })
    t.equal(again.name, 'w2')
    await again.kv.put('back', 'again')
    await eventually('w2 is ready', async () => (await first.nodes.get('w2')).state === 'ready')
    await second.stop()
    const back = await startPeer(t, { dir: dirs.m2 })
    t.equal(back.role, 'manager')
  },
)

t.test(
  'a manager that was away through a rotation of the root counts for the quorum before it has a new certificate',
  { timeout: 180_000 },
  async (t) => {
    const dirs = { m2: freshDir(t), m3: freshDir(t) }
    const first = await startPeer(t, { name: 'm1' })
    const join = await first.invite('manager')
    const second = await startPeer(t, { name: 'm2', dir: dirs.m2, join })
    const away = await startPeer(t, { name: 'm3', dir: dirs.m3, join })
    await eventually('three voters', async () => (await first.clusterStatus()).quorum.voters === 3)
    await away.stop()
    await eventually('m3 is down', async () => (await first.nodes.get('m3')).state === 'down')
    await first.ca.rotate()
    await eventually('the old root is retired', async () => (await first.ca.show()).roots[1]?.state === 'retired')
    // Now two of three are left, and what one of them has to show is of a root that is good for nothing but a renewal.
    await second.stop()
    const back = await startPeer(t, { dir: dirs.m3 })
    await eventually('a write is taken by the two', async () => {
      await back.kv.put('taken', 'by two', { deadlineMs: 2_000 })
      return true
    })
    const { digest } = await eventually('the new root', async () => (await back.ca.show()).roots[0])
    const renewed = async (): Promise<boolean> => {
      const stored = await new KeyStore(dirs.m3).read(undefined)
      const issuer = stored?.trust.type === 'roots' ? stored.trust.roots.find((each) => digestOf(each) === digest) : undefined
      if (stored?.certificate === undefined || issuer === undefined) return false
      return new X509Certificate(stored.certificate).verify(new X509Certificate(issuer).publicKey)
    }
    await eventually('it has a certificate of the new root', renewed)
  },
)

t.test(
  'a node whose new certificate got lost on its way while the root was rotated may ask again, and nobody else with a key of that root',
  { timeout: 180_000 },
  async (t) => {
    const peer = await startPeer(t, { name: 'm1' })
    const { token, addresses } = parseJoinString(await peer.invite('worker'))
    const id = 'lostanswer00'
    const credentials = new Credentials({ own: undefined, trust: trustOfToken(token) }, Date.now)
    const pool = LinkPool.client(
      { node: id, credentials, admit: () => undefined, handlers: new Map(), onRaftFrame: () => undefined },
      { clock: systemClock, random: systemRandom },
    )
    t.teardown(() => pool.stop())
    const keys = await makeKeyPair()
    const joined = await joinCluster({
      ...{ pool, addresses, clock: systemClock, random: systemRandom, signal: undefined, keys, root: token.root },
      request: {
        ...{ id, role: 'worker', secret: token.secret, name: 'w1', address: '127.0.0.1:1', availability: 'active', labels: {} },
      },
    })
    credentials.replace({ own: { certificate: joined.certificate, keys }, trust: joined.trust })
    const renew = async (): Promise<{ readonly certificate: Uint8Array; readonly keys: KeyPair }> => {
      const next = await makeKeyPair()
      const link = await pool.dial(peer.address, { purpose: 'bulk' })
      const { publicKey } = next
      const proof = provePossession(next, { purpose: 'renew', id, publicKey, binding: link.binding })
      const answer = readRenewAnswer(await link.call('join.renew', { publicKey, proof }))
      link.close('answered')
      return { certificate: answer.certificate, keys: next }
    }
    const early = await renew()
    credentials.replace({ own: early })
    await peer.ca.rotate()
    for (let lost = 0; lost < 3; lost++) await renew() // and the certificate never arrives
    await eventually('the old root is retired', async () => (await peer.ca.show()).roots[1]?.state === 'retired')
    credentials.replace({ own: { certificate: joined.certificate, keys } })
    await t.rejects(
      pool.dial(peer.address),
      { code: 'ERR_SKEIN_BAD_CERTIFICATE', detail: { reason: 'unknown-root' } },
      'an older one',
    )
    credentials.replace({ own: early })
    const last = await renew()
    credentials.replace({ own: last })
    t.ok((await pool.dial(peer.address)).isUp)
  },
)

t.test('a rotated token is refused as revoked; who joined by it stays', { timeout: 180_000 }, async (t) => {
  const peer = await startPeer(t, { name: 'm1' })
  const old = await peer.invite('worker')
  const worker = await startPeer(t, { name: 'w1', join: old })
  const next = await peer.tokens.rotate('worker')
  t.not(next, old)
  t.equal(next, await peer.invite('worker'))
  await t.rejects(createPeer({ join: old, timing: quick }), { code: 'ERR_SKEIN_BAD_JOIN_SECRET', detail: { part: 'revoked' } })
  await t.rejects(connect(old), { code: 'ERR_SKEIN_BAD_JOIN_SECRET', detail: { part: 'revoked' } })
  await worker.kv.put('a', '1')
  t.equal((await startPeer(t, { name: 'w2', join: next })).role, 'worker')
})

t.test(
  'a client with a worker’s token reads and uses keys, and operates nothing; with the manager’s it operates',
  { timeout: 180_000 },
  async (t) => {
    const peer = await startPeer(t, { name: 'm1' })
    const worker = await startPeer(t, { name: 'w1', join: await peer.invite('worker') })
    const spec = { name: 'idle', mode: { replicas: 0 }, task: { command: ['true'] } }
    await using app = await connect(await peer.invite('worker'))
    await app.kv.put('k', 'v')
    t.equal((await app.nodes.list()).items.length, 2)
    const asks: readonly (() => Promise<unknown>)[] = [
      () => app.services.create(spec),
      () => app.invite('manager'),
      () => app.nodes.drain('m1'),
      () => app.ca.rotate(),
    ]
    for (const ask of asks) await t.rejects(ask(), { code: 'ERR_SKEIN_FORBIDDEN' })
    await using operator = await connect(await peer.invite('manager'))
    await operator.services.create(spec)
    // Asked at a worker, who cannot issue: it names a manager.
    const { token } = parseJoinString(await peer.invite('manager'))
    await using byWorker = await connect(formatJoinString({ token, addresses: [worker.address, peer.address] }))
    t.equal((await byWorker.services.get('idle')).name, 'idle')
    await t.rejects(worker.nodes.drain(peer.id), { code: 'ERR_SKEIN_FORBIDDEN', message: /another node/ })
    t.equal((await worker.nodes.drain(worker.id)).availability, 'drain', 'its own node it may drain')
  },
)

t.test(
  'keys with a passphrase: locked without it, nothing lies open, and it is the same peer with it',
  { timeout: 180_000 },
  async (t) => {
    const dir = freshDir(t)
    const peer = await createPeer({ dir, passphrase: 'open sesame', timing: quick })
    const { id } = peer
    await peer.kv.put('a', '1')
    await peer.stop()
    await t.rejects(createPeer({ dir }), { code: 'ERR_SKEIN_LOCKED', detail: { dir, tried: false }, message: /skein unlock/ })
    await t.rejects(createPeer({ dir, passphrase: 'shut' }), { code: 'ERR_SKEIN_LOCKED', detail: { tried: true } })
    const again = await startPeer(t, { dir, passphrase: async () => 'open sesame' })
    t.equal(again.id, id)
    t.equal(Buffer.from((await again.kv.get('a'))?.value ?? []).toString(), '1')
  },
)

t.test(
  'at rest neither a token nor a root’s key lies open, and keys are their owner’s alone',
  { timeout: 180_000 },
  async (t) => {
    const dir = freshDir(t)
    const peer = await createPeer({ dir, timing: quick })
    const secrets = [await peer.invite('worker'), await peer.invite('manager')].map((text) => parseJoinString(text).token.secret)
    await peer.tokens.rotate('worker')
    const control = join(dir, 'control.json')
    t.equal(statSync(control).mode & 0o777, 0o600)
    await using client = await connect((JSON.parse(readFileSync(control, 'utf8')) as { url: string }).url)
    await client.services.create({ name: 'idle', mode: { replicas: 0 }, task: { command: ['true'] } })
    await peer.stop()
    for (const file of files(dir)) {
      const bytes = readFileSync(file)
      for (const secret of secrets) t.notOk(bytes.includes(secret), `${file} shows no token`)
      if (!file.endsWith('keys.json'))
        t.notOk(bytes.includes(Buffer.from('3041020100301306', 'hex')), `${file} shows no private key`)
    }
    t.equal(statSync(join(dir, 'keys.json')).mode & 0o777, 0o600)
    t.equal((await new KeyStore(dir).read(undefined))?.founding, undefined, 'the founding record is gone from the file')
  },
)

t.test('a stolen join token cannot take a node’s place', { timeout: 180_000 }, async (t) => {
  const peer = await startPeer(t, { name: 'm1' })
  const string = await peer.invite('worker')
  const dir = freshDir(t)
  const worker = await createPeer({ name: 'w1', dir, join: string, timing: quick })
  const { id } = worker
  await worker.stop()
  const { token, addresses } = parseJoinString(string)
  const credentials = new Credentials({ own: undefined, trust: { type: 'pin', digest: token.root } }, Date.now)
  const host = { node: id, credentials, admit: () => undefined, handlers: new Map(), onRaftFrame: () => undefined }
  const pool = LinkPool.client(host, { clock: systemClock, random: systemRandom })
  t.teardown(() => pool.stop())
  const thief = joinCluster({
    pool,
    addresses,
    clock: systemClock,
    random: systemRandom,
    signal: undefined,
    keys: await makeKeyPair(),
    root: token.root,
    request: { id, role: 'worker', secret: token.secret, name: 'w1', address: '127.0.0.1:1', availability: 'active', labels: {} },
  })
  await t.rejects(thief, { code: 'ERR_SKEIN_ALREADY_EXISTS', message: /another key/ })
})

/** Descriptors this process may have open; undefined where the system does not tell. */
function descriptorsMax(): number | undefined {
  if (!existsSync('/proc/self/limits')) return undefined
  const [, soft] = readFileSync('/proc/self/limits', 'utf8').match(/^Max open files +(\d+|unlimited)/m) ?? []
  return soft === 'unlimited' ? Number.POSITIVE_INFINITY : soft === undefined ? undefined : Number(soft)
}

/** Bytes of memory, when what nobody holds is gone: in use by JavaScript, and all that the process has. */
function bytesInUse(): { readonly script: number; readonly process: number } {
  setFlagsFromString('--expose-gc')
  ;(runInNewContext('gc') as () => void)()
  const { heapUsed, external, rss } = process.memoryUsage()
  return { script: heapUsed + external, process: rss }
}

// Far more than may be under way at once; both ends are in this process.
const [floodTotal, underWayMax] = [10_000, 256]
const descriptorsMin = 2_000
const limit = descriptorsMax()

t.test(
  'ten thousand half-open connections: the cluster works on, its memory does not grow with them, and who is honest still comes in',
  {
    timeout: 180_000,
    skip: limit !== undefined && limit < descriptorsMin && `needs ${descriptorsMin} open files, and ${limit} are allowed`,
  },
  async (t) => {
    const peer = await startPeer(t, { name: 'm1' })
    const [host, port] = peer.address.split(':') as [string, string]
    const open = new Set<Socket>()
    t.teardown(() => {
      for (const socket of open) socket.destroy()
    })
    const flood = async (count: number): Promise<void> => {
      const batch = Array.from({ length: count }, () => tcpConnect({ host, port: Number(port) }))
      await Promise.all(
        batch.map(async (socket) => {
          open.add(socket)
          socket.on('error', () => undefined)
          socket.on('close', () => open.delete(socket))
          socket.resume()
          await once(socket, 'connect')
        }),
      )
    }
    const isCutDown = (): Promise<boolean> =>
      eventually('only as many are left as may be under way at once', async () => open.size <= underWayMax)
    let opened = 0
    for (; opened < 1_000; opened += 100) await flood(100)
    await isCutDown()
    // As many are under way as may be, and what the first of their kind need is loaded.
    const before = bytesInUse()
    for (; opened < floodTotal; opened += 100) {
      await flood(100)
      if (opened % 1_000 === 0) await peer.kv.put('flood', String(opened))
    }
    t.equal(opened, floodTotal, 'each was taken before it was cut off')
    await isCutDown()
    const after = bytesInUse()
    const perConnection = (of: 'script' | 'process'): number => Math.round((after[of] - before[of]) / floodTotal)
    t.ok(perConnection('script') < 1_000, `${perConnection('script')} bytes more in use for each that came`)
    // What TLS keeps of a connection is not JavaScript's, and tens of thousands of bytes.
    t.ok(perConnection('process') < 10_000, `${perConnection('process')} bytes more of the process`)
    await using client = await connect(await peer.invite('worker'))
    await client.kv.put('after', 'flood')
    t.equal((await startPeer(t, { name: 'w1', join: await peer.invite('worker') })).role, 'worker')
  },
)

t.test('a removed node is refused by workers too: they hear of it from their manager', { timeout: 180_000 }, async (t) => {
  const peer = await startPeer(t, { name: 'm1' })
  const string = await peer.invite('worker')
  const worker = await startPeer(t, { name: 'w1', join: string })
  const dir = freshDir(t)
  const bad = await createPeer({ name: 'w2', dir, join: string, timing: quick })
  const { id } = bad
  await bad.stop()
  await eventually('it is down', async () => (await peer.nodes.get('w2')).state === 'down')
  const stored = await new KeyStore(dir).read(undefined)
  if (stored?.certificate === undefined) throw new Error('it had joined')
  const credentials = new Credentials(
    { own: { certificate: stored.certificate, keys: stored.keys }, trust: stored.trust },
    Date.now,
  )
  const host = { node: id, credentials, admit: () => undefined, handlers: new Map(), onRaftFrame: () => undefined }
  const pool = LinkPool.client(host, { clock: systemClock, random: systemRandom })
  t.teardown(() => pool.stop())
  ;(await pool.dial(worker.address)).close('it may')
  await peer.nodes.remove('w2')
  await eventually('the worker refuses it', async () => {
    try {
      const link = await pool.dial(worker.address)
      link.close('too early')
      return false
    } catch (error) {
      return isSkeinError(error, 'ERR_SKEIN_REMOVED')
    }
  })
  t.pass('refused with ERR_SKEIN_REMOVED')
})
