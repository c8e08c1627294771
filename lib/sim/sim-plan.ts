import type { Random } from '../base/random.js'
import { below, pick, seededRandom } from '../base/random.js'

/** What may go wrong or be asked for in a run; shrinking leaves them out one by one. */
export const ingredients = [
  'loss',
  'duplication',
  'slow-network',
  'partition',
  'crash',
  'torn-write',
  'slow-disk',
  'pause',
  'drift',
  'late-flush',
  'membership',
  'transfer',
  'snapshot',
  'read',
  'campaign',
  'small-limits',
] as const
export type Ingredient = (typeof ingredients)[number]

/** How one simulated group is built and troubled: everything follows from the seed. */
export interface SimPlan {
  readonly seed: number
  /** Events of the safety phase, in which anything may fail. */
  readonly eventsMax: number
  readonly nodes: number
  readonly core: {
    readonly electionTick: number
    readonly heartbeatTick: number
    readonly preVote: boolean
    readonly checkQuorum: boolean
    readonly asyncStorageWrites: boolean
    readonly stepDownOnRemoval: boolean
    readonly disableProposalForwarding: boolean
    readonly maxSizePerMsg: number
    readonly maxCommittedSizePerReady: number
    readonly maxUncommittedEntriesSize: number
    readonly maxInflightMsgs: number
    readonly maxInflightBytes: number
  }
  readonly network: NetworkPlan
  readonly disk: DiskPlan
  /** Chance that a node gathers more input before it takes its next Ready, as a busy event loop does. */
  readonly lateFlushRate: number
  readonly driftMax: number
  /** Mean time units between two things that clients and operators do. */
  readonly workPause: number
  /** Mean time units between two troubles; Infinity for a quiet run. */
  readonly troublePause: number
  /** Weights of what clients and operators ask. */
  readonly work: Readonly<Record<Work, number>>
  readonly trouble: Readonly<Record<Trouble, number>>
  readonly trailingEntries: number
}

export type Work = 'propose' | 'membership' | 'transfer' | 'read' | 'snapshot' | 'campaign' | 'forget-leader'
export type Trouble = 'split' | 'one-way' | 'isolate' | 'heal' | 'crash' | 'crash-leader' | 'crash-all' | 'pause'

export interface NetworkPlan {
  readonly lossRate: number
  readonly duplicateRate: number
  readonly delayMin: number
  readonly delayMean: number
  /** Chance that a message takes ten times as long. */
  readonly strayRate: number
  /** Chance that a sender learns of a lost message (`reportUnreachable`). */
  readonly noticeRate: number
}

export interface DiskPlan {
  readonly syncMin: number
  readonly syncMean: number
  readonly applyMean: number
  /** Chance that a crash keeps a part of the batch under way instead of nothing. */
  readonly tornRate: number
}

/** A stream of chance of its own for each concern: leaving one ingredient out disturbs the others little. */
export function chanceFor(seed: number, concern: number): Random {
  return seededRandom(Math.imul(seed, 0x9e3779b1) ^ Math.imul(concern + 1, 0x85ebca6b))
}

/** The same group in a good world: nothing is lost, doubled, torn or late. */
export function calmed(plan: SimPlan): SimPlan {
  return {
    ...plan,
    network: { ...plan.network, lossRate: 0, duplicateRate: 0, delayMean: 1, strayRate: 0 },
    disk: { ...plan.disk, syncMean: 1, applyMean: 1, tornRate: 0 },
    lateFlushRate: 0,
    driftMax: 0,
  }
}

export function planFor(seed: number, eventsMax: number, without: ReadonlySet<Ingredient>): SimPlan {
  const random = chanceFor(seed, 0)
  const has = (ingredient: Ingredient, chance: number): boolean => random() < chance && !without.has(ingredient)
  const weight = (ingredient: Ingredient, value: number): number => (without.has(ingredient) ? 0 : value)
  const rough = random() < 0.6 // the others live in a nearly good world
  const nodes = pick(random, [3, 3, 3, 3, 5, 5, 5, 1, 2, 4]) as number
  const smallLimits = has('small-limits', 0.5)
  const guarded = random() < 0.7
  return {
    seed,
    eventsMax,
    nodes,
    core: {
      electionTick: 3 + below(random, 6),
      heartbeatTick: 1,
      preVote: guarded || random() < 0.3,
      checkQuorum: guarded || random() < 0.3,
      asyncStorageWrites: random() < 0.7,
      stepDownOnRemoval: random() < 0.8,
      disableProposalForwarding: random() < 0.2,
      maxSizePerMsg: smallLimits ? (pick(random, [1, 40, 120]) as number) : 65_536,
      maxCommittedSizePerReady: smallLimits ? (pick(random, [1, 60, 300]) as number) : 1_048_576,
      maxUncommittedEntriesSize: smallLimits ? (pick(random, [60, 400, 4_000]) as number) : 8_388_608,
      maxInflightMsgs: smallLimits ? 1 + below(random, 4) : 256,
      maxInflightBytes: smallLimits ? (pick(random, [120, 1_000, 4_194_304]) as number) : 4_194_304,
    },
    network: {
      lossRate: has('loss', 0.7) ? random() * (rough ? 0.3 : 0.05) : 0,
      duplicateRate: has('duplication', 0.5) ? random() * (rough ? 0.3 : 0.1) : 0,
      delayMin: 1,
      delayMean: has('slow-network', 0.4) ? 5 + random() * (rough ? 30 : 10) : 1 + random() * 3,
      strayRate: has('slow-network', 0.5) ? random() * (rough ? 0.2 : 0.05) : 0,
      noticeRate: random() * 0.5,
    },
    disk: {
      syncMin: 1,
      syncMean: has('slow-disk', 0.4) ? 5 + random() * (rough ? 40 : 15) : 1 + random() * 2,
      applyMean: has('slow-disk', 0.4) ? 3 + random() * 30 : 1,
      tornRate: has('torn-write', 0.7) ? random() : 0,
    },
    lateFlushRate: has('late-flush', 0.5) ? random() * 0.8 : 0,
    driftMax: has('drift', 0.5) ? 3 : 0,
    workPause: 3 + random() * 20,
    troublePause: rough ? 15 + random() * 70 : 40 + random() * 300,
    work: {
      propose: 10,
      membership: weight('membership', pick(random, [0, 1, 1, 4]) as number),
      transfer: weight('transfer', pick(random, [0, 0.5, 2]) as number),
      read: weight('read', pick(random, [0, 3, 6]) as number),
      snapshot: weight('snapshot', pick(random, [0, 1, 3]) as number),
      campaign: weight('campaign', pick(random, [0, 0, 0.3, 1]) as number),
      'forget-leader': weight('campaign', pick(random, [0, 0, 0.3]) as number),
    },
    trouble: {
      split: weight('partition', pick(random, [0, 1, 2]) as number),
      'one-way': weight('partition', pick(random, [0, 1, 2]) as number),
      isolate: weight('partition', pick(random, [0, 1, 2]) as number),
      heal: 2,
      crash: weight('crash', pick(random, [0, 1, 3]) as number),
      'crash-leader': weight('crash', pick(random, [0, 1, 2]) as number),
      'crash-all': weight('crash', pick(random, [0, 0, 0.3]) as number),
      pause: weight('pause', pick(random, [0, 1]) as number),
    },
    trailingEntries: pick(random, [0, 2, 10, 50]) as number,
  }
}
