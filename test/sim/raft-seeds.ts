import type { Ingredient, SimOptions } from '../../lib/sim/index.js'

/**
 * Seeds worth keeping whatever range a run takes: those that failed, and those that catch a mistake when it is put into the
 * core. Each says which. A change of how plans are drawn gives a seed another run; then look for new ones.
 */
export interface KnownSeed extends Pick<SimOptions, 'seed' | 'eventsMax' | 'without'> {
  readonly was: string
}

/** Faults younger than the seeds below: without them these seeds give the runs that they are kept for. */
export const younger: readonly Ingredient[] = [
  'stall',
  'sync-failure',
  'latent-error',
  'misdirected-write',
  'clog',
  'skew',
  'hasty-timers',
  'broken-rest',
  'lease-read',
  'suspend',
  'refusal',
]

const firstSeeds: readonly KnownSeed[] = [
  { seed: 18, was: 'failed: led a term that its disk did not know, because vote requests left before the vote was durable' },
  {
    seed: 108_930,
    was: 'failed: voters that could not learn that the old half was left needed votes of those who had left with longer logs',
  },
  { seed: 203_417, was: 'failed: a candidate learned of its removal from a refusal, applied it, and won all the same' },
  { seed: 2, was: 'catches a commit by counting entries of earlier terms' },
  { seed: 4, was: 'catches a follower that does not compare the term before new entries' },
  { seed: 5, was: 'catches two configuration changes at once' },
  {
    seed: 7,
    was: 'catches a joint configuration that elects or commits with one half, and snapshot failures that change nothing',
  },
  { seed: 11, was: 'catches reads answered before the first commit of the term' },
  { seed: 14, was: 'catches votes for a log that is behind' },
  { seed: 16, was: 'catches logs compared by length alone' },
  { seed: 29, was: 'catches logs compared by term alone' },
  { seed: 54, was: 'catches a vote forgotten on hearing the leader of the same term' },
  { seed: 291, was: 'catches reads answered without a quorum' },
  { seed: 572, was: 'catches a read confirmed by the answer to an earlier heartbeat' },
  { seed: 947, was: 'catches a snapshot restored over newer commits' },
]

export const knownSeeds: readonly KnownSeed[] = firstSeeds.map((known) => ({ ...known, without: younger }))
