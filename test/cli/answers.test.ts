import t from 'tap'
import { SkeinError } from '../../lib/base/errors.js'
import { fakeNode, fakeService, fakeTask } from './fake-cluster.js'
import { type FakeWorld, fakeWorld, run } from './fake-world.js'

function fullWorld(): FakeWorld {
  const world = fakeWorld()
  world.clock.advance(4_000)
  world.state.nodes = [
    fakeNode('m1', { leader: true, raft: 'leader', tasks: 2 }),
    fakeNode('m2', { state: 'unknown', why: 'not heard of yet', description: undefined }),
    fakeNode('w1', { role: 'worker', raft: undefined, state: 'down', why: 'silent for 6 s', availability: 'drain', tasks: 0 }),
  ]
  world.state.services = [
    fakeService('shop_web', {
      desired: 3,
      running: 2,
      spec: { name: 'shop_web', task: { command: ['node', 'server.mjs'] }, labels: { 'com.docker.stack.namespace': 'shop' } },
    }),
    fakeService('lone', { spec: { name: 'lone', task: { driver: 'inline', command: ['beat'] } } }),
  ]
  world.state.tasks = [
    fakeTask('shop_web', 2, { observed: 'pending', node: undefined, nodeName: undefined, why: 'no node has 4 CPUs free' }),
    fakeTask('shop_web', 1, { observed: 'failed', exitCode: 1, why: 'exit code 1', desired: 'shutdown' }),
    fakeTask('shop_web', 1, { generation: 2 }),
  ]
  world.state.kv = new Map([['a', { value: new TextEncoder().encode('1'), version: 5 }]])
  return world
}

t.test('each table, to the letter', async (t) => {
  const cases: readonly (readonly [line: string, expected: string])[] = [
    [
      'node ls',
      `ID     NAME  ROLE     RAFT      STATE      AVAIL   CPU    MEMORY          TASKS  ADDRESS         WHY
id-m1  m1    manager  ★ leader  ✔ ready    active  0.5/4  64 MiB / 8 GiB  2      127.0.0.1:7946
id-m2  m2    manager  voter     ○ unknown  active  0.5/?  64 MiB / ?      1      127.0.0.1:7946  not heard of yet
id-w1  w1    worker   -         ✖ down     drain   0.5/4  64 MiB / 8 GiB  0      127.0.0.1:7946  silent for 6 s
`,
    ],
    ['node ls -q', 'id-m1\nid-m2\nid-w1\n'],
    [
      'service ls',
      `ID           NAME      REPLICAS  DRIVER   COMMAND
id-shop_web  shop_web  ○ 2/3     process  node server.mjs
id-lone      lone      ✔ 1/1     inline   beat
`,
    ],
    [
      'service ps shop_web',
      `ID               NAME        NODE  DESIRED   STATE      SINCE  EXIT  WHY
id-shop_web.1.2  shop_web.1  m1    running   ✔ running  4s     -
id-shop_web.1.1  shop_web.1  m1    shutdown  ✖ failed   4s     1     exit code 1
id-shop_web.2.1  shop_web.2  -     running   ○ pending  4s     -     no node has 4 CPUs free
`,
    ],
    ['stack ls', 'NAME  SERVICES  RUNNING\nshop  1         ○ 2/3\n'],
    ['stack services shop -q', 'id-shop_web\n'],
    ['stack ps shop -q', 'id-shop_web.1.2\nid-shop_web.1.1\nid-shop_web.2.1\n'],
    ['task ls --node m1 -q', 'id-shop_web.1.2\nid-shop_web.1.1\n'],
    ['kv ls', 'KEY  VERSION  BYTES  VALUE\na    5        1      1\n'],
    ['kv get a', '1'],
    ['kv put a 2', 'a is at version 8\n'],
    ['kv rm a', 'a\n'],
    ['node drain w1', 'w1 is set to drain\n'],
    ['node label m1 zone=eu disk=ssd --remove old', 'm1: zone=eu disk=ssd\n'],
    ['node rm w1 --force', 'w1\n'],
    ['service rm lone', 'lone\n'],
    ['invite worker', 'skein://worker-token@127.0.0.1:7946\n'],
    [
      'status',
      `cluster  cluster1
asked    m1 (id-m1), manager, leads
leader   ★ m1 (id-m1), term 3
quorum   ✔ 3 of 3 managers reachable, may lose 1
log      committed 40, applied 39
`,
    ],
  ]
  for (const [line, expected] of cases) {
    const world = fullWorld()
    t.equal(await run(world, line), 0, line)
    t.equal(world.out(), expected, line)
  }
})

t.test('task why gives the count of nodes for each reason and what was tried before', async (t) => {
  const world = fullWorld()
  world.state.why = {
    text: 'shop_web.2 is pending: no node fits',
    placement: {
      evaluated: 5,
      reasons: [
        { nodes: 4, reason: 'too few CPUs' },
        { nodes: 1, reason: 'drained' },
      ],
    },
    history: [fakeTask('shop_web', 2, { observed: 'rejected', why: 'no such file' })],
  }
  t.equal(await run(world, 'task why id-shop_web.2.1'), 0)
  t.equal(
    world.out(),
    `○ shop_web.2 is pending: no node fits
  task id-shop_web.2.1, pending for 4s
5 nodes looked at:
     4  too few CPUs
     1  drained
earlier attempts, newest first:
  id-shop_web.2.1  ✖ rejected on m1  no such file
`,
  )
})

t.test('with --format json stdout is exactly one JSON value, whatever the command', async (t) => {
  const lines = [
    'node ls',
    'node inspect m1',
    'node drain m1',
    'node label m1 a=b',
    'node rm m1',
    'service ls',
    'service ps shop_web',
    'service inspect shop_web',
    'service scale shop_web=2 lone=1',
    'service create --name new -- x',
    'service rm lone',
    'stack ls',
    'stack ps shop',
    'stack services shop',
    'stack rm shop',
    'task ls',
    'task why id-shop_web.2.1',
    'task inspect id-shop_web.2.1',
    'status',
    'invite manager',
    'kv get a',
    'kv put a -',
    'kv ls',
    'kv rm a',
  ]
  for (const line of lines) {
    const world = fullWorld()
    t.equal(await run(world, `--format json ${line}`), 0, line)
    const value: unknown = JSON.parse(world.out())
    t.equal(typeof value, 'object', line)
  }
})

t.test('a list as JSON is the answer of the API; as JSON lines, one item a line', async (t) => {
  const json = fullWorld()
  await run(json, 'service ls --format json')
  t.match(JSON.parse(json.out()), {
    items: [{ name: 'shop_web', createdAt: '2026-01-31T12:00:00.000Z' }, { name: 'lone' }],
    version: 7,
    stale: false,
  })
  const lines = fullWorld()
  await run(lines, '--format jsonl service ls')
  t.strictSame(
    lines
      .out()
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { name: string }).name),
    ['shop_web', 'lone'],
  )
})

t.test('kv values in JSON are text, or base64 when they are not UTF-8', async (t) => {
  const world = fullWorld()
  world.state.kv.set('bytes', { value: new Uint8Array([0xff, 0x00]), version: 6 })
  await run(world, 'kv ls --format json')
  t.match(JSON.parse(world.out()), {
    items: [
      { key: 'a', value: '1' },
      { key: 'bytes', value: { base64: '/wA=' } },
    ],
  })
})

t.test('a stale answer says so on stderr, and in JSON', async (t) => {
  for (const format of ['table', 'json', 'jsonl']) {
    const world = fullWorld()
    world.state.stale = true
    t.equal(await run(world, `node ls --format ${format}`), 0)
    t.equal(world.err(), '(stale: this manager has no quorum)\n')
    if (format !== 'table') t.match(world.out(), /"stale":true/)
  }
  const status = fullWorld()
  status.state.status = {
    ...status.state.status,
    stale: true,
    leader: undefined,
    quorum: { voters: 3, reachable: 1, mayLose: 0 },
  }
  await run(status, 'status')
  t.equal(status.err(), '(stale: this manager has no quorum)\n')
  t.match(status.out(), /leader {3}✖ none known[\s\S]*quorum {3}✖ 1 of 3/)
})

t.test('flags reach the calls they belong to', async (t) => {
  const cases: readonly (readonly [line: string, verb: string, args: readonly unknown[]])[] = [
    ['node rm m1 --force', 'nodes.remove', ['m1', true]],
    ['node rm m1', 'nodes.remove', ['m1', undefined]],
    ['node label m1 a=b=c --remove x --remove y', 'nodes.label', ['m1', { x: null, y: null, a: 'b=c' }]],
    ['node pause m1', 'nodes.pause', ['m1']],
    ['node activate m1', 'nodes.activate', ['m1']],
    ['node promote m1', 'nodes.promote', ['m1']],
    ['node demote m1', 'nodes.demote', ['m1']],
    ['kv put a 1 --if-version 5', 'kv.put', ['a', '1', 5]],
    ['kv put a 1 --if-version absent', 'kv.put', ['a', '1', 'absent']],
    ['kv put a -', 'kv.put', ['a', new TextEncoder().encode('from stdin'), undefined]],
    ['kv get a --stale', 'kv.get', ['a', true]],
    ['kv ls pre', 'kv.list', ['pre']],
    ['task ls --service lone --node w1', 'tasks.list', [{ service: 'id-lone', node: 'id-w1' }]],
  ]
  for (const [line, verb, args] of cases) {
    const world = fullWorld()
    t.equal(await run(world, line), 0, line)
    t.strictSame(world.state.calls.find((call) => call.verb === verb)?.args, args, line)
  }
})

t.test('removing several goes on after a failure, and fails in the end', async (t) => {
  const world = fullWorld()
  t.equal(await run(world, 'service rm nope lone neither'), 1)
  t.strictSame(
    world.state.services.map(({ name }) => name),
    ['shop_web'],
  )
  t.match(world.err(), /lone was removed[\s\S]*no service "neither"[\s\S]*✖ ERR_SKEIN_NOT_FOUND: no service "nope"/)
})

t.test('a failure gives its code and words, and the exit code of its kind', async (t) => {
  const cases: readonly (readonly [failure: Error, exit: number])[] = [
    [new SkeinError('ERR_SKEIN_FORBIDDEN', 'no', { role: 'worker', verb: 'x' }), 1],
    [new SkeinError('ERR_SKEIN_PRECONDITION', 'no', { what: 'x' }), 1],
    [new SkeinError('ERR_SKEIN_BAD_JOIN_STRING', 'no', { part: 'x' }), 2],
    [new SkeinError('ERR_SKEIN_TASKS_EXHAUSTED', 'no', { task: 'x' }), 4],
    [new SkeinError('ERR_SKEIN_NO_QUORUM', 'no', { voters: 3, reachable: 1 }), 5],
    [new SkeinError('ERR_SKEIN_UNREACHABLE', 'no', { address: 'x' }), 5],
    [new SkeinError('ERR_SKEIN_LINK_LOST', 'no', { node: 'x' }), 5],
    [new SkeinError('ERR_SKEIN_TIMEOUT', 'no', { what: 'x', timeoutMs: 1 }), 124],
    [new SkeinError('ERR_SKEIN_OUTCOME_UNKNOWN', 'no', { requestId: 'x' }), 124],
    [new SkeinError('ERR_SKEIN_NOT_CONVERGED', 'no', { service: 'x', running: 0, desired: 1 }), 124],
    [new SkeinError('ERR_SKEIN_ABORTED', 'no', { what: 'x' }), 130],
  ]
  for (const [failure, exit] of cases) {
    const world = fullWorld()
    world.state.failures.set('status', failure)
    const { code } = failure as SkeinError
    t.equal(await run(world, 'status --format json'), exit, code)
    t.equal(world.err(), `✖ ${code}: no\n`)
    t.strictSame(JSON.parse(world.out()), { error: { code, message: 'no' } })
    t.equal(world.open(), 0, 'the connection is closed again')
  }
})

t.test('an error without a code is said to be unexpected', async (t) => {
  const world = fullWorld()
  world.state.failures.set('status', new TypeError('x is not a function'))
  t.equal(await run(world, 'status'), 1)
  t.equal(world.err(), '✖ UNEXPECTED: x is not a function\n')
})

t.test('a key that is not there fails', async (t) => {
  const world = fullWorld()
  t.equal(await run(world, 'kv get nope'), 1)
  t.match(world.err(), /ERR_SKEIN_NOT_FOUND: no key "nope"/)
})

t.test('kv rm of a key that is not there fails, and still removes the others', async (t) => {
  const world = fullWorld()
  t.equal(await run(world, 'kv rm nope a'), 1)
  t.match(world.err(), /ERR_SKEIN_NOT_FOUND: no key "nope"/)
  t.strictSame(
    world.state.calls.filter(({ verb }) => verb === 'kv.delete'),
    [{ verb: 'kv.delete', args: ['a'] }],
  )
})
