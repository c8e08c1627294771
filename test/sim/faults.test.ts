/** Proof that a kind of fault matters: a lie that is noticed with that kind alone, and is not noticed without it. */
import t from 'tap'
import { type MemoryStorageStart, type Message, type Moment, RawNode } from '../../lib/raft/core/index.js'
import { type Ingredient, ingredients, type SimCoreConfig, type SimOptions, type SimPlan, simulate } from '../../lib/sim/index.js'

interface Lie extends Pick<SimOptions, 'hooks' | 'adjust'> {
  readonly name: string
  readonly needs: Ingredient
  /** Default: 100 seeds of 800 events. */
  readonly runs?: { readonly seeds: number; readonly eventsMax: number }
  /** What else is in the run, with and without that kind. */
  readonly among: readonly Ingredient[]
}

const SEEDS = 100
const TICK = 10
const EVENTS = 800
/** A leader has to fall asleep, and another to be elected, and that more than once. */
const longRuns = { seeds: 150, eventsMax: 3_000 }

/** Takes a vote of an earlier term for one of this term. */
class CountsOldVotes extends RawNode {
  override step(m: Message): void {
    const isOld = m.type === 'MsgVoteResp' && m.term < this.raft.term && this.raft.state === 'StateCandidate'
    super.step(isOld ? { ...m, term: this.raft.term } : m)
  }
}

/** Believes an acknowledgement only as far as everybody has acknowledged: safe, and stuck as soon as one is away. */
class WaitsForEverybody extends RawNode {
  readonly #acknowledged = new Map<number, number>()
  #term = 0
  override step(m: Message): void {
    if (m.type !== 'MsgAppResp' || m.reject || m.from === this.raft.id || m.term !== this.raft.term) {
      super.step(m)
      return
    }
    if (this.#term !== m.term) this.#acknowledged.clear()
    this.#term = m.term
    this.#acknowledged.set(m.from, Math.max(m.index, this.#acknowledged.get(m.from) ?? 0))
    const others = this.status().config.voters.filter((id) => id !== this.raft.id)
    const index = Math.min(...others.map((id) => this.#acknowledged.get(id) ?? 0))
    for (const from of others) if (this.#acknowledged.has(from)) super.step({ ...m, from, index })
  }
}

/** Measures its lease in ticks, which do not pass while it sleeps. */
class CountsLeaseInTicks extends RawNode {
  #ticks = 0
  override tick(): void {
    this.#ticks++
    super.tick()
  }
  override heartbeatsLeave(): void {
    super.heartbeatsLeave(this.#moment)
  }
  override leaseIndex(): number | undefined {
    return super.leaseIndex(this.#moment)
  }
  get #moment(): Moment {
    return { monotonicMs: this.#ticks * 10, wallMs: this.#ticks * 10 }
  }
}

/** Believes the monotonic clock alone. */
class TrustsOneClock extends RawNode {
  override leaseIndex({ monotonicMs }: Moment): number | undefined {
    return super.leaseIndex({ monotonicMs, wallMs: Number.NEGATIVE_INFINITY })
  }
}

const lies: readonly Lie[] = [
  {
    name: 'a leader that measures its lease in ticks',
    needs: 'pause',
    among: ['lease-read'],
    adjust: trusting,
    runs: longRuns,
    hooks: nodes((config) => new CountsLeaseInTicks(config)),
  },
  {
    name: 'a leader that believes a clock that slept',
    needs: 'suspend',
    among: ['lease-read', 'pause'],
    adjust: trusting,
    runs: longRuns,
    hooks: nodes((config) => new TrustsOneClock(config)),
  },
  {
    name: 'a group whose clocks differ by more than leases allow',
    needs: 'skew',
    among: ['lease-read', 'partition', 'transfer'],
    adjust: trusting,
    runs: longRuns,
    // Whose clock is wrong at all has one that is much too slow.
    hooks: { tickLength: (planned, node) => (node === 1 && planned !== TICK ? 4 * TICK : planned) },
  },
  {
    name: 'a node that takes a slow write for a done one',
    needs: 'stall',
    among: ['late-flush', 'snapshot'],
    hooks: { diskAnswers: 'after-a-while' },
  },
  {
    name: 'a node that goes on after a failed sync',
    needs: 'sync-failure',
    among: ['late-flush', 'snapshot'],
    hooks: { syncFailure: 'goes-unnoticed' },
  },
  {
    name: 'a log that ends for its reader where a sector is unreadable',
    needs: 'latent-error',
    among: ['crash'],
    adjust: crashing,
    hooks: { readDamaged: (start, { index }) => cutBefore(start, index) },
  },
  {
    name: 'a node that comes back empty under its old id',
    needs: 'latent-error',
    among: ['crash'],
    adjust: crashing,
    hooks: { readDamaged: (start) => cutBefore({ ...start, hardState: { term: 0, vote: 0, commit: 0 } }, 0) },
  },
  {
    name: 'a reader that checks what a record says but not where it lies',
    needs: 'misdirected-write',
    among: ['crash'],
    adjust: crashing,
    hooks: {
      readDamaged: (start, damage) => (damage.type === 'misdirected' ? misread(start, damage.index, damage.place) : undefined),
    },
  },
  {
    name: 'a candidate that counts votes of earlier terms',
    needs: 'clog',
    among: [],
    adjust: (plan) => ({ ...plan, nodes: 3, troublePause: 20, core: { ...plan.core, preVote: false, checkQuorum: false } }),
    hooks: nodes((config) => new CountsOldVotes(config)),
  },
  {
    name: 'a leader that waits for everybody',
    needs: 'broken-rest',
    among: [],
    adjust: (plan) => ({ ...plan, nodes: 3, core: { ...plan.core, disableProposalForwarding: false } }),
    hooks: nodes((config) => new WaitsForEverybody(config)),
  },
]

function nodes(createCore: (config: SimCoreConfig) => RawNode): NonNullable<SimOptions['hooks']> {
  return { createCore }
}

/** Three nodes that trust their clocks, in a quick world. */
function trusting(plan: SimPlan): SimPlan {
  if (plan.core.votePromise === 0) return { ...plan, eventsMax: 1 }
  return {
    ...plan,
    nodes: 3,
    workPause: 20,
    suspendRate: Math.ceil(plan.suspendRate),
    troublePause: 200,
    disk: { ...plan.disk, syncMean: 1 },
    trouble: {
      ...plan.trouble,
      split: 0,
      'one-way': 0,
      isolate: 3 * Math.sign(plan.trouble.isolate),
      pause: 2 * Math.sign(plan.trouble.pause),
    },
  }
}

function crashing(plan: SimPlan): SimPlan {
  return { ...plan, nodes: 3, troublePause: 30, trouble: { ...plan.trouble, crash: 3, 'crash-leader': 1, 'crash-all': 0 } }
}

function cutBefore(start: MemoryStorageStart, index: number): MemoryStorageStart {
  const { term = 0, vote = 0, commit = 0 } = start.hardState ?? {}
  const first = start.snapshot?.index ?? 0
  const entries = start.entries?.filter((entry) => entry.index < index) ?? []
  return { ...start, entries, hardState: { term, vote, commit: Math.max(first, Math.min(commit, first + entries.length)) } }
}

function misread(start: MemoryStorageStart, index: number, place: number): MemoryStorageStart {
  const found = start.entries?.find((entry) => entry.index === index)
  const kept = cutBefore(start, index)
  const entries = kept.entries?.map((entry) => (entry.index === place && found ? { ...found, index: place } : entry)) ?? []
  return { ...kept, entries }
}

function runWith(
  present: readonly Ingredient[],
  { hooks, adjust, runs = { seeds: SEEDS, eventsMax: EVENTS } }: Lie,
): { readonly noticed: number; readonly words: string } {
  const without = ingredients.filter((ingredient) => !present.includes(ingredient))
  let noticed = 0
  let words = ''
  for (let seed = 1; seed <= runs.seeds; seed++) {
    const verdict = simulate({
      seed,
      eventsMax: runs.eventsMax,
      without,
      ...(hooks === undefined ? {} : { hooks }),
      ...(adjust === undefined ? {} : { adjust }),
    })
    if (verdict.outcome === 'held') continue
    if (noticed++ === 0) words = `seed ${seed} step ${verdict.step} ${verdict.check}: ${verdict.message}`
  }
  return { noticed, words }
}

for (const lie of lies) {
  t.test(`${lie.name} is found out by '${lie.needs}' and by nothing else`, (t) => {
    const found = runWith([...lie.among, lie.needs], lie)
    t.ok(found.noticed > 0, `${found.noticed} seeds`)
    t.comment(found.words)
    const { words } = runWith(lie.among, lie)
    t.equal(words, '', 'without that kind of fault nobody notices')
    t.end()
  })
}

t.test('honest nodes pass where the lies do not', (t) => {
  for (const { hooks, ...honest } of lies) {
    const { needs, among } = honest
    t.ok(hooks, 'there is a lie to leave out')
    const { words } = runWith([...among, needs], honest)
    t.equal(words, '', needs)
  }
  t.end()
})
