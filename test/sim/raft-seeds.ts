import type { SimOptions } from '../../lib/sim/index.js'

/** Seeds that once failed, each with what it was. A change of the plan gives them other runs; they are kept all the same. */
export interface KnownSeed extends Pick<SimOptions, 'seed' | 'eventsMax'> {
  readonly was: string
}

export const knownSeeds: readonly KnownSeed[] = [
  { seed: 18, was: 'core: led a term that its disk did not know, because vote requests left before the vote was durable' },
  { seed: 32, was: 'core: the same, at the end of a long run' },
  { seed: 3, was: 'simulation: a leader sent a new member snapshots older than its membership, which it must ignore' },
  { seed: 195, eventsMax: 1_500, was: 'simulation: a transfer under way ended in the time that had to be quiet' },
  { seed: 2667, eventsMax: 1_500, was: 'simulation: a member that a late proposal brought back stayed switched off' },
  { seed: 2321, eventsMax: 1_500, was: 'simulation: a node marked to die inside a Ready died in the calm world' },
  { seed: 8714, was: 'simulation: one entry at a time takes longer than the deadline gave' },
]
