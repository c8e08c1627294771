import t from 'tap'
import { SkeinError } from '../../lib/base/errors.js'
import { meta } from './fake-cluster.js'
import { fakeWorld, run } from './fake-world.js'

t.test('create, ls, inspect and rm', async (t) => {
  const made = fakeWorld()
  t.equal(await run(made, 'network create front --label of=shop'), 0, made.err())
  t.equal(made.out(), 'front is made\n')
  t.strictSame(made.state.calls, [{ verb: 'networks.create', args: ['front', { of: 'shop' }] }])
  const withOne = () => {
    const world = fakeWorld()
    world.state.networks.push({ ...meta('id-front'), name: 'front', labels: { of: 'shop' } })
    return world
  }
  const listed = withOne()
  t.equal(await run(listed, 'network ls'), 0)
  t.match(listed.out(), /ID +NAME +CREATED +LABELS\ndefault +default .*\nid-front +front .* ago +of=shop\n/)
  const inspected = withOne()
  t.equal(await run(inspected, 'network inspect front'), 0)
  t.match(JSON.parse(inspected.out()), { id: 'id-front', labels: { of: 'shop' } })
  const removed = withOne()
  t.equal(await run(removed, 'network rm front nobody'), 1)
  t.match(removed.err(), /nobody/)
  t.same(
    removed.state.networks.map(({ name }) => name),
    ['default'],
  )
  const used = withOne()
  const words = 'network front is used by web; update or remove those services first'
  used.state.failures.set('networks.remove', new SkeinError('ERR_SKEIN_PRECONDITION', words, { what: 'network is used' }))
  t.equal(await run(used, 'network rm front'), 1)
  t.match(used.err(), /is used by web/)
})

t.test('service create --network puts the tasks on networks', async (t) => {
  const world = fakeWorld()
  t.equal(
    await run(world, 'service create --name web --detach --network front --network back -- node server.mjs'),
    0,
    world.err(),
  )
  t.match(world.state.calls, [{ verb: 'services.create', args: [{ task: { networks: ['front', 'back'] } }] }])
})

const file = `
services:
  web:
    command: node web.mjs
    networks: [front, shared]
networks:
  front: {}
  shared: {external: true}
`

t.test(
  'stack deploy makes the networks that the stack brings, once, and refuses before anything is written when one is missing',
  async (t) => {
    const cwd = t.testdir({ 'stack.yaml': file })
    const missing = fakeWorld({ cwd })
    t.equal(await run(missing, 'stack deploy -c stack.yaml --detach shop'), 1)
    t.match(
      missing.err(),
      /shop_web: the cluster has no network shared; create it with `skein network create shared`; nothing was changed/,
    )
    t.notOk(missing.state.calls.some(({ verb }) => verb.endsWith('.create')))
    const world = fakeWorld({ cwd })
    world.state.networks.push({ ...meta('id-shared'), name: 'shared', labels: {} })
    t.equal(await run(world, 'stack deploy -c stack.yaml --detach shop'), 0, world.err())
    const labels = { 'com.docker.stack.namespace': 'shop' }
    const creates = world.state.calls.filter(({ verb }) => verb.endsWith('.create'))
    t.match(creates, [
      { verb: 'networks.create', args: ['shop_front', labels] },
      { verb: 'services.create', args: [{ name: 'shop_web', task: { networks: ['shop_front', 'shared'] } }] },
    ])
    t.equal(await run(world, 'stack deploy -c stack.yaml --detach shop'), 0, world.err())
    t.equal(world.state.calls.filter(({ verb }) => verb === 'networks.create').length, 1, 'it is there already')
    t.equal(await run(world, 'stack rm shop'), 0, world.err())
    t.same(
      world.state.networks.map(({ name }) => name),
      ['default', 'shared'],
      'the stack’s own network goes with it',
    )
  },
)

t.test('stack rm leaves a network that others use, and says so', async (t) => {
  const world = fakeWorld({ cwd: t.testdir({ 'stack.yaml': file.replace(', shared', '') }) })
  t.equal(await run(world, 'stack deploy -c stack.yaml --detach shop'), 0, world.err())
  const words = 'network shop_front is used by other; update or remove those services first'
  world.state.failures.set('networks.remove', new SkeinError('ERR_SKEIN_PRECONDITION', words, { what: 'network is used' }))
  t.equal(await run(world, 'stack rm shop'), 0, world.err())
  t.match(world.err(), /network shop_front stays: .*is used by other/)
})
