import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const main = fileURLToPath(new URL('../../lib/cli/main.js', import.meta.url))
const demoDirs = () => readdirSync(tmpdir()).filter((name) => name.startsWith('skein-demo-'))

t.test('the story of the main job holds from the first process to the last', { timeout: 110_000 }, async (t) => {
  const before = new Set(demoDirs())
  const child = spawn(process.execPath, [main, 'demo', '--script', '--format', 'json'], { stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  let words = ''
  child.stdout.on('data', (part) => (out += part))
  child.stderr.on('data', (part) => (words += part))
  const [code] = await once(child, 'close')
  t.equal(code, 0, words)
  const result = JSON.parse(out) as { checks: { passed: number; failed: number }; ms: Record<string, number> }
  t.equal(result.checks.failed, 0)
  t.ok(result.checks.passed >= 9, 'every step was checked')
  for (const name of [
    'leader',
    'allRunning',
    'newLeaderAfterKill',
    'healedAfterLeaderKill',
    'rejoined',
    'healedAfterWorkerKill',
    'scaledUp',
    'scaledDown',
  ]) {
    t.type(result.ms[name], 'number', name)
  }
  t.same(
    demoDirs().filter((name) => !before.has(name)),
    [],
    'no directory is left',
  )
})
