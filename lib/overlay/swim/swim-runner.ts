import { assert } from '../../base/assert.js'
import type { Clock } from '../../base/clock.js'
import { isSkeinError } from '../../base/errors.js'
import type { NodeId } from '../../base/ids.js'
import type { Logger } from '../../base/logger.js'
import type { Random } from '../../base/random.js'
import type { LinkEvent } from '../transport/index.js'
import { addressOf } from './member.js'
import type { Effect, Lane, Packet, PeerEvidence, SwimEvent } from './messages.js'
import { resolveSwimOptions, type SwimOptions } from './options.js'
import { type MemberSnapshot, rosterOf } from './snapshot.js'
import { decodePacket, encodePacket } from './swim-codec.js'
import { type MemberView, SwimCore } from './swim-core.js'
import type { Triage } from './tcp-triage.js'

/** Links as members use them; `LinkPool` is one. */
export interface SwimLinks {
  /** False when there is no link, or it is congested. */
  send(node: string, channel: 'swim', message: Uint8Array): boolean
  onMessage(channel: 'swim', listener: (from: { readonly node: string }, message: Uint8Array) => void): void
  keep(node: string, address: string, user: string): void
  release(node: string, user: string): void
  observe(observer: (event: LinkEvent) => void): () => void
}

/** Sealed datagrams as members use them; `DatagramLane` is one. */
export interface SwimDatagrams {
  readonly payloadMaxBytes: number
  /** False when it went nowhere: it could not be sealed, or its address is not reached from here. */
  send(address: string, payload: Uint8Array): boolean
  onPacket(listener: (packet: { readonly sender: string; readonly payload: Uint8Array }) => void): void
}

export interface SwimRunnerOptions {
  readonly node: NodeId
  /** Number of this start of the process: higher each time. */
  readonly epoch: number
  readonly address: string
  /** At most 512 bytes for whoever reads `MemberView.meta`. */
  readonly meta?: Uint8Array
  readonly links: SwimLinks
  /** Without it everything rides the links, and only neighbours are probed. */
  readonly datagrams?: SwimDatagrams | undefined
  readonly triage: Triage
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly swim?: SwimOptions
  /** Who was in when this process last ran. */
  readonly snapshot?: MemberSnapshot | undefined
}

/** Who is in, who is alive. Level-triggered: a call of `watch`'s listener says that it is time to look again. */
export interface Membership {
  members(): MemberView[]
  member(node: string): MemberView | undefined
  /** Returns the function that ends it. */
  watch(changed: (event: SwimEvent) => void): () => void
  /** What somebody else learned of a peer: counts as our own observation. */
  evidence(node: string, saw: PeerEvidence): void
  /** Says goodbye, so that nobody suspects us. Resolves when it has gone round. */
  leave(): Promise<void>
}

/** What went in and out since the start. */
export interface SwimCounters {
  readonly sentDatagrams: number
  readonly sentOverLinks: number
  readonly sentBytes: number
  readonly received: number
  readonly receivedBytes: number
  /** Packets no link or lane took. */
  readonly unsent: number
  readonly malformed: number
  /** Packets whose sender was not who the link or the seal proved it to be. */
  readonly impostors: number
  /** Times somebody claimed a later start of this member, and it claimed one above that. */
  readonly outbid: number
  /** 1 while our datagrams do not pass. */
  readonly isStreamOnly: number
}

const user = 'swim'
/** Lost members a link is tried to at once; for the next one the oldest is given up. */
const soughtMax = 8
/** Two rounds of gossip: six others know by then, and pass it on. */
const farewellMs = 250
/** The wall clock running ahead of ours by so much means that the host slept, or that somebody set it; either way we look afresh. */
const sleptMs = 5000

/** The core against a clock, links and datagrams. */
export class SwimRunner implements Membership, AsyncDisposable {
  readonly core: SwimCore
  readonly #o: SwimRunnerOptions
  readonly #watchers = new Set<(event: SwimEvent) => void>()
  /** Peers links are held to, or tried, for the sake of membership. */
  readonly #kept = new Set<string>()
  /** Those of them that are only tried, the oldest first. */
  readonly #sought = new Set<string>()
  readonly #count = {
    datagrams: 0,
    links: 0,
    bytes: 0,
    received: 0,
    receivedBytes: 0,
    unsent: 0,
    malformed: 0,
    impostors: 0,
    outbid: 0,
  }
  #isStreamOnly: boolean
  #cancel: (() => void) | undefined
  #wakeAtMs = Number.POSITIVE_INFINITY
  #unobserve: (() => void) | undefined
  #driftMs = 0
  #phase: 'new' | 'running' | 'stopped' = 'new'

  /** @throws {SkeinError} ERR_SKEIN_INVALID_OPTION, ERR_SKEIN_TOO_LARGE (`meta`) */
  constructor(options: SwimRunnerOptions) {
    this.#o = options
    const { node, epoch, address, meta, datagrams, random, swim, snapshot } = options
    this.#isStreamOnly = datagrams === undefined
    const lanes = datagrams === undefined ? { lanes: 'stream' as const } : { packetBytesMax: datagrams.payloadMaxBytes }
    this.core = new SwimCore({
      id: node,
      epoch,
      address,
      options: resolveSwimOptions({ ...swim, ...lanes }),
      random,
      ...(meta !== undefined && { meta }),
      ...(snapshot !== undefined && { roster: rosterOf(snapshot) }),
    })
  }

  /** Listens, probes and answers from now on. */
  start(): void {
    assert(this.#phase === 'new', 'a runner starts once')
    this.#phase = 'running'
    const { links, datagrams, clock } = this.#o
    this.#driftMs = clock.wallMs() - clock.now()
    links.onMessage('swim', (from, message) => this.#receive(from.node, message, 'link'))
    datagrams?.onPacket(({ sender, payload }) => this.#receive(sender, payload, 'datagram'))
    this.#unobserve = links.observe((event) => this.#linkEvent(event))
    this.#carry(this.core.start(clock.now()))
  }

  get counters(): SwimCounters {
    const { datagrams, links, bytes, ...rest } = this.#count
    return {
      ...rest,
      sentDatagrams: datagrams,
      sentOverLinks: links,
      sentBytes: bytes,
      isStreamOnly: Number(this.#isStreamOnly),
    }
  }

  members(): MemberView[] {
    return this.core.members()
  }

  member(node: string): MemberView | undefined {
    return this.core.member(node as NodeId)
  }

  snapshot(): MemberSnapshot {
    return this.core.snapshot()
  }

  watch(changed: (event: SwimEvent) => void): () => void {
    this.#watchers.add(changed)
    return () => this.#watchers.delete(changed)
  }

  evidence(node: string, saw: PeerEvidence): void {
    this.#run((nowMs) => this.core.evidence(nowMs, node as NodeId, saw))
  }

  /** Nodes that were removed from the cluster: nothing is heard from or of them again. */
  remove(nodes: readonly string[]): void {
    this.#run((nowMs) => this.core.remove(nowMs, nodes as readonly NodeId[]))
  }

  async leave(): Promise<void> {
    if (this.#phase !== 'running') return
    this.#run((nowMs) => this.core.leave(nowMs))
    if (this.core.hereCount === 0) return
    await new Promise<void>((resolve) => this.#o.clock.after(farewellMs, resolve))
  }

  /** Falls silent; others will suspect us unless we left before. Any number of times. */
  stop(): void {
    if (this.#phase !== 'running') return
    this.#phase = 'stopped'
    this.#cancel?.()
    this.#unobserve?.()
    for (const node of this.#kept) this.#o.links.release(node, user)
    this.#kept.clear()
    this.#watchers.clear()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop()
  }

  #run(act: (nowMs: number) => readonly Effect[]): void {
    if (this.#phase === 'running') this.#carry(act(this.#o.clock.now()))
  }

  #receive(from: string, bytes: Uint8Array, lane: Lane): void {
    this.#run((nowMs) => {
      this.#count.received++
      this.#count.receivedBytes += bytes.length
      let packet: Packet
      try {
        packet = decodePacket(bytes)
      } catch (error) {
        if (!isSkeinError(error, 'ERR_SKEIN_BAD_MESSAGE')) throw error
        this.#count.malformed++
        return []
      }
      if (packet.from === from) return this.core.receive(nowMs, packet, lane)
      this.#count.impostors++
      return []
    })
  }

  #linkEvent(event: LinkEvent): void {
    if (event.type === 'up') this.evidence(event.node, event.side === 'dialler' ? 'dialled' : 'linked')
    else if (event.type === 'down') this.evidence(event.node, event.evidence === 'reset' ? 'reset' : 'closed')
    else if (event.type === 'missed' && event.evidence === 'refused') this.evidence(event.node, 'refused')
  }

  #carry(effects: readonly Effect[]): void {
    for (const effect of effects) this.#carryOut(effect)
    this.#arm()
  }

  #carryOut(effect: Effect): void {
    const { logger, node } = this.#o
    switch (effect.type) {
      case 'send':
        this.#send(effect)
        return
      case 'triage': {
        const { peer, address, timeoutMs } = effect
        void this.#o.triage(address, timeoutMs).then((saw) => this.evidence(peer, saw))
        return
      }
      case 'neighbours': {
        const wanted = new Map(effect.peers.map((peer) => [peer.id as string, addressOf(peer)]))
        for (const kept of this.#kept) {
          if (!wanted.has(kept)) this.#release(kept)
        }
        for (const [peer, address] of wanted) {
          this.#sought.delete(peer)
          if (address !== undefined) this.#keep(peer, address)
        }
        return
      }
      case 'connect':
        this.#seek(effect.peer, effect.address)
        return
      case 'event':
        for (const watcher of [...this.#watchers]) watcher(effect.event)
        return
      case 'lanes':
        this.#isStreamOnly = effect.lanes === 'stream'
        if (this.#isStreamOnly)
          logger.warn({ node }, 'no datagram passes between this node and others: probes ride the links until one does')
        else logger.info({ node }, 'datagrams pass again')
        return
      case 'outbid':
        this.#count.outbid++
        logger.warn(
          { node, epoch: effect.epoch },
          'members heard of a later start of this node, and were told of a later one: does a copy of its directory run elsewhere?',
        )
    }
  }

  #keep(peer: string, address: string): void {
    this.#kept.add(peer)
    this.#o.links.keep(peer, address, user)
  }

  #release(peer: string): void {
    this.#kept.delete(peer)
    this.#sought.delete(peer)
    this.#o.links.release(peer, user)
  }

  /** Tries a lost member until the neighbours are told anew. However many are lost, or made up, few are tried at once. */
  #seek(peer: string, address: string): void {
    if (this.#kept.has(peer)) return
    this.#sought.add(peer)
    this.#keep(peer, address)
    const [oldest] = this.#sought
    if (this.#sought.size > soughtMax && oldest !== undefined) this.#release(oldest)
  }

  #send({ lane, address, packet }: Extract<Effect, { type: 'send' }>): void {
    const bytes = encodePacket(packet)
    const { links, datagrams } = this.#o
    // What cannot be sealed yet goes over the link, if there is one.
    const isDatagram = lane === 'datagram' && datagrams !== undefined && address !== '' && datagrams.send(address, bytes)
    if (!isDatagram && !links.send(packet.to, 'swim', bytes)) {
      this.#count.unsent++
      return
    }
    this.#count.bytes += bytes.length
    if (isDatagram) this.#count.datagrams++
    else this.#count.links++
  }

  #arm(): void {
    const { wakeAtMs } = this.core
    if (this.#phase !== 'running' || wakeAtMs === this.#wakeAtMs) return
    this.#cancel?.()
    this.#wakeAtMs = wakeAtMs
    if (!Number.isFinite(wakeAtMs)) return
    this.#cancel = this.#o.clock.after(Math.max(0, Math.ceil(wakeAtMs - this.#o.clock.now())), () => this.#wake())
  }

  #wake(): void {
    this.#wakeAtMs = Number.POSITIVE_INFINITY
    this.#cancel = undefined
    const { clock, logger, node } = this.#o
    const driftMs = clock.wallMs() - clock.now()
    const aheadMs = driftMs - this.#driftMs
    this.#driftMs = driftMs
    if (aheadMs > sleptMs) logger.info({ node, aheadMs }, 'this host slept, or its clock was set: members are asked anew')
    this.#run((nowMs) => (aheadMs > sleptMs ? this.core.woke(nowMs) : this.core.tick(nowMs)))
  }
}
