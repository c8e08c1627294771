import { readFileSync } from 'node:fs'
import t from 'tap'
import { checkHistory, parseHistory } from '../../lib/sim/linearizability/index.js'
import { readChaosArguments } from './arguments.js'
import { whyNoNamespaces } from './network.js'
import { type ChaosReport, isGood, runChaos } from './run.js'

const whyNoPartitions = whyNoNamespaces()
const troubleMs = 20_000
let report: ChaosReport | undefined

t.test(
  'five managers under everything at once keep every key linearizable, and serve everybody after',
  { timeout: 115_000 },
  async (t) => {
    const historyFile = `${t.testdir()}/history.jsonl`
    // Another seed each time: a failure prints its own, and `npm run chaos -- --seed` makes the same trouble again.
    const seed = process.pid
    const said: string[] = []
    report = await runChaos({ seed, troubleMs, historyFile, say: (words) => said.push(words) })
    const { verdict, crashes, recovered, operations, troubles, history } = report
    if (!isGood(report)) t.comment(said.join('\n'))
    t.equal(verdict.outcome, 'linearizable', `seed ${seed}: ${'witness' in verdict ? verdict.witness : ''}`)
    t.equal(recovered, true, `seed ${seed}: everybody is served after everything was healed`)
    t.strictSame(crashes, [], 'no process ended by itself')
    t.ok(Math.min(troubles.kill, troubles.pause, troubles.clock) > 0, JSON.stringify(troubles))
    t.ok(operations.acknowledged > 20, JSON.stringify(operations))
    t.same(parseHistory(readFileSync(historyFile, 'utf8')), history, 'another checker can read all of it')
  },
)

t.test('partitions were among the trouble', { skip: whyNoPartitions ?? false }, async (t) => {
  t.ok((report?.troubles.partition ?? 0) > 0)
})

t.test('the same history with one old value read again would not have passed', async (t) => {
  const history = report?.history ?? []
  // After the healing every client wrote this key. Its last read is changed to the first value that was there, long overwritten.
  const reads = history.filter(({ op, ok, key, value }) => key === 'k1.0' && op === 'get' && ok === true && value !== null)
  const last = reads.at(-1)
  const first = reads.find(({ value }) => value !== last?.value)
  t.ok(first, 'it had several values')
  const changed = history.map((each) => (each === last ? { ...each, value: first?.value ?? null } : each))
  t.match(checkHistory(changed), { outcome: 'violated', key: 'k1.0' })
})

t.test('a command line that makes no sense is refused with the option', async (t) => {
  t.match(readChaosArguments(['--minutes', '2', '--history', 'h', '--seed', '7']), {
    minutes: 2,
    historyFile: 'h',
    seed: 7,
    format: 'text',
  })
  const bad: readonly [string, readonly string[]][] = [
    ['--minutes', []],
    ['--minutes', ['--minutes', '0', '--history', 'h']],
    ['--minutes', ['--minutes', 'ten', '--history', 'h']],
    ['--history', ['--minutes', '1']],
    ['--seed', ['--minutes', '1', '--history', 'h', '--seed', '-1']],
    ['--seed', ['--minutes', '1', '--history', 'h', '--seed', 'x']],
    ['--format', ['--minutes', '1', '--history', 'h', '--format', 'yaml']],
    ['--nemesis', ['--minutes', '1', '--history', 'h', '--nemesis', 'x']],
  ]
  for (const [option, args] of bad) t.match(readChaosArguments(args), { error: new RegExp(option) }, args.join(' '))
})
