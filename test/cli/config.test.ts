import { existsSync } from 'node:fs'
import t from 'tap'
import { namespaceLabel } from '../../lib/compose/index.js'
import { fakeService, meta } from './fake-cluster.js'
import { type FakeWorld, fakeWorld, run } from './fake-world.js'

const config = (name: string, text: string, labels: Readonly<Record<string, string>> = {}) => {
  const data = Buffer.from(text)
  return { ...meta(`id-${name}`), name, labels, sizeBytes: data.length, data }
}

t.test('a config is read from a file or from stdin, byte for byte', async (t) => {
  const world = fakeWorld({ cwd: t.testdir({ 'app.conf': 'listen 80;\n' }) })
  t.equal(await run(world, 'config create app app.conf --label of=web'), 0, world.err())
  t.equal(world.out(), 'app is kept\n')
  t.strictSame(world.state.calls, [{ verb: 'configs.create', args: ['app', 'listen 80;\n', { of: 'web' }] }])
  const piped = fakeWorld({ readStdin: async () => Buffer.from('piped') })
  t.equal(await run(piped, 'config create app'), 0, piped.err())
  t.strictSame(piped.state.calls, [{ verb: 'configs.create', args: ['app', 'piped', {}] }])
})

t.test('ls shows sizes, inspect the data, rm removes and names what is not there', async (t) => {
  const withTwo = (): FakeWorld => {
    const world = fakeWorld()
    world.state.configs = [config('one', 'x'), config('two', 'listen 80;', { of: 'web' })]
    return world
  }
  const listed = withTwo()
  t.equal(await run(listed, 'config ls'), 0)
  t.match(listed.out(), /ID +NAME +BYTES +CREATED +LABELS\nid-one +one +1 .*\nid-two +two +10 .* ago +of=web\n/)
  const inspected = withTwo()
  t.equal(await run(inspected, 'config inspect two'), 0)
  t.match(JSON.parse(inspected.out()), { id: 'id-two', labels: { of: 'web' }, data: 'listen 80;' })
  const binary = fakeWorld()
  binary.state.configs = [{ ...config('key', ''), data: Buffer.of(255, 0) }]
  t.equal(await run(binary, 'config inspect key --format jsonl'), 0)
  t.match(JSON.parse(binary.out()), { data: { base64: '/wA=' } })
  const removed = withTwo()
  t.equal(await run(removed, 'config rm one nobody'), 1)
  t.match(removed.err(), /nobody/)
  t.same(
    removed.state.configs.map(({ name }) => name),
    ['two'],
  )
})

t.test('a file that never ends is not read for ever', { skip: !existsSync('/dev/zero') && 'no /dev/zero here' }, async (t) => {
  const world = fakeWorld()
  t.equal(await run(world, 'config create zeros /dev/zero'), 0, world.err())
  t.equal(world.state.configs[0]?.sizeBytes, 16 * 1024 * 1024, 'far above what a cluster takes')
})

t.test('service create --config gives configs to the tasks, under their own name or at a path', async (t) => {
  const world = fakeWorld()
  const line = 'service create --name web --detach --config a --config b=/etc/b.conf -- node server.mjs'
  t.equal(await run(world, line), 0, world.err())
  t.match(world.state.calls, [
    { verb: 'services.create', args: [{ task: { configs: ['a', { config: 'b', target: '/etc/b.conf' }] } }] },
  ])
})

const file = `services:
  web:
    command: node web.mjs
    configs: [app, shared]
configs:
  app: {content: listen 80;}
  shared: {external: true}
`

function shop(
  t: { testdir(files: { readonly 'stack.yaml': string }): string },
  ...configs: FakeWorld['state']['configs']
): FakeWorld {
  const world = fakeWorld({ cwd: t.testdir({ 'stack.yaml': file }) })
  world.state.configs = configs
  return world
}

const writes = (world: FakeWorld) => world.state.calls.filter(({ verb }) => /create|replace|update|remove/.test(verb))
const own = { [namespaceLabel]: 'shop' }

t.test('a deploy creates the configs of the file before its services', async (t) => {
  const world = shop(t, config('shared', 'x'))
  t.equal(await run(world, 'stack deploy -c stack.yaml shop'), 0, world.err())
  t.match(writes(world), [
    { verb: 'configs.create', args: ['shop_app', 'listen 80;', own] },
    { verb: 'services.create', args: [{ task: { configs: [{ config: 'shop_app', target: 'app' }, 'shared'] } }] },
  ])
  t.match(world.out(), /^\+ config shop_app created\n\+ shop_web created\n/)
})

t.test('a config that is there as wished is left, and one with other labels gets them', async (t) => {
  const same = shop(t, config('shared', 'x'), config('shop_app', 'listen 80;', own))
  t.equal(await run(same, 'stack deploy -c stack.yaml shop'), 0, same.err())
  t.match(writes(same), [{ verb: 'services.create' }])
  const labelled = shop(t, config('shared', 'x'), config('shop_app', 'listen 80;', { ...own, old: 'x' }))
  t.equal(await run(labelled, 'stack deploy -c stack.yaml shop'), 0, labelled.err())
  t.match(writes(labelled)[0], { verb: 'configs.update', args: ['id-shop_app', { labels: { old: null } }] })
  t.match(labelled.out(), /^~ config shop_app updated\n/)
})

t.test('other data under the name, another’s config, and an external one that is not there change nothing', async (t) => {
  const cases = [
    [
      [config('shared', 'x'), config('shop_app', 'other', own)],
      /config shop_app is there with other data.*as shop_app-2; nothing was/,
    ],
    [[config('shared', 'x'), config('shop_app', 'listen 80;')], /config shop_app is there, and not of this stack/],
    [[config('shop_app', 'listen 80;', own)], /shop_web: the cluster has no config shared; create it with `skein config create/],
  ] as const
  for (const [configs, words] of cases) {
    const world = shop(t, ...configs)
    t.equal(await run(world, 'stack deploy -c stack.yaml shop'), 1)
    t.match(world.err(), words)
    t.strictSame(writes(world), [])
  }
})

t.test('stack rm takes the stack’s configs along, after its services; configs alone are a stack too', async (t) => {
  const world = shop(t, config('shared', 'x'), config('shop_app', 'x', own))
  const spec = { name: 'shop_web', labels: own, task: { command: ['node'] } }
  world.state.services = [fakeService('shop_web', { spec })]
  t.equal(await run(world, 'stack rm shop'), 0, world.err())
  t.equal(world.out(), '- shop_web removed\n- config shop_app removed\n')
  t.same(
    world.state.configs.map(({ name }) => name),
    ['shared'],
  )
  const half = shop(t, config('shop_app', 'x', own))
  t.equal(await run(half, 'stack rm shop --format json'), 0, half.err())
  t.same(JSON.parse(half.out()), { removed: [], configsRemoved: ['shop_app'], networksRemoved: [] })
})
