/**
 * How N processes that know nothing but a founding token agree on one cluster: Paxos for a single value, in which every quorum is N
 * different processes. The value is the whole beginning of the cluster, so that whoever learns it can go on without its author.
 *
 * Two sets of N share a member as long as fewer than N processes more than expected ever take part (strangers with the same token, or
 * processes that came back without their memory): then no two values are ever chosen. Fewer than N choose nothing.
 * Source: Lamport 2001 (Paxos Made Simple) §2; quorums need only intersect. Pure: time and chance are parameters.
 * @module
 */
import type { Random } from '../base/random.js'

/** One of those who meet. */
export interface Attendee {
  readonly id: string
  readonly name: string
  /** host:port where it is asked. */
  readonly address: string
}

/** Ordered by round, then by id. */
export interface Ballot {
  readonly round: number
  readonly id: string
}

/** What must outlive a crash: it is written before anything that follows from it is said. */
export interface FoundingMemory<V> {
  readonly promised: Ballot
  readonly accepted: { readonly ballot: Ballot; readonly value: V } | undefined
  /** True once `accepted` is known to be chosen. */
  readonly decided: boolean
}

export type Question<V> =
  | { readonly type: 'hello' }
  | { readonly type: 'prepare'; readonly ballot: Ballot }
  | { readonly type: 'accept'; readonly ballot: Ballot; readonly value: V }

export type Answer<V> =
  | { readonly type: 'present' }
  | { readonly type: 'promised'; readonly ballot: Ballot; readonly accepted: FoundingMemory<V>['accepted'] }
  | { readonly type: 'accepted'; readonly ballot: Ballot }
  | { readonly type: 'refused'; readonly promised: Ballot }
  | { readonly type: 'decided'; readonly value: V }
  /** The cluster is there: join it. */
  | { readonly type: 'founded' }

/** How the meeting ended for this process. */
export type Outcome<V> = { readonly type: 'decided'; readonly value: V } | { readonly type: 'founded' }

export interface Effects<V> {
  /** Durable before anything else of these effects happens. */
  readonly memory?: FoundingMemory<V>
  readonly ask?: { readonly to: readonly Attendee[]; readonly question: Question<V> }
  /** To be answered with `made`: nobody has a value yet. */
  readonly make?: { readonly ballot: Ballot; readonly members: readonly Attendee[] }
  readonly outcome?: Outcome<V>
}

interface Campaign<V> {
  readonly ballot: Ballot
  readonly invited: readonly Attendee[]
  readonly untilMs: number
  readonly promises: Map<string, { readonly who: Attendee; readonly accepted: FoundingMemory<V>['accepted'] }>
  readonly accepts: Set<string>
  phase: 'preparing' | 'making' | 'accepting'
  value: V | undefined
}

/** Whoever answered within this is present. */
const presentMs = 5_000
/** A campaign that has not come to its end by then begins anew; the pause after it is drawn from up to as much. */
const campaignMs = 4_000
const fresh = { promised: { round: 0, id: '' }, accepted: undefined, decided: false } as const

export class FoundingCore<V> {
  readonly self: Attendee
  readonly #expect: number
  readonly #random: Random
  readonly #seenMs = new Map<string, { readonly who: Attendee; readonly atMs: number }>()
  #memory: FoundingMemory<V>
  #campaign: Campaign<V> | undefined
  #round = 0
  #notBeforeMs = 0

  /** @param memory what an earlier start wrote. */
  constructor(self: Attendee, expect: number, random: Random, memory: FoundingMemory<V> | undefined) {
    this.self = self
    this.#expect = expect
    this.#random = random
    this.#memory = memory ?? fresh
  }

  get outcome(): Outcome<V> | undefined {
    const { decided, accepted } = this.#memory
    return decided && accepted !== undefined ? { type: 'decided', value: accepted.value } : undefined
  }

  /** Who is here, this process among them, in the order of their ids. */
  present(nowMs: number): readonly Attendee[] {
    const seen = [...this.#seenMs.values()].filter(({ atMs }) => nowMs - atMs <= presentMs).map(({ who }) => who)
    return [this.self, ...seen].sort((a, b) => (a.id < b.id ? -1 : 1))
  }

  /** To be called every now and then; who is greeted meanwhile is the runner's affair. */
  tick(nowMs: number): Effects<V> {
    if (this.outcome !== undefined) return { outcome: this.outcome }
    const campaign = this.#campaign
    if (campaign !== undefined) {
      if (nowMs < campaign.untilMs) return this.#askAgain(campaign)
      this.#giveUp(nowMs)
    }
    const invited = this.present(nowMs)
    // The smallest of those it sees campaigns; two that see differently are told apart by their ballots.
    const isFirst = invited[0]?.id === this.self.id
    if (invited.length < this.#expect || !isFirst || nowMs < this.#notBeforeMs) return {}
    const round = Math.max(this.#round, this.#memory.promised.round) + 1
    this.#round = round
    const begun: Campaign<V> = {
      ballot: { round, id: this.self.id },
      invited,
      untilMs: nowMs + campaignMs,
      promises: new Map(),
      accepts: new Set(),
      phase: 'preparing',
      value: undefined,
    }
    this.#campaign = begun
    // Before anybody hears of the ballot: after a crash no second value may be proposed under it.
    return { memory: this.#remember({ ...this.#memory, promised: begun.ballot }), ...this.#askAgain(begun) }
  }

  /** Somebody asks; the answer may only leave once `memory` is durable. */
  asked(question: Question<V>): { readonly answer: Answer<V>; readonly memory?: FoundingMemory<V> } {
    const outcome = this.outcome
    if (outcome !== undefined) return { answer: outcome }
    if (question.type === 'hello') return { answer: { type: 'present' } }
    const { ballot } = question
    const { promised, accepted } = this.#memory
    if (isBelow(ballot, promised)) return { answer: { type: 'refused', promised } }
    if (question.type === 'prepare') {
      const answer = { type: 'promised', ballot, accepted } as const
      return { answer, memory: this.#remember({ ...this.#memory, promised: ballot }) }
    }
    const memory = this.#remember({ promised: ballot, accepted: { ballot, value: question.value }, decided: false })
    return { answer: { type: 'accepted', ballot }, memory }
  }

  /** Somebody answered; `from` is who it says it is. */
  heard(from: Attendee, answer: Answer<V>, nowMs: number): Effects<V> {
    if (from.id !== this.self.id) this.#seenMs.set(from.id, { who: from, atMs: nowMs })
    if (this.outcome !== undefined) return { outcome: this.outcome }
    switch (answer.type) {
      case 'present':
        return {}
      case 'founded':
        return { outcome: answer }
      case 'decided':
        return this.#decide(this.#memory.promised, answer.value)
      case 'refused':
        this.#round = Math.max(this.#round, answer.promised.round)
        if (this.#campaign !== undefined && isBelow(this.#campaign.ballot, answer.promised)) this.#giveUp(nowMs)
        return {}
      case 'promised':
        return this.#promised(from, answer)
      case 'accepted':
        return this.#accepted(from, answer.ballot)
    }
  }

  /** The value asked for by `make`. */
  made(ballot: Ballot, value: V): Effects<V> {
    const campaign = this.#campaign
    if (campaign === undefined || !isSame(campaign.ballot, ballot) || campaign.phase !== 'making') return {}
    return this.#propose(campaign, value)
  }

  #promised(who: Attendee, { ballot, accepted }: Extract<Answer<V>, { type: 'promised' }>): Effects<V> {
    const campaign = this.#campaign
    if (campaign === undefined || !isSame(campaign.ballot, ballot) || campaign.phase !== 'preparing') return {}
    campaign.promises.set(who.id, { who, accepted })
    if (campaign.promises.size < this.#expect) return {}
    const [latest] = [...campaign.promises.values()]
      .flatMap((each) => each.accepted ?? [])
      .sort((a, b) => (isBelow(a.ballot, b.ballot) ? 1 : -1))
    // What the highest ballot proposed may be chosen already: nothing else may be proposed any more.
    if (latest !== undefined) return this.#propose(campaign, latest.value)
    campaign.phase = 'making'
    const members = [...campaign.promises.values()].map(({ who }) => who)
    return { make: { ballot, members } }
  }

  #propose(campaign: Campaign<V>, value: V): Effects<V> {
    campaign.phase = 'accepting'
    campaign.value = value
    return this.#askAgain(campaign)
  }

  #accepted({ id }: Attendee, ballot: Ballot): Effects<V> {
    const campaign = this.#campaign
    if (campaign?.value === undefined || !isSame(campaign.ballot, ballot)) return {}
    campaign.accepts.add(id)
    return campaign.accepts.size < this.#expect ? {} : this.#decide(ballot, campaign.value)
  }

  #decide(ballot: Ballot, value: V): Effects<V> {
    const memory = this.#remember({ promised: ballot, accepted: { ballot, value }, decided: true })
    return { memory, outcome: { type: 'decided', value } }
  }

  /** Whoever has not answered yet: questions and answers may get lost, and each may come twice. */
  #askAgain({ ballot, phase, value, invited, promises, accepts }: Campaign<V>): Effects<V> {
    if (phase === 'preparing')
      return { ask: { to: invited.filter(({ id }) => !promises.has(id)), question: { type: 'prepare', ballot } } }
    if (phase === 'making' || value === undefined) return {}
    return { ask: { to: invited.filter(({ id }) => !accepts.has(id)), question: { type: 'accept', ballot, value } } }
  }

  #giveUp(nowMs: number): void {
    this.#campaign = undefined
    this.#notBeforeMs = nowMs + Math.floor(this.#random() * campaignMs)
  }

  #remember(memory: FoundingMemory<V>): FoundingMemory<V> {
    this.#memory = memory
    return memory
  }
}

function isBelow(a: Ballot, b: Ballot): boolean {
  return a.round < b.round || (a.round === b.round && a.id < b.id)
}

function isSame(a: Ballot, b: Ballot): boolean {
  return a.round === b.round && a.id === b.id
}
