import { parseArgs } from 'node:util'

export const usage = `usage: npm run chaos -- --minutes N --history FILE [--seed S] [--format text|json]
  --minutes N     minutes of trouble, above 0 and at most 1440
  --history FILE  where every operation is kept, a line of JSON each
  --seed S        a whole number from 0; the default is drawn and printed`

export interface ChaosArguments {
  readonly minutes: number
  readonly historyFile: string
  readonly seed: number
  readonly format: 'text' | 'json'
}

/** The command line of `npm run chaos`, or what is wrong with it. */
export function readChaosArguments(args: readonly string[]): ChaosArguments | { readonly error: string } {
  const text = { type: 'string' } as const
  try {
    const { values } = parseArgs({ args: [...args], options: { minutes: text, history: text, seed: text, format: text } })
    const minutes = Number(values.minutes ?? Number.NaN)
    const seed = values.seed === undefined ? Math.floor(Math.random() * 1e6) : Number(values.seed)
    const { history: historyFile, format = 'text' } = values
    if (!(minutes > 0 && minutes <= 1_440))
      return { error: `--minutes: expected a number above 0 and at most 1440, got ${values.minutes}` }
    if (historyFile === undefined || historyFile === '') return { error: '--history: expected a file' }
    if (!Number.isSafeInteger(seed) || seed < 0) return { error: `--seed: expected a whole number from 0, got ${values.seed}` }
    if (format !== 'text' && format !== 'json') return { error: `--format: expected text or json, got ${format}` }
    return { minutes, historyFile, seed, format }
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) }
  }
}
