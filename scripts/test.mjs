// Runs every check and test, and ends with the true count: `N passed, N failed[, N skipped]`. With arguments: only these files of tests.
// Leaf assertions of tap are not counted; each `t.test(...)` that holds assertions of its own is one test, and so is each check below.
import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runInLanes } from './test/lanes.mjs'
import { runTapFile } from './test/tap-file.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
process.chdir(root)
const tests = join('dist', 'test')
const bin = (name) => join(root, 'node_modules', '.bin', name)

const checks = [
  ['formatting and lint (biome)', bin('biome'), 'check', '.'],
  ['lint with types (eslint)', bin('eslint'), '.'],
  ['package is well formed (publint)', bin('publint'), '--strict'],
  ['types resolve for consumers (attw)', bin('attw'), '--pack', '.', '--profile', 'esm-only', '--no-emoji'],
  ['docs/errors.md says what lib/base/errors.ts says', process.execPath, 'scripts/errors-doc.mjs', '--check'],
  ['no unused files, exports or dependencies (knip)', bin('knip')],
]

/** Begun first, so that at the end no processor waits for one of them. */
const longest = [
  'overlay/namespaces',
  'cluster/founding',
  'cluster/security',
  'raft/mutants',
  'cluster/network-faults',
  'chaos/chaos',
  'cluster/demo',
  'cluster/suspended',
  'cluster/nat',
  'cluster/roles',
  'sim/raft',
]

/** Where tests mostly wait: for timers, processes, networks. */
const waiting = [
  'chaos/',
  'cli/',
  'cluster/',
  'drivers/',
  'examples/',
  'overlay/namespaces',
  'overlay/datagram/',
  'overlay/transport/',
  'peer/live-membership',
  'raft/autopilot/',
]

/** Two at most: a container may have fewer than the machine it sees, and clusters in real time disturb each other. */
const processors = Math.min(2, availableParallelism())

const counts = { passed: 0, failed: 0, skipped: 0 }
const seconds = new Map()
const asked = process.argv.slice(2)
if (await check('types check and the build is made', process.execPath, 'scripts/build.mjs', '--if-stale')) {
  const startedAt = performance.now()
  const files = asked.length > 0 ? asked.map((path) => relative(tests, path)) : inOrder(testFiles(tests))
  const jobs = files.map(fileJob)
  // The longest check is as long as a long file of tests.
  if (asked.length === 0)
    jobs.splice(longest.length, 0, ...checks.map((each) => ({ kind: 'computes', run: () => check(...each) })))
  await runInLanes(jobs, processors)
  const slowest = [...seconds].sort(([, a], [, b]) => b - a).slice(0, 12)
  console.log(
    `${files.length} test files in ${secondsSince(startedAt)} s; longest: ${slowest.map((each) => each.join(' ')).join(', ')}`,
  )
} else {
  console.log('tests not run: the build failed')
}
const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : ''
console.log(`${counts.passed} passed, ${counts.failed} failed${skipped}`)
process.exit(counts.failed === 0 ? 0 : 1)

async function check(name, command, ...args) {
  const startedAt = performance.now()
  const { code, output } = await runCommand(command, args)
  counts[code === 0 ? 'passed' : 'failed']++
  console.log(`${code === 0 ? 'ok' : 'FAILED'}  ${name} (${secondsSince(startedAt)} s)`)
  if (code !== 0) console.log(output)
  return code === 0
}

function runCommand(command, args) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        output += text
      })
    }
    child.on('error', (error) => resolve({ code: -1, output: error.message }))
    child.on('close', (code) => resolve({ code, output }))
  })
}

function fileJob(file) {
  const name = file.replace(/\.test\.js$/, '')
  const run = async () => {
    const startedAt = performance.now()
    const { passed, failed, skipped, words } = await runTapFile(name, join(tests, file))
    seconds.set(name, secondsSince(startedAt))
    counts.passed += passed
    counts.failed += failed
    counts.skipped += skipped
    if (failed > 0) console.log(`\n${words}`)
  }
  return { kind: waiting.some((start) => name.startsWith(start)) ? 'waits' : 'computes', run }
}

function testFiles(folder) {
  const paths = readdirSync(folder, { recursive: true }).filter((path) => path.endsWith('.test.js'))
  return paths.sort()
}

/** The longest, then the rest. */
function inOrder(files) {
  const first = longest.map((name) => `${name}.test.js`)
  const gone = first.find((file) => !files.includes(file))
  if (gone !== undefined) throw new Error(`${gone} is named among the longest in scripts/test.mjs, and is not there`)
  return [...first, ...files.filter((file) => !first.includes(file))]
}

function secondsSince(startMs) {
  return Math.round((performance.now() - startMs) / 100) / 10
}
