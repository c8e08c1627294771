// Runs every check and test, fast ones first, and ends with the true count: `N passed, N failed[, N skipped]`.
// Leaf assertions of tap are not counted; each `t.test(...)` that holds assertions of its own is one test, and so is each check below.
import { spawn, spawnSync } from 'node:child_process'
import { createReadStream, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Parser } from 'tap-parser'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
process.chdir(root)
const bin = (name) => join(root, 'node_modules', '.bin', name)
const only = process.argv.slice(2)
const counts = { passed: 0, failed: 0, skipped: 0 }

function check(name, command, args) {
  const startedAt = Date.now()
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' })
  const ok = status === 0
  counts[ok ? 'passed' : 'failed']++
  console.log(`${ok ? 'ok' : 'FAILED'}  ${name} (${Math.round((Date.now() - startedAt) / 100) / 10} s)`)
  if (!ok) console.log(`${stdout}\n${stderr}`)
  return ok
}

const compiled = check('types check and the build is made', process.execPath, ['scripts/build.mjs'])
if (only.length === 0) {
  check('formatting and lint (biome)', bin('biome'), ['check', '.'])
  check('lint with types (eslint)', bin('eslint'), ['.'])
  check('package is well formed (publint)', bin('publint'), ['--strict'])
  check('types resolve for consumers (attw)', bin('attw'), ['--pack', '.', '--profile', 'esm-only', '--no-emoji'])
  check('docs/errors.md says what lib/base/errors.ts says', process.execPath, ['scripts/errors-doc.mjs', '--check'])
  check('no unused files, exports or dependencies (knip)', bin('knip'), [])
}
if (compiled) {
  await runTap()
} else {
  console.log('tests not run: the build failed')
}
const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : ''
console.log(`${counts.passed} passed, ${counts.failed} failed${skipped}`)
process.exit(counts.failed === 0 ? 0 : 1)

async function runTap() {
  const files =
    only.length > 0 ? only : testFiles(join('dist', 'test')).sort((a, b) => weight(a) - weight(b) || a.localeCompare(b))
  mkdirSync('.tap', { recursive: true })
  const output = join('.tap', 'all.tap')
  const startedAt = Date.now()
  rmSync(output, { force: true })
  const status = await new Promise((resolve) => {
    const tap = spawn(bin('tap'), ['run', '--reporter=silent', `--output-file=${output}`, ...files], { stdio: 'inherit' })
    tap.on('exit', (code) => resolve(code ?? 1))
  })
  const failedBefore = counts.failed
  console.log(`${files.length} test files in ${Math.round((Date.now() - startedAt) / 1_000)} s`)
  await countTap(output)
  // tap also fails for what no test owns: a file that crashed, left a handle or planned nothing.
  if (status !== 0 && counts.failed === failedBefore) counts.failed++
}

function testFiles(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return testFiles(path)
    return entry.name.endsWith('.test.js') ? [path] : []
  })
}

/** Fast before slow: pure tests, then real disks and sockets, then whole clusters of processes. */
function weight(file) {
  const slow = ['/sim/', '/integration/', '/examples/', '/cluster/', '/chaos/']
  return slow.findIndex((part) => file.includes(part)) + 1
}

/** Counts the innermost tests (those whose children are assertions, not tests), and prints what failed. */
function countTap(file) {
  return new Promise((resolve, reject) => {
    const parser = new Parser()
    watchTests(parser, [])
    parser.on('complete', resolve)
    createReadStream(file).on('error', reject).pipe(parser)
  })
}

function watchTests(parser, path) {
  let children = 0
  parser.on('child', (child) => {
    children++
    watchTests(child, [...path, child.name])
  })
  parser.on('assert', (result) => {
    if (result.skip) counts.skipped++
    if (!result.ok && !result.todo && !result.skip && children === 0) {
      console.log(`\nnot ok: ${[...path, result.name].join(' > ')}\n${words(result.diag)}`)
    }
  })
  parser.on('complete', (results) => {
    const isGroup = children > 0 || parser.level === 0
    if (isGroup || results.plan?.skipAll) return
    if (results.ok) counts.passed++
    else counts.failed++
  })
}

function words({ diff, found, wanted, at, stack, message } = {}) {
  const text = JSON.stringify({ message, found, wanted, at, stack }, undefined, 2)
  return `${diff ?? ''}\n${text.slice(0, 2_000)}`
}
