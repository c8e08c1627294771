/**
 * Membership beside hashicorp's memberlist: the table of targets in the simulator, and members that are processes of this machine.
 *
 *     npm run bench:overlay -- [--format text|json] [--only PARTS] [--sim] [--targets T3,T5] [--sizes 3,1000] [--seeds 2-4] [--members 100] [--kills 20] [--minutes 10]
 *
 * The simulator is short by default (a minute or two); `--sim` takes 30 seeds for each figure up to 1,000 members and 4 at 10,000 (hours);
 * what each seed gave is printed as it ends. `--targets` and `--sizes` choose among the figures, `--seeds` among the seeds of all of them;
 * sizes and seeds that are named run in either form: `--targets T9 --sizes 10000 --seeds 1` is one cell for one seed. A seed is the same
 * run in both forms.
 * The processes take about two minutes for `formed,traffic`, two for `stopped`, two for 20 `killed`, and `--minutes` for `loss`; they are
 * members and nothing else (links, datagrams, SWIM). Whole peers are those of `leader-idle` and `peers-formed` (`--members` of them).
 * memberlist's figures in the simulator's rows are those of version 0.2.2 with its LAN settings: abrupt ends of real members on one machine
 * at 3 and 100; from a model within 9 % of the real thing at 1,000 and 10,000, and for loss and pauses.
 */
import { type Arguments, parse } from './overlay/arguments.js'
import { nodeFlags } from './overlay/group.js'
import { leaderIdleRows } from './overlay/leader-idle.js'
import { peersFormedRows } from './overlay/peers-formed.js'
import { processRows } from './overlay/processes.js'
import { simulatorRows } from './overlay/simulator.js'
import { machine, print, type Row } from './report.js'

function parseOrExit(args: readonly string[]): Arguments {
  try {
    return parse(args)
  } catch (error) {
    process.stderr.write(`bench:overlay: ${(error as Error).message}\n`)
    process.exit(2)
  }
}

function note(what: string, result: object): void {
  const words = Object.entries(result).map(
    ([name, value]) => `${name} ${typeof value === 'number' ? Math.round(value * 100) / 100 : value}`,
  )
  process.stderr.write(`${what}: ${words.join(', ')}\n`)
}

const given = parseOrExit(process.argv.slice(2))
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1)) // 'exit' kills what runs
const before = machine()
const rows: Row[] = []
if (given.only.has('simulator')) rows.push(...simulatorRows(given, note))
rows.push(...(await processRows(given, note)))
if (given.only.has('leader-idle')) rows.push(...(await leaderIdleRows()))
if (given.only.has('peers-formed')) rows.push(...(await peersFormedRows(given.members)))
print({ machine: before, rows }, given.format, [
  "The simulator's times are virtual: what the protocol takes, not what this machine takes.",
  `Members that are processes run with ${nodeFlags.join(' ')} (docs/operations.md, Small machines).`,
  'T17: failed by refusals, or by two accusers. The scheduler then waits for the next heartbeat (1.5 s) where it was refused, else for 3 s more of silence.',
  'memberlist: 0.2.2, LAN settings; measured with real members at 3 and 100, modelled above.',
])
process.exitCode = rows.every(({ ok }) => ok !== false) ? 0 : 1
