import { parseArgs } from 'node:util'
import { simulate, type Verdict } from './raft-sim.js'
import { shrink } from './shrink.js'
import { type Ingredient, ingredients } from './sim-plan.js'

const usage = `usage: npm run sim -- [--seeds N] [--from S] [--events N] [--without a,b]
       npm run sim -- --seed S [--trace] [--events N] [--without a,b]
ingredients to leave out: ${ingredients.join(', ')}`

/** Runs seeds and prints the first that fails with its step; returns the exit code: 0 held, 1 violated, 2 usage. */
function main(argv: readonly string[]): number {
  const asked = readArguments(argv)
  if (asked === undefined) {
    console.error(usage)
    return 2
  }
  const { seeds, from, seed, eventsMax, without } = asked
  if (seed !== undefined) {
    const verdict = simulate({ seed, eventsMax, without, ...(asked.trace ? { trace: (line: string) => console.log(line) } : {}) })
    return report(verdict)
  }
  let events = 0
  for (let at = from; at < from + seeds; at++) {
    const verdict = simulate({ seed: at, eventsMax, without })
    events += verdict.step
    if (verdict.outcome === 'held') continue
    report(verdict)
    const shorter = shrink(verdict, { eventsMax, without })
    console.log(
      `shorter: npm run sim -- --seed ${shorter.seed} --trace${option('--without', shorter.without)} # step ${shorter.step}`,
    )
    return 1
  }
  console.log(`${seeds} seeds from ${from} held, ${events} events`)
  return 0
}

function report(verdict: Verdict): number {
  if (verdict.outcome === 'held') {
    console.log(`seed ${verdict.seed} held for ${verdict.step} events: ${JSON.stringify(verdict.counts)}`)
    return 0
  }
  console.log(`seed ${verdict.seed} step ${verdict.step} ${verdict.check}: ${verdict.message}`)
  if (verdict.check === 'core-threw' && verdict.error instanceof Error) console.log(verdict.error.stack)
  return 1
}

function readArguments(argv: readonly string[]) {
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        seeds: { type: 'string', default: '200' },
        from: { type: 'string', default: '1' },
        seed: { type: 'string' },
        events: { type: 'string', default: '2500' },
        without: { type: 'string', default: '' },
        trace: { type: 'boolean', default: false },
      },
    })
    return {
      seeds: whole('seeds', values.seeds),
      from: whole('from', values.from),
      seed: values.seed === undefined ? undefined : whole('seed', values.seed),
      eventsMax: whole('events', values.events),
      without: values.without === '' ? [] : values.without.split(',').map(parseIngredient),
      trace: values.trace,
    }
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    return undefined
  }
}

function whole(name: string, text: string): number {
  const value = Number(text)
  if (Number.isSafeInteger(value) && value >= 0) return value
  throw new Error(`--${name}: expected a whole number from 0, got ${text}`)
}

function parseIngredient(text: string): Ingredient {
  const found = ingredients.find((ingredient) => ingredient === text)
  if (found === undefined) throw new Error(`--without: unknown ingredient ${text}`)
  return found
}

function option(name: string, values: readonly string[]): string {
  return values.length === 0 ? '' : ` ${name} ${values.join(',')}`
}

process.exitCode = main(process.argv.slice(2))
