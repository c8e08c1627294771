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
  'churn',
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
] as const
export type Ingredient = (typeof ingredients)[number]

/** Time units of a tick by a clock that is right. */
export const TICK = 10

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
    readonly votePromise: number
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
  /** Time units by which single ticks come too early or late. */
  readonly driftMax: number
  /** Part by which a node's clock runs too fast or too slow for as long as the run lasts. */
  readonly skewMax: number
  /** Chance that a node that wakes from a pause counts all ticks it slept through before it reads a message. */
  readonly hastyTimersRate: number
  /** Chance that what pauses is the machine: its monotonic clock stands still, the other one is right when it wakes. */
  readonly suspendRate: number
  /** Chance that a node is told when the process of another dies; the same that two that live are told so of each other when their link breaks. */
  readonly refusalRate: number
  /** Whether there is a phase in which only as many nodes are healed as the group needs. */
  readonly isRestBroken: boolean
  /** Mean time units between two things that clients and operators do. */
  readonly workPause: number
  /** Mean time units between two troubles; Infinity for a quiet run. */
  readonly troublePause: number
  /** Weights of what clients and operators ask. */
  readonly work: Readonly<Record<Work, number>>
  readonly trouble: Readonly<Record<Trouble, number>>
  readonly trailingEntries: number
}

export type Work = 'propose' | 'membership' | 'transfer' | 'read' | 'snapshot' | 'campaign' | 'forget-leader' | 'lease-read'
export type Trouble =
  | 'split'
  | 'one-way'
  | 'isolate'
  | 'heal'
  | 'crash'
  | 'crash-leader'
  | 'crash-all'
  | 'pause'
  | 'clog'
  | 'reset'

export interface NetworkPlan {
  readonly lossRate: number
  readonly duplicateRate: number
  readonly delayMin: number
  readonly delayMean: number
  /** Chance that a message takes ten times as long. */
  readonly strayRate: number
  /** Chance that a sender learns of a lost message (`reportUnreachable`). */
  readonly noticeRate: number
  /** Messages that may be under way from one node to another; what is sent beyond is lost. */
  readonly pathCapacity: number
}

export interface DiskPlan {
  readonly syncMin: number
  readonly syncMean: number
  readonly applyMean: number
  /** Chance that a crash keeps a part of the batch under way instead of nothing. */
  readonly tornRate: number
  /** Chance that a sync takes as long as some elections. */
  readonly stallRate: number
  /** Chance that a sync fails, which stops the node; what it was to make durable may be there, or a part of it. */
  readonly syncFailRate: number
  /** Chance that a node finds a sector of its log unreadable when it restarts. */
  readonly latentRate: number
  /** Chance that a node finds a record of its log in the place of another when it restarts. */
  readonly misdirectRate: number
}

/** A stream of chance of its own for each concern: leaving one ingredient out disturbs the others little. */
export function chanceFor(seed: number, concern: number): Random {
  return seededRandom(Math.imul(seed, 0x9e3779b1) ^ Math.imul(concern + 1, 0x85ebca6b))
}

const faultlessDisk = { stallRate: 0, syncFailRate: 0, latentRate: 0, misdirectRate: 0 } as const

/** The same group in a good world: nothing is lost, doubled, torn or late. */
export function calmed(plan: SimPlan): SimPlan {
  return {
    ...plan,
    network: {
      ...plan.network,
      lossRate: 0,
      duplicateRate: 0,
      delayMean: 1,
      strayRate: 0,
      pathCapacity: Number.POSITIVE_INFINITY,
    },
    disk: { ...plan.disk, syncMean: 1, applyMean: 1, tornRate: 0, ...faultlessDisk },
    lateFlushRate: 0,
    driftMax: 0,
    skewMax: 0,
  }
}

/** The plan of a seed. Every number is drawn whether it is used or not, so that leaving something out moves nothing else. */
export function planFor(seed: number, eventsMax: number, without: ReadonlySet<Ingredient>): SimPlan {
  const random = chanceFor(seed, 0)
  const one = <T>(items: readonly [T, ...T[]]): T => pick(random, items) as T
  const some = (ingredient: Ingredient, chance: number, value: number, otherwise = 0): number =>
    random() < chance && !without.has(ingredient) ? value : otherwise
  const weight = (ingredient: Ingredient, value: number): number => (without.has(ingredient) ? 0 : value)
  const rough = random() < 0.6 // the others live in a nearly good world
  const guarded = random() < 0.7 // as groups are by default
  const hasSmallLimits = some('small-limits', 0.5, 1) === 1
  const limited = (small: number, usual: number): number => (hasSmallLimits ? small : usual)
  const isChurning = some('churn', 0.15, 1) === 1
  const plan: SimPlan = {
    seed,
    eventsMax,
    nodes: one([3, 3, 3, 3, 5, 5, 5, 1, 2, 4]),
    core: {
      electionTick: 3 + below(random, 6),
      heartbeatTick: 1,
      preVote: random() < 0.3 || guarded,
      checkQuorum: random() < 0.3 || guarded,
      votePromise: 0,
      asyncStorageWrites: random() < 0.7,
      stepDownOnRemoval: random() < 0.8,
      disableProposalForwarding: random() < 0.2,
      maxSizePerMsg: limited(one([1, 40, 120]), 65_536),
      maxCommittedSizePerReady: limited(one([1, 60, 300]), 1_048_576),
      maxUncommittedEntriesSize: limited(one([60, 400, 4_000]), 8_388_608),
      maxInflightMsgs: limited(1 + below(random, 4), 256),
      maxInflightBytes: limited(one([120, 1_000, 4_194_304]), 4_194_304),
    },
    network: {
      lossRate: some('loss', 0.7, random() * (rough ? 0.3 : 0.05)),
      duplicateRate: some('duplication', 0.5, random() * (rough ? 0.3 : 0.1)),
      delayMin: 1,
      delayMean: some('slow-network', 0.4, 5 + random() * (rough ? 30 : 10), 1 + random() * 3),
      strayRate: some('slow-network', 0.5, random() * (rough ? 0.2 : 0.05)),
      noticeRate: random() * 0.5,
      pathCapacity: Number.POSITIVE_INFINITY,
    },
    disk: {
      syncMin: 1,
      syncMean: some('slow-disk', 0.4, 5 + random() * (rough ? 40 : 15), 1 + random() * 2),
      applyMean: some('slow-disk', 0.4, 3 + random() * 30, 1),
      tornRate: some('torn-write', 0.7, random()),
      ...faultlessDisk,
    },
    lateFlushRate: some('late-flush', 0.5, random() * 0.8),
    driftMax: some('drift', 0.5, 3),
    skewMax: 0,
    hastyTimersRate: 0,
    suspendRate: 0,
    refusalRate: 0,
    isRestBroken: false,
    workPause: 3 + random() * 20,
    troublePause: rough ? 15 + random() * 70 : 40 + random() * 300,
    work: {
      propose: 10,
      membership: weight('membership', one([0, 1, 1, 4])),
      transfer: weight('transfer', one([0, 0.5, 2])),
      read: weight('read', one([0, 3, 6])),
      snapshot: weight('snapshot', one([0, 1, 3])),
      campaign: weight('campaign', one([0, 0, 0.3, 1])),
      'forget-leader': weight('campaign', one([0, 0, 0.3])),
      'lease-read': 0,
    },
    trouble: {
      split: weight('partition', one([0, 1, 2])),
      'one-way': weight('partition', one([0, 1, 2])),
      isolate: weight('partition', one([0, 1, 2])),
      heal: 2,
      crash: weight('crash', one([0, 1, 3])),
      'crash-leader': weight('crash', one([0, 1, 2])),
      'crash-all': weight('crash', one([0, 0, 0.3])),
      pause: weight('pause', one([0, 1])),
      clog: 0,
      reset: 0,
    },
    trailingEntries: one([0, 2, 10, 50]),
  }
  return told(trusting(worsened(isChurning ? churned(plan, random) : plan, without), without), without)
}

/** The same group with what disks, paths and clocks do seldom. It has chance of its own, so that without it a plan is as it was. */
function worsened(plan: SimPlan, without: ReadonlySet<Ingredient>): SimPlan {
  const random = chanceFor(plan.seed, 4)
  const some = (ingredient: Ingredient, chance: number, value: number, otherwise = 0): number =>
    random() < chance && !without.has(ingredient) ? value : otherwise
  const { core, network, disk, trouble } = plan
  const clog = some('clog', 0.3, 1 + random())
  const pathCapacity = clog > 0 ? 2 + below(random, 19) : Number.POSITIVE_INFINITY
  // Without these, nodes outside may end the term of any leader for ever, or lead without being members.
  const isGuarded = core.preVote && core.checkQuorum && core.stepDownOnRemoval
  return {
    ...plan,
    network: { ...network, pathCapacity },
    disk: {
      ...disk,
      stallRate: some('stall', 0.3, random() * 0.05),
      syncFailRate: some('sync-failure', 0.3, random() * 0.02),
      latentRate: some('latent-error', 0.25, 0.1 + random() * 0.6),
      misdirectRate: some('misdirected-write', 0.25, 0.1 + random() * 0.6),
    },
    skewMax: some('skew', 0.3, random() * 0.5),
    hastyTimersRate: some('hasty-timers', 0.5, random()),
    isRestBroken: some('broken-rest', 0.5, 1) === 1 && isGuarded,
    trouble: { ...trouble, clog },
  }
}

/** The same group with links that say why they broke, and are sometimes wrong. It has chance of its own, too. */
function told(plan: SimPlan, without: ReadonlySet<Ingredient>): SimPlan {
  const random = chanceFor(plan.seed, 7)
  const isWanted = random() < 0.4
  const [refusalRate, reset] = [0.3 + random() * 0.7, 1 + random() * 2]
  if (!isWanted || without.has('refusal')) return plan
  return { ...plan, refusalRate, trouble: { ...plan.trouble, reset } }
}

/** Clocks may differ by this part in how fast they go where leaders trust them: together a tenth (lease.ts). */
const TRUSTED_SKEW = 0.05

/** The same group with leaders that read by themselves, on clocks that are good enough for it. It has chance of its own, too. */
function trusting(plan: SimPlan, without: ReadonlySet<Ingredient>): SimPlan {
  const random = chanceFor(plan.seed, 6)
  const isWanted = random() < 0.35
  const suspendRate = random() < 0.5 && !without.has('suspend') ? random() : 0
  const electionTick = plan.core.electionTick + 2 + below(random, 5)
  if (!isWanted || without.has('lease-read') || !plan.core.checkQuorum) return plan
  return {
    ...plan,
    core: { ...plan.core, electionTick, votePromise: (electionTick - 2) * TICK },
    skewMax: Math.min(plan.skewMax, TRUSTED_SKEW),
    suspendRate,
    work: { ...plan.work, 'lease-read': 6 },
  }
}

/** The same group with a fast network, a disk that is slower than elections, and elections all the time: writes end terms late. */
function churned(plan: SimPlan, random: Random): SimPlan {
  return {
    ...plan,
    core: { ...plan.core, asyncStorageWrites: true },
    network: { ...plan.network, delayMean: 2, strayRate: 0 },
    disk: { ...plan.disk, syncMean: 15 + random() * 40, applyMean: 1 + random() * 50 },
    workPause: 4,
    troublePause: 30,
    work: { ...plan.work, campaign: 3 },
  }
}
