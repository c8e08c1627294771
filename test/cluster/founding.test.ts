import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { silentLogger } from '../../lib/base/logger.js'
import { below, seededRandom } from '../../lib/base/random.js'
import { connect, createPeer, makeFoundingToken, type Peer, type PeerOptions } from '../../lib/index.js'
import { type FoundingToken, Meeting } from '../../lib/peer/founding.js'
import { Seeds } from '../../lib/peer/seeds.js'
import { systemClock } from '../../lib/peer/system-world.js'
import { makeKeyPair, parseJoinString } from '../../lib/security/index.js'
import { eventually, freshDir, quick, startPeer } from './support.js'

t.setTimeout(240_000)

/** Ports nobody uses: identical processes must know each other's before they start. */
async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map((server) => once(server, 'listening')))
  const ports = servers.map((server) => (server.address() as { port: number }).port)
  await Promise.all(servers.map((server) => once(server.close(), 'close')))
  return ports
}

function joinString(ports: readonly number[], token = makeFoundingToken()): string {
  return `skein://${token}@${ports.map((port) => `127.0.0.1:${port}`).join(',')}`
}

async function managersOf(peer: Peer): Promise<readonly string[]> {
  const { items } = await peer.nodes.list()
  return items.filter(({ role }) => role === 'manager').map(({ id }) => id)
}

t.test('three identical peers found one cluster, and each of them votes', { timeout: 180_000 }, async (t) => {
  const ports = await freePorts(3)
  const join = joinString(ports)
  const peers = await Promise.all(
    ports.map((port) => startPeer(t, { join, expect: 3, listen: `127.0.0.1:${port}`, dir: freshDir(t) })),
  )
  t.equal(new Set(peers.map((peer) => peer.status().cluster)).size, 1)
  const [first] = peers as [Peer]
  t.strictSame([...(await managersOf(first))].sort(), peers.map(({ id }) => id).sort())
  await eventually('three voters', async () => first.status().quorum.voters === 3)
  const { version } = await first.kv.put('a', Buffer.from('1')).then((version) => ({ version }))
  t.ok(version > 0)

  t.test('the same string lets more of them in, with and without expect', async (t) => {
    const more = await startPeer(t, { join, expect: 3, dir: freshDir(t) })
    t.equal(more.role, 'manager')
    t.equal(more.status().cluster, first.status().cluster)
    const plain = await startPeer(t, { join, dir: freshDir(t) })
    t.equal(plain.status().cluster, first.status().cluster)
  })

  t.test('with it a client operates, and after a rotation nobody comes in by it any more', async (t) => {
    await using client = await connect(join)
    await client.nodes.list()
    await client.tokens.rotate('manager')
    const refusal = { code: 'ERR_SKEIN_BAD_JOIN_SECRET', detail: { part: 'revoked' } }
    await t.rejects(createPeer({ join, expect: 3, timing: quick }), refusal)
    await t.rejects(connect(join), refusal)
  })
})

t.test('two of three found nothing, and say who is missing; the third makes them one', { timeout: 180_000 }, async (t) => {
  const ports = await freePorts(3)
  const join = joinString(ports)
  const words: string[] = []
  const logger = {
    debug: () => undefined,
    info: () => undefined,
    warn: (_: object, msg: string) => void words.push(msg),
    error: () => undefined,
  }
  const start = (at: number): Promise<Peer> =>
    startPeer(t, { join, expect: 3, listen: `127.0.0.1:${ports[at]}`, dir: freshDir(t), logger })
  let started = 0
  const two = [start(0), start(1)].map(async (peer) => {
    await peer
    started++
  })
  await eventually('a word of who is waited for', async () => words.find((word) => /3 peers have met/.test(word)))
  t.equal(started, 0)
  t.ok(
    words.some((word) => /2 of 3 here/.test(word) && word.includes(`missing: 127.0.0.1:${ports[2]}`)),
    'who is here is named, and the address that does not answer',
  )
  const third = await start(2)
  await Promise.all(two)
  t.equal((await managersOf(third)).length, 3)
})

t.test('one of the first comes back with the same options, as the same node', { timeout: 180_000 }, async (t) => {
  const ports = await freePorts(2)
  const join = joinString(ports)
  const options = ports.map((port) => ({ join, expect: 2, listen: `127.0.0.1:${port}`, dir: freshDir(t) }))
  const peers = await Promise.all(options.map((each) => startPeer(t, each)))
  const [first, second] = peers as [Peer, Peer]
  await first.kv.put('kept', 'here')
  const { id } = second
  await second.stop()
  await first.stop()
  const again = await Promise.all(options.map((each) => startPeer(t, each)))
  t.equal(again[1]?.id, id)
  t.equal(again[1]?.status().cluster, first.status().cluster)
  // Two voters on a busy machine may lose each other for a moment.
  const kept = await eventually('it reads', async () => again[0]?.kv.get('kept'))
  t.equal(Buffer.from(kept.value).toString(), 'here')
})

t.test('one seed address is enough: the others are heard of there', { timeout: 180_000 }, async (t) => {
  const [port = 0] = await freePorts(1)
  const join = joinString([port])
  const options: PeerOptions = { join, expect: 3, timing: quick }
  const peers = await Promise.all([
    startPeer(t, options),
    startPeer(t, { ...options, listen: `127.0.0.1:${port}` }),
    startPeer(t, options),
  ])
  t.equal(new Set(peers.map((peer) => peer.status().cluster)).size, 1)
  t.equal((await managersOf(peers[0] as Peer)).length, 3)
})

t.test(
  'a founder whose only address is its own hears from others that the cluster is there, and joins it where it heard of them',
  { timeout: 180_000 },
  async (t) => {
    const [port = 0, taken = 0] = await freePorts(2)
    const token = makeFoundingToken()
    const founder = await startPeer(t, { join: joinString([taken], token), expect: 1, listen: `127.0.0.1:${taken}` })
    const late = createPeer({ join: joinString([port], token), expect: 3, listen: `127.0.0.1:${port}`, timing: quick })
    t.teardown(async () => (await late).stop())

    // Somebody of the founder's address who greets it, as the founder did before it knew the end.
    const gone = new AbortController()
    const parsed = parseJoinString(joinString([port], token))
    const self = {
      id: 'zzzzzzzzzzzz',
      name: 'greeter',
      address: `127.0.0.1:${taken}`,
      availability: 'active',
      labels: {},
    } as const
    const greeter = new Meeting({
      token: parsed.token as FoundingToken,
      expect: 3,
      self: { ...self, publicKey: (await makeKeyPair()).publicKey },
      seeds: new Seeds(parsed.addresses, async (host) => [host], systemClock),
      memory: undefined,
      save: async () => undefined,
      clock: systemClock,
      random: seededRandom(1),
      logger: silentLogger,
      signal: gone.signal,
    })
    // It may hear from the one it greets, before it is told to go, that the cluster is there.
    const greeting = greeter.hold().catch((error: unknown) => t.match(error, { code: 'ERR_SKEIN_ABORTED' }))
    const peer = await late
    gone.abort()
    await greeting
    t.equal(peer.status().cluster, founder.status().cluster)
    t.equal((await managersOf(peer)).length, 2)
  },
)

t.test(
  'another founding token meets nobody; of two with different numbers each ends, and says what to do',
  { timeout: 180_000 },
  async (t) => {
    const ports = await freePorts(2)
    const token = makeFoundingToken()
    const giveUp = new AbortController()
    t.teardown(() => giveUp.abort())
    const common = { signal: giveUp.signal, timing: quick }
    const foreign = createPeer({ ...common, join: joinString(ports), expect: 2 })
    const gaveUp = t.rejects(foreign, { code: 'ERR_SKEIN_STOPPED' }, 'who has another token waits for its own kind')
    const refusal = {
      code: 'ERR_SKEIN_INVALID_OPTION',
      detail: { option: 'expect' },
      message: /give all founders the same number/,
    }
    await Promise.all([
      t.rejects(createPeer({ ...common, join: joinString(ports, token), expect: 2, listen: `127.0.0.1:${ports[0]}` }), refusal),
      t.rejects(createPeer({ ...common, join: joinString(ports, token), expect: 3, listen: `127.0.0.1:${ports[1]}` }), refusal),
    ])
    giveUp.abort()
    await gaveUp
  },
)

t.test(
  'one who was given another number keeps nobody from founding, and joins what the others founded',
  { timeout: 180_000 },
  async (t) => {
    const ports = await freePorts(3)
    const join = joinString(ports)
    const start = (at: number, expect: number): Promise<Peer> => startPeer(t, { join, expect, listen: `127.0.0.1:${ports[at]}` })
    const peers = await Promise.all([start(0, 2), start(1, 3), start(2, 2)])
    t.equal(new Set(peers.map((peer) => peer.status().cluster)).size, 1)
  },
)

t.test(
  'of two founders of one name none founds, and who asks the other is told to take its own',
  { timeout: 180_000 },
  async (t) => {
    const ports = await freePorts(2)
    const join = joinString(ports)
    const listen = (at: number): string => `127.0.0.1:${ports[at]}`
    const giveUp = new AbortController()
    t.teardown(() => giveUp.abort())
    const start = (at: number): Promise<Peer> =>
      createPeer({ join, expect: 2, name: 'web', listen: listen(at), timing: quick, signal: giveUp.signal })
    const refusal = { code: 'ERR_SKEIN_ALREADY_EXISTS', detail: { kind: 'node', name: 'web' }, message: /give each its own name/ }
    const both = [start(0), start(1)]
    await t.rejects(Promise.race(both), refusal)
    giveUp.abort()
    const ends = await Promise.allSettled(both)
    t.same(
      ends.map(({ status }) => status),
      ['rejected', 'rejected'],
      'and none of them founded alone',
    )
  },
)

t.test('an ordinary token with expect joins; expect without join is refused', { timeout: 180_000 }, async (t) => {
  const first = await startPeer(t, {})
  const worker = await startPeer(t, { join: await first.invite('worker'), expect: 3 })
  t.equal(worker.role, 'worker')
  await t.rejects(createPeer({ expect: 3 }), { code: 'ERR_SKEIN_INVALID_OPTION', detail: { option: 'expect' } })
})

/** Which process is killed when. */
const seed = Number(process.env.SKEIN_FOUNDING_SEED ?? 1)
const cli = fileURLToPath(new URL('../../npm/cli.js', import.meta.url))

t.test('processes killed at any moment of founding come back as one cluster', { timeout: 180_000 }, async (t) => {
  t.comment(`SKEIN_FOUNDING_SEED=${seed}`)
  const random = seededRandom(seed)
  for (let round = 0; round < 2; round++) {
    const ports = await freePorts(3)
    const join = joinString(ports)
    const dirs = ports.map(() => freshDir(t))
    const start = (at: number) => {
      const dir = dirs[at] as string
      const child = spawn(
        process.execPath,
        [cli, 'up', '--dir', dir, '--listen', `127.0.0.1:${ports[at]}`, '--expect', '3', '--format', 'json'],
        {
          env: { ...process.env, SKEIN_JOIN: join },
          stdio: ['ignore', 'pipe', 'inherit'],
        },
      )
      t.teardown(() => child.kill('SIGKILL'))
      let text = ''
      child.stdout.on('data', (chunk: Buffer) => {
        text += chunk.toString()
      })
      return {
        child,
        ready: () => (text.includes('\n') ? (JSON.parse(text.slice(0, text.indexOf('\n'))) as { cluster: string }) : undefined),
      }
    }
    let processes = ports.map((_, at) => start(at))
    for (let kill = 0; kill < 5; kill++) {
      await new Promise((resolve) => setTimeout(resolve, 150 + random() * 700)) // the moment that is tested
      const at = below(random, 3)
      const victim = processes[at]?.child
      victim?.kill('SIGKILL')
      await (victim?.exitCode === null && victim.signalCode === null ? once(victim, 'exit') : undefined)
      processes = processes.map((each, other) => (other === at ? start(at) : each))
    }
    const clusters = await Promise.all(
      processes.map(({ ready }, at) => eventually(`process ${at} is ready`, async () => ready())),
    )
    t.equal(new Set(clusters.map(({ cluster }) => cluster)).size, 1, `round ${round} of seed ${seed}: one cluster`)
    await Promise.all(
      processes.map(async ({ child }) => {
        child.kill('SIGKILL')
        if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      }),
    )
  }
})
