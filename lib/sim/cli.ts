import { parseArgs } from 'node:util'
import { messageOf } from '../base/errors.js'
import { claims } from './checks.js'
import { EVENTS_DEFAULT, simulate, type Verdict } from './raft-sim.js'
import { shrink } from './shrink.js'
import { type Ingredient, ingredients } from './sim-plan.js'
import type { SimHooks } from './sim-world.js'

const usage = `usage: npm run sim -- [--seeds N] [--from S] [--events N] [--without a,b]
       npm run sim -- --seed S [--trace] [--events N] [--without a,b]
ingredients to leave out: ${ingredients.join(', ')}`

/** Where the lines go. */
export interface CliOutput {
  readonly print: (line: string) => void
  readonly complain: (line: string) => void
}

interface Asked {
  readonly seeds: number
  readonly from: number
  readonly seed: number | undefined
  readonly isTraced: boolean
  readonly run: { readonly eventsMax: number; readonly without: readonly Ingredient[]; readonly hooks: SimHooks }
}

/**
 * Runs many seeds up to the first that fails, or one seed; names seed, step, claim and how to see it again.
 * Returns the exit code: 0 every claim held, 1 one did not, 2 the arguments are wrong.
 */
export function runCli(argv: readonly string[], { print, complain }: CliOutput, hooks: SimHooks = {}): number {
  let asked: Asked
  try {
    asked = readArguments(argv, hooks)
  } catch (error) {
    complain(`${messageOf(error)}\n${usage}`)
    return 2
  }
  return asked.seed === undefined ? runMany(asked, print) : runOne(asked.seed, asked, print)
}

function runMany({ seeds, from, run }: Asked, print: CliOutput['print']): number {
  let events = 0
  for (let seed = from; seed < from + seeds; seed++) {
    const verdict = simulate({ ...run, seed })
    events += verdict.step
    if (verdict.outcome === 'held') continue
    print(describe(verdict))
    const { seed: shortSeed, step, without } = shrink(verdict, run)
    const eventsOption = run.eventsMax === EVENTS_DEFAULT ? '' : ` --events ${run.eventsMax}`
    const withoutOption = without.length === 0 ? '' : ` --without ${without.join(',')}`
    print(`shorter, step ${step}: npm run sim -- --seed ${shortSeed} --trace${eventsOption}${withoutOption}`)
    return 1
  }
  print(`${seeds} seeds from ${from} held, ${events} events`)
  return 0
}

function runOne(seed: number, { isTraced, run }: Asked, print: CliOutput['print']): number {
  const verdict = simulate({ ...run, seed, ...(isTraced ? { trace: print } : {}) })
  print(describe(verdict))
  return verdict.outcome === 'held' ? 0 : 1
}

function describe(verdict: Verdict): string {
  const { seed, step } = verdict
  if (verdict.outcome === 'held') return `seed ${seed} held for ${step} events: ${JSON.stringify(verdict.counts)}`
  const { check, message, error } = verdict
  const stack = check === 'core-threw' && error instanceof Error ? `\n${error.stack}` : ''
  return `seed ${seed} step ${step} ${check} (${claims[check]}): ${message}${stack}`
}

function readArguments(argv: readonly string[], hooks: SimHooks): Asked {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      seeds: { type: 'string', default: '200' },
      from: { type: 'string', default: '1' },
      seed: { type: 'string' },
      events: { type: 'string', default: String(EVENTS_DEFAULT) },
      without: { type: 'string', default: '' },
      trace: { type: 'boolean', default: false },
    },
  })
  const without = values.without === '' ? [] : values.without.split(',').map(parseIngredient)
  return {
    seeds: whole('seeds', values.seeds),
    from: whole('from', values.from),
    seed: values.seed === undefined ? undefined : whole('seed', values.seed),
    isTraced: values.trace,
    run: { eventsMax: whole('events', values.events), without, hooks },
  }
}

function whole(name: string, text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw new Error(`--${name}: expected a whole number from 0, got ${text}`)
}

function parseIngredient(text: string): Ingredient {
  const found = ingredients.find((ingredient) => ingredient === text)
  if (found === undefined) throw new Error(`--without: unknown ingredient ${text}`)
  return found
}
