import { type SimOptions, simulate, type Verdict } from './raft-sim.js'
import { type Ingredient, ingredients } from './sim-plan.js'

/** A run that breaks the same check with fewer ingredients. */
export interface Shorter {
  readonly seed: number
  readonly without: readonly Ingredient[]
  readonly step: number
}

/** Neighbour seeds tried for each set of ingredients: leaving one out changes the run, so the same seed may no longer fail. */
const NEIGHBOURS = 20

/**
 * Looks for a simpler run that breaks the same check: leaves ingredients out one by one, on the same seed and on some others,
 * and keeps each set that still fails, with the seed that fails earliest.
 */
export function shrink(failed: Extract<Verdict, { outcome: 'violated' }>, options: Omit<SimOptions, 'seed'>): Shorter {
  let best: Shorter = { seed: failed.seed, without: [...(options.without ?? [])], step: failed.step }
  for (const ingredient of ingredients) {
    if (best.without.includes(ingredient)) continue
    best = earliest(failed, options, [...best.without, ingredient]) ?? best
  }
  return best
}

function earliest(
  { seed: failedSeed, check }: Extract<Verdict, { outcome: 'violated' }>,
  options: Omit<SimOptions, 'seed'>,
  without: readonly Ingredient[],
): Shorter | undefined {
  let best: Shorter | undefined
  for (let at = 0; at <= NEIGHBOURS; at++) {
    const seed = at === 0 ? failedSeed : failedSeed * NEIGHBOURS + at
    const verdict = simulate({ ...options, without, seed })
    if (verdict.outcome === 'held' || verdict.check !== check) continue
    if (best === undefined || verdict.step < best.step) best = { seed, without, step: verdict.step }
  }
  return best
}
