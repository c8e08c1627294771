import { type SimOptions, simulate, type Verdict } from './raft-sim.js'
import { type Ingredient, ingredients } from './sim-plan.js'

/** A run that breaks the same check with fewer ingredients or earlier. */
export interface Shorter {
  readonly seed: number
  readonly without: readonly Ingredient[]
  readonly step: number
}

/** Neighbour seeds tried for each set of ingredients: leaving one out changes the run, so the same seed may no longer fail. */
const NEIGHBOURS = 20

/**
 * Looks for a simpler run that breaks the same check: leaves ingredients out one by one, on the same seed and on some others,
 * and keeps whatever still fails; among equals the one that fails earliest.
 */
export function shrink(failed: Extract<Verdict, { outcome: 'violated' }>, options: Omit<SimOptions, 'seed'>): Shorter {
  let best: Shorter = { seed: failed.seed, without: [...(options.without ?? [])], step: failed.step }
  for (const ingredient of ingredients) {
    if (best.without.includes(ingredient)) continue
    const found = earliest(failed, { ...options, without: [...best.without, ingredient] })
    if (found !== undefined) best = found
  }
  return earliest(failed, { ...options, without: best.without }, best) ?? best
}

function earliest(
  failed: Extract<Verdict, { outcome: 'violated' }>,
  options: Omit<SimOptions, 'seed'>,
  known?: Shorter,
): Shorter | undefined {
  let best = known
  for (let at = 0; at <= NEIGHBOURS; at++) {
    const seed = at === 0 ? failed.seed : failed.seed * NEIGHBOURS + at
    const verdict = simulate({ ...options, seed })
    if (verdict.outcome === 'held' || verdict.check !== failed.check) continue
    if (best === undefined || verdict.step < best.step) best = { seed, without: [...(options.without ?? [])], step: verdict.step }
  }
  return best
}
