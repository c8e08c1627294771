// Runs one file of tests as a process of its own and counts what it says.
import { spawn } from 'node:child_process'
import { Parser } from 'tap-parser'

/** A file that takes longer hangs: the longest takes about a minute, and some minutes where others keep the machine busy. */
const LIMIT_MS = 300_000
/** How long a file may take in its own eyes, unless it says otherwise: it then tells which test hangs. */
const TAP_LIMIT_SECONDS = 240
const STDERR_MAX = 4_000

/** Resolves to `{ passed, failed, skipped, words }`; `words` tells what failed, each failure with its path of names. */
export async function runTapFile(name, path) {
  const env = { ...process.env, TAP_TIMEOUT: String(TAP_LIMIT_SECONDS) }
  const child = spawn(process.execPath, ['--enable-source-maps', path], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const counts = { passed: 0, failed: 0, skipped: 0 }
  const words = []
  const parser = new Parser()
  watchTests(parser, [name], counts, words)
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr = (stderr + text).slice(-STDERR_MAX)
  })
  let isLate = false
  const timer = setTimeout(() => {
    isLate = true
    child.kill('SIGKILL')
  }, LIMIT_MS)
  const [end, results] = await Promise.all([
    new Promise((resolve) => child.on('close', (code, signal) => resolve(code ?? signal))),
    new Promise((resolve) => parser.on('complete', resolve).on('error', () => undefined) && child.stdout.pipe(parser)),
  ])
  clearTimeout(timer)
  // What no test owns: a file that crashed, left a handle open or holds no test.
  const isEmpty = end === 0 && results.count === 0 && results.plan.skipReason === 'no tests found'
  if (results.plan.skipAll && !isEmpty) counts.skipped++
  if (counts.failed === 0 && (end !== 0 || !results.ok || isEmpty)) {
    counts.failed++
    const why = isLate ? `it had not ended after ${LIMIT_MS / 1_000} s` : `it ended with ${end}`
    words.push(`not ok: ${name}: ${isEmpty ? 'it holds no test' : why}`)
  }
  if (counts.failed > 0 && stderr !== '') words.push(`${name} said last:\n${stderr}`)
  return { ...counts, words: words.join('\n') }
}

/** Counts the innermost tests (those whose children are assertions, not tests), and notes what failed. */
function watchTests(parser, path, counts, words) {
  let children = 0
  parser.on('child', (child) => {
    children++
    watchTests(child, [...path, child.name], counts, words)
  })
  parser.on('assert', (result) => {
    if (result.skip) counts.skipped++
    if (!result.ok && !result.todo && !result.skip && (children === 0 || result.name === 'timeout!')) {
      words.push(`not ok: ${[...path, result.name].join(' > ')}\n${describe(result.diag)}`)
    }
  })
  parser.on('complete', (results) => {
    if (children > 0 || results.plan?.skipAll) return
    if (results.ok) counts.passed++
    else counts.failed++
  })
}

function describe({ diff, found, wanted, at, stack, message } = {}) {
  const text = JSON.stringify({ message, found, wanted, at, stack }, undefined, 2)
  return `${diff ?? ''}\n${text.slice(0, 2_000)}`
}
