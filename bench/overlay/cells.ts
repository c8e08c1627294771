/** What the simulator's rows come of: one scenario in a group of one size, run once for each seed. */
import type { Row } from '../report.js'
import type { Arguments } from './arguments.js'

/** The table's groups; T9's middle one has 128, as memberlist's had. */
export const sizes = [3, 100, 1000, 10_000] as const
export type Size = (typeof sizes)[number]
export type Form = Arguments['form']
export type Wanted = Pick<Arguments, 'form' | 'targets' | 'sizes' | 'seeds'>
export type Note = (what: string, result: object) => void

export interface Cell {
  /** The first word of its figures' names. */
  readonly targets: readonly string[]
  readonly members: number
  /** How many seeds each form takes; with none it runs only when its size and seeds are named. */
  readonly seeds: Readonly<Record<Form, number>>
  /** Runs these seeds and tells of each as it ends. */
  rows(seeds: readonly number[], note: Note): Row[]
}

/** What the table asks for: medians over so many. */
export function fullSeeds(members: number): number {
  return members >= 10_000 ? 4 : 30
}

/** The seeds that were named, or as many as the form takes; empty where the cell is not to run. */
export function seedsOf({ members, seeds }: Cell, { form, sizes: named, seeds: wanted }: Wanted): readonly number[] {
  const usual = seeds[form]
  if (wanted === undefined) return Array.from({ length: usual }, (_, at) => at + 1)
  return usual > 0 || named.has(members) ? wanted : []
}

/** Those cells that were asked for, in their order, whether the form has seeds for them or not. */
export function chosenOf(cells: readonly Cell[], { targets, sizes: named }: Wanted): Cell[] {
  return cells
    .filter(({ members }) => named.size === 0 || named.has(members))
    .filter((cell) => targets.size === 0 || cell.targets.some((target) => targets.has(target)))
}

export function firstWord(text: string): string {
  return text.split(' ', 1)[0] as string
}

export function round(value: number, digits: number): number {
  const scale = 10 ** digits
  return Math.round(value * scale) / scale
}
