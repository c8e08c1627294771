import { type RunCounts, type SimOptions, simulate } from '../../lib/sim/index.js'

/** Seeds in a test run: 10,000, or as many as SKEIN_SIM_SEEDS says, from SKEIN_SIM_FROM on. */
export const seedsTotal = Number(process.env.SKEIN_SIM_SEEDS ?? 10_000)
export const firstSeed = Number(process.env.SKEIN_SIM_FROM ?? 1)

/** What a set of runs amounts to. `failures` name seed, step and claim, and how to see each again. */
export interface Tally {
  readonly failures: readonly string[]
  readonly events: number
  readonly counts: RunCounts
}

export function runAll(runs: Iterable<SimOptions>): Tally {
  const failures: string[] = []
  const counts: RunCounts = {
    leaders: 0,
    commits: 0,
    configurations: 0,
    reads: 0,
    leaseReads: 0,
    restores: 0,
    retired: 0,
    cores: 0,
  }
  let events = 0
  for (const options of runs) {
    const verdict = simulate(options)
    events += verdict.step
    if (verdict.outcome === 'held') {
      for (const name of Object.keys(counts) as (keyof RunCounts)[]) counts[name] += verdict.counts[name]
      continue
    }
    const { seed, step, check, message } = verdict
    const eventsMax = options.eventsMax === undefined ? '' : ` --events ${options.eventsMax}`
    const without = options.without === undefined ? '' : ` --without ${[...options.without].join(',')}`
    failures.push(`seed ${seed} step ${step} ${check}: ${message} (npm run sim -- --seed ${seed}${eventsMax}${without} --trace)`)
  }
  return { failures, events, counts }
}

/** One seed in eight has a run of the usual length; what the others lack in length they make up for in number. */
const LONG_EVERY = 8
const SHORT_EVENTS = 500

/** Every second seed, so that two processes share them: `part` is 0 or 1. */
export function* seedsOfPart(part: 0 | 1): Generator<SimOptions> {
  for (let seed = firstSeed + part; seed < firstSeed + seedsTotal; seed += 2) {
    yield (seed >> 1) % LONG_EVERY === 0 ? { seed } : { seed, eventsMax: SHORT_EVENTS }
  }
}
