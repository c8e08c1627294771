import type { NodeId } from '../../base/ids.js'
import { pick } from '../../base/random.js'
import { AnswerBudget } from './answer-budget.js'
import type { Local } from './local.js'
import { compareRecords, isHere, type MemberRecord, type Word } from './member.js'
import { bucketCount, bucketOf, finestCount, foldBuckets, isBucketing } from './member-table.js'
import type { Brief } from './messages.js'
import { briefBytes, headerBytes } from './record-bytes.js'

/** A difference that news under way will mend by itself is left alone for so long. */
const settleMs = 300
/** At least so long, and at most twice as long, while news trickles in that may or may not bring what is missing. */
const patienceMs = 2000
/** An answer that takes longer was lost. */
const answerMs = 150
/** Between two synchronisations we ask for; between two in a row while there is much to learn. */
const pauseMs = 1000
const hotPauseMs = 250
/** Changes in one answer from which on there is much to learn. */
const many = 8
/** Records one pull brings; the next synchronisation brings more. */
const pullMax = 4096
const idsPerPull = 128
/** Members remembered as asked for. */
const pulledMax = 4096
/** What everybody may have at any time: about as much as fits into a packet. */
const smallAnswer = 8
/** Members remembered as asked where we differ, how long, and answers of all they hold that one may owe us. */
const [askedMax, owedMs, owedMax] = [32, 10_000, 4]
/** How long after news went round those are reminded of it who show that it missed them. */
const remindMs = 60_000

/**
 * Anti-entropy. Every ping carries a digest of the table, so a difference is noticed within a round; then: my buckets → your
 * briefs where we differ → each fetches what the other has newer. Needs no rumour to have arrived.
 */
export class Sync {
  readonly #local: Local
  readonly #settleOpposite: (verdict: Brief) => boolean
  #askedMs = Number.NEGATIVE_INFINITY
  #isWaiting = false
  /** Until when a difference is left to news that comes in; undefined while there is none. */
  #patientUntilMs: number | undefined
  #isHot = false
  #changes = 0
  /** When a member was last asked for, by whoever was seen to know more of it. */
  readonly #pulledMs = new Map<NodeId, number>()
  readonly #answers = new AnswerBudget()
  /** Whom we asked where we differ lately, and how many times all it holds it may still tell. Oldest first. */
  readonly #asked = new Map<NodeId, { atMs: number; owed: number }>()

  /** @param settleOpposite what to do where one table says dead and the other alive; false: tell it like all else. */
  constructor(local: Local, settleOpposite: (verdict: Brief) => boolean) {
    this.#local = local
    this.#settleOpposite = settleOpposite
  }

  /** Questions that were left for later because too much was asked. */
  get leftOpen(): number {
    return this.#answers.leftOpen
  }

  /** Whoever pings or answers says how its table sums up. */
  compare(from: NodeId, digest: number): void {
    const { nowMs, table } = this.#local
    if (digest === table.digest) {
      this.#changes = 0
      this.#patientUntilMs = undefined
      return
    }
    this.#patientUntilMs ??= nowMs + patienceMs * (1 + this.#local.random())
    this.#remind(from)
    if (!this.#isWaiting && nowMs - this.#askedMs >= pauseMs) this.#settle(from, table.digest)
  }

  /** Whom the last news missed by chance need not ask for it. While there is other news, it comes with that or on request. */
  #remind(from: NodeId): void {
    const { rumours, table, nowMs } = this.#local
    if (rumours.size > 0 || nowMs - rumours.toldMs > remindMs || !this.#answers.hasPlenty(nowMs)) return
    const records = rumours.told.filter((record) => {
      const held = table.get(record.id)
      return held !== undefined && compareRecords(record, held) === 0
    })
    if (records.length > 0) this.#answers.spendLittle(this.#local.sendAll(from, { type: 'gossip' }, records))
  }

  /** What is under way may mend a difference by itself; a table that has not changed meanwhile does not know that there is news. */
  #settle(from: NodeId, digest: number): void {
    this.#isWaiting = true
    this.#local.after(settleMs, () => {
      this.#isWaiting = false
      const { nowMs, table } = this.#local
      // After a restart of thousands each lacks another few, and rumours of what it knows would trickle on for a minute.
      if (table.digest !== digest && nowMs < (this.#patientUntilMs ?? Number.POSITIVE_INFINITY)) return
      this.#patientUntilMs = undefined
      this.ask(from)
      // Datagrams may be lost on each of four ways: a neighbour most likely knows it too, and its link loses nothing.
      if (!this.#local.links.has(from)) this.#askNeighbour(digest)
    })
  }

  #askNeighbour(digest: number): void {
    this.#local.after(answerMs, () => {
      if (this.#local.table.digest !== digest) return
      const neighbour = pick(this.#local.random, [...this.#local.links])
      if (neighbour !== undefined) this.ask(neighbour)
    })
  }

  /** Asks one member where we differ; it learns of us on the way. */
  ask(to: NodeId): void {
    const { table, self, nowMs } = this.#local
    this.#askedMs = nowMs
    const owed = Math.min(owedMax, this.#owedBy(to) + 1)
    this.#asked.delete(to)
    this.#asked.set(to, { atMs: nowMs, owed })
    const [oldest] = this.#asked.keys()
    if (this.#asked.size > askedMax && oldest !== undefined) this.#asked.delete(oldest)
    const count = Math.min(bucketCount, 2 ** Math.ceil(Math.log2(Math.max(1, table.places / 4))))
    this.#local.send(to, { type: 'sync', buckets: foldBuckets(table.buckets, count) }, { lane: this.#lane(to), records: [self] })
  }

  onSync(from: NodeId, theirs: Uint32Array): void {
    const count = theirs.length
    if (!isBucketing(count, bucketCount) || !this.#answers.mayAnswer(from, this.#local.nowMs)) return
    const ours = foldBuckets(this.#local.table.buckets, count)
    const shelves = new Map<number, Brief[]>()
    for (let at = 0; at < count; at++)
      if (ours[at] !== theirs[at]) shelves.set(at, this.#local.table.inBucket(at, count).map(briefOf))
    this.#sendBriefs(from, count, shelves)
  }

  /** What they hold where we differ: fetch what is newer there, give what is newer here. */
  onBriefs(from: NodeId, count: number, buckets: readonly number[], briefs: readonly Brief[]): void {
    if (!isBucketing(count, finestCount) || !this.#takesFrom(from, buckets.length / count)) return
    const { table } = this.#local
    const [wanted, given]: [NodeId[], MemberRecord[]] = [[], []]
    let known = 0
    let byId: ReadonlyMap<NodeId, Brief> | undefined
    // Each record is looked up once: of thousands that is most of what a synchronisation costs. Most stand where they stand in the other table.
    for (const [at, record] of table.inBuckets(buckets, count).entries()) {
      let brief = briefs[at]
      if (brief?.id !== record.id) {
        byId ??= new Map(briefs.map((each) => [each.id, each]))
        brief = byId.get(record.id)
      }
      if (brief === undefined) {
        if (isHere(record)) given.push(record)
        continue
      }
      known++
      const ourVersion = heldVersion(record)
      if (isNewer(brief, brief.profileVersion, record, ourVersion) && !this.#leavesToAccused(brief, record)) wanted.push(brief.id)
      if (isNewer(record, ourVersion, brief, brief.profileVersion) && !this.#leavesToAccused(record, brief)) given.push(record)
    }
    // Who is gone is told to those who hold it to be here; for others it would come back each time one of them forgot it.
    if (known < briefs.length)
      for (const brief of briefs) if (isHere(brief) && table.get(brief.id) === undefined) wanted.push(brief.id)
    const asked = wanted.slice(0, pullMax)
    for (let at = 0; at < asked.length; at += idsPerPull) this.#pull(from, asked.slice(at, at + idsPerPull))
    this.#share(from, given.slice(0, pullMax))
  }

  /** Nobody makes us look through the table who was not asked to, nor more often. */
  #takesFrom(from: NodeId, share: number): boolean {
    const asked = this.#asked.get(from)
    if (asked === undefined || this.#owedBy(from) < share) return false
    asked.owed -= share
    return true
  }

  #owedBy(id: NodeId): number {
    const asked = this.#asked.get(id)
    return asked === undefined || this.#local.nowMs - asked.atMs > owedMs ? 0 : asked.owed
  }

  /** One says dead, the other alive: while halves meet, who that is about is asked instead. */
  #leavesToAccused(verdict: Brief, other: Brief): boolean {
    return verdict.state === 'dead' && other.state === 'alive' && verdict.epoch === other.epoch && this.#settleOpposite(verdict)
  }

  /** Asks for what is missed on these members, unless that was asked a moment ago: the answer is on its way past all that shows it missing. */
  pullMissed(from: NodeId, ids: readonly NodeId[]): void {
    const { nowMs } = this.#local
    const wanted = ids.filter((id) => nowMs - (this.#pulledMs.get(id) ?? Number.NEGATIVE_INFINITY) >= answerMs)
    if (wanted.length === 0) return
    for (const id of wanted) if (this.#pulledMs.size < pulledMax || this.#pulledMs.has(id)) this.#pulledMs.set(id, nowMs)
    this.#pull(from, wanted)
  }

  prune(nowMs: number): void {
    for (const [id, atMs] of this.#pulledMs) if (nowMs - atMs >= answerMs) this.#pulledMs.delete(id)
  }

  #pull(from: NodeId, ids: readonly NodeId[]): void {
    this.#local.send(from, { type: 'pull', ids }, { lane: this.#lane(from) })
  }

  onPull(from: NodeId, ids: readonly NodeId[]): void {
    const records: MemberRecord[] = []
    // Each once, whatever was asked for: an answer costs some ten times what its question does.
    for (const id of new Set(ids)) {
      const held = this.#local.table.get(id)
      if (held !== undefined) records.push(held)
      if (records.length >= pullMax) break
    }
    this.#share(from, records)
  }

  /** What came of an answer; much of it means that there is more to learn elsewhere too. */
  learned(changes: number): void {
    this.#changes += changes
    if (this.#isHot || this.#changes < many) return
    this.#isHot = true
    this.#again()
  }

  #again(): void {
    this.#local.after(hotPauseMs * (1 + this.#local.random()), () => {
      this.#isHot = false
      const [other] = this.#changes > 0 ? this.#local.someone(1, isHere) : []
      this.#changes = 0
      if (other !== undefined) this.ask(other.id)
    })
  }

  #share(to: NodeId, records: readonly MemberRecord[]): void {
    const isLittle = records.length <= smallAnswer
    if (!isLittle && !this.#answers.mayAnswer(to, this.#local.nowMs)) return
    const sizeBytes = this.#local.sendAll(to, { type: 'share' }, records)
    if (isLittle) this.#answers.spendLittle(sizeBytes)
    else this.#answers.spend(to, sizeBytes)
  }

  #sendBriefs(to: NodeId, count: number, shelves: ReadonlyMap<number, readonly Brief[]>): void {
    const roomMax = this.#local.options.packetBytesMax - headerBytes - 6
    let [buckets, briefs, room]: [number[], Brief[], number] = [[], [], roomMax]
    const flush = (): void => {
      if (buckets.length > 0) this.#local.send(to, { type: 'briefs', count, buckets, briefs }, { lane: this.#lane(to) })
      ;[buckets, briefs, room] = [[], [], roomMax]
    }
    const tooLong = new Map<number, readonly Brief[]>()
    for (const [bucket, held] of shelves) {
      // A bucket goes whole, so that what is missing in it is known to be missing.
      const sizeBytes = 2 + held.length * briefBytes
      if (sizeBytes > roomMax && count < finestCount) {
        tooLong.set(bucket, held)
        continue
      }
      this.#answers.spend(to, sizeBytes)
      if (sizeBytes > room) flush()
      buckets.push(bucket)
      briefs.push(...held)
      room -= sizeBytes
    }
    flush()
    if (tooLong.size === 0) return
    // Told as those of a table in more parts, which come together into this one; some of them may be too long once more.
    const longest = 2 + Math.max(...[...tooLong.values()].map(({ length }) => length)) * briefBytes
    const finer = Math.min(finestCount, count * 2 ** Math.ceil(Math.log2((2 * longest) / roomMax)))
    const parts = new Map<number, Brief[]>()
    for (const [bucket, held] of tooLong) {
      for (let part = bucket; part < finer; part += count) parts.set(part, [])
      for (const brief of held) parts.get(bucketOf(brief.id, finer))?.push(brief)
    }
    this.#sendBriefs(to, finer, parts)
  }

  /** Much at once goes over a link where there is one. */
  #lane(to: NodeId): 'link' | 'datagram' {
    return this.#local.links.has(to) ? 'link' : 'datagram'
  }
}

/** True when `one` would change who holds `other`; beside each the version of the profile that is held with it. */
function isNewer(one: Word, oneVersion: number, other: Word, otherVersion: number): boolean {
  if (one.epoch !== other.epoch) return one.epoch > other.epoch
  // A suspicion is no news here: it ends by itself, and digests do not count it.
  const isSuspicion = one.state === 'suspect' && one.incarnation === other.incarnation
  return (compareRecords(one, other) > 0 && !isSuspicion) || oneVersion > otherVersion
}

function heldVersion({ profile }: MemberRecord): number {
  return profile?.version ?? 0
}

/** With the version of the profile that is held, which may be behind the one that was announced. */
function briefOf(record: MemberRecord): Brief {
  const profileVersion = heldVersion(record)
  return profileVersion === record.profileVersion ? record : { ...record, profileVersion }
}
