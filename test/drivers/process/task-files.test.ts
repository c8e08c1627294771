import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import type { Assigned, RuntimeDriver, Unit } from '../../../lib/drivers/driver.js'
import { processDriver } from '../../../lib/drivers/index.js'
import { removeFilesOf, TaskFiles } from '../../../lib/drivers/process/task-files.js'
import { assigned } from '../task.js'

const host = fileURLToPath(new URL('./host.js', import.meta.url))
const never = new AbortController().signal
const isLinux = process.platform === 'linux'
const needsLinux = { skip: isLinux ? false : 'finds processes in /proc' }
/** Prints where its secrets are, and stays. */
const waiting = ['sh', '-c', 'echo "$SKEIN_SECRETS"; exec sleep 1000']

const none: ReadonlyMap<string, Uint8Array> = new Map()
const secret = (): Map<string, Uint8Array> => new Map([['password', Buffer.from('hunter2')]])

function task(command: readonly string[], secrets: ReadonlyMap<string, Uint8Array>, configs = none): Assigned {
  return assigned({ command }, { id: 'web.1.1', slot: '1', secrets, configs })
}

async function lineOf(unit: Unit): Promise<string> {
  for await (const { text } of unit.logs({ follow: true })) return text
  throw new Error('the task ended without a line')
}

function opened(t: { teardown(act: () => unknown): void }, dir?: string): RuntimeDriver {
  const driver = processDriver(dir === undefined ? {} : { dir })
  t.teardown(() => driver.close?.())
  return driver
}

t.test('a task finds its secrets as files that nobody else may read, and they go when it ends', async (t) => {
  const given = secret()
  const unit = await opened(t, t.testdir()).prepare(task(waiting, given), never)
  await unit.start(never)
  const dir = await lineOf(unit)
  t.same(readdirSync(dir), ['password'])
  t.equal(readFileSync(join(dir, 'password'), 'utf8'), 'hunter2')
  t.equal(statSync(join(dir, 'password')).mode & 0o777, 0o400)
  for (const each of [dir, dirname(dir), dirname(dirname(dir))]) t.equal(statSync(each).mode & 0o777, 0o700)
  t.same(given.get('password'), Buffer.alloc(7), 'the copy in memory is overwritten')
  if (existsSync('/dev/shm') && isLinux) t.ok(dir.startsWith('/dev/shm/'), 'not on a disk')
  await unit.stop(10_000)
  t.notOk(existsSync(dir))
  await unit.remove()
})

t.test('a task that ends by itself, or cannot be started, leaves no secret behind', async (t) => {
  const driver = opened(t, t.testdir())
  const short = await driver.prepare(task(['sh', '-c', 'echo "$SKEIN_SECRETS"; cat "$SKEIN_SECRETS/password"'], secret()), never)
  await short.start(never)
  await short.wait()
  const lines: string[] = []
  for await (const { text } of short.logs({})) lines.push(text)
  t.equal(lines[1], 'hunter2', 'it could read them')
  t.notOk(existsSync(lines[0] ?? '/'))
  await short.remove()
  const dir = t.testdir({ broken: '#!/no/such/interpreter\n' })
  chmodSync(join(dir, 'broken'), 0o755)
  const broken = await driver.prepare(task([join(dir, 'broken')], secret()), never)
  await t.rejects(broken.start(never))
  t.notOk(existsSync(lines[0] ?? '/'))
  await broken.remove()
})

t.test('a task without secrets and configs is given no directory, and the driver makes none', async (t) => {
  const unit = await opened(t, t.testdir()).prepare(task(['sh', '-c', 'echo "[$SKEIN_SECRETS$SKEIN_CONFIGS]"'], none), never)
  await unit.start(never)
  t.equal(await lineOf(unit), '[]')
  await unit.wait()
  await unit.remove()
})

t.test('closing the driver removes what is left of secrets', async (t) => {
  const driver = processDriver({ dir: t.testdir() })
  const unit = await driver.prepare(task(waiting, secret()), never)
  await unit.start(never)
  const dir = await lineOf(unit)
  await driver.close?.()
  t.notOk(existsSync(rootOf(dir)))
  await unit.stop(1_000)
})

t.test('the secrets of a peer that SIGKILL ends are gone with its tasks', needsLinux, async (t) => {
  const { child, ended, dir } = await startHost(t)
  t.equal(readFileSync(join(dir, 'password'), 'utf8'), 'hunter2')
  child.kill('SIGKILL')
  await ended
  await until(() => !existsSync(rootOf(dir)))
})

t.test(
  'when peer and guardian are killed at once, the next start on the directory removes the secrets',
  needsLinux,
  async (t) => {
    const own = t.testdir()
    const { child, ended, dir } = await startHost(t, own)
    child.kill('SIGSTOP')
    process.kill(guardianOf(child.pid ?? 0), 'SIGKILL')
    child.kill('SIGKILL')
    await ended
    t.ok(existsSync(join(dir, 'password')), 'left behind, for now')
    const driver = opened(t, own)
    await driver.recover?.([])
    t.notOk(existsSync(rootOf(dir)))
  },
)

t.test('without tmpfs they lie in the driver’s own directory, and the next start finds them there', async (t) => {
  const dir = t.testdir()
  const mark = 'b9b8a7c6-0000-4000-8000-000000000003'
  const files = new TaskFiles(mark, dir, join(dir, 'no-such-directory'))
  t.equal(dirname(files.root), dir)
  files.write('web.1.1', { secrets: secret(), configs: none })
  t.equal(statSync(join(files.dirOf('web.1.1', 'secrets'), 'password')).mode & 0o777, 0o400)
  await files.remove('web.1.1')
  t.same(readdirSync(files.root), [])
  files.write('web.1.1', { secrets: secret(), configs: none })
  await removeFilesOf(mark, dir)
  t.same(readdirSync(dir), [])
  t.equal(dirname(new TaskFiles(mark, undefined, dir).root), tmpdir(), 'one without a directory takes the system’s')
})

t.test('a directory that others may enter, or that is no directory, is not used for secrets', async (t) => {
  const files = new TaskFiles('b9b8a7c6-0000-4000-8000-000000000002', t.testdir())
  t.teardown(() => files.close())
  files.write('web.1.1', { secrets: secret(), configs: none })
  rmSync(files.root, { recursive: true })
  files.write('web.1.1', { secrets: secret(), configs: none })
  t.same(readdirSync(files.dirOf('web.1.1', 'secrets')), ['password'], 'one that is gone is made again')
  chmodSync(files.root, 0o711)
  t.throws(() => files.write('web.2.1', { secrets: secret(), configs: none }), { message: /no private directory/ })
  rmSync(files.root, { recursive: true })
  symlinkSync(t.testdir(), files.root)
  t.throws(() => files.write('web.2.1', { secrets: secret(), configs: none }), { message: /no private directory/ })
  rmSync(files.root)
})

t.test('a task’s name leads nowhere else, and a mark that is none removes nothing', async (t) => {
  const dir = t.testdir({ kept: 'x' })
  const files = new TaskFiles('b9b8a7c6-0000-4000-8000-000000000001', dir)
  for (const name of ['..', '.', '../../x', 'a/b']) t.equal(dirname(dirname(files.dirOf(name, 'configs'))), files.root, name)
  for (const mark of ['', '..', '../kept', 'x']) await removeFilesOf(mark, dir)
  t.ok(existsSync(join(dir, 'kept')))
})

t.test('a task finds its configs under the paths it gave, read-only, and they go when it ends', async (t) => {
  const configs = new Map([
    ['app.conf', Buffer.from('a')],
    ['etc/app/app.conf', Buffer.from('b')],
  ])
  const driver = opened(t, t.testdir())
  const unit = await driver.prepare(task(['sh', '-c', 'echo "$SKEIN_CONFIGS"; exec sleep 1000'], none, configs), never)
  await unit.start(never)
  const dir = await lineOf(unit)
  t.same(readdirSync(dir, { recursive: true }).sort(), ['app.conf', 'etc', 'etc/app', 'etc/app/app.conf'])
  t.equal(readFileSync(join(dir, 'etc/app/app.conf'), 'utf8'), 'b')
  t.equal(statSync(join(dir, 'app.conf')).mode & 0o333, 0, 'nobody may write or run it')
  t.equal(statSync(dirname(dir)).mode & 0o777, 0o700)
  t.same(configs.get('app.conf'), Buffer.from('a'), 'no secret: the copy is left as it is')
  await unit.stop(10_000)
  t.notOk(existsSync(dirname(dir)))
  await unit.remove()
})

t.test('secrets and configs of a task lie in directories of their own, and end with the peer alike', async (t) => {
  const driver = processDriver({ dir: t.testdir() })
  const command = ['sh', '-c', 'echo "$SKEIN_SECRETS:$SKEIN_CONFIGS"; exec sleep 1000']
  const unit = await driver.prepare(task(command, secret(), new Map([['password', Buffer.from('open')]])), never)
  await unit.start(never)
  const [secrets = '', configs = ''] = (await lineOf(unit)).split(':')
  t.equal(readFileSync(join(secrets, 'password'), 'utf8'), 'hunter2')
  t.equal(readFileSync(join(configs, 'password'), 'utf8'), 'open')
  await driver.close?.()
  for (const dir of [secrets, configs]) t.notOk(existsSync(rootOf(dir)))
  await unit.stop(1_000)
})

/** Of all tasks' files: two above those of a kind. */
function rootOf(dir: string): string {
  return dirname(dirname(dir))
}

async function startHost(t: { teardown(act: () => unknown): void }, dir?: string) {
  const input = JSON.stringify({ dir, commands: [waiting], secrets: { password: 'hunter2' } })
  const child = spawn(process.execPath, [host, input], { stdio: ['ignore', 'pipe', 'inherit'], detached: true })
  const ended = once(child, 'exit')
  t.teardown(() => child.kill('SIGKILL'))
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
  const { lines } = JSON.parse(line) as { lines: [string] }
  return { child, ended, dir: lines[0] }
}

function guardianOf(peer: number): number {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const [, parent] = /^\d+ \(.*\) . (\d+)/s.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? []
      if (Number(parent) === peer && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('skein-guardian')) return Number(pid)
    } catch {
      // It has ended meanwhile.
    }
  }
  throw new Error(`no guardian of ${peer}`)
}

/** Polls: what ends a directory here is another process. */
async function until(holds: () => boolean): Promise<void> {
  const endMs = performance.now() + 20_000
  while (!holds()) {
    if (performance.now() > endMs) throw new Error('did not happen')
    await sleep(20)
  }
}
