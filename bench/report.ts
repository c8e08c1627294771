import { readFileSync } from 'node:fs'
import { cpus, release, totalmem, type } from 'node:os'

/** One line of a benchmark: what was measured, ours, theirs, and whether the bar holds. */
export interface Row {
  readonly figure: string
  /** Null where it could not be measured here: `bar` says why. */
  readonly skein: number | null
  /** The rival's figure in the same unit; null where there is none. */
  readonly rival: number | null
  /** Rival / skein for times and sizes, skein / rival for throughput: above 1 is better for skein. Where the bar is `≤ n× rival`, skein / rival. */
  readonly ratio: number | null
  readonly bar: string
  /** Null where nothing was measured: neither held nor missed. */
  readonly ok: boolean | null
}

export interface Report {
  readonly machine: Readonly<Record<string, string | number>>
  readonly rows: readonly Row[]
}

export function machine(): Report['machine'] {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${release()}`,
    node: process.version,
    load: loadAverage(),
  }
}

/** A row whose figure must be at most `atMost`. */
export function atMost(figure: string, skein: number, bound: number, unit: string, rival: number | null = null): Row {
  const ratio = rival === null || skein === 0 ? null : Math.round((rival / skein) * 100) / 100
  return { figure, skein, rival, ratio, bar: `≤ ${bound} ${unit}`, ok: skein <= bound }
}

/** A row that cannot be measured on this machine, and why. */
export function skipped(figure: string, bar: string, why: string): Row {
  return { figure, skein: null, rival: null, ratio: null, bar: `${bar} (skipped: ${why})`, ok: null }
}

/** A row whose figure must be at least `bound`; no rival. */
export function atLeast(figure: string, skein: number, bound: number, unit: string): Row {
  return { figure, skein, rival: null, ratio: null, bar: `≥ ${bound} ${unit}`, ok: skein >= bound }
}

/**
 * A row measured against the rival's figure of the same run: at least (`more`) or at most (`less`) `times` as much. Without a rival it is
 * not ok: nothing was compared.
 */
export function timesRival(figure: string, skein: number, rival: number | null, times: number, better: 'more' | 'less'): Row {
  const bar = `${better === 'more' ? '≥' : '≤'} ${times}× rival`
  if (rival === null) return { figure, skein, rival, ratio: null, bar, ok: false }
  const part = skein / rival
  return { figure, skein, rival, ratio: Math.round(part * 100) / 100, bar, ok: better === 'more' ? part >= times : part <= times }
}

/** A row without a bar. The ratio is above 1 where skein is better. */
export function toTell(figure: string, skein: number, rival: number | null, better: 'more' | 'less'): Row {
  const part = rival === null ? null : better === 'more' ? skein / rival : rival / skein
  return { figure, skein, rival, ratio: part === null ? null : Math.round(part * 100) / 100, bar: '–', ok: true }
}

/** The smallest value that at least `part` of all are not above. */
export function percentile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)] ?? Number.NaN
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? (sorted[middle] as number) : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2
}

/** Text for people, or one JSON object and nothing else. */
export function print(report: Report, format: 'text' | 'json', notes: readonly string[]): void {
  if (format === 'json') {
    process.stdout.write(`${JSON.stringify(report)}\n`)
    return
  }
  const cells = report.rows.map(({ figure, skein, rival, ratio, bar, ok }) => [
    figure,
    skein === null ? '–' : String(skein),
    rival === null ? '–' : String(rival),
    ratio === null ? '–' : `${ratio}×`,
    bar,
    ok === null ? 'skipped' : ok ? 'holds' : 'MISSED',
  ])
  const table = [['figure', 'skein', 'rival', 'ratio', 'bar', ''], ...cells]
  const widths = (table[0] as string[]).map((_, column) => Math.max(...table.map((row) => (row[column] as string).length)))
  const words = Object.entries(report.machine).map(([name, value]) => `${name} ${value}`)
  process.stdout.write(`${words.join(' · ')}\n\n`)
  for (const row of table)
    process.stdout.write(`${row.map((cell, column) => cell.padEnd((widths[column] as number) + 2)).join('')}\n`)
  for (const note of notes) process.stdout.write(`\n${note}\n`)
}

/** `--format json`, `--runs 7`: the arguments every benchmark takes. @throws on anything else, naming it */
export function readArguments(
  args: readonly string[],
  defaultRuns: number,
): { readonly format: 'text' | 'json'; readonly runs: number } {
  let format: 'text' | 'json' = 'text'
  let runs = defaultRuns
  for (let at = 0; at < args.length; at += 2) {
    const [name, value] = [args[at], args[at + 1]]
    if (name === '--format' && (value === 'json' || value === 'text')) format = value
    else if (name === '--runs' && Number.isInteger(Number(value)) && Number(value) > 0) runs = Number(value)
    else throw new Error(`unknown argument ${name} ${value ?? ''}: known are --format text|json and --runs N`)
  }
  return { format, runs }
}

function loadAverage(): string {
  try {
    return readFileSync('/proc/loadavg', 'utf8').split(' ')[0] ?? 'unknown'
  } catch {
    return 'unknown' // no /proc on this system
  }
}
