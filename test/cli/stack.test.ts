import t from 'tap'
import { SkeinError } from '../../lib/base/errors.js'
import { stackLabel } from '../../lib/cli/commands/stack.js'
import { namespaceLabel } from '../../lib/compose/index.js'
import { fakeService, meta } from './fake-cluster.js'
import { type FakeWorld, fakeWorld, run } from './fake-world.js'

const file = `services:
  new:
    command: node new.mjs
    ports: ["80:80"]
  changed:
    command: node changed.mjs
    deploy: {replicas: 2}
  same:
    command: node same.mjs
`

function worldIn(cwd: string): FakeWorld {
  const world = fakeWorld({ cwd })
  const member = (name: string, command: string) =>
    fakeService(`shop_${name}`, {
      version: 5,
      spec: { name: `shop_${name}`, labels: { [namespaceLabel]: 'shop' }, task: { command: ['node', command] } },
    })
  world.state.services = [
    member('changed', 'changed.mjs'),
    member('same', 'same.mjs'),
    member('gone', 'gone.mjs'),
    fakeService('alien'),
  ]
  return world
}

const writes = (world: FakeWorld): readonly string[] =>
  world.state.calls
    .map(({ verb, args }) => `${verb} ${typeof args[0] === 'object' ? (args[0] as { name?: string }).name : String(args[0])}`)
    .filter((call) => /create|replace|remove/.test(call))

t.test('the label written in the command line is the one of the stack reader', async (t) => {
  t.equal(stackLabel, namespaceLabel)
})

t.test('deploy creates, updates against the version it saw, leaves the rest, and waits for all', async (t) => {
  const world = worldIn(t.testdir({ 'stack.yaml': file }))
  t.equal(await run(world, 'stack deploy -c stack.yaml shop'), 0, world.err())
  t.strictSame(writes(world), ['services.create shop_new', 'services.replace id-shop_changed'])
  t.equal(world.state.calls.find(({ verb }) => verb === 'services.replace')?.args[2], 5)
  t.equal(
    world.out(),
    `+ shop_new created
~ shop_changed updated
= shop_same unchanged
✔ shop_new converged: 1/1 in 0.0s
✔ shop_changed converged: 1/1 in 0.0s
✔ shop_same converged: 1/1 in 0.0s
`,
  )
  t.match(world.err(), /^stack\.yaml:4 {2}services\.new\.ports: not honoured by this version\n/)
})

t.test('--prune removes what the file no longer names; --detach does not wait', async (t) => {
  const world = worldIn(t.testdir({ 'stack.yaml': file }))
  t.equal(await run(world, 'stack deploy --prune --detach -c stack.yaml shop --format json'), 0)
  t.strictSame(writes(world), ['services.create shop_new', 'services.replace id-shop_changed', 'services.remove id-shop_gone'])
  t.match(JSON.parse(world.out()), {
    stack: 'shop',
    created: ['shop_new'],
    updated: ['shop_changed'],
    unchanged: ['shop_same'],
    removed: ['shop_gone'],
    notHonoured: [{ path: 'services.new.ports', line: 4, why: 'not honoured by this version' }],
    warnings: [],
    converged: false,
  })
  t.notOk(world.state.calls.some(({ verb }) => verb === 'services.converge'))
})

t.test('a bad file creates nothing, and asks no cluster', async (t) => {
  const cases: readonly (readonly [text: string, words: RegExp])[] = [
    ['services: {web: {comand: x}}', /services\.web\.comand: unknown key; did you mean `command`\?/],
    [
      'services: {ok: {command: x}, web: {command: x, deploy: {replicas: no}}}',
      /services\.web\.deploy\.replicas: expected a whole number/,
    ],
    ['services: {web: {image: nginx}}', /give `command`/],
    ['services: {web: {command: x}', /YAML: /],
  ]
  for (const [text, words] of cases) {
    const world = worldIn(t.testdir({ 'stack.yaml': text }))
    t.equal(await run(world, 'stack deploy -c stack.yaml shop'), 1, text)
    t.match(world.err(), /✖ ERR_SKEIN_INVALID_STACK: .*stack\.yaml: \d problems?, nothing was created\n {2}stack\.yaml:1 /)
    t.match(world.err(), words)
    t.strictSame(world.urls, [])
  }
  const missing = worldIn(t.testdir({ 'stack.yaml': file }))
  t.equal(await run(missing, 'stack deploy -c nowhere.yaml shop'), 1)
  t.match(missing.err(), /nowhere\.yaml: cannot be read \(there is no such file\)/)
})

t.test('a name taken outside the stack stops the deploy before anything is changed', async (t) => {
  const world = worldIn(t.testdir({ 'stack.yaml': file }))
  world.state.services.push(fakeService('shop_new'))
  t.equal(await run(world, 'stack deploy -c stack.yaml shop'), 1)
  t.match(world.err(), /ERR_SKEIN_ALREADY_EXISTS: shop_new: a service outside the stack has this name/)
  t.strictSame(writes(world), [])
})

t.test('a deploy that stops half way says what was done', async (t) => {
  const world = worldIn(t.testdir({ 'stack.yaml': file }))
  world.state.failures.set(
    'services.replace',
    new SkeinError('ERR_SKEIN_VERSION_CONFLICT', 'changed', { expected: 5, current: 6 }),
  )
  t.equal(await run(world, 'stack deploy -c stack.yaml shop'), 1)
  t.match(world.err(), /the deploy stopped half way; confirmed so far: \+ shop_new created;[\s\S]*ERR_SKEIN_VERSION_CONFLICT/)
})

t.test('--timeout bounds the whole deploy: each wait gets what is left', async (t) => {
  const world = worldIn(t.testdir({ 'stack.yaml': file }))
  world.state.converge = async function* () {
    world.clock.advance(4_000)
    yield { desired: 1, running: 1, phase: 'converged', slots: [] }
  }
  t.equal(await run(world, 'stack deploy --timeout 30s -c stack.yaml shop'), 0)
  const waits = world.state.calls.filter(({ verb }) => verb === 'services.converge')
  t.strictSame(
    waits.map(({ args }) => (args[1] as { timeoutMs: number }).timeoutMs),
    [30_000, 26_000, 22_000],
  )
})

t.test('variables come from the shell', async (t) => {
  const world = worldIn(t.testdir({ 'stack.yaml': 'services: {web: {command: "run $WHAT"}}' }))
  Object.assign(world.env, { WHAT: 'this' })
  t.equal(await run(world, 'stack deploy --detach -c stack.yaml other'), 0)
  t.match(world.state.calls.find(({ verb }) => verb === 'services.create')?.args, [{ task: { command: ['run', 'this'] } }])
})

t.test('rm removes every service of the stacks, and nothing when one of them is not there', async (t) => {
  const world = worldIn(t.testdir({ 'stack.yaml': file }))
  t.equal(await run(world, 'stack rm shop'), 0)
  t.strictSame(
    world.state.services.map(({ name }) => name),
    ['alien'],
  )
  t.equal(world.out(), '- shop_changed removed\n- shop_gone removed\n- shop_same removed\n')
  const typo = worldIn(t.testdir({ 'stack.yaml': file }))
  t.equal(await run(typo, 'stack rm shop shpo'), 1)
  t.match(typo.err(), /ERR_SKEIN_NOT_FOUND: no stack "shpo"/)
  t.strictSame(writes(typo), [])
})

t.test(
  'networks of the file are made before its services and go with them; one that others have come to use stays',
  async (t) => {
    const text = `services:
  web:
    command: node web.mjs
    networks: [front, back]
networks:
  front: {}
  back: {name: shared}
`
    const world = fakeWorld({ cwd: t.testdir({ 'stack.yaml': text }) })
    t.equal(await run(world, 'stack deploy --detach -c stack.yaml shop'), 0, world.err())
    t.strictSame(writes(world), ['networks.create shop_front', 'networks.create shared', 'services.create shop_web'])
    t.equal(world.out(), '+ network shop_front created\n+ network shared created\n+ shop_web created\n')

    const again = fakeWorld({ cwd: world.cwd })
    again.state.networks = [...world.state.networks]
    again.state.services = [...world.state.services]
    t.equal(await run(again, 'stack rm shop --format json'), 0, again.err())
    t.match(JSON.parse(again.out()), { removed: ['shop_web'], configsRemoved: [], networksRemoved: ['shop_front', 'shared'] })
    t.strictSame(
      again.state.networks.map(({ name }) => name),
      ['default'],
    )

    const used = fakeWorld({ cwd: world.cwd })
    used.state.networks = [...world.state.networks]
    used.state.failures.set(
      'networks.remove',
      new SkeinError('ERR_SKEIN_PRECONDITION', 'used by other', { what: 'network is used' }),
    )
    t.equal(await run(used, 'stack rm shop'), 0, 'of a deploy that stopped half way networks alone may be left')
    t.match(used.err(), /network shared stays: used by other/)
    t.notMatch(used.out(), /shared removed/)
  },
)

t.test('a deploy that names a secret the cluster does not have changes nothing', async (t) => {
  const text = `services:
  web:
    command: node web.mjs
    secrets: [password]
secrets:
  password: {external: true}
`
  const cwd = t.testdir({ 'stack.yaml': text })
  const world = worldIn(cwd)
  t.equal(await run(world, 'stack deploy -c stack.yaml shop'), 1)
  t.match(world.err(), /ERR_SKEIN_NOT_FOUND.*shop_web: the cluster has no secret password;.*nothing was changed/)
  t.strictSame(writes(world), [])
  const ready = worldIn(cwd)
  ready.state.secrets = [{ ...meta('id-password'), name: 'password', labels: {} }]
  t.equal(await run(ready, 'stack deploy -c stack.yaml shop'), 0, ready.err())
  t.match(ready.state.calls.find(({ verb }) => verb === 'services.create')?.args, [{ task: { secrets: ['password'] } }])
})
