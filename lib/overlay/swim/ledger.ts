import { Allowance } from '../../base/allowance.js'
import type { NodeId } from '../../base/ids.js'
import { Damper } from './damping.js'
import type { Local } from './local.js'
import {
  type Accusation,
  compareRecords,
  inShort,
  isDegraded,
  isHere,
  type MemberRecord,
  mergeAccusations,
  numberMax,
  type Profile,
  type ProfileChange,
  revised,
  type Seen,
} from './member.js'
import type { Brief, SwimEvent } from './messages.js'
import { Neighbours } from './neighbours.js'
import type { Prober } from './prober.js'
import { Suspicions } from './suspicions.js'

/** How often one member is told that it is suspected. */
const tellAgainMs = 500
/** How often we claim a start above one that somebody else claims for us. */
const outbidMs = 1000
/** Members known at once, the dead and the left among them: ids cost nothing to whoever makes them up. */
const membersMax = 32_768
/** Old verdicts that are looked into, at once and per second: when halves of a large group meet, each member hears thousands. */
const [checksMax, checksPerSecond] = [16, 16]
/**
 * For so long after one of the dead came back, old verdicts may be those of the other side of a partition: some times what it takes such
 * sides to be one again. A member that comes and goes, or lies, can keep a group at that; then everybody looks for itself, and each the less.
 */
const reunionMs = 60_000

/** How a record reached us: making the round, asked for, or with much else that is old. */
export type Origin = 'news' | 'answer' | 'history'

/**
 * The one gate through which every word on a member passes: what is newer, what it changes here, who is told, and what we
 * object to because it is said of ourselves.
 */
export class Ledger {
  readonly #local: Local
  readonly #prober: Prober
  readonly suspicions: Suspicions
  readonly damper = new Damper()
  readonly neighbours: Neighbours
  /** Removed from the cluster for good. */
  readonly removed = new Set<NodeId>()
  readonly #goneSince = new Map<NodeId, number>()
  readonly #told = new Map<NodeId, number>()
  readonly #checks = new Allowance(checksMax, checksPerSecond)
  #isLeaving = false
  #outbidMs = Number.NEGATIVE_INFINITY
  #returnedMs = Number.NEGATIVE_INFINITY

  constructor(local: Local, prober: Prober) {
    this.#local = local
    this.#prober = prober
    this.neighbours = new Neighbours(local)
    this.suspicions = new Suspicions(local, {
      say: (record) => this.#accept(record, 'news'),
      check: (subject, dial) => prober.check(subject, dial),
    })
  }

  get isLeaving(): boolean {
    return this.#isLeaving
  }

  /** A packet of this member came in: whoever was held dead and speaks has been on another side, whatever else the packet says. */
  heard(from: NodeId, epoch: number): void {
    const held = this.#local.table.get(from)
    if (held?.state === 'dead' && held.epoch === epoch) this.#returnedMs = this.#local.nowMs
  }

  /** Takes a record from outside; true when it changed something. */
  learn(record: MemberRecord, origin: Origin, from: NodeId): boolean {
    if (record.id === this.#local.id) return this.#aboutUs(record, from)
    if (this.removed.has(record.id)) return false
    const held = this.#local.table.get(record.id)
    if (held === undefined) {
      if (this.#local.table.size >= membersMax) return false
      return this.#accept(record, origin === 'history' ? 'history' : 'news')
    }
    const order = compareRecords(record, held)
    if (order < 0) return this.#takeProfile(held, record, origin)
    if (order === 0) return this.#takeTestimony(held, record, origin) || this.#takeProfile(held, record, origin)
    if (record.state === 'dead' && isHere(held)) return this.#weighVerdict(held, record, origin, from)
    return this.#accept(record, origin === 'history' ? 'history' : 'news')
  }

  /** Someone's verdict on a member we hold to be here: believed with enough witnesses, else it is one opinion. */
  #weighVerdict(held: MemberRecord, verdict: MemberRecord, origin: Origin, from: NodeId): boolean {
    if (verdict.epoch > held.epoch) return this.#accept(revised(verdict, { profile: verdict.profile ?? held.profile }), 'news')
    const accusations = mergeAccusations(held.state === 'suspect' ? held.accusations : [], verdict.accusations)
    const proof = this.suspicions.proofOf(accusations)
    if (origin !== 'news' && held.state === 'alive' && !(proof !== undefined && this.#isUndivided)) {
      this.#lookInto(verdict)
      return false
    }
    if (proof !== undefined)
      return this.#accept(revised(verdict, { accusations: proof }), origin === 'history' ? 'history' : 'news')
    const opinion = accusations.length > 0 ? accusations : [{ by: from, saw: 'silent' } as const]
    return this.#learnSuspicion(held, revised(verdict, { state: 'suspect', accusations: opinion }))
  }

  /**
   * A partition shows when the dead come back. While none does, an old verdict with witnesses is believed: after the loss of a fifth of
   * 10,000, everybody would look for hundreds whose rumours missed it.
   */
  get #isUndivided(): boolean {
    return this.#local.nowMs - this.#returnedMs >= reunionMs
  }

  /**
   * Halves of a group that meet hold each other dead, every member of every one: what they should tell each other is not these verdicts
   * but what the accused say, so those are asked. False while there is no such meeting: then verdicts are told like all else.
   */
  settleOpposite(verdict: Brief): boolean {
    if (this.#isUndivided) return false
    this.#lookInto(verdict)
    return true
  }

  /** Looks for ourselves, and lets the accused object. */
  #lookInto(verdict: Brief): void {
    const { id, epoch, incarnation, state, profileVersion } = verdict
    if (this.#prober.isProbing(id) || !this.#checks.take(this.#local.nowMs)) return
    // Without testimony: an objection to all of us needs no answer to each accuser.
    this.tell(id, { id, epoch, incarnation, state, profileVersion, profile: undefined, accusations: [] })
    this.#prober.check(id)
  }

  #learnSuspicion(held: MemberRecord, suspicion: MemberRecord): boolean {
    return compareRecords(suspicion, held) > 0 ? this.#accept(suspicion, 'news') : this.#takeTestimony(held, suspicion, 'news')
  }

  #takeTestimony(held: MemberRecord, record: MemberRecord, origin: Origin): boolean {
    if (held.state !== 'suspect') return false
    const accusations = mergeAccusations(held.accusations, record.accusations)
    if (accusations === held.accusations) return false
    // Past the confirmations that count, more of the same is not worth everyone's while.
    const isEnough = held.accusations.length > this.#local.options.confirmations && !isHeavier(accusations, held.accusations)
    const next = revised(held, { accusations, profile: record.profile })
    return this.#accept(next, isEnough || origin === 'history' ? 'history' : 'news')
  }

  /** The word on a member may come ahead of what it said of itself. */
  #takeProfile(held: MemberRecord, record: MemberRecord, origin: Origin): boolean {
    const { epoch, profile } = record
    if (profile === undefined || epoch !== held.epoch || profile.version <= (held.profile?.version ?? 0)) return false
    const isWhole = compareRecords(record, held) === 0 && held.accusations.length === 0 && record.accusations.length === 0
    const profileVersion = Math.max(held.profileVersion, profile.version)
    const isAsItCame = isWhole && profileVersion === record.profileVersion
    const next = this.#local.share(isAsItCame ? record : revised(held, { profile, profileVersion }))
    this.#local.table.set(next)
    if (origin === 'news') this.#local.spread(next)
    this.suspicions.dialability.look(next.id)
    this.neighbours.moved(held, next)
    this.event('updated', next)
    return true
  }

  /** Puts a newer record into the table, tells whom it concerns, and passes it on if it is news. */
  #accept(word: MemberRecord, origin: Exclude<Origin, 'answer'>): boolean {
    const record = this.#local.share(word)
    const held = this.#local.table.get(record.id)
    const known = held?.epoch === record.epoch ? held.profile : undefined
    const isKnownNewer = known !== undefined && known.version > (record.profile?.version ?? 0)
    // A restart that we hear of in short keeps the address we know until the new one arrives; the version asks for it.
    const profile = isKnownNewer ? known : (record.profile ?? known ?? oldProfile(held))
    const next = profile === record.profile ? record : this.#local.share(revised(record, { profile }))
    // A suspicion of another incarnation is another suspicion: between them the member objected, whether we heard it or not.
    if (held !== undefined && (next.state !== 'suspect' || next.epoch !== held.epoch || next.incarnation !== held.incarnation))
      this.suspicions.close(held, next)
    this.#local.table.set(next)
    if (origin === 'news') this.#local.spread(slim(record, held))
    if (held?.state === 'dead' && held.epoch === next.epoch && isHere(next)) this.#returnedMs = this.#local.nowMs
    if (!isHere(next)) this.#goneSince.set(next.id, Math.trunc(this.#local.nowMs))
    else if (held !== undefined && !isHere(held)) this.#goneSince.delete(next.id)
    if (next.state === 'suspect') this.suspicions.update(next)
    if (next.profile !== undefined && next.profile !== known) this.suspicions.dialability.look(next.id)
    if (held !== undefined && isHere(next)) this.neighbours.moved(held, next)
    this.#announce(held, next)
    return true
  }

  #announce(held: MemberRecord | undefined, next: MemberRecord): void {
    const wasHere = held !== undefined && isHere(held)
    if (held === undefined && isHere(next)) this.neighbours.arrived()
    else if (wasHere !== isHere(next)) this.neighbours.announce()
    const isRestart = held !== undefined && held.epoch !== next.epoch
    switch (next.state) {
      case 'alive':
        if (!wasHere || isRestart) this.event('joined', next)
        else if (held.state === 'suspect') this.event('alive', next)
        if (wasHere && next.profile !== held.profile) this.event('updated', next)
        return
      case 'suspect':
        if (isDegraded(next) && !(held !== undefined && isDegraded(held))) this.event('degraded', next)
        else if (held?.state !== 'suspect') this.event('suspect', next)
        return
      case 'dead':
        if (wasHere) this.event('failed', next)
        return
      case 'left':
        if (wasHere) this.event('left', next)
    }
  }

  event(type: SwimEvent['type'], member: MemberRecord): void {
    if (type === 'failed' || type === 'degraded') this.damper.penalise(member.id, this.#local.nowMs)
    this.#local.emit({ type: 'event', event: { type, member } })
  }

  /** Whatever others say of us, we know better: a higher incarnation says so to all, at once to those who said it. */
  #aboutUs(record: MemberRecord, from: NodeId): boolean {
    const { self } = this.#local
    if (record.epoch > self.epoch) return this.#outbid(record.epoch, self.profile)
    const isOld = compareRecords(record, self) <= 0 && record.profileVersion <= self.profileVersion
    if (this.#isLeaving || record.epoch < self.epoch || isOld) return false
    // Who is called dead itself sees best that there were two sides.
    if (record.state === 'dead') this.#returnedMs = this.#local.nowMs
    if (record.state !== 'alive') this.#local.awareness.add(1)
    const incarnation = Math.max(record.incarnation, record.profileVersion, self.incarnation) + 1
    // A lie may use the numbers up; a start more gives all of them back.
    if (incarnation > numberMax) return this.#outbid(self.epoch, self.profile)
    if (record.profileVersion <= self.profileVersion) this.say(revised(self, { incarnation }))
    else this.say(revised(self, { incarnation, profileVersion: incarnation, profile: profileOf(self, incarnation) }))
    const short = [inShort(this.#local.self)]
    const accusers = new Set([from, ...record.accusations.map(({ by }) => by)])
    for (const accuser of accusers) this.#local.send(accuser, { type: 'gossip' }, { records: short })
    return true
  }

  /**
   * Somebody knows of a later start of ours: a lie, a state of ours that was put back to an older copy, or a second process under
   * our id. The last is for the links to sort out; who falls silent on a mere word could be silenced by anybody.
   */
  #outbid(epoch: number, profile: Profile | undefined): boolean {
    const { nowMs, self } = this.#local
    if (this.#isLeaving || epoch >= numberMax || nowMs - this.#outbidMs < outbidMs) return false
    this.#outbidMs = nowMs
    this.#local.emit({ type: 'outbid', epoch })
    const later = { ...(profile as Profile), version: 1 }
    this.say(revised(self, { epoch: epoch + 1, incarnation: 1, profileVersion: 1, profile: later }))
    return true
  }

  /** Says that we are here in the next incarnation, and what changed of us. Where a lie has used the numbers up, in a later start. */
  sayAnew(change?: ProfileChange): void {
    const { self } = this.#local
    const profile = change === undefined ? self.profile : { ...(self.profile as Profile), ...change }
    const incarnation = self.incarnation + 1
    if (incarnation > numberMax) {
      const isPossible = !this.#isLeaving && self.epoch < numberMax
      if (!this.#outbid(self.epoch, profile) && isPossible) this.#local.after(outbidMs, () => this.sayAnew(change))
      return
    }
    const told = { ...(profile as Profile), version: incarnation }
    this.say(revised(self, change === undefined ? { incarnation } : { incarnation, profileVersion: incarnation, profile: told }))
  }

  /** A new word of ourselves. */
  say(self: MemberRecord): void {
    const before = this.#local.self
    this.#local.table.set(self)
    this.#local.spread(self.profile === before.profile ? inShort(self) : self)
  }

  /** Lets a member know what is said of it, not too often. */
  tell(id: NodeId, said: MemberRecord): void {
    const { nowMs } = this.#local
    if (nowMs - (this.#told.get(id) ?? Number.NEGATIVE_INFINITY) < tellAgainMs) return
    this.#told.set(id, nowMs)
    this.#local.send(id, { type: 'gossip' }, { records: [inShort(said)] })
  }

  /** Our last word: from now on nothing that is said of us is answered. */
  leave(): void {
    if (this.#isLeaving) return
    this.#isLeaving = true
    const { self } = this.#local
    const farewell = revised(self, { incarnation: Math.min(self.incarnation + 1, numberMax), state: 'left' })
    this.#local.table.set(farewell)
    this.#local.spread(inShort(farewell))
  }

  /** Forgets a member that was removed from the cluster, and takes nothing about it again. */
  remove(id: NodeId): void {
    this.removed.add(id)
    const held = this.#local.table.get(id)
    if (held === undefined || id === this.#local.id) return
    const gone = revised(held, { state: 'left', accusations: [] })
    this.suspicions.close(held, gone)
    this.#local.rumours.drop(id)
    this.#local.table.delete(id)
    if (isHere(held)) this.event('left', gone)
    this.neighbours.announce()
  }

  /** Forgets those of whom nothing newer was heard. */
  forget(records: readonly MemberRecord[]): void {
    const { table } = this.#local
    for (const record of records) if (table.get(record.id) === record) table.delete(record.id)
  }

  prune(nowMs: number): void {
    const { options, table } = this.#local
    this.suspicions.prune(nowMs)
    for (const id of this.damper.prune(nowMs)) {
      const record = table.get(id)
      if (record?.state === 'alive') this.event('alive', record)
    }
    for (const [id, atMs] of this.#told) if (nowMs - atMs > tellAgainMs) this.#told.delete(id)
    for (const [id, atMs] of this.#goneSince) {
      if (nowMs - atMs < options.tombstoneMs) continue
      this.#goneSince.delete(id)
      table.delete(id)
    }
  }
}

/** More refusals, or the first sign that its machine answers. */
function isHeavier(next: readonly Accusation[], held: readonly Accusation[]): boolean {
  const count = (all: readonly Accusation[], seen: Seen): number => all.filter(({ saw }) => saw === seen).length
  return count(next, 'refused') > count(held, 'refused') || (count(next, 'accepting') > 0 && count(held, 'accepting') === 0)
}

/** What is passed on: the profile only of who is new to us, as it will be to others. */
function slim(record: MemberRecord, held: MemberRecord | undefined): MemberRecord {
  if (record.profile === undefined) return record
  const isNew = held === undefined || held.epoch !== record.epoch || (held.profile?.version ?? 0) < record.profile.version
  return isNew ? record : inShort(record)
}

function profileOf({ profile }: MemberRecord, version: number): Profile {
  return { ...(profile as Profile), version }
}

/** Of a former life: good enough to reach it until it tells where it is now. */
function oldProfile(held: MemberRecord | undefined): Profile | undefined {
  return held?.profile === undefined ? undefined : { ...held.profile, version: 0 }
}
