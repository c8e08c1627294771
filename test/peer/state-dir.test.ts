import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { openStateDir, readIdentity, removeControlFile, writeControlFile, writeIdentity } from '../../lib/peer/state-dir.js'

const identity = {
  format: 1 as const,
  cluster: 'cluster00001',
  node: 'node00000001',
  name: 'm1',
  role: 'manager' as const,
  raftId: 42,
  address: '127.0.0.1:1',
  epoch: 1,
  managers: [{ node: 'node00000001', address: '127.0.0.1:1' }],
}

t.test('an identity comes back as it was written, readable by its owner alone, with no temporary file left', async (t) => {
  const dir = await openStateDir(`${t.testdir()}/deep/er`)
  t.equal(await readIdentity(dir), undefined, 'none yet')
  await writeIdentity(dir, identity)
  t.same(await readIdentity(dir), identity)
  t.equal(statSync(`${dir.path}/identity.json`).mode & 0o777, 0o600)
  t.same(readdirSync(dir.path), ['identity.json'])
})

t.test('an identity that cannot be understood is refused, naming the file and the remedy', async (t) => {
  const dir = await openStateDir(t.testdir())
  for (const text of ['', '{', '{}', '{"format":2}', JSON.stringify({ ...identity, role: 'king' })]) {
    writeFileSync(`${dir.path}/identity.json`, text)
    await t.rejects(readIdentity(dir), { code: 'ERR_SKEIN_CORRUPT', message: /identity\.json.*restore it from a backup/ }, text)
  }
})

t.test('the control file is for its owner alone, and goes at the stop', async (t) => {
  const dir = await openStateDir(t.testdir())
  await writeControlFile(dir, 'skein://x@127.0.0.1:1')
  t.same(JSON.parse(readFileSync(`${dir.path}/control.json`, 'utf8')), { url: 'skein://x@127.0.0.1:1' })
  t.equal(statSync(`${dir.path}/control.json`).mode & 0o777, 0o600)
  await removeControlFile(dir)
  await removeControlFile(dir)
  t.same(readdirSync(dir.path), [])
})

t.test('a directory that cannot be made is refused with its name', async (t) => {
  const file = `${t.testdir({ file: '' })}/file`
  await t.rejects(openStateDir(`${file}/under`), { code: 'ERR_SKEIN_DIR_UNUSABLE', detail: { dir: `${file}/under` } })
})

t.test(
  'a place where nothing can be made is refused, not tried for ever',
  { skip: process.platform !== 'linux' && 'no /proc' },
  async (t) => {
    for (const dir of ['/proc/nothing', '/proc/nothing/deep/er'])
      await t.rejects(openStateDir(dir), { code: 'ERR_SKEIN_DIR_UNUSABLE', detail: { dir } })
  },
)

t.test('a file that cannot be read or written is refused with the directory, not with an error of the system', async (t) => {
  const dir = await openStateDir(t.testdir({ 'identity.json': { in: 'the way' }, 'control.json': { in: 'the way' } }))
  const refused = { code: 'ERR_SKEIN_DIR_UNUSABLE', detail: { dir: dir.path } }
  await t.rejects(readIdentity(dir), refused)
  await t.rejects(writeIdentity(dir, identity), refused)
  await t.rejects(writeControlFile(dir, 'skein://x@127.0.0.1:1'), refused)
})
