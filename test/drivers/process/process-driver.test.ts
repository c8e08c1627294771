import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Assigned, LogOptions, RuntimeDriver, Unit, UnitLogLine } from '../../../lib/drivers/driver.js'
import { processDriver } from '../../../lib/drivers/index.js'
import { findMarked, isGroupAlive, isRunning, startTimeOf } from '../../../lib/drivers/process/proc-table.js'
import { type DriverCommands, testDriver } from '../../../lib/testing/driver-suite.js'
import { assigned as task } from '../task.js'

const never = new AbortController().signal
const logBytesMax = 64 * 1024

const node = process.execPath
/** A shell that waits without a child, so that a signal to it alone shows what happens to it alone. */
const commands: DriverCommands = {
  sleep: ['sh', '-c', 'echo ready; while :; do sleep 0.05; done'],
  ignoreStop: ['sh', '-c', "trap '' TERM; echo ready; while :; do sleep 0.05; done"],
  exit: (code) => ['sh', '-c', `exit ${code}`],
  print: (lines) => [
    node,
    '-e',
    'for (const { stream, text } of JSON.parse(process.argv[1])) require("fs").writeSync(stream === "stderr" ? 2 : 1, text + "\\n")',
    JSON.stringify(lines),
  ],
  flood: (lines, lineBytes) => [
    'sh',
    '-c',
    `echo ready; i=0; line=$(printf '%0${lineBytes}d' 0); while [ $i -lt ${lines} ]; do echo $line; i=$((i+1)); done`,
  ],
  printEnv: (name) => ['sh', '-c', `echo "$${name}"`],
  missing: ['no-such-command-anywhere'],
}

t.test('in memory', (t) =>
  testDriver(t, { name: 'process', make: () => processDriver({ logBytesMax: logBytesMax / 2 }), commands, logBytesMax }),
)
t.test('on disk', (t) => {
  const dir = t.testdir()
  return testDriver(t, {
    name: 'process',
    make: () => processDriver({ dir, logBytesMax: logBytesMax / 2 }),
    commands,
    logBytesMax,
  })
})

t.test('a command that is nowhere is refused in words that say where it was looked for', async (t) => {
  const dir = t.testdir({ 'plain.txt': 'no program', folder: {} })
  const driver = processDriver()
  const refuses = async (spec: Partial<Assigned['spec']>, words: string): Promise<void> => {
    await t.rejects(driver.prepare(task(spec), never), { code: 'ERR_SKEIN_TASK_REJECTED', message: words }, words)
  }
  await refuses({ command: ['foo-nowhere'] }, 'command "foo-nowhere" not found on PATH')
  await refuses({ command: ['sh'], env: { PATH: dir } }, 'command "sh" not found on PATH')
  await refuses(
    { command: ['plain.txt'], env: { PATH: dir } },
    `command "plain.txt" is not executable (chmod +x ${dir}/plain.txt)`,
  )
  await refuses(
    { command: ['./plain.txt'], workingDir: dir },
    `command "./plain.txt" is not executable (chmod +x ${dir}/plain.txt)`,
  )
  await refuses({ command: ['./folder'], workingDir: dir }, `command "./folder" is a directory (${dir}/folder)`)
  await refuses({ command: ['./none'], workingDir: dir }, `command "./none" not found (looked for ${dir}/none)`)
  await refuses({ command: ['sh'], workingDir: `${dir}/gone` }, `working directory ${dir}/gone does not exist on this node`)
  await refuses({ command: ['sh'], workingDir: `${dir}/plain.txt` }, `working directory ${dir}/plain.txt is not a directory`)
  await refuses({ command: ['sh'], workingDir: 'some/where' }, 'working directory some/where is not absolute')
  await refuses({ command: [] }, 'no command: the process driver needs one')
  await refuses(
    { command: ['sh'], stopSignal: 'SIGNONE' },
    'stop signal "SIGNONE" is unknown on this node; expected a name like SIGTERM',
  )
  await driver.close?.()
})

t.test('a command is found relative to the working directory, and on the PATH of the task', async (t) => {
  const dir = t.testdir({ bin: { hello: '#!/bin/sh\necho "hello from $PWD as $0"\n' } })
  chmodSync(join(dir, 'bin/hello'), 0o755)
  t.equal((await outputOf(t, { command: ['bin/hello'], workingDir: dir }))[0], `hello from ${dir} as ${dir}/bin/hello`)
  t.match(await outputOf(t, { command: ['hello'], workingDir: dir, env: { PATH: `${dir}/bin:${process.env.PATH}` } }), [
    `hello from ${dir}`,
  ])
  t.match(await outputOf(t, { command: ['hello'], workingDir: dir, env: { PATH: 'bin' } }), [`hello from ${dir}`])
})

t.test('a task sees its own environment and a small base, nothing else of the peer', async (t) => {
  process.env.SKEIN_TEST_PRIVATE = 'of the peer'
  t.teardown(() => delete process.env.SKEIN_TEST_PRIVATE)
  const lines = await outputOf(t, { command: ['env'], env: { MINE: 'yes', HOME: '/elsewhere' } })
  // The test runner adds variables of its own to every process, one of them over several lines.
  const names = lines
    .flatMap((line) => /^([A-Za-z]\w*)=/.exec(line)?.[1] ?? [])
    .filter((name) => !name.startsWith('TAP') && name !== 'NODE_OPTIONS')
  const allowed = ['HOME', 'LANG', 'MINE', 'PATH', 'SKEIN_GUARD', 'SKEIN_SERVICE', 'SKEIN_SLOT', 'SKEIN_TASK', 'TMPDIR']
  t.same(
    names.filter((name) => !allowed.includes(name)),
    [],
  )
  for (const line of ['MINE=yes', 'HOME=/elsewhere', 'SKEIN_SERVICE=web', 'SKEIN_SLOT=3', 'SKEIN_TASK=web.3.1']) {
    t.ok(lines.includes(line), line)
  }
})

t.test('a signal that ends a task is told as 128 + its number, with its name', async (t) => {
  const { unit } = await started(t, { command: ['sh', '-c', 'kill -s SEGV $$'] })
  t.same(await unit.wait(), { code: 139, why: 'killed by SIGSEGV' })
})

t.test('the stop signal is the one of the spec', async (t) => {
  const { unit } = await started(t, {
    command: ['sh', '-c', "trap 'echo got INT; exit 7' INT; echo ready; while :; do sleep 0.05; done"],
    stopSignal: 'SIGINT',
  })
  await lineOf(unit, 'ready')
  await unit.stop(60_000)
  t.equal((await unit.wait()).code, 7)
  t.ok((await texts(unit)).includes('got INT'))
})

t.test('stop reaches the whole group, and who obeys is given the grace even when the first process ends at once', async (t) => {
  // The leader dies of SIGTERM at once; its child takes a moment to say goodbye.
  const child = "trap 'sleep 0.3; echo goodbye; exit' TERM; echo ready; while :; do sleep 0.05; done"
  const { unit } = await started(t, { command: ['sh', '-c', 'sh -c "$1" & wait', 'sh', child] })
  await lineOf(unit, 'ready')
  await unit.stop(60_000)
  t.ok((await texts(unit)).includes('goodbye'))
})

t.test('when the first process ends, the rest of its group is killed', async (t) => {
  const { unit } = await started(t, { command: ['sh', '-c', 'sleep 1000 & echo $!; exit 5'] })
  t.equal((await unit.wait()).code, 5)
  t.notOk(isRunning(Number((await texts(unit))[0])))
})

t.test('a process that left the group is killed with its task', { skip: process.platform !== 'linux' }, async (t) => {
  const runAway =
    'require("child_process").spawn("sleep", ["1000"], { detached: true, stdio: ["ignore", "inherit", "inherit"] }).unref()'
  const { unit } = await started(t, { command: [node, '-e', `${runAway}; console.log("ready"); setInterval(() => {}, 1000)`] })
  await lineOf(unit, 'ready')
  const [escaped] = (await findMarked('SKEIN_TASK', 'web.3.1')).filter(({ pid }) => pid !== pidOf(unit))
  t.ok(escaped !== undefined && isRunning(escaped.pid), 'it runs in a session of its own')
  await unit.stop(60_000)
  t.notOk(isRunning(escaped?.pid ?? 0))
})

t.test('what a task leaves on disk goes with remove', async (t) => {
  const dir = t.testdir()
  const { unit } = await started(t, { command: ['echo', 'hi'] }, processDriver({ dir }))
  await unit.wait()
  t.same(readdirSync(dir).sort(), ['guard', 'task-web.3.1'])
  await unit.remove()
  t.same(readdirSync(dir), ['guard'])
})

t.test('an id cannot lead out of the directory', async (t) => {
  const dir = t.testdir({ inside: {} })
  const driver = processDriver({ dir: join(dir, 'inside') })
  const unit = await driver.prepare({ ...task({ command: ['true'] }), id: '../../outside' }, never)
  t.same(readdirSync(dir), ['inside'])
  await unit.remove()
  await driver.close?.()
})

t.test('what a killed start left running is killed by the next start on the same directory', async (t) => {
  const dir = t.testdir()
  const { unit } = await started(t, { command: ['sh', '-c', 'sleep 1000 & echo $!; wait'] }, processDriver({ dir }))
  const grandchild = Number((await lineOf(unit, '')).text)
  const leader = pidOf(unit)
  t.ok(existsSync(join(dir, 'task-web.3.1/process.json')))
  // Another driver on the directory is what a restarted peer makes.
  const next = processDriver({ dir })
  t.equal((await next.recover?.([]))?.size, 0)
  await unit.wait()
  t.notOk(isRunning(leader))
  t.notOk(isRunning(grandchild))
  await next.close?.()
})

t.test('a record whose pid now belongs to another process kills nobody', async (t) => {
  const innocent = await started(t, { command: ['sleep', '1000'] })
  const pid = pidOf(innocent.unit)
  const dir = t.testdir({
    'task-old': { 'process.json': JSON.stringify({ pid, startedAt: '1' }) },
    'task-torn': { 'process.json': '{"pid":' },
    'task-init': { 'process.json': JSON.stringify({ pid: 1, startedAt: startTimeOf(1) ?? '' }) },
  })
  const driver = processDriver({ dir })
  await driver.recover?.([])
  t.ok(isRunning(pid))
  t.same(readdirSync(dir), ['guard'])
  await driver.close?.()
})

t.test('a directory that cannot be used is refused by name', async (t) => {
  const dir = t.testdir({ file: 'not a directory' })
  const driver = processDriver({ dir: join(dir, 'file') })
  await t.rejects(driver.prepare(task({ command: ['true'] }), never), {
    code: 'ERR_SKEIN_DIR_UNUSABLE',
    detail: { dir: join(dir, 'file') },
  })
})

t.test('a task whose log cannot be written runs all the same', async (t) => {
  const dir = t.testdir()
  const driver = processDriver({ dir })
  const unit = await driver.prepare(task({ command: ['sh', '-c', 'echo lost; exit 3'] }), never)
  t.teardown(() => driver.close?.())
  // In the way of the log file.
  mkdirSync(join(dir, 'task-web.3.1', '1.log'))
  await unit.start(never)
  t.equal((await unit.wait()).code, 3)
  t.same(await texts(unit), [])
})

t.test('a task that floods its output waits on its pipe instead of filling the memory of the peer', async (t) => {
  const floodBytes = 100 * 1024 * 1024
  const { unit } = await started(
    t,
    { command: ['sh', '-c', `yes 'a line of an endless flood' | head -c ${floodBytes}`] },
    processDriver({ dir: t.testdir() }),
  )
  const before = process.memoryUsage().arrayBuffers
  let peak = 0
  const watch = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage().arrayBuffers - before)
  }, 1)
  t.equal((await unit.wait()).code, 0)
  clearInterval(watch)
  t.ok(peak > 0 && peak < floodBytes / 2, `at most ${peak} bytes were held`)
})

t.test('options out of range are refused', async (t) => {
  t.throws(() => processDriver({ logBytesMax: 10 }), { code: 'ERR_SKEIN_INVALID_OPTION' })
  t.throws(() => processDriver({ logFilesMax: 0.5 }), { code: 'ERR_SKEIN_INVALID_OPTION' })
})

t.test('a script without a program to run it fails at its start, not before', async (t) => {
  const dir = t.testdir({ 'odd.sh': '#!/no/such/interpreter\n' })
  writeFileSync(join(dir, 'odd.sh'), '#!/no/such/interpreter\n', { mode: 0o755 })
  chmodSync(join(dir, 'odd.sh'), 0o755)
  const driver = processDriver()
  t.teardown(() => driver.close?.())
  const unit = await driver.prepare(task({ command: ['./odd.sh'], workingDir: dir }), never)
  await t.rejects(unit.start(never), { code: 'ENOENT' })
  t.equal((await unit.wait()).code, 127)
})

t.test('arguments longer than the system takes fail the start, and what is left can be removed', async (t) => {
  const driver = processDriver({ dir: t.testdir() })
  t.teardown(() => driver.close?.())
  const unit = await driver.prepare(task({ command: ['true', 'x'.repeat(4 * 1024 * 1024)] }), never)
  await t.rejects(unit.start(never), { code: 'E2BIG' })
  t.equal((await unit.wait()).code, 127)
  await unit.remove()
})

t.test('a group of nobody is not alive', async (t) => {
  t.equal(await isGroupAlive(2 ** 22 + 1), false)
})

async function started(
  t: { teardown(act: () => unknown): void },
  spec: Partial<Assigned['spec']>,
  driver: RuntimeDriver = processDriver(),
): Promise<{ unit: Unit }> {
  const unit = await driver.prepare(task(spec), never)
  t.teardown(async () => {
    await unit.stop(0)
    await driver.close?.()
  })
  await unit.start(never)
  return { unit }
}

async function outputOf(t: { teardown(act: () => unknown): void }, spec: Partial<Assigned['spec']>): Promise<string[]> {
  const { unit } = await started(t, spec)
  await unit.wait()
  return texts(unit)
}

async function texts(unit: Unit, options: LogOptions = {}): Promise<string[]> {
  const found: string[] = []
  for await (const line of unit.logs(options)) found.push(line.text)
  return found
}

async function lineOf(unit: Unit, start: string): Promise<UnitLogLine> {
  for await (const line of unit.logs({ follow: true })) if (line.text.startsWith(start)) return line
  throw new Error(`the task ended without a line "${start}…"`)
}

function pidOf(unit: Unit): number {
  if ('pid' in unit && typeof unit.pid === 'number') return unit.pid
  throw new Error('a started process unit has a pid')
}
