import type { NodeId } from '../../base/ids.js'
import type { Random } from '../../base/random.js'
import { Awareness } from './awareness.js'
import { GossipRounds } from './gossip-rounds.js'
import { addressOf, type MemberRecord, type Share } from './member.js'
import { MemberTable, type Roster } from './member-table.js'
import type { Effect, Lane, SwimMessage } from './messages.js'
import { type ResolvedSwimOptions, transmissionsOf } from './options.js'
import { packetBytes, recordBytes } from './record-bytes.js'
import { Rumours } from './rumours.js'
import { type Timer, Timers } from './timers.js'

export interface Sending {
  readonly lane?: Lane
  /** Records this packet is about; rumours fill what room is left. */
  readonly records?: readonly MemberRecord[]
}

/** Messages that rumours ride on. */
const bearers: ReadonlySet<SwimMessage['type']> = new Set(['ping', 'ack', 'gossip'])

export interface LocalConfig {
  readonly self: MemberRecord
  readonly options: ResolvedSwimOptions
  readonly random: Random
  readonly roster: Roster
  readonly share: Share
}

/** What every part of one member's core shares: who we are, whom we know, what time it is, what is to be done. */
export class Local {
  readonly id: NodeId
  readonly options: ResolvedSwimOptions
  readonly random: Random
  readonly table: MemberTable
  readonly share: Share
  readonly awareness = new Awareness()
  readonly rumours: Rumours
  readonly timers = new Timers()
  /** Peers a link is up to. */
  readonly links = new Set<NodeId>()
  nowMs = 0
  #effects: Effect[] = []
  readonly #rounds: GossipRounds

  constructor({ self, options, random, roster, share }: LocalConfig) {
    this.id = self.id
    this.share = share
    this.options = options
    this.random = random
    this.table = new MemberTable(roster)
    this.table.set(self)
    this.rumours = new Rumours(self.id)
    this.#rounds = new GossipRounds(this)
  }

  /** Our own record; its profile is never missing. */
  get self(): MemberRecord {
    return this.table.get(this.id) as MemberRecord
  }

  emit(effect: Effect): void {
    this.#effects.push(effect)
  }

  takeEffects(): Effect[] {
    const effects = this.#effects
    this.#effects = []
    return effects
  }

  after(delayMs: number, act: (nowMs: number) => void): Timer {
    return this.timers.at(this.nowMs + delayMs, act)
  }

  /** False when our own datagrams do not pass: by option, or as it turned out. */
  get hasDatagrams(): boolean {
    return this.self.profile?.lanes === 'both'
  }

  /** True when datagrams can carry a packet to this member. */
  takesDatagrams(member: MemberRecord | undefined): boolean {
    return this.hasDatagrams && member?.profile?.lanes === 'both'
  }

  /** Can a packet be handed over at all, without a relay? */
  reaches(member: MemberRecord): boolean {
    return this.links.has(member.id) || this.takesDatagrams(member)
  }

  /** Over the link if there is one: it may take longer, but arrives. */
  sendSurely(to: NodeId, message: SwimMessage, records: readonly MemberRecord[] = []): void {
    this.send(to, message, this.links.has(to) ? { lane: 'link', records } : { records })
  }

  /** Sends by datagram where that is possible, else by link; by neither it is not sent. */
  send(to: NodeId, message: SwimMessage, { lane, records = [] }: Sending = {}): void {
    const member = this.table.get(to)
    const best = lane ?? (this.takesDatagrams(member) ? 'datagram' : 'link')
    if (best === 'link' && !this.links.has(to)) return
    const { epoch, incarnation } = this.self
    const packet = { to, from: this.id, epoch, incarnation, message, records }
    // What is told to who is perhaps gone counts as told, and nobody heard it; an ack is proof that somebody does.
    const isInVain = records.length > 0 && member !== undefined && member.state !== 'alive' && message.type !== 'ack'
    const carries = this.rumours.size > 0 && !isInVain && bearers.has(message.type)
    if (best === 'datagram' || carries) {
      let roomBytes = this.options.packetBytesMax - packetBytes(packet)
      if (best === 'datagram' && roomBytes < 0) {
        // Records that do not fit are asked for where they are missed; a message that does not fit alone needs a link.
        packet.records = []
        roomBytes = this.options.packetBytesMax - packetBytes(packet)
        if (roomBytes < 0) return
      }
      if (carries && roomBytes > 0)
        packet.records = [...records, ...this.rumours.take(this.nowMs, roomBytes, this.#transmissions)]
    }
    this.emit({ type: 'send', lane: best, address: member?.profile?.address ?? '', packet })
  }

  /** Sends records in as many packets as they need; returns what the records weigh. */
  sendAll(to: NodeId, message: SwimMessage, records: readonly MemberRecord[]): number {
    const lane: Lane = this.links.has(to) ? 'link' : 'datagram'
    const roomMax = this.options.packetBytesMax - packetBytes({ message, records: [] })
    let [batch, room]: [MemberRecord[], number] = [[], roomMax]
    let totalBytes = 0
    for (const record of records) {
      const sizeBytes = recordBytes(record)
      totalBytes += sizeBytes
      if (sizeBytes > room && batch.length > 0) {
        this.send(to, message, { lane, records: batch })
        ;[batch, room] = [[], roomMax]
      }
      batch.push(record)
      room -= sizeBytes
    }
    if (batch.length > 0) this.send(to, message, { lane, records: batch })
    return totalBytes
  }

  /** Connects to this member and hangs up, to see what its machine says; nothing where it cannot be dialled. */
  triage(member: MemberRecord, timeoutMs = this.options.pingTimeoutMaxMs): void {
    const address = addressOf(member)
    if (address !== undefined) this.emit({ type: 'triage', peer: member.id, address, timeoutMs })
  }

  /** Passes a record on. */
  spread(record: MemberRecord): void {
    this.rumours.add(record)
    this.#rounds.hasten()
  }

  /** Distinct random members that pass; those we can reach without a relay. */
  someone(count: number, passes: (member: MemberRecord) => boolean): MemberRecord[] {
    const chosen = new Map<NodeId, MemberRecord>()
    const fits = (member: MemberRecord): boolean =>
      member.id !== this.id && !chosen.has(member.id) && this.reaches(member) && passes(member)
    while (chosen.size < count) {
      const member = this.table.random(this.random, fits)
      if (member === undefined) break
      chosen.set(member.id, member)
    }
    return [...chosen.values()]
  }

  get #transmissions(): number {
    return transmissionsOf(this.table.hereCount, this.options)
  }
}
