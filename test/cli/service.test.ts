import t from 'tap'
import type { Progress } from '../../lib/api/types.js'
import { SkeinError } from '../../lib/base/errors.js'
import { fakeService, fakeTask } from './fake-cluster.js'
import { fakeWorld, run } from './fake-world.js'

t.test('every flag of service create arrives in the spec, exactly', async (t) => {
  const cwd = t.testdir({ 'a.env': 'FROM_FILE=1\nBOTH=file\n' })
  const world = fakeWorld({ cwd, env: { SKEIN_CONNECT: 'x', SHELL_VAR: 'shell' } })
  const line = `service create --detach --name web --replicas 3 -e A=1 -e B=x=y --env SHELL_VAR -e NOT_SET -e BOTH=flag --env-file a.env --workdir app
    --stop-signal SIGINT --stop-grace-period 1m30s --self-fence-after 20s --restart-condition on-failure --restart-delay 500ms --restart-max-attempts 3 --restart-window 2m
    --constraint node.role==worker --constraint node.labels.disk!=hdd --placement-pref spread=node.labels.zone --replicas-max-per-node 2
    --reserve-cpu 0.25 --reserve-memory 32M --limit-cpu 1.5 --limit-memory 64M --label tier=front --label a=b --driver process -- node server.mjs -p --replicas 9`
  t.equal(await run(world, line.replaceAll('\n', ' ')), 0, world.err())
  t.strictSame(world.state.calls[0], {
    verb: 'services.create',
    args: [
      {
        name: 'web',
        labels: { tier: 'front', a: 'b' },
        task: {
          driver: 'process',
          command: ['node', 'server.mjs', '-p', '--replicas', '9'],
          env: { FROM_FILE: '1', BOTH: 'flag', A: '1', B: 'x=y', SHELL_VAR: 'shell' },
          workingDir: `${cwd}/app`,
          stopSignal: 'SIGINT',
          stopGraceMs: 90_000,
          selfFenceAfterMs: 20_000,
          resources: { reserve: { cpus: 0.25, memoryBytes: 33_554_432 }, limit: { cpus: 1.5, memoryBytes: 67_108_864 } },
        },
        mode: { replicas: 3 },
        placement: { constraints: ['node.role==worker', 'node.labels.disk!=hdd'], spread: ['node.labels.zone'], maxPerNode: 2 },
        restart: { when: 'on-failure', delayMs: 500, attemptsMax: 3, windowMs: 120_000 },
      },
    ],
  })
})

t.test('a command alone is a whole service; its name comes from the command', async (t) => {
  const world = fakeWorld()
  t.equal(await run(world, 'service create --detach /usr/bin/my_tool.sh -x'), 0)
  t.match(world.state.calls[0]?.args, [{ name: /^my-tool-sh-[0-9a-z]{5}$/, task: { command: ['/usr/bin/my_tool.sh', '-x'] } }])
  t.strictSame(Object.keys(world.state.calls[0]?.args[0] as object), ['name', 'task'])
})

t.test('a spec the model refuses never reaches the cluster', async (t) => {
  const world = fakeWorld()
  t.equal(await run(world, 'service create --name web --constraint nonsense -- x'), 1)
  t.match(world.err(), /ERR_SKEIN_INVALID_SPEC: placement\.constraints\[0\]/)
  t.strictSame(world.urls, [])
})

t.test('create waits: one line per change when stderr is no terminal, and the outcome on stdout', async (t) => {
  const world = fakeWorld()
  t.equal(await run(world, 'service create --name web -- x'), 0)
  t.equal(world.err(), 'web.1 starting m1\nweb.1 running m1\n')
  t.equal(world.out(), '✔ web converged: 1/1 in 0.0s\n')
})

t.test('scaling down says which slots are gone', async (t) => {
  const world = fakeWorld()
  world.state.services = [fakeService('web')]
  const slot = (number: number) => ({ slot: number, state: 'running', node: 'm1', why: '' })
  world.state.converge = async function* () {
    yield { desired: 1, running: 2, phase: 'rolling', slots: [slot(1), slot(2)] }
    yield { desired: 1, running: 1, phase: 'converged', slots: [slot(1)] }
  }
  t.equal(await run(world, 'service scale web=1'), 0)
  t.equal(world.err(), 'web.1 running m1\nweb.2 running m1\nweb.2 removed\n')
  t.match(world.state.calls[0], { verb: 'services.scale', args: ['web', 1] })
})

t.test('on a terminal the block is drawn over itself and fits the screen', async (t) => {
  const world = fakeWorld({ tty: true, columns: 40 })
  const slots = Array.from({ length: 30 }, (_, index) => ({
    slot: index + 1,
    state: index < 29 ? 'running' : 'pending',
    node: index < 29 ? 'm1' : undefined,
    why: 'a reason far longer than this terminal is wide',
  }))
  world.state.converge = async function* () {
    yield { desired: 30, running: 29, phase: 'rolling', slots }
    yield { desired: 30, running: 30, phase: 'converged', slots }
  }
  t.equal(await run(world, 'service create --name web -- x'), 0)
  const [first, second] = world.err().split('\u001b[22A\u001b[J')
  const drawn = (first ?? '').split('\n')
  t.equal(drawn.length, 23, 'heading, 20 slots, the rest in one line, and the end')
  t.match(drawn[0], /^web {2}29\/30 {2}█+░ {2}/)
  t.match(drawn[1], /web\.30 {2}pending: a reason far .*…/, 'what waits comes first, cut to the width')
  t.equal(drawn[21], '  and 10 more')
  t.match(second, /^web {2}30\/30/)
})

t.test('-q waits in silence and prints the id', async (t) => {
  const world = fakeWorld()
  t.equal(await run(world, 'service create -q --name web -- x'), 0)
  t.equal(world.err(), '')
  t.equal(world.out(), 'id-web\n')
})

t.test('as JSON the service and what came of waiting are one object; words stay on stderr', async (t) => {
  const world = fakeWorld()
  t.equal(await run(world, 'service create --format json --name web -- x'), 0)
  t.match(JSON.parse(world.out()), { id: 'id-web', name: 'web', running: 1, desired: 1, converged: true, tookMs: 0 })
  t.match(world.err(), /web\.1 running m1/)
  const detached = fakeWorld()
  await run(detached, 'service create --format json --detach --name web -- x')
  t.match(JSON.parse(detached.out()), { name: 'web', converged: false })
})

t.test('restart attempts that are used up exit 4 and name the logs of the failing task', async (t) => {
  const world = fakeWorld()
  world.state.converge = failing(
    new SkeinError('ERR_SKEIN_TASKS_EXHAUSTED', 'bad: gave up on bad.1', { task: fakeTask('bad', 1) }),
  )
  t.equal(await run(world, 'service create --name bad -- false'), 4)
  t.equal(
    world.err(),
    'bad.1 failed m1: exit code 1\nlogs of the failing task: skein task logs id-bad.1.1\n✖ ERR_SKEIN_TASKS_EXHAUSTED: bad: gave up on bad.1\n',
  )
  t.equal(world.out(), '')
})

t.test('a service that does not converge in time exits 124; the limit is handed on', async (t) => {
  const world = fakeWorld()
  world.state.converge = failing(
    new SkeinError('ERR_SKEIN_NOT_CONVERGED', 'web: 0 of 1', { service: 'web', running: 0, desired: 1 }),
  )
  t.equal(await run(world, 'service create --timeout 30s --name web -- x'), 124)
  t.match(world.state.calls, [
    { verb: 'services.create' },
    { verb: 'services.converge', args: ['id-web', { timeoutMs: 30_000 }] },
  ])
  t.equal(world.clock.waiting(), 0, 'no timer is left')
})

t.test('Ctrl-C stops following, says that the service goes on, and exits 130', async (t) => {
  const world = fakeWorld()
  world.state.converge = async function* (_service, signal) {
    yield { desired: 1, running: 0, phase: 'rolling', slots: [] }
    world.signal('SIGINT')
    signal?.throwIfAborted()
  }
  t.equal(await run(world, 'service create --name web -- x'), 130)
  t.match(world.err(), /web goes on by itself; nothing is undone[\s\S]*ERR_SKEIN_ABORTED: interrupted by SIGINT/)
})

t.test('a call that listens to no signal is left behind: at Ctrl-C, at a second Ctrl-C, and past --timeout', async (t) => {
  const endless = async function* (): AsyncGenerator<Progress> {
    yield { desired: 1, running: 0, phase: 'rolling', slots: [] }
    await new Promise(() => undefined)
  }
  const cases: readonly (readonly [line: string, act: (world: ReturnType<typeof fakeWorld>) => void, exit: number])[] = [
    [
      'one Ctrl-C',
      (world) => {
        world.signal('SIGINT')
        world.clock.advance(1_000)
      },
      130,
    ],
    [
      'two Ctrl-C',
      (world) => {
        world.signal('SIGINT')
        world.signal('SIGINT')
      },
      130,
    ],
    [
      'the time limit',
      (world) => {
        world.clock.advance(5_500)
        world.clock.advance(1_000)
      },
      124,
    ],
  ]
  for (const [name, act, exit] of cases) {
    const world = fakeWorld()
    world.state.converge = () => {
      queueMicrotask(() => act(world))
      return endless()
    }
    t.equal(await run(world, 'service create --timeout 5s --name web -- x'), exit, name)
  }
})

function failing(error: Error): () => AsyncIterable<Progress> {
  return async function* () {
    yield { desired: 1, running: 0, phase: 'rolling', slots: [{ slot: 1, state: 'failed', node: 'm1', why: 'exit code 1' }] }
    throw error
  }
}

t.test('--secret and --config are understood in Docker’s long form', async (t) => {
  const uses = async (...flags: readonly string[]): Promise<unknown> => {
    const world = fakeWorld()
    const code = await run(world, `service create --name web --detach ${flags.join(' ')} -- node server.mjs`)
    const [call] = world.state.calls
    return call === undefined ? `${code} ${world.err()}` : (call.args[0] as { readonly task: object }).task
  }
  t.match(await uses('--secret source=a', '--secret source=b,target=key.pem', '--secret src=c,mode=0400', '--secret d'), {
    secrets: ['a', { secret: 'b', target: 'key.pem' }, 'c', 'd'],
  })
  t.match(await uses('--config source=a,target=/etc/a.conf,mode=444', '--config b=/etc/b.conf'), {
    configs: [
      { config: 'a', target: '/etc/a.conf' },
      { config: 'b', target: '/etc/b.conf' },
    ],
  })
  const refusals = [
    ['--secret target=x', /--secret target=x: add source=NAME, the secret/],
    ['--secret source=a,uid=103', /uid: files belong to the user that the peer and its tasks run as; leave it out/],
    ['--secret source=a,mode=0444', /mode: files of secrets have 0400 and no other/],
    ['--config source=a,mode=888', /mode: files of configs have 0444 and no other/],
    ['--config source=a,color=red', /expected source=NAME,target=PATH,mode=0444, got color=red/],
    ['--config source=a,target=', /expected a value in target=/],
    ['--config source=a,', /expected a value in/],
  ] as const
  for (const [flag, words] of refusals) t.match(await uses(flag), new RegExp(`^2 [^]*${words.source}`), flag)
})
