/** Membership as a peer takes part in it: over its links, with what it hears of who was removed, kept on disk for the next start. */
import type { Clock } from '../base/clock.js'
import type { NodeId } from '../base/ids.js'
import type { Logger } from '../base/logger.js'
import type { Random } from '../base/random.js'
import type { Membership as NodeSigns } from '../dispatcher/index.js'
import { type MemberSnapshot, type MemberView, type SwimDatagrams, SwimRunner, type Triage } from '../overlay/swim/index.js'
import type { LinkPool } from '../overlay/transport/index.js'
import { keptMembers, MemberFile } from './member-file.js'
import { StateTimes } from './state-times.js'

export interface PeerMembershipOptions {
  readonly node: string
  readonly epoch: number
  readonly address: string
  readonly pool: LinkPool
  /** Undefined: everything rides the links. */
  readonly datagrams?: SwimDatagrams | undefined
  readonly triage: Triage
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Where members are kept for the next start; undefined: nowhere. */
  readonly file: string | undefined
}

type NodeSign = NonNullable<ReturnType<NodeSigns['member']>>

/** Every peer watches its neighbours on the ring and hears of all others; a leader asks it who is alive. */
export class PeerMembership implements NodeSigns, AsyncDisposable {
  readonly #o: PeerMembershipOptions
  readonly #runner: SwimRunner
  readonly #times = new StateTimes<NodeSign['state']>((id) => this.#runner.core.record(id as NodeId) !== undefined)
  readonly #file: MemberFile | undefined
  #undo: (() => void)[] = []

  private constructor(options: PeerMembershipOptions, snapshot: MemberSnapshot | undefined) {
    const { node, epoch, address, pool, datagrams, triage, clock, random, logger } = options
    this.#o = options
    this.#runner = new SwimRunner({
      node: node as NodeId,
      epoch,
      address,
      links: pool,
      datagrams,
      triage,
      clock,
      random,
      logger,
      snapshot,
    })
    const { file } = options
    if (file !== undefined) this.#file = new MemberFile(file, { clock, logger, snapshot: () => this.#runner.snapshot() })
  }

  /** With whom was in when this peer last ran. Says and hears nothing until `start`. */
  static async open(options: PeerMembershipOptions): Promise<PeerMembership> {
    const { file, logger } = options
    return new PeerMembership(options, file === undefined ? undefined : await keptMembers(file, logger))
  }

  /** Takes part from now on; `linked` are peers to whom a link may be up already. */
  start(linked: readonly string[]): void {
    this.#undo.push(
      this.#runner.watch(({ type, member: { id } }) => {
        this.member(id)
        this.#file?.heard(type)
      }),
    )
    this.#runner.start()
    for (const node of linked) if (this.#o.pool.link(node) !== undefined) this.#runner.evidence(node, 'linked')
  }

  member(node: string): NodeSign | undefined {
    const { core } = this.#runner
    const [record, view] = [core.record(node as NodeId), this.#runner.member(node)]
    if (record === undefined || view === undefined) {
      this.#times.forget(node)
      return undefined
    }
    const state = view.state === 'dead' ? 'failed' : view.state
    const nowMs = this.#o.clock.now()
    const heardMs = core.heardMs(node as NodeId) ?? Number.NEGATIVE_INFINITY
    return {
      state,
      accusers: record.accusations.length,
      isRefused: record.accusations.some(({ saw }) => saw === 'refused'),
      sinceMs: this.#times.sinceMs(node, state, nowMs),
      // The group hears of whom it holds alive all the time, if not we ourselves.
      heardMs: state === 'alive' ? Math.max(heardMs, nowMs - core.noticeMs) : heardMs,
    }
  }

  /** Everybody known of, this peer included. */
  members(): MemberView[] {
    return this.#runner.members()
  }

  observe(changed: (node: string) => void): () => void {
    return this.#runner.watch(({ member: { id } }) => changed(id))
  }

  /** These were removed from the cluster: nothing is heard from or of them again. */
  remove(nodes: readonly string[]): void {
    const isNew = nodes.some((node) => this.#runner.core.record(node as NodeId) !== undefined)
    this.#runner.remove(nodes)
    if (isNew) this.#file?.changed()
  }

  /** Says goodbye and falls silent. Any number of times. */
  async stop(): Promise<void> {
    for (const undo of this.#undo.splice(0)) undo()
    const kept = this.#file?.stop() // as it stands before the farewell
    await this.#runner.leave()
    this.#runner.stop()
    await kept
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  metrics(): Readonly<Record<string, number>> {
    const { core, counters } = this.#runner
    return {
      skein_members: core.hereCount,
      skein_swim_health_score: core.healthScore,
      skein_swim_sent_datagrams_total: counters.sentDatagrams,
      skein_swim_sent_over_links_total: counters.sentOverLinks,
      skein_swim_sent_bytes_total: counters.sentBytes,
      skein_swim_received_total: counters.received,
      skein_swim_received_bytes_total: counters.receivedBytes,
      skein_swim_unsent_total: counters.unsent,
      skein_swim_outbid_total: counters.outbid,
      skein_swim_dropped_total: counters.malformed + counters.impostors,
      skein_swim_syncs_left_total: core.leftOpen,
      skein_swim_stream_only: counters.isStreamOnly,
    }
  }
}
