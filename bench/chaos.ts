/**
 * Five managers as processes under SIGKILL, SIGSTOP, partitions and clock jumps, all at once, while clients put, get and
 * compare-and-set; then the recorded history is judged. What each kind of trouble is: test/chaos/README.md.
 */
import { messageOf } from '../lib/base/errors.js'
import { describeOperation } from '../lib/sim/linearizability/index.js'
import { readChaosArguments, usage } from '../test/chaos/arguments.js'
import { type ChaosReport, isGood, runChaos } from '../test/chaos/run.js'

function text({ seed, verdict, recovered, crashes, troubles, operations, history }: ChaosReport): string {
  const made = Object.entries(troubles).map(([trouble, times]) => `${trouble} ${times}`)
  const lines = [
    `seed ${seed}: ${made.join(', ')}`,
    `${history.length} operations: ${operations.acknowledged} acknowledged, ${operations.mismatched} mismatched, ${operations.refused} refused, ${operations.unknown} unknown`,
    ...crashes,
    recovered ? 'after healing everybody was served again' : 'after healing NOT everybody was served again',
  ]
  if (verdict.outcome === 'violated') lines.push(`NOT linearizable\n${verdict.witness}`)
  else if (verdict.outcome === 'undecided') lines.push(`undecided within bounds: keys ${verdict.keys.join(', ')}`)
  else lines.push(`linearizable: ${verdict.keys} keys, ${verdict.states} states`)
  return `${lines.join('\n')}\n`
}

function json({ history, ...report }: ChaosReport): string {
  const { verdict } = report
  const shown = verdict.outcome === 'violated' ? { ...verdict, history: verdict.history.map(describeOperation) } : verdict
  return `${JSON.stringify({ ...report, verdict: shown, recorded: history.length, ok: isGood({ history, ...report }) })}\n`
}

const asked = readChaosArguments(process.argv.slice(2))
if ('error' in asked) {
  process.stderr.write(`${asked.error}\n${usage}\n`)
  process.exitCode = 2
} else {
  const { seed, minutes, historyFile, format } = asked
  process.stderr.write(`seed ${seed}, ${minutes} minutes of trouble, history in ${historyFile}\n`)
  try {
    const say = (words: string): void => void process.stderr.write(`${words}\n`)
    const report = await runChaos({ seed, troubleMs: minutes * 60_000, historyFile, say })
    process.stdout.write(format === 'json' ? json(report) : text(report))
    process.exitCode = isGood(report) ? 0 : 1
  } catch (error) {
    process.stderr.write(`chaos could not be run: ${messageOf(error)}\n`)
    process.exitCode = 1
  }
}
