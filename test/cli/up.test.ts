import t from 'tap'
import { type Deferred, deferred } from '../../lib/base/deferred.js'
import { SkeinError } from '../../lib/base/errors.js'
import type { CliWorld, DemoOptions, PeerHandle } from '../../lib/cli/index.js'
import type { PeerOptions } from '../../lib/peer/options.js'
import { type FakeWorld, fakeWorld, run } from './fake-world.js'

interface FakePeer {
  readonly world: FakeWorld
  readonly options: PeerOptions[]
  readonly ended: Deferred<unknown>
  /** Resolves when the first line was written. */
  readonly ready: Promise<void>
  readonly stops: () => number
}

function peerWorld(more: Partial<PeerHandle> = {}, worldMore: Partial<CliWorld> = {}): FakePeer {
  const options: PeerOptions[] = []
  const ended = deferred<unknown>()
  const ready = deferred()
  let stops = 0
  const peer: PeerHandle = {
    id: 'id-m1',
    name: 'm1',
    role: 'manager',
    address: '127.0.0.1:4001',
    ended: ended.promise,
    status: () => ({ cluster: 'cluster1' }),
    invite: async (role) => `skein://${role}@127.0.0.1:4001`,
    async stop() {
      stops += 1
      ended.resolve(undefined)
    },
    ...more,
  }
  const world = fakeWorld({
    env: {},
    cwd: '/srv',
    createPeer: async (given) => {
      options.push(given)
      return peer
    },
    ...worldMore,
  })
  const { write } = world.stdout
  Object.assign(world.stdout, {
    write(text: string) {
      write(text)
      ready.resolve()
    },
  })
  return { world, options, ended, ready: ready.promise, stops: () => stops }
}

t.test('up says in one JSON line who it is and how to join, and stops its peer when told to', async (t) => {
  const { world, options, ready, stops } = peerWorld()
  const code = run(
    world,
    'up --dir d --listen 127.0.0.1:0 --advertise h:1 --name m1 --label zone=eu --availability pause --managers 3 --join skein://t@a:1 --format json',
  )
  await ready
  t.strictSame(JSON.parse(world.out()), {
    event: 'ready',
    id: 'id-m1',
    name: 'm1',
    address: '127.0.0.1:4001',
    role: 'manager',
    cluster: 'cluster1',
    pid: 4711,
    invite: { manager: 'skein://manager@127.0.0.1:4001', worker: 'skein://worker@127.0.0.1:4001' },
  })
  t.equal(stops(), 0)
  world.signal('SIGTERM')
  t.equal(await code, 0)
  t.equal(stops(), 1)
  t.strictSame(JSON.parse(world.out().split('\n')[1] ?? ''), { event: 'stopped', id: 'id-m1' })
  const { signal, logger: _, ...plain } = options[0] as PeerOptions
  t.ok(signal instanceof AbortSignal)
  t.strictSame(plain, {
    dir: '/srv/d',
    join: 'skein://t@a:1',
    listen: '127.0.0.1:0',
    advertise: 'h:1',
    name: 'm1',
    labels: { zone: 'eu' },
    availability: 'pause',
    managers: 3,
  })
})

t.test('the text says the same; the directory is ./.skein and the join string SKEIN_JOIN unless given', async (t) => {
  const { world, options, ready } = peerWorld({}, { env: { SKEIN_JOIN: 'skein://env@a:1' } })
  const code = run(world, 'up')
  await ready
  world.signal('SIGINT')
  t.equal(await code, 0)
  t.equal(
    world.out(),
    `✔ m1 (id-m1) is a manager of cluster cluster1 at 127.0.0.1:4001, pid 4711
  another manager:  skein up --dir DIR --join skein://manager@127.0.0.1:4001
  a worker:         skein up --dir DIR --join skein://worker@127.0.0.1:4001
  ask it:           skein status --dir /srv/.skein
`,
  )
  t.match(options, [{ dir: '/srv/.skein', join: 'skein://env@a:1' }])
})

t.test('a worker gives no join strings; neither does a manager that has none yet', async (t) => {
  const noQuorum = (): Promise<string> =>
    Promise.reject(new SkeinError('ERR_SKEIN_NO_QUORUM', 'alone', { voters: 3, reachable: 1 }))
  for (const more of [{ role: 'worker' as const }, { invite: noQuorum }]) {
    const { world, ready } = peerWorld(more)
    const code = run(world, 'up --format json')
    await ready
    t.notOk('invite' in (JSON.parse(world.out()) as object))
    world.signal('SIGTERM')
    t.equal(await code, 0)
  }
})

t.test('a second signal does not wait for the peer to stop', async (t) => {
  const { world, ready } = peerWorld({ stop: () => new Promise(() => undefined) })
  const code = run(world, 'up')
  await ready
  world.signal('SIGINT')
  world.signal('SIGINT')
  t.equal(await code, 130)
  t.match(world.err(), /SIGINT: stopping; once more to stop at once/)
})

t.test('every failure to start gives its code and words, and exits 1', async (t) => {
  const failures = [
    new SkeinError('ERR_SKEIN_PORT_IN_USE', 'taken', { address: 'a:1' }),
    new SkeinError('ERR_SKEIN_DIR_IN_USE', 'held', { dir: 'd' }),
    new SkeinError('ERR_SKEIN_OTHER_CLUSTER', 'other', { ours: 'a', theirs: 'b' }),
    new SkeinError('ERR_SKEIN_BAD_JOIN_SECRET', 'wrong', {}),
    new SkeinError('ERR_SKEIN_WIRE_VERSION', 'newer', { ours: 1, theirs: 2 }),
    new SkeinError('ERR_SKEIN_UNREACHABLE', 'nobody', { address: 'a:1' }),
  ]
  for (const failure of failures) {
    const { world } = peerWorld({}, { createPeer: () => Promise.reject(failure) })
    t.equal(await run(world, 'up --format json'), 1, failure.code)
    t.equal(world.err(), `✖ ${failure.code}: ${failure.message}\n`)
    t.strictSame(JSON.parse(world.out()), { error: { code: failure.code, message: failure.message } })
  }
})

t.test('a peer that fails later ends the command with its error', async (t) => {
  const { world, ready, ended } = peerWorld()
  const code = run(world, 'up')
  await ready
  ended.resolve(new SkeinError('ERR_SKEIN_STORAGE', 'disk is gone', { file: 'wal' }))
  t.equal(await code, 1)
  t.match(world.err(), /ERR_SKEIN_STORAGE: disk is gone/)
})

t.test('told to stop while it starts, it ends 130 and the start hears of it', async (t) => {
  const asked = deferred<AbortSignal>()
  const { world } = peerWorld(
    {},
    {
      createPeer: ({ signal }) =>
        new Promise((_resolve, reject) => {
          signal?.addEventListener('abort', () => reject(new Error('aborted')))
          asked.resolve(signal as AbortSignal)
        }),
    },
  )
  const code = run(world, 'up')
  await asked.promise
  world.signal('SIGTERM')
  t.equal(await code, 130)
  t.equal(world.err(), '')
})

t.test('demo hands over its flags and its exit code', async (t) => {
  const cases: readonly (readonly [line: string, options: DemoOptions])[] = [
    ['demo', { script: false, keep: false, format: 'text' }],
    ['demo --script --format json', { script: true, keep: false, format: 'json' }],
    ['--format json demo --script --keep', { script: true, keep: true, format: 'json' }],
  ]
  for (const [line, options] of cases) {
    const seen: DemoOptions[] = []
    const world = fakeWorld({
      runDemo: async (given) => {
        seen.push(given)
        return 7
      },
    })
    t.equal(await run(world, line), 7)
    t.strictSame(seen, [options])
  }
})

t.test('what a peer warns of, as what it waits for, is said on standard error', async (t) => {
  const { world, options, ready } = peerWorld()
  const code = run(world, 'up --dir d --format json')
  await ready
  options[0]?.logger?.info({}, 'nothing to say')
  options[0]?.logger?.warn({ waitedSeconds: 5 }, 'still waiting: a leader is known; 127.0.0.1:1: connection refused')
  t.equal(world.err(), 'warning: still waiting: a leader is known; 127.0.0.1:1: connection refused\n')
  world.signal('SIGTERM')
  t.equal(await code, 0)
})
