import type { NodeId } from '../../base/ids.js'
import { Credibility } from './credibility.js'
import { Dialability } from './dialability.js'
import type { Local } from './local.js'
import {
  type Accusation,
  inShort,
  isAlive,
  isDegraded,
  type MemberRecord,
  mergeAccusations,
  revised,
  type Seen,
} from './member.js'
import type { Dial } from './prober.js'
import { credibleOf, deadAtMs, witnessesNeeded } from './suspicion.js'
import type { Timer } from './timers.js'

/** Accusers check again after this long, as long as the suspicion stands. */
const recheckMs = 500
/** What is stopped will say so itself when it goes on; what is overloaded needs no more to read. */
const recheckDegradedMs = 2000
/** Testimony that travels with a verdict: as much as it takes to be believed. */
const proofs = 2

/** Verdicts due within so long have a timer each; the others are looked through as often. */
const soonMs = 1000

/** Small, and in whole milliseconds, which take no room of their own: where half of a group is cut off, each of the other half holds one for each. */
interface Suspicion {
  sinceMs: number
  refusedMs: number | undefined
  heardMs: number | undefined
  /** When the verdict is to be looked at. */
  dueMs: number
  verdict: Timer | undefined
}

export interface Judged {
  /** A record of our own making, for our table and for everyone. */
  readonly say: (record: MemberRecord) => void
  /** Probe this member now. */
  readonly check: (id: NodeId, dial?: Dial) => void
}

/** Every suspicion this member knows of: who testifies, when it ends, and who is asked to look again meanwhile. */
export class Suspicions {
  readonly #local: Local
  readonly #judged: Judged
  readonly #open = new Map<NodeId, Suspicion>()
  #isWatching = false
  /** Of those we accuse ourselves. */
  readonly #rechecks = new Map<NodeId, Timer>()
  /** When a member's machine last answered for it; kept past the suspicion, for the next one. */
  readonly #degraded = new Map<NodeId, number>()
  readonly credibility = new Credibility()
  readonly dialability: Dialability

  constructor(local: Local, judged: Judged) {
    this.#local = local
    this.#judged = judged
    this.dialability = new Dialability(local)
  }

  get size(): number {
    return this.#open.size
  }

  /** Our own testimony: for everyone, and at once for those who watch the accused. */
  accuse(id: NodeId, saw: Seen): void {
    const held = this.#local.table.get(id)
    if (held === undefined || id === this.#local.id || held.state === 'left' || held.state === 'dead') return
    const what = saw === 'refused' && !this.#isTelling(held) ? 'silent' : saw
    const accusations = mergeAccusations(held.accusations, [{ by: this.#local.id, saw: what }])
    const isNews = accusations !== held.accusations
    if (isNews) this.#judged.say(revised(held, { state: 'suspect', accusations }))
    const suspicion = this.#open.get(id)
    if (suspicion === undefined) return
    this.#recheckLater(id)
    if (isNews) this.#tellObservers(id)
  }

  /** A connection to this member was refused, outside of any probe. */
  refused(id: NodeId): void {
    const held = this.#local.table.get(id)
    if (held !== undefined && this.#isTelling(held)) this.accuse(id, 'refused')
  }

  /** The table now holds this member as suspect, or holds more testimony. */
  update(member: MemberRecord): void {
    const { nowMs, id: own, options, table } = this.#local
    let suspicion = this.#open.get(member.id)
    if (suspicion === undefined) {
      suspicion = { sinceMs: Math.trunc(nowMs), refusedMs: undefined, heardMs: undefined, dueMs: 0, verdict: undefined }
      this.#open.set(member.id, suspicion)
      // Whoever holds a link to the accused lets it know at once, so that it can object in time.
      if (this.#local.links.has(member.id)) this.#local.sendSurely(member.id, { type: 'gossip' }, [inShort(member)])
    }
    if (isDegraded(member) && !this.#isDegradedLately(member.id)) this.#degraded.set(member.id, nowMs)
    if (member.accusations.some(({ saw }) => saw === 'refused')) suspicion.refusedMs ??= Math.trunc(nowMs)
    // Where many fall silent at once, those who would watch are silent too: the next that live take their place.
    const isWatcher = table.predecessors(member.id, options.observers, isAlive).some(({ id }) => id === own)
    // A second refusal decides: it need not wait until no ping was answered.
    if (isWatcher && !member.accusations.some(({ by }) => by === own))
      this.#judged.check(member.id, this.#isRefusing(member) ? 'at once' : 'unheard')
    this.#weigh(member.id, suspicion)
  }

  /** The member lives, left, or is dead: nothing is open about it any more. */
  close(held: MemberRecord, next: MemberRecord): void {
    const suspicion = this.#open.get(held.id)
    if (suspicion === undefined) return
    this.#forget(held.id, suspicion)
    if (next.state !== 'alive' || next.epoch !== held.epoch) return
    for (const { by, saw } of held.accusations) {
      if (saw === 'refused' && by === this.#local.id) this.dialability.refuted(held.id)
      // Who saw a stopped process, or one that was just starting, saw right.
      if (saw !== 'silent') continue
      if (by === this.#local.id) this.#local.awareness.add(1)
      else this.credibility.refuted(by, held.id, this.#local.nowMs)
    }
  }

  /** A packet of the member itself arrived. */
  heard(id: NodeId): void {
    const suspicion = this.#open.get(id)
    if (suspicion === undefined) return
    suspicion.heardMs = Math.trunc(this.#local.nowMs)
    this.#weigh(id, suspicion)
  }

  /** The testimony that travels with a verdict when enough believable members stand behind it; else undefined. */
  proofOf(accusations: readonly Accusation[]): readonly Accusation[] | undefined {
    const credible = this.#credible(accusations)
    return credible.length >= witnessesNeeded(this.#local.table.hereCount) ? credible.slice(0, proofs) : undefined
  }

  /** Time that passed while we stood still does not count against anyone. */
  postpone(byMs: number): void {
    const wholeMs = Math.trunc(byMs)
    for (const suspicion of this.#open.values()) {
      suspicion.sinceMs += wholeMs
      suspicion.dueMs += wholeMs
      if (suspicion.refusedMs !== undefined) suspicion.refusedMs += wholeMs
    }
    for (const [id, atMs] of this.#degraded) this.#degraded.set(id, atMs + byMs)
  }

  /** All suspicions begin anew: we were away, and did not hear the objections. */
  restart(): void {
    // A copy: each begins anew at the end of the same map.
    for (const [id, suspicion] of [...this.#open]) {
      this.#forget(id, suspicion)
      const member = this.#local.table.get(id)
      if (member?.state === 'suspect') this.update(member)
    }
  }

  prune(nowMs: number): void {
    for (const [id, atMs] of this.#degraded)
      if (nowMs - atMs > this.#local.options.pauseToleranceMs && !this.#open.has(id)) this.#degraded.delete(id)
    this.credibility.prune(nowMs)
    this.dialability.prune()
  }

  /** Sees to it that the verdict is looked at when it is due, given what is known by now. */
  #weigh(id: NodeId, suspicion: Suspicion): void {
    const { nowMs, options, timers } = this.#local
    const member = this.#local.table.get(id)
    if (member === undefined) return
    const atMs = this.#deadAtMs(member, suspicion)
    // Even a verdict that is due now waits for the timer, which knows whether we are late ourselves.
    const lookMs = Math.ceil(Number.isFinite(atMs) ? Math.max(atMs, nowMs) : nowMs + options.probeIntervalMs)
    // An earlier look finds out that it is early, and looks again.
    if (suspicion.verdict?.act !== undefined && suspicion.verdict.dueMs <= lookMs) return
    timers.cancel(suspicion.verdict)
    const isSoon = lookMs - nowMs <= soonMs
    suspicion.verdict = isSoon ? timers.at(lookMs, this.#judge, id) : undefined
    suspicion.dueMs = lookMs
    if (!isSoon) this.#watch()
  }

  /** Finds those that are due soon, while there are any. */
  #watch(): void {
    if (this.#isWatching) return
    this.#isWatching = true
    this.#local.after(soonMs / 2, () => {
      this.#isWatching = false
      if (this.#open.size > 0) this.#watch()
      const soon = this.#local.nowMs + soonMs
      for (const [id, suspicion] of this.#open)
        if (suspicion.verdict === undefined && suspicion.dueMs <= soon) this.#weigh(id, suspicion)
    })
  }

  // One for all: thousands may be suspected at once.
  readonly #judge = (_: number, id: NodeId): void => {
    const [member, suspicion] = [this.#local.table.get(id), this.#open.get(id)]
    if (member?.state !== 'suspect' || suspicion === undefined) return
    suspicion.verdict = undefined
    if (this.#deadAtMs(member, suspicion) > this.#local.nowMs) this.#weigh(id, suspicion)
    else this.#judged.say(revised(member, { state: 'dead', accusations: this.#credible(member.accusations).slice(0, proofs) }))
  }

  readonly #check = (_: number, id: NodeId): void => this.#judged.check(id)

  #forget(id: NodeId, { verdict }: Suspicion): void {
    this.#local.timers.cancel(verdict)
    this.#local.timers.cancel(this.#rechecks.get(id))
    this.#rechecks.delete(id)
    this.#open.delete(id)
  }

  #deadAtMs({ id, accusations }: MemberRecord, { sinceMs, refusedMs, heardMs }: Suspicion): number {
    const { table, options, awareness, id: own } = this.#local
    const credible = this.#credible(accusations)
    const doubt = credible.every(({ by }) => by === own) ? awareness.score : 0
    const facts = { credible, members: table.hereCount, sinceMs, refusedMs, heardMs, degradedMs: this.#degraded.get(id), doubt }
    return deadAtMs(facts, options)
  }

  #recheckLater(id: NodeId): void {
    const { nowMs, table, timers } = this.#local
    timers.cancel(this.#rechecks.get(id))
    const member = table.get(id)
    const waitMs = member !== undefined && isDegraded(member) ? recheckDegradedMs : recheckMs
    this.#rechecks.set(id, timers.at(nowMs + waitMs, this.#check, id))
  }

  #tellObservers(id: NodeId): void {
    const { table, options, id: own } = this.#local
    const member = table.get(id)
    if (member?.state !== 'suspect') return
    const records = [inShort(member)]
    const { observers } = options
    // Those before it on the ring watch it; those after it hold its own links, also where nobody can dial it.
    for (const { id: observer } of [...table.predecessors(id, observers, isAlive), ...table.successors(id, observers, isAlive)])
      if (observer !== own) this.#local.send(observer, { type: 'gossip' }, { records })
  }

  #credible(accusations: readonly Accusation[]): readonly Accusation[] {
    const { id: own, table, nowMs } = this.#local
    // neo4j#5667: who is suspect or dead itself accuses nobody.
    return credibleOf(
      accusations,
      (by) => by === own || (table.get(by)?.state === 'alive' && !this.credibility.isIgnored(by, nowMs)),
    )
  }

  /**
   * Does a refusal say that its process is gone? Where it took our connections before, or those of somebody who is refused now: a group that
   * has just formed need not have tried every address.
   */
  #isTelling(member: MemberRecord): boolean {
    return this.dialability.isDialable(member.id) || this.#isRefusing(member)
  }

  /** By the word of another who is to be believed. */
  #isRefusing({ accusations }: MemberRecord): boolean {
    const { id: own } = this.#local
    return this.#credible(accusations).some(({ by, saw }) => saw === 'refused' && by !== own)
  }

  #isDegradedLately(id: NodeId): boolean {
    const atMs = this.#degraded.get(id)
    const open = this.#open.get(id)
    // One pause is one pause: what began in this suspicion is not begun again by more testimony.
    return atMs !== undefined && open !== undefined && atMs >= open.sinceMs
  }
}
