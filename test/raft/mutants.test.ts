import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const built = fileURLToPath(new URL('../../', import.meta.url))
const root = join(built, '..')

interface Report {
  readonly layers: readonly string[]
  readonly mutants: readonly { readonly name: string; readonly safety: boolean; readonly killedBy: readonly string[] }[]
}

// The other mutants, and which layers notice each: `npm run mutants`.
t.test('a core that breaks one of twelve safety rules fails a test', { timeout: 120_000 }, (t) => {
  const { status, stdout, stderr } = run('--short', '--stop-at-kill', '--layers', 'paper,core,sim', '--seeds', '20')
  t.equal(status, 0, stderr)
  const { layers, mutants } = JSON.parse(stdout) as Report
  t.same(layers, ['paper', 'core', 'sim'])
  t.equal(mutants.length, 12)
  for (const { name, safety, killedBy } of mutants) {
    t.ok(safety, name)
    t.equal(killedBy.length, 1, `${name}: ${killedBy}`)
  }
  t.end()
})

t.test('a log on disk that breaks one of three safety rules fails a test', { timeout: 120_000 }, (t) => {
  const { status, stdout, stderr } = run('--short', '--stop-at-kill', '--layers', 'wal')
  t.equal(status, 0, stderr)
  const { mutants } = JSON.parse(stdout) as Report
  t.equal(mutants.length, 3)
  for (const { name, safety, killedBy } of mutants) t.ok(safety && killedBy[0] === 'wal', `${name}: ${killedBy}`)
  t.end()
})

t.test('a safety mutant that no layer notices is named, and the exit code says so', { timeout: 60_000 }, (t) => {
  const { status, stdout } = run('--only', 'applies entries before they are written', '--layers', 'paper')
  t.equal(status, 1)
  t.same(
    (JSON.parse(stdout) as Report).mutants.map(({ killedBy }) => killedBy),
    [[]],
  )
  t.end()
})

t.test('arguments that mean nothing are refused, each with its name', (t) => {
  for (const [args, named] of [
    [['--layers', 'paper,moon'], /--layers: .* got moon/],
    [['--jobs', '0'], /--jobs: expected a whole number from 1, got 0/],
    [['--only', 'no such mutant'], /--only: no mutant has 'no such mutant'/],
    [['--format', 'xml'], /--format: expected table or json, got xml/],
  ] as const) {
    const { status, stderr } = run(...args)
    t.equal(status, 2)
    t.match(stderr, named)
  }
  t.end()
})

function run(...args: readonly string[]) {
  const script = join(root, 'scripts', 'mutants.mjs')
  return spawnSync(process.execPath, [script, '--built', built, '--format', 'json', ...args], { encoding: 'utf8' })
}
