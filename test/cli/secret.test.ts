import t from 'tap'
import { SkeinError } from '../../lib/base/errors.js'
import { meta } from './fake-cluster.js'
import { fakeWorld, run } from './fake-world.js'

t.test('a secret is read from a file or from stdin, byte for byte, and its value is never printed', async (t) => {
  const cwd = t.testdir({ 'password.txt': 'hunter2\n' })
  const fromFile = fakeWorld({ cwd })
  t.equal(await run(fromFile, 'secret create db-password password.txt --label of=db'), 0, fromFile.err())
  t.equal(fromFile.out(), 'db-password is kept\n')
  t.strictSame(fromFile.state.calls, [{ verb: 'secrets.create', args: ['db-password', 'hunter2\n', { of: 'db' }] }])
  for (const line of ['secret create db-password', 'secret create db-password -', 'secret create db-password --format json']) {
    const world = fakeWorld({ readStdin: async () => Buffer.from('hunter2') })
    t.equal(await run(world, line), 0, world.err())
    t.strictSame(world.state.calls, [{ verb: 'secrets.create', args: ['db-password', 'hunter2', {}] }])
    t.notMatch(world.out() + world.err(), /hunter2/)
  }
})

t.test('a file that cannot be read is named, and nothing is asked of the cluster', async (t) => {
  const world = fakeWorld({ cwd: t.testdir({}) })
  t.equal(await run(world, 'secret create db-password nowhere.txt'), 2)
  t.match(world.err(), /nowhere\.txt/)
  t.strictSame(world.state.calls, [])
})

t.test('ls, inspect and rm', async (t) => {
  const withTwo = () => {
    const world = fakeWorld()
    const secret = (name: string, labels: Readonly<Record<string, string>>) => ({ ...meta(`id-${name}`), name, labels })
    world.state.secrets = [secret('one', {}), secret('two', { of: 'db' })]
    return world
  }
  const listed = withTwo()
  t.equal(await run(listed, 'secret ls'), 0)
  t.match(listed.out(), /ID +NAME +CREATED +LABELS\nid-one +one .*\nid-two +two .* ago +of=db\n/)
  const quiet = withTwo()
  t.equal(await run(quiet, 'secret ls -q'), 0)
  t.equal(quiet.out(), 'id-one\nid-two\n')
  const inspected = withTwo()
  t.equal(await run(inspected, 'secret inspect two'), 0)
  t.match(JSON.parse(inspected.out()), { id: 'id-two', labels: { of: 'db' } })
  const removed = withTwo()
  t.equal(await run(removed, 'secret rm one nobody'), 1)
  t.match(removed.err(), /nobody/)
  t.same(
    removed.state.secrets.map(({ name }) => name),
    ['two'],
  )
  const used = withTwo()
  const words = 'secret two is used by web; update or remove those services first'
  used.state.failures.set('secrets.remove', new SkeinError('ERR_SKEIN_PRECONDITION', words, { what: 'secret is used' }))
  t.equal(await run(used, 'secret rm two'), 1)
  t.match(used.err(), /is used by web/)
})

t.test('service create --secret gives secrets to the tasks, under their own name or another', async (t) => {
  const world = fakeWorld()
  t.equal(await run(world, 'service create --name web --detach --secret a --secret b=key.pem -- node server.mjs'), 0, world.err())
  t.match(world.state.calls, [
    { verb: 'services.create', args: [{ task: { secrets: ['a', { secret: 'b', target: 'key.pem' }] } }] },
  ])
  const wrong = fakeWorld()
  t.equal(await run(wrong, 'service create --name web --detach --secret a=../up -- node server.mjs'), 1)
  t.match(wrong.err(), /task\.secrets\[0\]\.target: expected a file name/)
})
