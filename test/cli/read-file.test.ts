import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { exitCodes } from '../../lib/cli/exit-codes.js'
import { fakeWorld, run } from './fake-world.js'

const noPipes = process.platform === 'win32' && 'no named pipes here'
const cli = fileURLToPath(new URL('../../lib/cli/main.js', import.meta.url))

/** A directory with a named pipe in it. */
function withPipe(t: { testdir(files: Readonly<Record<string, never>>): string }, name: string): string {
  const cwd = t.testdir({})
  execFileSync('mkfifo', [join(cwd, name)])
  return cwd
}

t.test('a pipe is read to its end, however late its writer comes', { skip: noPipes }, async (t) => {
  const world = fakeWorld({ cwd: withPipe(t, 'late') })
  const code = run(world, 'secret create key late')
  await saysWaiting(world, 'late')
  await writeFile(join(world.cwd, 'late'), 'hunter2')
  t.equal(await code, exitCodes.done, world.err())
  t.match(world.state.calls, [{ verb: 'secrets.create', args: ['key', 'hunter2', {}] }])
})

for (const line of [
  'secret create key none',
  'config create app none',
  'stack deploy shop -c none',
  'service create --name web --env-file none -- true',
]) {
  t.test(
    `${line}: a pipe that nobody writes to is named after two seconds, and waited for no longer than told`,
    {
      skip: noPipes,
    },
    async (t) => {
      const world = fakeWorld({ cwd: withPipe(t, 'none') })
      const code = run(world, line)
      await saysWaiting(world, 'none')
      world.signal('SIGINT')
      t.equal(await code, exitCodes.interrupted)
      t.match(world.err(), /waiting for .*none: it is a pipe/)
      t.strictSame(world.state.calls, [])
    },
  )
}

t.test('a process that waits for a pipe ends by its time limit', { skip: noPipes }, async (t) => {
  const cwd = withPipe(t, 'none')
  const args = [cli, 'config', 'create', 'app', 'none', '--connect', 'skein://x@127.0.0.1:1', '--timeout', '100ms']
  const { status, stderr, signal } = spawnSync(process.execPath, args, { cwd, encoding: 'utf8', timeout: 60_000 })
  t.equal(signal, null, 'it did not have to be killed')
  t.equal(status, exitCodes.timedOut, stderr)
})

t.test(
  'process substitution is a pipe whose writer may be gone already',
  { skip: !existsSync('/bin/bash') && 'no bash' },
  (t) => {
    const words = `sleep 0 | true; "$0" "$1" stack deploy shop --connect skein://x@127.0.0.1:1 --timeout 100ms -c <(printf 'services: {a: {comand: x}}')`
    const { stderr } = spawnSync('/bin/bash', ['-c', words, process.execPath, cli], { encoding: 'utf8', timeout: 60_000 })
    t.match(stderr, /unknown key; did you mean `command`/)
    t.end()
  },
)

/** Lets the fake clock go on until the command has said that it waits for this file. */
async function saysWaiting(world: ReturnType<typeof fakeWorld>, name: string): Promise<void> {
  while (!world.err().includes(`${name}: it is a pipe`)) {
    world.clock.advance(500)
    await new Promise((resolve) => setImmediate(resolve))
  }
}
