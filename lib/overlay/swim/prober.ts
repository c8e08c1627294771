import type { NodeId } from '../../base/ids.js'
import { pick, shuffle } from '../../base/random.js'
import { type Coordinate, moved, origin } from './coordinate.js'
import type { Local } from './local.js'
import { inShort, isAlive, isHere, type MemberRecord, type Seen } from './member.js'
import type { Lane, PeerEvidence } from './messages.js'
import type { Lanes } from './options.js'
import { ProbeOrder } from './probe-order.js'
import { RoundTrips } from './round-trips.js'
import type { Timer } from './timers.js'

/** Pings in a row that only a link or a relay got through; then datagrams to this member are no longer trusted alone. */
const missesMax = 5
/** Different members in a row, of whom no datagram was answered though they live: ours do not pass. */
const unansweredMax = 3
/** How long such a member is tried by all ways at once. */
const distrustMs = 60_000
const coordinatesMax = 4096
/** Probes under way up to which a silent relay is looked into at once. */
const pursuedMax = 4
/** Pings for others under way; more are left to other relays. */
const errandsMax = 1024

/** One attempt to hear from a member, by all ways there are. */
interface Probe {
  readonly id: NodeId
  /** Of the process that was probed. */
  readonly epoch: number
  readonly seq: number
  readonly sentMs: number
  deadlineMs: number
  /** Taken while the answer can only be to the first ping. */
  isTimed: boolean
  /** Relays that were asked and have not even said no. */
  readonly unheard: Set<NodeId>
  relays: number
  isDialled: boolean
  /** What trying to connect showed. */
  triage: Seen | 'local' | undefined
  readonly timers: Timer[]
}

/** When a probe tries to connect as well. */
export type Dial = 'at once' | 'unheard'

/** A ping sent for someone else. */
interface Errand {
  readonly asker: NodeId
  readonly seq: number
  readonly target: NodeId
  readonly nack: Timer
}

/** Ways a datagram failed to reach a member that lives. */
interface Misses {
  count: number
  untilMs: number
}

/**
 * Probes: directly, then through others, over the link and by connecting, all within one interval; what a member that was
 * not heard showed of itself is a verdict of `silent`, `accepting` or `refused`.
 * @see SWIM §3.1; Lifeguard §IV-A for nacks, with the deadline carried so that they come in time
 */
export class Prober {
  readonly #local: Local
  readonly #verdict: (id: NodeId, saw: Seen) => void
  readonly #lanesChanged: (lanes: Lanes) => void
  readonly #order: ProbeOrder
  readonly #trips = new RoundTrips()
  readonly #probes = new Map<number, Probe>()
  readonly #probed = new Map<NodeId, Probe>()
  readonly #errands = new Map<number, Errand>()
  readonly #misses = new Map<NodeId, Misses>()
  readonly #coordinates = new Map<NodeId, Coordinate>()
  /** Members that were reached, but by no datagram, since one last was. */
  readonly #unanswered = new Set<NodeId>()
  #isRingsTurn = false
  #triedMs = Number.NEGATIVE_INFINITY
  #seq: number
  coordinate: Coordinate = origin

  constructor(local: Local, verdict: (id: NodeId, saw: Seen) => void, lanesChanged: (lanes: Lanes) => void) {
    this.#local = local
    this.#verdict = verdict
    this.#lanesChanged = lanesChanged
    this.#order = new ProbeOrder(local.random)
    // Random, so that an answer to our past life is not taken for one to this.
    this.#seq = Math.floor(local.random() * 0xffff_ffff)
  }

  start(): void {
    this.#local.after(this.#local.random() * this.#local.options.probeIntervalMs, () => this.#round())
  }

  /** Where a member stood when it last answered us. */
  coordinateOf(id: NodeId): Coordinate | undefined {
    return id === this.#local.id ? this.coordinate : this.#coordinates.get(id)
  }

  get pingTimeoutMs(): number {
    const { pingTimeoutMinMs, pingTimeoutMaxMs } = this.#local.options
    return this.#trips.pingTimeoutMs(pingTimeoutMinMs, pingTimeoutMaxMs)
  }

  /** Probes under way. */
  get underWay(): number {
    return this.#probes.size
  }

  /** Probes one member now; once at a time, and connecting once at most: at once, or when no ping was heard. */
  check(id: NodeId, dial: Dial = 'unheard'): void {
    const member = this.#local.table.get(id)
    if (member === undefined || member.id === this.#local.id) return
    const probe = this.#probed.get(id) ?? this.#probe(member)
    if (dial === 'unheard') return
    // That it was refused may have meant nothing before there was somebody else's word.
    if (probe.triage === 'refused') this.#verdict(id, 'refused')
    else this.#dial(probe, member)
  }

  /** True while a probe of this member is under way. */
  isProbing(id: NodeId): boolean {
    return this.#probed.has(id)
  }

  /** Forgets what is under way: it says nothing about anyone any more. */
  reset(): void {
    for (const probe of this.#probes.values()) this.#end(probe)
    for (const { nack } of this.#errands.values()) this.#local.timers.cancel(nack)
    this.#errands.clear()
  }

  /** We stood still: what is under way took longer than it did, and ends as much later as its timers run. */
  postpone(byMs: number): void {
    for (const probe of this.#probes.values()) {
      probe.isTimed = false
      probe.deadlineMs += byMs
    }
  }

  prune(nowMs: number): void {
    for (const [id, { untilMs }] of this.#misses) if (untilMs > 0 && untilMs < nowMs) this.#misses.delete(id)
    for (const known of [this.#misses, this.#coordinates])
      for (const id of known.keys()) if (this.#local.table.get(id) === undefined) known.delete(id)
  }

  onPing(from: NodeId, seq: number, lane: Lane): void {
    const { table } = this.#local
    const asker = table.get(from)
    // Whoever is suspected is told, so that it can object (Lifeguard's buddy system).
    const records = asker !== undefined && asker.state !== 'alive' ? [inShort(asker)] : []
    this.#local.send(from, { type: 'ack', seq, digest: table.digest, coordinate: this.coordinate }, { lane, records })
  }

  onAck(from: NodeId, seq: number, coordinate: Coordinate, lane: Lane): void {
    if (lane === 'datagram') this.#datagramPassed(from)
    const errand = this.#errands.get(seq)
    if (errand !== undefined && errand.target === from) {
      this.#finishErrand(seq, errand)
      return
    }
    const probe = this.#probes.get(seq)
    if (probe === undefined || probe.id !== from) return
    if (lane === 'link') this.#missed(from)
    const rttMs = this.#local.nowMs - probe.sentMs
    if (probe.isTimed) {
      this.#trips.add(rttMs)
      this.coordinate = moved(this.coordinate, coordinate, rttMs, this.#local.random)
      if (this.#coordinates.size < coordinatesMax || this.#coordinates.has(from)) this.#coordinates.set(from, coordinate)
    }
    this.#succeed(probe)
  }

  onHeard(seq: number): void {
    const probe = this.#probes.get(seq)
    if (probe === undefined) return
    this.#missed(probe.id)
    this.#succeed(probe)
  }

  onNack(from: NodeId, seq: number): void {
    this.#probes.get(seq)?.unheard.delete(from)
  }

  /** Pings for another; says so in time when there is no answer: at 80 % of what the asker has left. */
  onPingReq(asker: NodeId, seq: number, target: NodeId, remainingMs: number): void {
    const member = this.#local.table.get(target)
    if (member === undefined || this.#errands.size >= errandsMax) {
      // Whoever says nothing at all is taken for one who hears nothing.
      this.#local.sendSurely(asker, { type: 'nack', seq })
      return
    }
    const leftMs = Math.min(remainingMs, this.#local.awareness.longest(this.#local.options.probeIntervalMs))
    const own = this.#nextSeq()
    const nack = this.#local.after(leftMs * 0.8, () => {
      this.#local.sendSurely(asker, { type: 'nack', seq })
      // A late answer still helps: the errand stays until the asker has given up.
      this.#local.after(leftMs * 0.2, () => this.#errands.delete(own))
    })
    this.#errands.set(own, { asker, seq, target, nack })
    this.#ping(member, own, this.#local.links.has(target) ? 'link' : undefined)
    if (this.#local.links.has(target) && this.#local.takesDatagrams(member)) this.#ping(member, own, 'datagram')
  }

  onTriage(peer: NodeId, saw: PeerEvidence): void {
    if (saw !== 'silent' && saw !== 'accepting' && saw !== 'refused' && saw !== 'local') return
    const probe = this.#probed.get(peer)
    if (probe === undefined) return
    probe.triage = saw
    const member = this.#local.table.get(peer)
    // Its machine is there, and the way to it is open: one more try before it is called paused.
    if (saw === 'accepting' && member !== undefined) this.#ping(member, probe.seq, undefined)
  }

  #round(): void {
    const { options, awareness } = this.#local
    const member = this.#nextMember()
    if (member !== undefined && !this.#probed.has(member.id)) this.#probe(member)
    this.#tryDatagrams()
    this.#giveUpDatagrams()
    this.#local.after(awareness.scale(options.probeIntervalMs), () => this.#round())
  }

  /**
   * Every other round it is the next on the ring's turn: left to chance alone, one in a hundred of the silent would wait five rounds
   * for the first who misses it, whatever the size of the group.
   */
  #nextMember(): MemberRecord | undefined {
    const { table, id, hasDatagrams, links } = this.#local
    const fits = (member: MemberRecord | undefined): member is MemberRecord =>
      member !== undefined && member.id !== id && isHere(member) && (hasDatagrams || links.has(member.id))
    this.#isRingsTurn = !this.#isRingsTurn
    if (this.#isRingsTurn) {
      const [next] = table.successors(id, 1, isAlive)
      if (fits(next)) return next
    }
    for (let tries = 0; tries < table.places; tries++) {
      const place = this.#order.next(table.places)
      const member = place === undefined ? undefined : table.at(place)
      if (fits(member)) return member
    }
    return undefined
  }

  #probe(member: MemberRecord): Probe {
    const { options, awareness, nowMs } = this.#local
    const deadlineMs = nowMs + awareness.scale(options.probeIntervalMs)
    const seq = this.#nextSeq()
    const probe: Probe = {
      id: member.id,
      epoch: member.epoch,
      seq,
      sentMs: nowMs,
      deadlineMs,
      isTimed: true,
      unheard: new Set(),
      relays: 0,
      isDialled: false,
      triage: undefined,
      timers: [],
    }
    this.#probes.set(seq, probe)
    this.#probed.set(member.id, probe)
    this.#ping(member, seq, undefined)
    probe.timers.push(this.#local.timers.at(deadlineMs, () => this.#fail(probe)))
    if (!this.#local.reaches(member) || this.#isDistrusted(member.id)) this.#tryAllWays(probe)
    else probe.timers.push(this.#local.after(awareness.scale(this.pingTimeoutMs), () => this.#tryAllWays(probe)))
    return probe
  }

  #dial(probe: Probe, member: MemberRecord): void {
    if (probe.isDialled || probe.triage !== undefined) return
    probe.isDialled = true
    // After a stall the deadline may be past already.
    this.#local.triage(member, Math.max(0, Math.round(probe.deadlineMs - this.#local.nowMs)))
  }

  #ping(member: MemberRecord, seq: number, lane: Lane | undefined): void {
    const records = member.state === 'alive' ? [] : [inShort(member)]
    const message = { type: 'ping', seq, digest: this.#local.table.digest } as const
    this.#local.send(member.id, message, lane === undefined ? { records } : { lane, records })
  }

  #tryAllWays(probe: Probe): void {
    const { table, nowMs, links } = this.#local
    const member = table.get(probe.id)
    if (member === undefined) return
    // After a stall the deadline may be past already.
    const remainingMs = Math.max(0, Math.round(probe.deadlineMs - nowMs))
    const relays = this.#relaysTo(member)
    probe.relays = relays.length
    // Who is suspected is told on the way: else it would answer the relay and never object, where our own word does not get round.
    const said = member.state === 'alive' ? [] : [inShort(member)]
    for (const { id } of relays) {
      probe.unheard.add(id)
      this.#local.sendSurely(id, { type: 'ping-req', seq: probe.seq, target: probe.id, remainingMs }, said)
    }
    // From here on an answer may be to any of several pings.
    probe.isTimed = false
    if (this.#local.takesDatagrams(member)) this.#ping(member, probe.seq, 'datagram')
    if (links.has(probe.id)) this.#ping(member, probe.seq, 'link')
    this.#dial(probe, member)
  }

  /**
   * Most of them its neighbours on the ring, which hold a link to it; one to which we hold one, should those share its fate. Whom no datagram
   * reaches only those neighbours do: the ones after it hold the links it made itself, also where nobody can dial it.
   */
  #relaysTo({ id, profile }: MemberRecord): MemberRecord[] {
    const { table, options, random, links } = this.#local
    if (options.relays === 0) return []
    const before = table.predecessors(id, options.observers, isAlive)
    const after = table.successors(id, options.observers, isAlive)
    const isLinkedOnly = profile?.lanes === 'stream'
    const near = isLinkedOnly ? inTurns(shuffle(random, after), shuffle(random, before)) : shuffle(random, [...before, ...after])
    const nearMax = isLinkedOnly ? options.relays : options.relays - 1
    const fits = (member: MemberRecord): boolean =>
      member.id !== id && member.id !== this.#local.id && member.state === 'alive' && this.#local.reaches(member)
    const chosen = new Map<NodeId, MemberRecord>()
    for (const member of near) {
      if (chosen.size >= nearMax) break
      if (fits(member)) chosen.set(member.id, member)
    }
    // Should our own datagrams not pass, only who is asked over a link hears of it.
    const linked = table.get(pick(random, [...links]) ?? id)
    if (chosen.size < options.relays && linked !== undefined && fits(linked)) chosen.set(linked.id, linked)
    const rest = this.#local.someone(options.relays - chosen.size, (member) => fits(member) && !chosen.has(member.id))
    return [...chosen.values(), ...rest]
  }

  #succeed(probe: Probe): void {
    this.#local.awareness.add(-1)
    this.#end(probe)
  }

  #fail(probe: Probe): void {
    this.#end(probe)
    // Relays that do not even say no: it may be us who hears nothing.
    const { relays, unheard } = probe
    this.#local.awareness.add(relays === 0 ? 1 : unheard.size)
    // What was not there has started again meanwhile: that says nothing of the new process.
    const isReplaced = this.#local.table.get(probe.id)?.epoch !== probe.epoch
    // Relays that answered show that our network works: then it is the way to this one that fails (no route, a name that went with its host).
    const isOurFault = probe.triage === 'local' && unheard.size === relays
    if (isOurFault || isReplaced) return
    // One of several that says nothing has perhaps gone with the other: where many do at once, chance finds the last of them late.
    const [silent] = unheard
    if (silent !== undefined && unheard.size < relays && this.underWay < pursuedMax) this.check(silent)
    this.#verdict(probe.id, probe.triage === undefined || probe.triage === 'local' ? 'silent' : probe.triage)
  }

  #end(probe: Probe): void {
    for (const timer of probe.timers) this.#local.timers.cancel(timer)
    this.#probes.delete(probe.seq)
    this.#probed.delete(probe.id)
  }

  #finishErrand(own: number, { asker, seq, target, nack }: Errand): void {
    this.#local.timers.cancel(nack)
    this.#errands.delete(own)
    const member = this.#local.table.get(target)
    const records = member === undefined ? [] : [inShort(member)]
    this.#local.sendSurely(asker, { type: 'heard', seq }, records)
  }

  #datagramPassed(from: NodeId): void {
    this.#misses.delete(from)
    this.#unanswered.clear()
    if (!this.#local.hasDatagrams) this.#lanesChanged('both')
  }

  /** It lives, and our datagram to it, or its answer, was lost. */
  #missed(id: NodeId): void {
    const member = this.#local.table.get(id)
    if (!this.#local.takesDatagrams(member)) return
    this.#unanswered.add(id)
    const capable = this.#local.someone(unansweredMax, (other) => isHere(other) && this.#local.takesDatagrams(other)).length
    if (this.#unanswered.size >= capable && this.#isDatagramLess()) {
      this.#lanesChanged('stream')
      return
    }
    const misses = this.#misses.get(id) ?? { count: 0, untilMs: 0 }
    misses.count++
    if (misses.count >= missesMax) misses.untilMs = this.#local.nowMs + distrustMs
    this.#misses.set(id, misses)
  }

  /** Members in a row that only other ways reached, and one of them often: the fault is ours. */
  #isDatagramLess(): boolean {
    let misses = 0
    for (const id of this.#unanswered) misses += this.#misses.get(id)?.count ?? 1
    return misses >= missesMax
  }

  /** Asks a neighbour by datagram now and then, should they pass again. */
  #tryDatagrams(): void {
    const { table, random, links, options, hasDatagrams, nowMs } = this.#local
    if (options.lanes === 'stream' || hasDatagrams || nowMs - this.#triedMs < distrustMs / 2) return
    this.#triedMs = nowMs
    const neighbour = pick(random, [...links])
    if (neighbour !== undefined)
      this.#local.send(neighbour, { type: 'ping', seq: this.#nextSeq(), digest: table.digest }, { lane: 'datagram' })
  }

  /** Everybody else has found that its datagrams do not pass, and the last of ours did not: who is left finds out no other way. */
  #giveUpDatagrams(): void {
    if (this.#unanswered.size === 0 || !this.#local.hasDatagrams) return
    const [other] = this.#local.someone(1, (member) => isHere(member) && this.#local.takesDatagrams(member))
    if (other === undefined) this.#lanesChanged('stream')
  }

  #isDistrusted(id: NodeId): boolean {
    return (this.#misses.get(id)?.untilMs ?? 0) > this.#local.nowMs
  }

  #nextSeq(): number {
    this.#seq = (this.#seq + 1) >>> 0
    return this.#seq
  }
}

/** The first of one, the first of the other, the second of one, and so on. */
function inTurns<T>(one: readonly T[], other: readonly T[]): T[] {
  const longest = Math.max(one.length, other.length)
  return Array.from({ length: longest }, (_, at) => [...one.slice(at, at + 1), ...other.slice(at, at + 1)]).flat()
}
