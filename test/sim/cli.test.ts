import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { runCli } from '../../lib/sim/cli.js'
import type { SimHooks } from '../../lib/sim/index.js'

function sim(argv: readonly string[], hooks?: SimHooks): { code: number; out: string; complaint: string } {
  const out: string[] = []
  const complaints: string[] = []
  const code = runCli(argv, { print: (line) => out.push(line), complain: (line) => complaints.push(line) }, hooks)
  return { code, out: out.join('\n'), complaint: complaints.join('\n') }
}

t.test('seeds that hold are counted, and the code is 0', (t) => {
  t.match(sim(['--seeds', '3', '--from', '40', '--events', '200']), { code: 0, out: /^3 seeds from 40 held, \d+ events$/ })
  t.end()
})

t.test('a seed that fails is named with its step and claim and a shorter run, and both replay', (t) => {
  const hooks: SimHooks = { diskAnswers: 'at-once' }
  const { code, out } = sim(['--from', '2', '--events', '300'], hooks)
  t.equal(code, 1)
  const [, seed, step] =
    /^seed (\d+) step (\d+) persisted-before-send \(a vote or an acknowledgement leaves only after/.exec(out) ?? []
  t.match(sim(['--seed', `${seed}`, '--events', '300'], hooks), {
    code: 1,
    out: new RegExp(`^seed ${seed} step ${step} persisted`),
  })
  const [, shortStep, shortArgs] = /^shorter, step (\d+): npm run sim -- (.*)$/m.exec(out) ?? []
  t.match(sim((shortArgs ?? '').split(' '), hooks), { code: 1, out: new RegExp(`step ${shortStep} persisted-before-send`) })
  t.end()
})

t.test('a traced seed tells every event, the same each time', (t) => {
  const argv = ['--seed', '4', '--events', '100', '--trace']
  const { code, out } = sim(argv)
  t.equal(code, 0)
  t.match(out, /deliver 1→2 Msg[\s\S]*--- calm[\s\S]*seed 4 held for \d+ events/)
  t.equal(out, sim(argv).out)
  t.end()
})

t.test('a wrong argument is named, and the code is 2', (t) => {
  t.match(sim(['--seeds', 'many']), { code: 2, complaint: /^--seeds: expected a whole number from 0, got many\nusage/ })
  t.match(sim(['--without', 'gravity']), { code: 2, complaint: /unknown ingredient gravity[\s\S]*partition/ })
  t.match(sim(['--fast']), { code: 2, complaint: /--fast/ })
  t.end()
})

t.test('the program prints what the function says and exits with its code', (t) => {
  const main = fileURLToPath(new URL('../../lib/sim/main.js', import.meta.url))
  const run = (...args: readonly string[]) => spawnSync(process.execPath, [main, ...args], { encoding: 'utf8' })
  t.match(run('--seeds', '1', '--events', '100'), { status: 0, stdout: /^1 seeds from 1 held/, stderr: '' })
  t.match(run('--seed', 'x'), { status: 2, stdout: '', stderr: /got x/ })
  t.end()
})
