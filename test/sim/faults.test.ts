/** Proof that a kind of fault matters: a lie that is noticed with that kind alone, and is not noticed without it. */
import t from 'tap'
import { type MemoryStorageStart, type Message, RawNode } from '../../lib/raft/core/index.js'
import { type Ingredient, ingredients, type SimCoreConfig, type SimOptions, type SimPlan, simulate } from '../../lib/sim/index.js'

interface Lie extends Pick<SimOptions, 'hooks' | 'adjust'> {
  readonly name: string
  readonly needs: Ingredient
  /** What else is in the run, with and without that kind. */
  readonly among: readonly Ingredient[]
}

const SEEDS = 100
const EVENTS = 800

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

const lies: readonly Lie[] = [
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

function runWith(present: readonly Ingredient[], { hooks, adjust }: Lie): { readonly noticed: number; readonly words: string } {
  const without = ingredients.filter((ingredient) => !present.includes(ingredient))
  let noticed = 0
  let words = ''
  for (let seed = 1; seed <= SEEDS; seed++) {
    const verdict = simulate({
      seed,
      eventsMax: EVENTS,
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
    t.ok(found.noticed > 0, `${found.noticed} of ${SEEDS} seeds`)
    t.comment(found.words)
    const { words } = runWith(lie.among, lie)
    t.equal(words, '', 'without that kind of fault nobody notices')
    t.end()
  })
}

t.test('honest nodes pass where the lies do not', (t) => {
  for (const { needs, among, adjust } of lies) {
    const { words } = runWith([...among, needs], { name: 'none', needs, among, ...(adjust === undefined ? {} : { adjust }) })
    t.equal(words, '', needs)
  }
  t.end()
})
