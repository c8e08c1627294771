import { statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { KeyStore, makeKeyPair } from '../../lib/security/index.js'
import { fakeWorld, run } from './fake-world.js'

t.test('token rotate prints the next join string, and nothing else with -q', async (t) => {
  const world = fakeWorld()
  t.equal(await run(world, 'token rotate worker'), 0)
  t.equal(world.out(), 'skein://SKN-1-next-worker@127.0.0.1:7946\n')
  t.strictSame(world.state.calls, [{ verb: 'tokens.rotate', args: ['worker'] }])
  const quiet = fakeWorld()
  t.equal(await run(quiet, 'token rotate manager -q'), 0)
  t.equal(quiet.out(), 'skein://SKN-1-next-manager@127.0.0.1:7946\n')
  t.equal(await run(fakeWorld(), 'token rotate king'), 2)
})

t.test('ca show and ca rotate say which root issues, and whom a rotation waits for', async (t) => {
  const [fresh, old] = ['cd', 'ab'].map((pair) => pair.repeat(32)) as [string, string]
  const notAfter = new Date(Date.UTC(2046, 10, 21))
  const authority = {
    roots: [
      { digest: fresh, state: 'trusted', notAfter },
      { digest: old, state: 'trusted', notAfter },
    ],
    waitingFor: ['node00000001'],
  } as const
  for (const line of ['ca show', 'ca rotate']) {
    const world = fakeWorld()
    world.state.authority = authority
    t.equal(await run(world, line), 0)
    t.equal(
      world.out(),
      `★ issues  ${fresh}  until 2046-11-21\n○ trusted ${old}  until 2046-11-21\nrotating: 1 nodes have not renewed yet: node00000001\n`,
    )
  }
})

t.test('lock seals the keys of a directory, unlock opens them; the passphrase is never an argument', async (t) => {
  const cwd = t.testdir()
  const store = new KeyStore(cwd)
  const keys = await makeKeyPair()
  const trust = { type: 'pin', digest: 'ab'.repeat(32) } as const
  await store.write({ keys, certificate: undefined, trust, dataKey: undefined, founding: undefined })
  const env = { SKEIN_PASSPHRASE: 'open sesame' }
  const locking = fakeWorld({ cwd, env })
  t.equal(await run(locking, 'lock --dir .'), 0, locking.err())
  t.match(locking.out(), /locked; start the peer with SKEIN_PASSPHRASE/)
  t.equal(await store.isLocked(), true)
  t.equal(statSync(join(cwd, 'keys.json')).mode & 0o777, 0o600)
  const again = fakeWorld({ cwd, env })
  t.equal(await run(again, 'lock --dir .'), 1)
  t.match(again.err(), /ERR_SKEIN_LOCKED/)
  const wrong = fakeWorld({ cwd, env: {}, readStdin: async () => Buffer.from('wrong\n') })
  t.equal(await run(wrong, 'unlock --dir .'), 1)
  t.match(wrong.err(), /ERR_SKEIN_LOCKED.*does not open/)
  const right = fakeWorld({ cwd, env: {}, readStdin: async () => Buffer.from('open sesame\n') })
  t.equal(await run(right, 'unlock --dir .'), 0, right.err())
  t.equal(await store.isLocked(), false)
  const none = fakeWorld({ cwd, env: {}, readStdin: async () => Buffer.from('') })
  t.equal(await run(none, 'lock --dir .'), 2)
  t.match(none.err(), /SKEIN_PASSPHRASE/)
  const empty = fakeWorld({ cwd: t.testdir({}), env })
  t.equal(await run(empty, 'lock --dir nothing'), 2)
  t.match(empty.err(), /no keys are there/)
})
