import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const folder = process.env.SKEIN_RAFT_CONFORMANCE ?? join(root, '..', 'shared', 'raft-conformance')
const scripts = join(folder, 'testdata')
const missing = existsSync(scripts) ? false : `no etcd scripts at ${scripts}; SKEIN_RAFT_CONFORMANCE names their folder`

t.test('every interaction script of etcd/raft passes message for message', { skip: missing }, (t) => {
  const files = readdirSync(scripts)
    .filter((name) => name.endsWith('.txt'))
    .map((name) => join(scripts, name))
  t.not(files.length, 0, 'there are scripts to run')
  for (const contract of ['contract.js', 'checked-contract.js']) {
    const core = fileURLToPath(new URL(contract, import.meta.url))
    const args = [join(folder, 'run.mjs'), '--core', core, '--mode', 'strict', ...files]
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
    t.equal(status, 0, `${contract}: ${stdout.split('\n').filter((line) => line.startsWith('FAIL'))} ${stderr}`)
    t.match(stdout, new RegExp(`^${files.length} passed, 0 failed`, 'm'), `${contract}: all files were run`)
  }
  t.end()
})
