import type { NodeId } from '../../base/ids.js'
import { type Random, seededRandom } from '../../base/random.js'
import { sealBytes } from '../../overlay/datagram/index.js'
import {
  type Effect,
  type Lane,
  type MemberRecord,
  type Packet,
  type PeerEvidence,
  packetBytes,
  type ResolvedSwimOptions,
  Roster,
  resolveSwimOptions,
  revised,
  rosterOf,
  SwimCore,
  type SwimEvent,
  type SwimOptions,
} from '../../overlay/swim/index.js'
import { EventQueue } from '../event-queue.js'
import { type Conditions, calm, OverlayNetwork } from './conditions.js'
import { RecordPool } from './record-pool.js'

/** Bytes a link adds to one message: frame, channel, TLS record. */
const frameBytes = 35
/** A link over which nothing comes any more is given up after this. */
const keepAliveMs = 15_000
const redialMs = 1000
/** Packets a socket keeps for a process that does not read; more are lost. */
const inboxMax = 600

export interface OverlaySimOptions {
  readonly members: number
  readonly seed: number
  readonly swim?: SwimOptions
  readonly conditions?: Partial<Conditions>
  /**
   * `formed` (default): all know each other and hold their links. `cold`: each knows only itself. `apart`: the network was split long
   * ago, the even from the odd, and each half holds the other dead.
   */
  readonly begin?: 'formed' | 'cold' | 'apart'
}

/** `down`: its machine refuses for it. `gone`: the machine is silent too. */
export type MemberPhase = 'up' | 'down' | 'gone'

interface SimMember {
  readonly index: number
  readonly id: NodeId
  phase: MemberPhase
  epoch: number
  core: SwimCore
  pausedUntil: number
  /** Reads one packet at a time, and takes so long for each that nothing else runs meanwhile. */
  slowMs: readonly [number, number] | undefined
  readonly inbox: (() => void)[]
  /** Members it holds a link with. */
  readonly links: Set<number>
  wakeAt: number
  neighbours: readonly NodeId[]
  hasLocalFault: boolean
  isDeafToDatagrams: boolean
  /** Behind something that refuses whoever dials. */
  isHidden: boolean
  kept: Roster | undefined
  sentPackets: number
  sentBytes: number
}

type SimEvent =
  | { readonly type: 'timer'; readonly member: SimMember; readonly epoch: number }
  | { readonly type: 'arrive'; readonly member: SimMember; readonly packet: Packet; readonly lane: Lane }
  | { readonly type: 'act'; readonly act: () => void }

/** News as one member reports it. */
export interface SimNews {
  readonly atMs: number
  readonly observer: number
  readonly subject: number
  readonly event: SwimEvent
}

/** Thousands of members in one thread: virtual time, a network that misbehaves on request, and real cores. */
export class OverlaySim {
  readonly network: OverlayNetwork
  readonly options: ResolvedSwimOptions
  readonly #random: Random
  readonly #seed: number
  readonly #queue = new EventQueue<SimEvent>()
  readonly #members: SimMember[] = []
  readonly #indexes = new Map<NodeId, number>()
  /** What members kept, by what their tables amount to: thousands that knew the same start from one roster. */
  readonly #rosters = new Map<string, Roster>()
  readonly #pool: RecordPool
  readonly #watchers: ((news: SimNews) => void)[] = []

  constructor({ members, seed, swim, conditions, begin = 'formed' }: OverlaySimOptions) {
    this.#seed = seed
    this.#random = seededRandom(seed)
    this.#pool = new RecordPool(members)
    this.options = resolveSwimOptions(swim)
    this.network = new OverlayNetwork({ ...calm, ...conditions }, this.#random)
    const ids = idsOf(members, this.#random)
    const fresh = begin === 'cold' ? [] : ids.map((id, index) => freshRecord(id, index, this.options))
    const rosters = begin === 'apart' ? sides.map((side) => new Roster(seenFrom(side, fresh))) : [new Roster(fresh)]
    if (begin === 'apart') this.network.split(new Map(ids.map((_, index) => [index, index % sides.length])))
    for (const [index, id] of ids.entries()) {
      this.#indexes.set(id, index)
      this.#members.push(this.#member(index, id, rosters[index % rosters.length] as Roster))
    }
    // A cluster that has formed holds its links already: they are made without anybody noticing.
    const isFormed = begin !== 'cold'
    for (const member of this.#members) this.#carry(member, member.core.start(0), isFormed)
  }

  get nowMs(): number {
    return this.#queue.now
  }

  get size(): number {
    return this.#members.length
  }

  /** Packets and bytes sent by all so far, seals and frames included. */
  get sent(): { readonly packets: number; readonly bytes: number } {
    let [packets, bytes] = [0, 0]
    for (const { sentPackets, sentBytes } of this.#members) {
      packets += sentPackets
      bytes += sentBytes
    }
    return { packets, bytes }
  }

  idOf(index: number): NodeId {
    return this.#at(index).id
  }

  indexOf(id: NodeId): number {
    return this.#indexes.get(id) ?? -1
  }

  core(index: number): SwimCore {
    return this.#at(index).core
  }

  phase(index: number): MemberPhase {
    return this.#at(index).phase
  }

  isPaused(index: number): boolean {
    return this.#at(index).pausedUntil > this.nowMs
  }

  /** Members whose process runs. */
  live(): number[] {
    return this.#members.filter(({ phase }) => phase === 'up').map(({ index }) => index)
  }

  /** True when all that run know each other, and the same of everyone. */
  get isConverged(): boolean {
    const live = this.#members.filter(({ phase }) => phase === 'up')
    const first = live[0]?.core
    return first !== undefined && live.every(({ core }) => core.hereCount === live.length && core.digest === first.digest)
  }

  watch(watcher: (news: SimNews) => void): void {
    this.#watchers.push(watcher)
  }

  /** Runs `act` after `delayMs` of virtual time. */
  after(delayMs: number, act: () => void): void {
    this.#queue.after(delayMs, { type: 'act', act })
  }

  run(durationMs: number): void {
    this.runUntil(() => false, durationMs)
  }

  /** Runs until `isDone` or `durationMs` have passed; returns the time it took, undefined when it was not done. */
  runUntil(isDone: () => boolean, durationMs: number, everyMs = 10): number | undefined {
    const start = this.nowMs
    const end = start + durationMs
    let [isOver, answer] = [false, undefined as number | undefined]
    const look = (): void => {
      if (isDone()) [isOver, answer] = [true, this.nowMs - start]
      else if (this.nowMs >= end) isOver = true
      else this.after(Math.min(everyMs, end - this.nowMs), look)
    }
    // Without a condition nothing is looked at but the end.
    this.after(durationMs <= everyMs ? durationMs : Math.min(everyMs, durationMs), look)
    while (!isOver) {
      const event = this.#queue.next()
      if (event === undefined) break
      this.#happen(event)
    }
    return answer
  }

  /** The process dies; its machine closes its connections and refuses new ones. */
  kill(index: number): void {
    const member = this.#at(index)
    this.#stop(member, 'down')
    for (const other of this.#linkedTo(member)) {
      unlink(member, other)
      if (this.network.isOpen(index, other.index)) this.#evidenceAfter(this.network.segment(), other, member.id, 'reset')
      else this.#evidenceAfter(keepAliveMs, other, member.id, 'closed')
    }
  }

  /** The machine loses power: no answer to anything. */
  powerOff(index: number): void {
    const member = this.#at(index)
    this.#stop(member, 'gone')
    for (const other of this.#linkedTo(member)) {
      unlink(member, other)
      this.#evidenceAfter(keepAliveMs * (0.5 + this.#random()), other, member.id, 'closed')
    }
  }

  /** The process starts again, one epoch on, from what it kept. */
  restart(index: number): void {
    const member = this.#at(index)
    if (member.phase === 'up') this.kill(index)
    member.phase = 'up'
    member.epoch++
    member.pausedUntil = 0
    member.inbox.length = 0
    member.core = this.#newCore(member, member.kept ?? Roster.empty)
    member.wakeAt = Number.POSITIVE_INFINITY
    this.#carry(member, member.core.start(this.nowMs))
  }

  /** The process stands still while its machine lives; then its timers run before it reads, as Node does it. */
  pause(index: number, durationMs: number): void {
    const member = this.#at(index)
    member.pausedUntil = this.nowMs + durationMs
    this.after(durationMs, () => this.#resume(member))
  }

  /** From now on each packet takes so long to be read, and timers wait for it; undefined ends it. */
  slow(index: number, perPacketMs: readonly [number, number] | undefined): void {
    this.#at(index).slowMs = perPacketMs
  }

  /** Its own network fails: whatever it does ends in a local error. */
  setLocalFault(index: number, hasFault: boolean): void {
    this.#at(index).hasLocalFault = hasFault
  }

  /** Datagrams to and from it are filtered out, or pass again. */
  filterDatagrams(index: number, filter: 'on' | 'off' = 'on'): void {
    this.#at(index).isDeafToDatagrams = filter === 'on'
  }

  /** From now on it can dial out, and whoever dials it is refused; links that are up stay. */
  hide(index: number): void {
    this.#at(index).isHidden = true
  }

  /** Runs something on a member's core now and carries out what comes of it. */
  command(index: number, act: (core: SwimCore, nowMs: number) => readonly Effect[]): void {
    const member = this.#at(index)
    this.#carry(member, act(member.core, this.nowMs))
  }

  /** A link between two that know nothing of each other yet: how a newcomer comes in. */
  connect(from: number, to: number): void {
    this.#dial(this.#at(from), this.#at(to))
  }

  #at(index: number): SimMember {
    const member = this.#members[index]
    if (member === undefined) throw new Error(`no member ${index}: there are ${this.#members.length}`)
    return member
  }

  #member(index: number, id: NodeId, roster: Roster): SimMember {
    const blank = { index, id, epoch: 1 }
    return {
      ...blank,
      phase: 'up',
      core: this.#newCore(blank, roster),
      pausedUntil: 0,
      slowMs: undefined,
      inbox: [],
      links: new Set(),
      wakeAt: Number.POSITIVE_INFINITY,
      neighbours: [],
      hasLocalFault: false,
      isDeafToDatagrams: false,
      isHidden: false,
      kept: undefined,
      sentPackets: 0,
      sentBytes: 0,
    }
  }

  #newCore({ index, id, epoch }: Pick<SimMember, 'index' | 'id' | 'epoch'>, roster: Roster): SwimCore {
    const random = seededRandom(this.#seed * 1_000_003 + index * 101 + epoch)
    return new SwimCore({ id, epoch, address: addressOf(index), options: this.options, random, roster, share: this.#pool.share })
  }

  #happen(event: SimEvent): void {
    switch (event.type) {
      case 'act':
        event.act()
        return
      case 'timer': {
        const { member } = event
        if (member.phase !== 'up' || member.epoch !== event.epoch || member.wakeAt > this.nowMs) return
        member.wakeAt = Number.POSITIVE_INFINITY
        // A paused process looks at its timers when it comes back, a busy one when it has read what it reads.
        if (member.pausedUntil > this.nowMs || member.inbox.length > 0) return
        this.#carry(member, member.core.wakeAtMs <= this.nowMs ? member.core.tick(this.nowMs) : [])
        return
      }
      case 'arrive': {
        const { member, packet, lane } = event
        if (this.#isBusy(member)) this.#queueUp(member, () => member.core.receive(this.nowMs, packet, lane))
        else if (member.phase === 'up') this.#carry(member, member.core.receive(this.nowMs, packet, lane))
      }
    }
  }

  #isBusy({ pausedUntil, slowMs }: SimMember): boolean {
    return slowMs !== undefined || pausedUntil > this.nowMs
  }

  /** What arrives at a process that does not read just now. */
  #queueUp(member: SimMember, read: () => readonly Effect[]): void {
    if (member.phase !== 'up') return
    if (member.inbox.length >= inboxMax) return
    const { epoch } = member
    member.inbox.push(() => {
      if (member.epoch === epoch) this.#carry(member, read())
    })
    if (member.slowMs !== undefined && member.inbox.length === 1) this.#readNext(member)
  }

  /** Reads one packet after a while in which nothing else runs; then what timers are due, then the next. */
  #readNext(member: SimMember): void {
    const [least, most] = member.slowMs ?? [0, 0]
    this.after(least + this.#random() * (most - least), () => {
      if (member.phase !== 'up' || member.pausedUntil > this.nowMs) return
      member.inbox.shift()?.()
      if (member.core.wakeAtMs <= this.nowMs) this.#carry(member, member.core.tick(this.nowMs))
      if (member.inbox.length > 0) this.#readNext(member)
    })
  }

  #resume(member: SimMember): void {
    if (member.phase !== 'up' || member.pausedUntil > this.nowMs) return
    if (member.core.wakeAtMs <= this.nowMs) this.#carry(member, member.core.tick(this.nowMs))
    else this.#wakeLater(member)
    const unread = member.inbox.splice(0)
    for (const read of unread) read()
  }

  #stop(member: SimMember, phase: 'down' | 'gone'): void {
    member.kept = this.#rosterOf(member.core)
    member.phase = phase
    member.inbox.length = 0
  }

  #carry(member: SimMember, effects: readonly Effect[], isInstant = false): void {
    for (const effect of effects) {
      switch (effect.type) {
        case 'send':
          this.#send(member, effect.packet, effect.lane)
          break
        case 'triage':
          this.#triage(member, effect.peer, effect.timeoutMs)
          break
        case 'neighbours':
          member.neighbours = effect.peers.map(({ id }) => id)
          for (const { id } of effect.peers) this.#want(member, this.#at(this.indexOf(id)), isInstant)
          break
        case 'connect':
          this.#dial(member, this.#at(this.indexOf(effect.peer)))
          break
        case 'event':
          this.#tell(member, effect.event)
          break
        case 'lanes':
        case 'outbid':
          break
      }
    }
    this.#wakeLater(member)
  }

  #tell(member: SimMember, event: SwimEvent): void {
    if (this.#watchers.length === 0) return
    const news = { atMs: this.nowMs, observer: member.index, subject: this.indexOf(event.member.id), event }
    for (const watcher of this.#watchers) watcher(news)
  }

  #wakeLater(member: SimMember): void {
    if (member.phase !== 'up') return
    const { wakeAtMs } = member.core
    if (wakeAtMs >= member.wakeAt || !Number.isFinite(wakeAtMs)) return
    member.wakeAt = wakeAtMs
    this.#queue.after(Math.max(0, wakeAtMs - this.nowMs), { type: 'timer', member, epoch: member.epoch })
  }

  #send(member: SimMember, packet: Packet, lane: Lane): void {
    const to = this.#members[this.indexOf(packet.to)]
    if (to === undefined || member.hasLocalFault) return
    member.sentPackets++
    member.sentBytes += packetBytes(packet) + (lane === 'datagram' ? sealBytes : frameBytes)
    if (lane === 'datagram') {
      if (member.isDeafToDatagrams || to.isDeafToDatagrams) return
      for (const delayMs of this.network.datagram(member.index, to.index))
        this.#queue.after(delayMs, { type: 'arrive', member: to, packet, lane })
      return
    }
    if (!member.links.has(to.index)) return
    if (this.network.isOpen(member.index, to.index) && this.network.isOpen(to.index, member.index)) {
      this.#queue.after(this.network.segment(), { type: 'arrive', member: to, packet, lane })
      return
    }
    this.after(keepAliveMs, () => this.#giveUp(member, to))
  }

  /** A link that carries nothing any more ends in silence at both ends. */
  #giveUp(one: SimMember, other: SimMember): void {
    const { index: a } = one
    const { index: b } = other
    if (this.network.isOpen(a, b) && this.network.isOpen(b, a)) return
    if (!one.links.has(b)) return
    unlink(one, other)
    this.#evidenceAfter(0, one, other.id, 'closed')
    this.#evidenceAfter(0, other, one.id, 'closed')
    if (one.neighbours.includes(other.id)) this.#want(one, other)
    if (other.neighbours.includes(one.id)) this.#want(other, one)
  }

  #triage(member: SimMember, peer: NodeId, timeoutMs: number): void {
    const to = this.#at(this.indexOf(peer))
    if (member.hasLocalFault) {
      this.#evidenceAfter(0, member, peer, 'local')
      return
    }
    const delayMs = to.phase === 'gone' ? undefined : this.network.connection(member.index, to.index, timeoutMs)
    if (delayMs === undefined || delayMs > timeoutMs) this.#evidenceAfter(timeoutMs, member, peer, 'silent')
    else {
      const { epoch } = member
      this.after(delayMs, () => {
        const isRefused = to.phase === 'down' || to.isHidden || this.network.isRejecting(member.index, to.index)
        const saw = to.phase === 'gone' ? 'silent' : isRefused ? 'refused' : 'accepting'
        if (member.epoch === epoch) this.#evidenceAfter(0, member, peer, saw)
      })
    }
  }

  #evidenceAfter(delayMs: number, member: SimMember, peer: NodeId, saw: PeerEvidence): void {
    const { epoch } = member
    this.after(delayMs, () => {
      if (member.epoch !== epoch) return
      if (this.#isBusy(member)) this.#queueUp(member, () => member.core.evidence(this.nowMs, peer, saw))
      else if (member.phase === 'up') this.#carry(member, member.core.evidence(this.nowMs, peer, saw))
    })
  }

  /** Makes a link one member wants to hold, and tries again while it does. */
  #want(member: SimMember, to: SimMember, isInstant = false): void {
    if (member.links.has(to.index)) return
    if (isInstant) {
      link(member, to)
      this.#evidenceAfter(0, member, to.id, 'dialled')
      this.#evidenceAfter(0, to, member.id, 'linked')
      return
    }
    const { epoch } = member
    this.#dial(member, to)
    this.after(redialMs * (0.5 + this.#random()), () => {
      const isWanted = member.phase === 'up' && member.epoch === epoch && member.neighbours.includes(to.id)
      if (isWanted) this.#want(member, to)
    })
  }

  #dial(member: SimMember, to: SimMember): void {
    if (to.phase !== 'up' || to.pausedUntil > this.nowMs || member.hasLocalFault || to.hasLocalFault) return
    const delayMs = this.network.connection(member.index, to.index, redialMs)
    if (delayMs === undefined || this.network.isRejecting(member.index, to.index)) return
    if (to.isHidden) {
      this.#evidenceAfter(delayMs, member, to.id, 'refused')
      return
    }
    const epochs = [member.epoch, to.epoch]
    this.after(2 * delayMs, () => {
      const isStill = member.phase === 'up' && to.phase === 'up' && member.epoch === epochs[0] && to.epoch === epochs[1]
      if (!isStill || member.links.has(to.index)) return
      link(member, to)
      this.#evidenceAfter(0, member, to.id, 'dialled')
      this.#evidenceAfter(0, to, member.id, 'linked')
    })
  }

  #linkedTo({ links }: SimMember): SimMember[] {
    return [...links].sort((one, other) => one - other).map((index) => this.#at(index))
  }

  /** What it would find on its disk when it starts again. */
  #rosterOf(core: SwimCore): Roster {
    const known = `${core.digest}/${core.knownCount}`
    const kept = this.#rosters.get(known) ?? rosterOf(core.snapshot())
    this.#rosters.set(known, kept)
    return kept
  }
}

function link(one: SimMember, other: SimMember): void {
  one.links.add(other.index)
  other.links.add(one.index)
}

function unlink(one: SimMember, other: SimMember): void {
  one.links.delete(other.index)
  other.links.delete(one.index)
}

function addressOf(index: number): string {
  return `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}:4000`
}

function freshRecord(id: NodeId, index: number, { lanes }: ResolvedSwimOptions): MemberRecord {
  const profile = { version: 1, address: addressOf(index), lanes, meta: new Uint8Array() }
  return { id, epoch: 1, incarnation: 1, state: 'alive', profileVersion: 1, profile, accusations: [] }
}

const sides = [0, 1]

/** What one half knows at the end of a long partition: the other half died, as two of its own saw. */
function seenFrom(side: number, fresh: readonly MemberRecord[]): MemberRecord[] {
  const isOurs = (index: number): boolean => index % sides.length === side
  const ours = fresh.filter((_, index) => isOurs(index)).map(({ id }) => id)
  const accusations = ours
    .slice(0, 2)
    .sort()
    .map((by) => ({ by, saw: 'silent' as const }))
  return fresh.map((record, index) => (isOurs(index) ? record : revised(record, { state: 'dead', accusations })))
}

function idsOf(count: number, random: Random): NodeId[] {
  const alphabet = '0123456789abcdefghijklmnopqrstuvwxyz'
  const ids = new Set<string>()
  while (ids.size < count) {
    let id = ''
    while (id.length < 12) id += alphabet[Math.floor(random() * alphabet.length)]
    ids.add(id)
  }
  return [...ids] as NodeId[]
}
