import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { freshDir } from './support.js'

const main = fileURLToPath(new URL('../../npm/cli.js', import.meta.url))
const figures = [
  'leader',
  'allRunning',
  'newLeaderAfterKill',
  'healedAfterLeaderKill',
  'rejoined',
  'newLeaderAfterSilence',
  'settledAfterManagerHealed',
  'settledAfterWorkerHealed',
  'healedAfterWorkerKill',
  'scaledUp',
  'scaledDown',
]

t.test('the story of the main job holds from the first process to the last', { timeout: 180_000 }, async (t) => {
  // A temporary directory of its own: other tests have demos too.
  const temporary = freshDir(t)
  const child = spawn(process.execPath, [main, 'demo', '--script', '--format', 'json'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TMPDIR: temporary },
  })
  let out = ''
  let words = ''
  child.stdout.on('data', (part) => {
    out += part
  })
  child.stderr.on('data', (part) => {
    words += part
  })
  const [code] = await once(child, 'close')
  t.equal(code, 0, words)
  const result = JSON.parse(out) as { checks: { passed: number; failed: number }; ms: Record<string, number> }
  t.equal(result.checks.failed, 0)
  t.ok(result.checks.passed >= 14, 'every step was checked')
  for (const name of figures) t.type(result.ms[name], 'number', name)
  t.same(readdirSync(temporary), [], 'no directory is left')
})

t.test('told to stop in the middle, the story ends at once and cleans up', { timeout: 180_000 }, async (t) => {
  const temporary = freshDir(t)
  const child = spawn(process.execPath, [main, 'demo', '--script', '--format', 'json'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TMPDIR: temporary },
  })
  let out = ''
  let words = ''
  let told = false // a second signal would end it at once
  child.stdout.on('data', (part) => {
    out += part
  })
  child.stderr.on('data', (part) => {
    words += part
    if (words.includes('founded') && !told) {
      told = true
      child.kill('SIGINT')
    }
  })
  const [code] = await once(child, 'close')
  t.equal(code, 130, words)
  t.equal((JSON.parse(out) as { checks: { failed: number } }).checks.failed, 1, 'the check it was at')
  t.match(words, /interrupted by SIGINT/)
  t.same(readdirSync(temporary), [], 'no directory is left')
})
