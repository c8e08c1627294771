import type { NodeId } from '../../../lib/base/ids.js'
import { seededRandom } from '../../../lib/base/random.js'
import {
  type Accusation,
  type Effect,
  type MemberRecord,
  type Packet,
  type PeerEvidence,
  Roster,
  resolveSwimOptions,
  SwimCore,
  type SwimMessage,
} from '../../../lib/overlay/swim/index.js'

export function nodeId(number: number): NodeId {
  return String(number).padStart(12, '0') as NodeId
}

export function alive(number: number): MemberRecord {
  const profile = { version: 1, address: `h${number}:1`, lanes: 'both', meta: new Uint8Array() } as const
  return { id: nodeId(number), epoch: 1, incarnation: 1, state: 'alive', profileVersion: 1, profile, accusations: [] }
}

/** The word that a member is suspected, by these. */
export function suspect(number: number, saw: Accusation['saw'], ...by: readonly number[]): MemberRecord {
  const accusations = by.map((accuser) => ({ by: nodeId(accuser), saw }))
  return { ...alive(number), state: 'suspect', accusations, profile: undefined }
}

/** Member 1 of `size` that all know each other, with nobody else running: whatever it hears is the test's. */
export class Lonely {
  readonly core: SwimCore
  nowMs = 0
  /** Asked to try to connect, and not answered yet. */
  readonly triages: NodeId[] = []
  /** Addresses at which it holds links to its neighbours, as last told. */
  neighbours: (string | undefined)[] = []
  #sent: Packet[] = []

  /** `gone`: those it remembers as dead or left. */
  constructor(size: number, swim = resolveSwimOptions(), gone: readonly MemberRecord[] = []) {
    const known = new Map([...Array.from({ length: size }, (_, at) => alive(at + 1)), ...gone].map((each) => [each.id, each]))
    const roster = new Roster([...known.values()])
    this.core = new SwimCore({ id: nodeId(1), epoch: 1, address: 'h1:1', options: swim, random: seededRandom(7), roster })
    this.#take(this.core.start(0))
  }

  /** Lets time pass, punctually; returns what was sent. */
  pass(durationMs: number): Packet[] {
    const end = this.nowMs + durationMs
    while (this.core.wakeAtMs <= end) {
      this.nowMs = Math.max(this.nowMs, this.core.wakeAtMs)
      this.#take(this.core.tick(this.nowMs))
    }
    this.nowMs = end
    return this.#sent.splice(0)
  }

  /** Stands still: the next timer runs so much too late. */
  stall(lateMs: number): Packet[] {
    this.nowMs = Math.max(this.nowMs, this.core.wakeAtMs) + lateMs
    this.#take(this.core.tick(this.nowMs))
    return this.#sent.splice(0)
  }

  receive(from: number, message: SwimMessage, records: readonly MemberRecord[] = []): Packet[] {
    const packet = { to: nodeId(1), from: nodeId(from), epoch: 1, incarnation: 1, message, records }
    this.#take(this.core.receive(this.nowMs, packet, 'datagram'))
    return this.#sent.splice(0)
  }

  /** Asks that member where their tables differ: from then on it may tell. */
  ask(number: number): Packet[] {
    this.#take(this.core.join(this.nowMs, [nodeId(number)]))
    return this.#sent.splice(0)
  }

  evidence(peer: NodeId, saw: PeerEvidence): Packet[] {
    this.#take(this.core.evidence(this.nowMs, peer, saw))
    return this.#sent.splice(0)
  }

  stateOf(number: number): string | undefined {
    return this.core.member(nodeId(number))?.state
  }

  #take(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.type === 'send') this.#sent.push(effect.packet)
      if (effect.type === 'triage') this.triages.push(effect.peer)
      if (effect.type === 'neighbours') this.neighbours = effect.peers.map(({ profile }) => profile?.address)
    }
  }
}

export function of<T extends SwimMessage['type']>(
  packets: readonly Packet[],
  type: T,
): (Packet & { message: Extract<SwimMessage, { type: T }> })[] {
  return packets.filter((packet) => packet.message.type === type) as never
}
