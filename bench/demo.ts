/**
 * The main job, timed: `npm start` to the first leader and to 5 of 5 running, a leader killed, and the size of an installation.
 * Medians of at least 5 whole runs of the demo's story, each a fresh cluster of five processes.
 */
import { spawn, spawnSync } from 'node:child_process'
import { lstatSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { atMost, machine, median, print, readArguments } from './report.js'

// Compiled to dist/bench/.
const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

/** Docker Swarm 20.10, three managers on the same kind of machine, measured apart: Docker is not started by this script. */
const swarm = { firstReplicaMs: 1_700, writeAfterKillMs: 12_200, healedMs: 46_000 }

interface Run {
  readonly leader: number
  readonly allRunning: number
  readonly newLeaderAfterKill: number
  readonly healedAfterLeaderKill: number
}

/** One story through `npm start`; the first two times are taken here, from outside, so that npm and loading count. */
async function play(): Promise<Run> {
  const startedMs = performance.now()
  const child = spawn('npm', ['start', '--silent', '--', '--script', '--format', 'json'], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let leader = Number.NaN
  let allRunning = Number.NaN
  createInterface({ input: child.stderr }).on('line', (line) => {
    if (line.includes('founded the cluster and leads')) leader = Math.round(performance.now() - startedMs)
    if (line.includes('✔ 5 of 5 are running')) allRunning = Math.round(performance.now() - startedMs)
  })
  const parts: Buffer[] = []
  child.stdout.on('data', (part: Buffer) => parts.push(part))
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve))
  if (code !== 0) throw new Error(`the story failed with code ${code}: ${Buffer.concat(parts).toString()}`)
  const { ms } = JSON.parse(Buffer.concat(parts).toString()) as { ms: Run }
  return { ...ms, leader, allRunning }
}

/** Packs the package and installs it into an empty directory, as a user would; dependencies come from npm's cache when they are there. */
function installedSize(): { readonly megabytes: number; readonly packages: number } {
  const dir = mkdtempSync(join(tmpdir(), 'skein-size-'))
  try {
    const packed = spawnSync('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', dir], {
      cwd: root,
      encoding: 'utf8',
    })
    writeFileSync(join(dir, 'package.json'), '{"private":true}')
    const tarball = join(dir, packed.stdout.trim().split('\n').at(-1) ?? '')
    const installed = spawnSync('npm', ['install', '--silent', '--prefer-offline', '--no-audit', '--no-fund', tarball], {
      cwd: dir,
      encoding: 'utf8',
    })
    if (installed.status !== 0) throw new Error(`the packed package does not install: ${installed.stderr}`)
    const modules = join(dir, 'node_modules')
    return { megabytes: Math.round(bytesUnder(modules) / 1e5) / 10, packages: packagesIn(modules) }
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

function bytesUnder(path: string): number {
  const stat = lstatSync(path)
  if (!stat.isDirectory()) return stat.size
  return readdirSync(path).reduce((sum, name) => sum + bytesUnder(join(path, name)), 0)
}

function packagesIn(modules: string): number {
  return readdirSync(modules).reduce((count, name) => {
    if (name.startsWith('.')) return count
    return count + (name.startsWith('@') ? readdirSync(join(modules, name)).length : 1)
  }, 0)
}

const { format, runs } = readArguments(process.argv.slice(2), 5)
const measured: Run[] = []
for (let run = 1; run <= runs; run++) {
  measured.push(await play())
  process.stderr.write(`run ${run} of ${runs}: ${JSON.stringify(measured.at(-1))}\n`)
}
const of = (name: keyof Run): number => Math.round(median(measured.map((run) => run[name])))
const size = installedSize()
const rows = [
  atMost('npm start → first leader, ms', of('leader'), 2_000, 'ms'),
  atMost('npm start → 5 of 5 running and answering, ms', of('allRunning'), 4_000, 'ms', swarm.firstReplicaMs),
  atMost('leader SIGKILLed → write accepted, ms', of('newLeaderAfterKill'), 2_000, 'ms', swarm.writeAfterKillMs),
  atMost('leader SIGKILLed → all replicas on live nodes, ms', of('healedAfterLeaderKill'), 8_000, 'ms', swarm.healedMs),
  atMost('installed size, MB', size.megabytes, 14, 'MB'),
  atMost('installed packages', size.packages, 32, 'packages'),
]
print({ machine: machine(), rows }, format, [
  `Medians of ${runs} runs. Rival: Docker Swarm 20.10, three managers, same kind of machine, measured apart. Its 1.7 s is one replica of an image already`,
  'pulled into a cluster that already stands; ours is five processes started, a cluster founded and five replicas answering. Its 12.2 s is with the leader cut off.',
])
process.exitCode = rows.every(({ ok }) => ok !== false) ? 0 : 1
