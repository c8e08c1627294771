import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { processDriver } from '../../../lib/drivers/index.js'
import { Guardian } from '../../../lib/drivers/process/guardian.js'
import { isRunning } from '../../../lib/drivers/process/proc-table.js'

const host = fileURLToPath(new URL('./host.js', import.meta.url))

/** Two generations, both told; the second would live long after everyone has forgotten it. */
const family = ['sh', '-c', 'sleep 1000 & echo $$ $!; wait']
const stubborn = ['sh', '-c', "trap '' TERM INT HUP; echo $$; while :; do sleep 0.05; done"]
const escapes = [
  process.execPath,
  '-e',
  `const away = require('child_process').spawn('sleep', ['1000'], { detached: true, stdio: 'ignore' })
   away.unref(); console.log(process.pid, away.pid); setInterval(() => {}, 1000)`,
]

for (const signal of ['SIGKILL', 'SIGTERM', 'SIGSEGV'] as const) {
  t.test(`nothing a task started outlives a peer that ${signal} ends`, { skip: process.platform !== 'linux' }, async (t) => {
    const peer = await startHost(t, { commands: [family, stubborn, escapes, family] })
    t.equal(peer.pids.length, 7)
    t.ok(peer.pids.every(isRunning), 'all run')
    const guardian = guardianOf(peer.pid)
    t.ok(guardian !== undefined && isRunning(guardian), 'so does the guardian')
    process.kill(peer.pid, signal)
    await peer.ended
    await allGone(t, [...peer.pids, guardian ?? 0])
  })
}

t.test(
  'a signal to the group of the peer, as from Ctrl-C, reaches neither tasks nor guardian',
  { skip: process.platform !== 'linux' },
  async (t) => {
    const peer = await startHost(t, { commands: [family] })
    const guardian = guardianOf(peer.pid) ?? 0
    for (const pid of [...peer.pids, guardian]) {
      t.not(groupOf(pid), groupOf(peer.pid), 'another group')
      t.not(sessionOf(pid), sessionOf(peer.pid), 'another session')
    }
    process.kill(guardian, 'SIGTERM')
    process.kill(guardian, 'SIGINT')
    process.kill(guardian, 'SIGHUP')
    t.ok(isRunning(guardian), 'and the guardian does not follow an order to end')
    process.kill(-groupOf(peer.pid), 'SIGINT')
    await peer.ended
    await allGone(t, [...peer.pids, guardian])
  },
)

t.test('a guardian that is killed is replaced by one that knows the tasks', { skip: process.platform !== 'linux' }, async (t) => {
  const peer = await startHost(t, { commands: [family] })
  const first = guardianOf(peer.pid) ?? 0
  process.kill(first, 'SIGKILL')
  await until(() => ![undefined, first].includes(guardianOf(peer.pid)))
  const second = guardianOf(peer.pid) ?? 0
  process.kill(peer.pid, 'SIGKILL')
  await peer.ended
  await allGone(t, [...peer.pids, first, second])
})

t.test(
  'when peer and guardian are killed at once, the next start on the directory kills what is left',
  { skip: process.platform !== 'linux' },
  async (t) => {
    const dir = t.testdir()
    const peer = await startHost(t, { dir, commands: [family, escapes] })
    // Stopped, so that the peer cannot start another guardian first.
    process.kill(peer.pid, 'SIGSTOP')
    process.kill(guardianOf(peer.pid) ?? 0, 'SIGKILL')
    process.kill(peer.pid, 'SIGKILL')
    await peer.ended
    t.ok(peer.pids.every(isRunning), 'orphans, for now')
    const driver = processDriver({ dir })
    await driver.recover?.([])
    await allGone(t, peer.pids)
    await driver.close?.()
  },
)

t.test('the mark finds a process the guardian was never told of', { skip: process.platform !== 'linux' }, async (t) => {
  const guardian = new Guardian('mark-of-this-test')
  guardian.ensure()
  const untold = spawn('sleep', ['1000'], {
    env: { PATH: process.env.PATH, SKEIN_GUARD: 'mark-of-this-test' },
    detached: true,
    stdio: 'ignore',
  })
  const other = spawn('sleep', ['1000'], {
    env: { PATH: process.env.PATH, SKEIN_GUARD: 'mark-of-another' },
    detached: true,
    stdio: 'ignore',
  })
  t.teardown(() => other.kill('SIGKILL'))
  const [, signal] = await Promise.all([guardian.close(), once(untold, 'exit').then(([, signal]) => signal)])
  t.equal(signal, 'SIGKILL')
  t.ok(isRunning(other.pid ?? 0), 'and leaves others alone')
})

t.test('a group that was forgotten is not killed', async (t) => {
  const guardian = new Guardian('mark-of-forgetting')
  guardian.ensure()
  const kept = spawn('sleep', ['1000'], { detached: true, stdio: 'ignore' })
  const killed = [1, 2].map(() => spawn('sleep', ['1000'], { detached: true, stdio: 'ignore' }))
  t.teardown(() => kept.kill('SIGKILL'))
  const ends = killed.map((child) => once(child, 'exit'))
  for (const child of [killed[0], kept, killed[1]]) guardian.watch(child?.pid ?? 0)
  guardian.forget(kept.pid ?? 0)
  await guardian.close()
  await Promise.all(ends)
  t.ok(isRunning(kept.pid ?? 0))
})

t.test('the replacement of a killed guardian is told of the groups, marked or not', async (t) => {
  const guardian = new Guardian('mark-of-replacement')
  guardian.ensure()
  const child = spawn('sleep', ['1000'], { detached: true, stdio: 'ignore' })
  t.teardown(() => child.kill('SIGKILL'))
  const ended = once(child, 'exit')
  guardian.watch(child.pid ?? 0)
  const first = guardian.pid ?? 0
  process.kill(first, 'SIGKILL')
  await until(() => ![undefined, first].includes(guardian.pid))
  await guardian.close()
  const [, signal] = await ended
  t.equal(signal, 'SIGKILL')
})

t.test('a guardian keeps no process from ending by itself', async (t) => {
  const peer = await startHost(t, { commands: [['sh', '-c', 'echo $$']] })
  const [code] = (await peer.ended) as [number]
  t.equal(code, 0)
})

interface Host {
  readonly pid: number
  /** What its tasks printed of themselves. */
  readonly pids: readonly number[]
  readonly ended: Promise<unknown>
}

async function startHost(
  t: { teardown(act: () => unknown): void },
  input: { dir?: string; commands: string[][] },
): Promise<Host> {
  const child = spawn(process.execPath, [host, JSON.stringify(input)], { stdio: ['ignore', 'pipe', 'inherit'], detached: true })
  const ended = once(child, 'exit')
  t.teardown(() => child.kill('SIGKILL'))
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
  const { lines } = JSON.parse(line) as { lines: string[] }
  const pids = lines.flatMap((line) => line.split(' ').map(Number))
  t.teardown(() => {
    for (const pid of pids) if (isRunning(pid)) process.kill(pid, 'SIGKILL')
  })
  return { pid: child.pid ?? 0, pids, ended }
}

function guardianOf(peer: number): number | undefined {
  for (const pid of readdirSync('/proc').map(Number).filter(Number.isInteger)) {
    if (parentOf(pid) === peer && readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('\0skein-guardian\0')) return pid
  }
  return undefined
}

/** Fields of /proc/PID/stat after the name: state, parent, group, session. */
function statOf(pid: number): string[] {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')
  } catch {
    return [] // it ended
  }
}
const parentOf = (pid: number): number => Number(statOf(pid)[1])
const groupOf = (pid: number): number => Number(statOf(pid)[2])
const sessionOf = (pid: number): number => Number(statOf(pid)[3])

/** The kernel tells nobody but a parent that a process has gone: so look until it has, or the test times out. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await sleep(10)
}

async function allGone(t: { ok(found: unknown, message: string): unknown }, pids: readonly number[]): Promise<void> {
  await until(() => !pids.some(isRunning))
  t.ok(true, `${pids.length} processes are gone`)
}
