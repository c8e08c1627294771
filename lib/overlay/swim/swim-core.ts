import { assert, unreachable } from '../../base/assert.js'
import { SkeinError } from '../../base/errors.js'
import type { NodeId } from '../../base/ids.js'
import type { Random } from '../../base/random.js'
import type { Coordinate } from './coordinate.js'
import { Ledger } from './ledger.js'
import { Local } from './local.js'
import {
  addressOf,
  inShort,
  isDegraded,
  isHere,
  type MemberRecord,
  metaBytesMax,
  type Profile,
  type ProfileChange,
  type Share,
} from './member.js'
import { Roster } from './member-table.js'
import type { Effect, Lane, Packet, PeerEvidence } from './messages.js'
import type { Lanes, ResolvedSwimOptions } from './options.js'
import { Prober } from './prober.js'
import { type MemberSnapshot, snapshotOf } from './snapshot.js'
import { Sync } from './sync.js'

/** A timer this late means that we stood still, and that what would have changed its mind lies unread in a socket. */
const lateMs = 50
/** What everything under way is given after that, to read it. */
const graceMs = 100
/** Tries to get in touch while nobody was heard yet. */
const knockMs = 500
const knocks = 3
/** The group as a whole tries each of its dead about once in this time. */
const healMs = 1000
const housekeepingMs = 30_000
/** Records in one answer that are still worth spreading as news. */
const newsMax = 8

export interface SwimConfig {
  readonly id: NodeId
  /** How often this process was started under this id, from 1; a restart always wins over its past. */
  readonly epoch: number
  readonly address: string
  readonly meta?: Uint8Array
  readonly options: ResolvedSwimOptions
  readonly random: Random
  /** Who was in when this process last ran, or nobody. */
  readonly roster?: Roster
  /** Where many members live in one process. Default: each keeps its own. */
  readonly share?: Share
}

/** A member as others should see it. */
export interface MemberView {
  readonly id: NodeId
  readonly epoch: number
  readonly incarnation: number
  /** `degraded`: its machine answers but it does not, or it comes and goes; nothing new should be placed on it. */
  readonly state: 'alive' | 'degraded' | 'suspect' | 'dead' | 'left'
  readonly address: string | undefined
  readonly lanes: Lanes | undefined
  readonly meta: Uint8Array
  /** Who testified against it. */
  readonly accusers: readonly NodeId[]
}

/**
 * SWIM with Lifeguard as a function of time and packets: every method returns what is to be done. Holds no timer and no
 * socket; `wakeAtMs` says when to tick.
 * @see Das et al., SWIM (DSN 2002); Dadgar et al., Lifeguard (arXiv 1707.00788)
 */
export class SwimCore {
  readonly #local: Local
  readonly #prober: Prober
  readonly #ledger: Ledger
  readonly #sync: Sync
  /** The roster already holds us as we are: nobody needs to be told. */
  readonly #isKnown: boolean
  /** Of a former life: nobody knows since when. */
  readonly #gone: readonly MemberRecord[]
  readonly #heard = new Map<NodeId, number>()
  #isStarted = false
  #wasHeard = false

  /** @throws {SkeinError} ERR_SKEIN_TOO_LARGE (`meta` over 512 bytes) */
  constructor(config: SwimConfig) {
    const { id, epoch, address, meta = new Uint8Array(), options, random, roster = Roster.empty, share = asItIs } = config
    assert(Number.isInteger(epoch) && epoch > 0, 'an epoch counts from 1')
    checkMeta(meta)
    const profile: Profile = { version: 1, address, lanes: options.lanes, meta }
    const self: MemberRecord = { id, epoch, incarnation: 1, state: 'alive', profileVersion: 1, profile, accusations: [] }
    this.#isKnown = roster.get(id)?.epoch === epoch
    this.#gone = roster.gone
    this.#local = new Local({ self, options, random, roster, share })
    this.#prober = new Prober(
      this.#local,
      (accused, saw) => this.#ledger.suspicions.accuse(accused, saw),
      (lanes) => this.#change({ lanes }),
    )
    this.#sync = new Sync(this.#local, (verdict) => this.#ledger.settleOpposite(verdict))
    this.#ledger = new Ledger(this.#local, this.#prober)
  }

  /** When `tick` is due; infinite when nothing is. */
  get wakeAtMs(): number {
    return this.#local.timers.nextMs
  }

  get id(): NodeId {
    return this.#local.id
  }

  /** 0 healthy, 8 hardly able to hear. */
  get healthScore(): number {
    return this.#local.awareness.score
  }

  get coordinate(): Coordinate {
    return this.#prober.coordinate
  }

  /** Where a member stood when it last answered us. */
  coordinateOf(id: NodeId): Coordinate | undefined {
    return this.#prober.coordinateOf(id)
  }

  /** Members alive or suspect, ourselves included. */
  get hereCount(): number {
    return this.#local.table.hereCount
  }

  /** Members known, the dead and the left that are not forgotten yet among them. */
  get knownCount(): number {
    return this.#local.table.size
  }

  /** Equal on two members that know the same of those who are here. */
  get digest(): number {
    return this.#local.table.digest
  }

  /** Rumours still to be passed on, suspicions and probes open. */
  get load(): { readonly rumours: number; readonly suspicions: number; readonly probes: number } {
    return { rumours: this.#local.rumours.size, suspicions: this.#ledger.suspicions.size, probes: this.#prober.underWay }
  }

  /** Questions for all we know that were left for their next time: too much was asked at once. */
  get leftOpen(): number {
    return this.#sync.leftOpen
  }

  /** When a packet of this member itself last arrived. */
  heardMs(id: NodeId): number | undefined {
    return this.#heard.get(id)
  }

  /** A member that stops answering the group is not held alive for longer than about this. */
  get noticeMs(): number {
    return this.#local.awareness.scale(2 * this.#local.options.probeIntervalMs)
  }

  record(id: NodeId): MemberRecord | undefined {
    return this.#local.table.get(id)
  }

  member(id: NodeId): MemberView | undefined {
    const record = this.record(id)
    return record === undefined ? undefined : this.#view(record)
  }

  members(): MemberView[] {
    return [...this.#local.table].map((record) => this.#view(record))
  }

  snapshot(): MemberSnapshot {
    return snapshotOf(this.#local.table)
  }

  /** Begins probing; calls on members known from a former life. */
  start(nowMs: number): Effect[] {
    assert(!this.#isStarted, 'a core starts once')
    this.#isStarted = true
    return this.#at(nowMs, () => {
      this.#prober.start()
      this.#local.after(this.#local.random() * healMs, () => this.#heal())
      this.#local.after(housekeepingMs, () => this.#housekeep())
      if (this.#gone.length > 0) this.#local.after(this.#local.options.tombstoneMs, () => this.#ledger.forget(this.#gone))
      this.#ledger.neighbours.announce()
      if (this.#isKnown) return
      this.#local.spread(this.#local.self)
      this.#knock()
    })
  }

  /** Runs what is due. Late, it runs nothing yet: everything under way gets the time back in which we stood still, and a grace to read. */
  tick(nowMs: number): Effect[] {
    return this.#at(nowMs, () => {
      const { timers, awareness } = this.#local
      const lateByMs = nowMs - timers.nextMs
      if (lateByMs > lateMs) {
        timers.postpone(lateByMs + graceMs)
        this.#ledger.suspicions.postpone(lateByMs)
        this.#prober.postpone(lateByMs + graceMs)
        awareness.add(1)
        return
      }
      for (let timer = timers.takeDue(nowMs); timer !== undefined; timer = timers.takeDue(nowMs)) {
        const { act, about } = timer
        timer.act = undefined
        act?.(nowMs, about)
      }
    })
  }

  /** Takes a packet; one that is not for us, or from who is not in any more, is passed over. */
  receive(nowMs: number, packet: Packet, lane: Lane): Effect[] {
    return this.#at(nowMs, () => {
      const { from, to, records, message } = packet
      if (to !== this.#local.id || from === this.#local.id || this.#ledger.removed.has(from)) return
      this.#wasHeard = true
      this.#ledger.heard(from, packet.epoch)
      const origin = message.type === 'share' ? (records.length > newsMax ? 'history' : 'answer') : 'news'
      let changes = 0
      for (const record of records) if (this.#ledger.learn(record, origin, from)) changes++
      if (message.type === 'share') this.#sync.learned(changes)
      if (this.#hear(packet)) this.#answer(packet, lane)
    })
  }

  /** Takes what links and dials showed of a peer. */
  evidence(nowMs: number, peer: NodeId, saw: PeerEvidence): Effect[] {
    return this.#at(nowMs, () => {
      if (peer === this.#local.id) return
      const { links, table } = this.#local
      const { suspicions } = this.#ledger
      const { dialability } = suspicions
      const held = table.get(peer)
      if (saw === 'linked' || saw === 'dialled') {
        links.add(peer)
        if (saw === 'dialled') dialability.accepted(peer)
        dialability.look(peer)
        // A seed, or someone who came in through us.
        const isNew = held === undefined || !isHere(held)
        if (isNew || table.hereCount === 1 || !(this.#wasHeard || this.#isKnown)) this.#sync.ask(peer)
        return
      }
      if (saw === 'closed' || saw === 'reset') {
        links.delete(peer)
        dialability.linkEnded(peer)
        if (saw === 'closed' || held?.profile === undefined || !isHere(held)) return
        // The process may be gone, or only the connection: connecting again tells within milliseconds.
        this.#local.triage(held)
        this.#prober.check(peer)
        return
      }
      this.#prober.onTriage(peer, saw)
      if (saw === 'accepting') dialability.accepted(peer)
      // A process that died has lost its links first; one that only dials out refuses everybody.
      if (saw === 'refused' && !links.has(peer)) suspicions.refused(peer)
    })
  }

  /** Calls on members somebody named; for those without a link the address is taken from what is known of them. */
  join(nowMs: number, peers: readonly NodeId[]): Effect[] {
    return this.#at(nowMs, () => {
      for (const peer of peers) this.#sync.ask(peer)
    })
  }

  /** Says goodbye; keep ticking until it has gone round (about a second). */
  leave(nowMs: number): Effect[] {
    return this.#at(nowMs, () => this.#ledger.leave())
  }

  /** Changes what we say of ourselves. @throws {SkeinError} ERR_SKEIN_TOO_LARGE */
  update(nowMs: number, change: ProfileChange): Effect[] {
    checkMeta(change.meta ?? new Uint8Array())
    return this.#at(nowMs, () => this.#change(change))
  }

  /** The host slept, or its wall clock was set: what we knew is old, and it is our own doing. Nobody is accused. */
  woke(nowMs: number): Effect[] {
    return this.#at(nowMs, () => {
      const { timers } = this.#local
      if (timers.nextMs < nowMs) timers.postpone(nowMs - timers.nextMs + graceMs)
      this.#prober.reset()
      this.#ledger.suspicions.restart()
      this.#ledger.sayAnew()
      this.#wasHeard = false
      this.#knock()
    })
  }

  /** Forgets members that were removed from the cluster, and takes nothing from or about them again. */
  remove(nowMs: number, ids: readonly NodeId[]): Effect[] {
    return this.#at(nowMs, () => {
      for (const id of ids) this.#ledger.remove(id)
    })
  }

  #change(change: ProfileChange): void {
    if (change.lanes !== undefined) this.#local.emit({ type: 'lanes', lanes: change.lanes })
    this.#ledger.sayAnew(change)
  }

  #at(nowMs: number, act: () => void): Effect[] {
    this.#local.nowMs = Math.max(nowMs, this.#local.nowMs)
    act()
    this.#ledger.neighbours.settle()
    return this.#local.takeEffects()
  }

  #view(record: MemberRecord): MemberView {
    const { id, epoch, incarnation, state, profile, accusations } = record
    const isShaky = isDegraded(record) || (state === 'alive' && this.#ledger.damper.isDamped(id, this.#local.nowMs))
    return {
      id,
      epoch,
      incarnation,
      state: isShaky ? 'degraded' : state,
      address: profile?.address,
      lanes: profile?.lanes,
      meta: profile?.meta ?? new Uint8Array(),
      accusers: accusations.map(({ by }) => by),
    }
  }

  /** What the sender's own numbers say; false when its message is not worth an answer. */
  #hear({ from, epoch, incarnation, message }: Packet): boolean {
    const held = this.#local.table.get(from)
    // Senders that were made up leave nothing behind.
    if (held !== undefined) this.#heard.set(from, Math.trunc(this.#local.nowMs))
    if (held === undefined || epoch > held.epoch) {
      this.#sync.pullMissed(from, [from])
      return true
    }
    if (epoch < held.epoch) {
      // A process that was replaced and does not know it.
      this.#ledger.tell(from, held)
      return false
    }
    if (incarnation > held.incarnation && (held.state === 'suspect' || held.state === 'dead')) {
      // The packet itself refutes what is said of its sender. A newer profile, if there is one, comes as news or shows in the digest.
      const { profileVersion } = held
      const alive: MemberRecord = {
        id: from,
        epoch,
        incarnation,
        state: 'alive',
        profileVersion,
        profile: undefined,
        accusations: [],
      }
      this.#ledger.learn(alive, 'news', from)
    } else if (!isHere(held) || held.state === 'suspect') {
      if (message.type !== 'ping') this.#ledger.tell(from, held)
      this.#ledger.suspicions.heard(from)
    }
    return true
  }

  #answer({ from, message, records }: Packet, lane: Lane): void {
    switch (message.type) {
      case 'ping':
        this.#prober.onPing(from, message.seq, lane)
        this.#sync.compare(from, message.digest)
        return
      case 'ack':
        this.#prober.onAck(from, message.seq, message.coordinate, lane)
        this.#sync.compare(from, message.digest)
        return
      case 'ping-req':
        this.#prober.onPingReq(from, message.seq, message.target, message.remainingMs)
        return
      case 'heard':
        this.#prober.onHeard(message.seq)
        return
      case 'nack':
        this.#prober.onNack(from, message.seq)
        return
      case 'sync':
        this.#sync.onSync(from, message.buckets)
        return
      case 'briefs':
        this.#sync.onBriefs(from, message.count, message.buckets, message.briefs)
        return
      case 'pull':
        this.#sync.onPull(from, message.ids)
        return
      case 'gossip':
      case 'share':
        this.#pullUnknownProfiles(from, records)
        return
      default:
        unreachable(message)
    }
  }

  /** Records that came in short about someone whose profile we lack, or hold an older one of. */
  #pullUnknownProfiles(from: NodeId, records: readonly MemberRecord[]): void {
    const wanted: NodeId[] = []
    for (const { id, state } of records) {
      if (state !== 'alive') continue
      const held = this.#local.table.get(id)
      if (held === undefined || !isHere(held)) continue
      if ((held.profile?.version ?? 0) < held.profileVersion || held.profile === undefined) wanted.push(id)
    }
    if (wanted.length > 0 && wanted.length <= 100) this.#sync.pullMissed(from, wanted)
  }

  /** Calls on a few until somebody answers: after a restart, or a long sleep. */
  #knock(): void {
    if (this.#wasHeard || this.#ledger.isLeaving) return
    for (const { id } of this.#local.someone(knocks, isHere)) this.#sync.ask(id)
    this.#local.after(knockMs * (1 + this.#local.random()), () => this.#knock())
  }

  /** Pings one of the dead now and then: a partition that healed, a machine that came back. */
  #heal(): void {
    const { table, random } = this.#local
    // Each of the dead is tried about once a second by the group, not by each member.
    if (table.deadCount > 0 && random() < table.deadCount / table.hereCount) {
      const lost = table.random(random, ({ state, profile }) => state === 'dead' && profile !== undefined)
      if (lost !== undefined && !this.#local.reaches(lost)) {
        const [peer, address] = [lost.id, addressOf(lost)]
        if (address !== undefined) this.#local.emit({ type: 'connect', peer, address })
      } else if (lost !== undefined)
        this.#local.send(lost.id, { type: 'ping', seq: 0, digest: table.digest }, { records: [inShort(lost)] })
    }
    this.#local.after(healMs * (0.5 + random()), () => this.#heal())
  }

  #housekeep(): void {
    this.#prober.prune(this.#local.nowMs)
    for (const id of this.#heard.keys()) if (this.#local.table.get(id) === undefined) this.#heard.delete(id)
    this.#ledger.prune(this.#local.nowMs)
    this.#sync.prune(this.#local.nowMs)
    for (const peer of this.#local.links) this.#ledger.suspicions.dialability.look(peer)
    this.#local.after(housekeepingMs, () => this.#housekeep())
  }
}

const asItIs: Share = (record) => record

/** @throws {SkeinError} ERR_SKEIN_TOO_LARGE */
function checkMeta(meta: Uint8Array): void {
  if (meta.length <= metaBytesMax) return
  throw new SkeinError('ERR_SKEIN_TOO_LARGE', `member meta: ${meta.length} bytes, at most ${metaBytesMax}`, {
    what: 'member meta',
    size: meta.length,
    limit: metaBytesMax,
  })
}
