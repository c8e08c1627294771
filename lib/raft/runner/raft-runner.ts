import createDebug from 'debug'
import { assert, SkeinBug } from '../../base/assert.js'
import { deferred } from '../../base/deferred.js'
import { isSkeinError, messageOf } from '../../base/errors.js'
import {
  APPEND_THREAD,
  APPLY_THREAD,
  type BasicStatus,
  type ConfChange,
  type ConfState,
  decodeConfChange,
  type Entry,
  type MemoryStorage,
  type Message,
  RaftError,
  type RaftId,
  type RawNode,
  type Ready,
  type Snapshot,
} from '../core/index.js'
import { RaftDisk, type Repair, type WalContents } from '../wal/index.js'
import { Appender } from './appender.js'
import { Applier } from './applier.js'
import { alignMachine, beginLog, loadStorage } from './bootstrap.js'
import { Impatience } from './impatience.js'
import { hasSnapshot, Inbox } from './inbox.js'
import { IncomingSnapshots } from './incoming-snapshots.js'
import { makeCore } from './make-core.js'
import { metricsOf, type RaftRunnerMetrics, RunnerCounts } from './metrics.js'
import { type RaftRunnerOptions, type ResolvedRunnerOptions, resolveRunnerOptions } from './options.js'
import { Outbox } from './outbox.js'
import { isTooOldFor, OutgoingSnapshots } from './outgoing-snapshots.js'
import { Proposals, type ProposeOptions, type WaitOptions } from './proposals.js'
import { Proposer } from './proposer.js'
import { encodeFrame, frameHead } from './raft-codec.js'
import { Reader } from './reader.js'
import { confChangeRefused, notAVoter, notLeader, stopped } from './refusals.js'
import { News, type RaftEvent, roleOf } from './role-news.js'
import { RoundTrips } from './round-trips.js'
import { Snapshotter } from './snapshotter.js'
import { Contacts, type QuorumStatus, type RaftRunnerStatus, runnerStatusOf } from './status.js'
import { SuccessionTurns } from './succession.js'
import { takeover } from './takeover.js'
import { Ticker } from './ticker.js'

const debug = createDebug('skein:raft')
/** Applying yields after this long, so that heartbeats are not late. */
const sliceMs = 8

type Phase = 'opened' | 'running' | 'stopping' | 'stopped' | 'failed'

/**
 * One raft peer in the world: steps the core, and carries out what it says in the order the thesis asks for.
 *
 * @see Ongaro 2014 §3, §5, §6.4, §10.2.1 (the leader's disk write runs beside replication)
 */
export class RaftRunner implements AsyncDisposable {
  readonly #options: ResolvedRunnerOptions
  readonly #disk: RaftDisk
  readonly #storage: MemoryStorage
  readonly #node: RawNode
  readonly #applier: Applier
  readonly #appender: Appender
  readonly #snapshotter: Snapshotter
  readonly #outbox: Outbox
  readonly #incoming: IncomingSnapshots
  readonly #outgoing: OutgoingSnapshots
  readonly #succession: SuccessionTurns
  readonly #impatience: Impatience
  readonly #ticker: Ticker
  readonly #inbox: Inbox
  readonly #proposals: Proposals
  readonly #proposer: Proposer
  readonly #reader: Reader
  readonly #news: News
  readonly #contacts = new Contacts()
  readonly #roundTrips = new RoundTrips()
  readonly #ended = deferred<unknown>()
  /** What was taken off the end of the log when it was opened: a write that was cut short and never acknowledged. */
  readonly repaired: Repair | undefined
  #phase: Phase = 'opened'
  #failure: unknown
  #stopped: Promise<void> | undefined
  #turn: NodeJS.Immediate | undefined
  readonly #counts = new RunnerCounts()

  private constructor(options: ResolvedRunnerOptions, disk: RaftDisk, contents: WalContents, repaired: Repair | undefined) {
    this.#options = options
    this.#disk = disk
    this.repaired = repaired
    this.#storage = loadStorage(contents)
    this.#node = makeCore(options, this.#storage)
    this.#news = new News(options.id)
    this.#inbox = new Inbox(options, this.#node)
    this.#proposals = new Proposals(options.clock)
    this.#proposer = new Proposer(this.#node, options, this.#proposals)
    const { clock, random, stateMachine, transport } = options
    const { index, term, confState } = this.#storage.snapshot()
    this.#applier = new Applier(
      stateMachine,
      clock,
      { index, term, conf: confState },
      {
        command: (entry, result) => this.#proposals.resolve(entry.index, entry.term, result),
        empty: (entry) => this.#proposals.refuse(entry.index, confChangeRefused('another change is under way')),
        conf: (entry) => this.#applyConfChange(entry),
        respond: (responses) => this.#deliver(responses),
      },
    )
    this.#appender = new Appender(disk, this.#storage, contents.hardState ?? { term: 0, vote: 0, commit: 0 }, clock, {
      respond: (responses) => this.#deliver(responses),
      restore: (snapshot) => this.#restore(snapshot),
      marked: (meta, outcome) => this.#snapshotter.marked(meta, outcome),
      turn: () => this.#takeTurn(),
      wake: () => this.#wake(),
      failed: (error) => this.#fail(error),
    })
    this.#snapshotter = new Snapshotter({
      disk,
      storage: this.#storage,
      machine: stateMachine,
      applier: this.#applier,
      clock,
      random,
      everyEntries: options.snapshotEveryEntries,
      everyBytes: options.snapshotEveryBytes,
      trailingEntries: options.trailingEntries,
      sendingIndex: () => this.#outgoing.oldestIndex,
      mark: (meta) => this.#appender.mark(meta),
      failed: (error) => this.#fail(error),
    })
    this.#outbox = new Outbox(options, {
      wake: () => this.#wake(),
      unreachable: (to) => this.#node.reportUnreachable(to),
    })
    this.#outgoing = new OutgoingSnapshots({
      disk,
      clock,
      random,
      bytesPerSecond: options.snapshotBytesPerSecond,
      frame: (message) => encodeFrame(frameHead(options.clusterId), [message]),
      carry: (to, piece, signal) => transport.sendSnapshotPiece(to, piece, signal),
      sent: (to, error) => this.#snapshotSent(to, error),
      damaged: () => this.#snapshotter.spoiled(),
    })
    this.#incoming = new IncomingSnapshots({
      disk,
      open: (from, frame) => this.#inbox.openSnapshot(from, frame),
      position: () => this.#node.basicStatus(),
      stored: (message) => this.#snapshotStored(message),
    })
    this.#reader = new Reader(this.#node, options, this.#applier, () => this.#wake())
    this.#succession = new SuccessionTurns(this.#node, clock, (turn) => {
      this.#guard(turn)
      this.#wake()
    })
    this.#impatience = new Impatience({
      electionTicks: options.electionTicks,
      random,
      status: () => this.#node.basicStatus(),
      campaign: () => this.#node.campaign(),
    })
    this.#ticker = new Ticker(clock, options.tickMs, () => this.#tick())
  }

  /**
   * Opens log and snapshots and brings the state machine in line with them. Nothing is sent or ticks before `start`.
   * @throws {SkeinError} ERR_SKEIN_INVALID_OPTION, ERR_SKEIN_CORRUPT, ERR_SKEIN_OTHER_CLUSTER, ERR_SKEIN_DIR_UNUSABLE, ERR_SKEIN_STORAGE
   */
  static async open(options: RaftRunnerOptions): Promise<RaftRunner> {
    const resolved = resolveRunnerOptions(options)
    const { id, clusterId, dir, files, segmentBytes, bootstrap, stateMachine } = resolved
    const { disk, contents: found, repaired } = await RaftDisk.open({ dir, clusterId, nodeId: id, files, segmentBytes })
    try {
      const contents = await beginLog(disk, found, bootstrap)
      await alignMachine(stateMachine, disk, contents, dir)
      if (repaired !== undefined) debug('%d: repaired %o', id, repaired)
      return new RaftRunner(resolved, disk, contents, repaired)
    } catch (error) {
      await disk.close()
      throw error
    }
  }

  /** Never rejects. Resolves to undefined after stop(), to the error if the runner failed by itself. */
  get ended(): Promise<unknown> {
    return this.#ended.promise
  }

  /** Begins to tick and to answer. What is known to be committed is applied from here on. */
  start(): void {
    assert(this.#phase === 'opened', 'a runner starts once')
    this.#phase = 'running'
    this.#ticker.start()
    this.#takeTurn()
  }

  /** Waits for the write under way, tells waiters that their outcome is unknown, closes the log. Any number of times. */
  stop(): Promise<void> {
    this.#stopped ??= this.#shutDown()
    return this.#stopped
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  /**
   * Proposes a command; resolves with what the state machine's `apply` returned on this peer.
   * @param data At least one byte; not to be changed afterwards.
   * @throws {SkeinError} definitely not proposed: ERR_SKEIN_NOT_LEADER (`detail.leader`: raft id to ask, in digits), ERR_SKEIN_BUSY,
   *   ERR_SKEIN_TOO_LARGE, ERR_SKEIN_ABORTED, ERR_SKEIN_STOPPED, ERR_SKEIN_STORAGE; may have happened: ERR_SKEIN_OUTCOME_UNKNOWN
   * @see Ongaro 2014 §6.3: why a retry with the same `requestId` is safe, if the state machine remembers it
   */
  propose<R>(data: Uint8Array, o: ProposeOptions = {}): Promise<R> {
    return this.#propose(() => this.#proposer.command(data, o)) as Promise<R>
  }

  /**
   * Changes the members; resolves with the configuration in force once the change is applied here. A change of several
   * members passes through a joint configuration, which the leader leaves by itself.
   * @throws {SkeinError} as `propose`, and ERR_SKEIN_CONF_CHANGE: the change is illegal or another one is under way
   */
  async changeConf(change: ConfChange, o: WaitOptions = {}): Promise<ConfState> {
    return (await this.#propose(() => this.#proposer.put(() => this.#node.proposeConfChange(change), o))) as ConfState
  }

  /**
   * Resolves once everything that was committed before the call, by whichever leader, is applied on this peer: what it
   * reads from its state machine then is linearizable. Any member may ask.
   * @param deadlineMs Milliseconds from now. Default: three election timeouts.
   * @throws {SkeinError} ERR_SKEIN_NO_QUORUM, ERR_SKEIN_BUSY, ERR_SKEIN_ABORTED, ERR_SKEIN_STOPPED, ERR_SKEIN_STORAGE
   * @see Ongaro 2014 §6.4
   */
  async read(o: WaitOptions = {}): Promise<void> {
    this.#refuseUnlessRunning()
    await this.#reader.confirmed(o)
  }

  /**
   * Looks at the state machine in the same turn in which it is certain that no other leader can have been elected: on the leader
   * without asking anybody, while a quorum is bound by its promises; elsewhere, and when in doubt, as after `read`.
   * @throws {SkeinError} ERR_SKEIN_INVALID_OPTION (without `leaseReads`), those of `read`, or what `look` throws
   * @see Ongaro 2014 §6.4.1
   */
  async readByLease<T>(look: () => T, o: WaitOptions = {}): Promise<T> {
    this.#refuseUnlessRunning()
    return await this.#reader.lookByLease(look, o)
  }

  /** The same as `read`, under the name the field gives it. */
  barrier(o?: WaitOptions): Promise<void> {
    return this.read(o)
  }

  /** Asks for votes at once, if this peer may. */
  campaign(): void {
    this.#refuseUnlessRunning()
    this.#guard(() => this.#node.campaign())
    this.#wake()
  }

  /**
   * Hands leadership over; resolves once `to` is known to lead. Proposals are refused meanwhile.
   * @throws {SkeinError} ERR_SKEIN_NOT_LEADER, ERR_SKEIN_PRECONDITION (`to` is not a voter), ERR_SKEIN_TIMEOUT (after two election timeouts)
   */
  async transferLeadership(to: RaftId): Promise<void> {
    this.#refuseUnlessRunning()
    const status = this.#node.basicStatus()
    if (status.raftState !== 'StateLeader') throw notLeader(status)
    if (to === status.id) return
    if (!this.#applier.conf.voters.includes(to)) throw notAVoter(to)
    const done = takeover({
      to,
      timeoutMs: this.#electionMs * 2,
      clock: this.#options.clock,
      observe: (listener) => this.observe(listener),
      over: this.ended.then((cause) => Promise.reject(stopped(cause))),
    })
    this.#guard(() => this.#node.transferLeader(to))
    this.#wake()
    return done
  }

  /**
   * Takes a snapshot of what is applied now; resolves with its index once it is durable and the log refers to it.
   * @throws {SkeinError} ERR_SKEIN_PRECONDITION (nothing is applied yet), ERR_SKEIN_STORAGE, ERR_SKEIN_STOPPED, or what the machine throws
   */
  async snapshot(): Promise<number> {
    this.#refuseUnlessRunning()
    const taken = this.#snapshotter.request()
    this.#wake()
    return taken
  }

  /** A frame from another peer. Malformed or foreign ones are dropped and counted. */
  receive(from: RaftId, frame: Uint8Array): void {
    if (this.#phase !== 'running') return
    const messages = this.#inbox.open(from, frame)
    if (messages === undefined) return
    const nowMs = this.#options.clock.now()
    this.#contacts.heard(from, nowMs)
    this.#roundTrips.arrived(from, messages, nowMs)
    this.#guard(() => this.#inbox.take(from, messages))
    this.#wake()
  }

  /**
   * A piece of a snapshot from the leader; resolves with the answer, which the transport takes back to the sender.
   * @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE, ERR_SKEIN_OTHER_CLUSTER, ERR_SKEIN_WIRE_VERSION, ERR_SKEIN_BUSY, ERR_SKEIN_STOPPED
   */
  async receiveSnapshotPiece(from: RaftId, piece: Uint8Array): Promise<Uint8Array> {
    this.#refuseUnlessRunning()
    this.#contacts.heard(from, this.#options.clock.now())
    return await this.#incoming.receive(from, piece)
  }

  /** The transport lost a peer. `dead`: connections are refused, the process is gone; if it led, an election begins at once. */
  reportUnreachable(id: RaftId, evidence: 'lost' | 'dead' = 'lost'): void {
    if (this.#phase !== 'running') return
    this.#guard(() => this.#node.reportUnreachable(id))
    if (evidence === 'dead') this.#guard(() => this.#succession.dead(id))
    this.#wake()
  }

  /** Whether this member was heard within an election timeout, as this peer's ticks count it; a peer always hears itself. */
  hears(id: RaftId): boolean {
    return id === this.#options.id || this.#contacts.isHeard(id, this.#options.electionTicks)
  }

  /** When this member was last heard, by this peer's clock; undefined if it never was. */
  heardAtMs(id: RaftId): number | undefined {
    return this.#contacts.heardAtMs(id)
  }

  /** What this peer is, and who leads: of `status` what is asked for every message. */
  leadership(): Pick<RaftRunnerStatus, 'role' | 'leader'> {
    const status = this.#node.basicStatus()
    return { role: roleOf(status), leader: status.lead }
  }

  status(): RaftRunnerStatus {
    const transfers = [...this.#outgoing.transfers, ...this.#incoming.transfers]
    return runnerStatusOf(this.#node, this.#applier, this.#quorum(), transfers)
  }

  /**
   * News of leadership and members, in order; returns how to stop listening. That this peer leads is news only once it
   * has applied an entry of its own term. A listener that throws stops the runner.
   */
  observe(listener: (event: RaftEvent) => void): () => void {
    return this.#news.observe(listener)
  }

  metrics(): RaftRunnerMetrics {
    return metricsOf({
      node: this.#node,
      nowMs: this.#options.clock.now(),
      applier: this.#applier,
      appender: this.#appender,
      contacts: this.#contacts,
      roundTrips: this.#roundTrips,
      disk: this.#disk,
      ticker: this.#ticker,
      proposals: this.#proposals,
      reader: this.#reader,
      outbox: this.#outbox,
      outgoing: this.#outgoing,
      inbox: this.#inbox,
      snapshotter: this.#snapshotter,
      counts: this.#counts,
      news: this.#news,
    })
  }

  // --- the loop

  /** A turn comes once what is in the sockets was read: messages of one poll share frames, writes and syncs. */
  #wake(): void {
    if (this.#phase !== 'running' || this.#turn !== undefined) return
    this.#turn = setImmediate(() => {
      this.#turn = undefined
      this.#takeTurn()
    })
  }

  /** Everything the core wants done, in its order: writes begin, messages leave, committed entries are applied. */
  #takeTurn(): void {
    if (this.#phase !== 'running') return
    const untilMs = this.#options.clock.now() + sliceMs
    this.#guard(() => {
      let hasMore = false
      do {
        this.#proposer.flush()
        this.#reader.ask()
        while (this.#node.hasReady()) this.#route(this.#node.ready())
        // First to the followers: their writes are on the way of every answer, this peer's own runs beside them (thesis §10.2.1).
        this.#outbox.flush()
        this.#appender.kick()
        hasMore = this.#applier.run(untilMs)
        this.#reader.applied()
        this.#news.look(this.#node.basicStatus(), this.#applier.appliedTerm)
        this.#snapshotter.startIfDue()
      } while (this.#node.hasReady() && !hasMore && this.#options.clock.now() < untilMs)
      if (hasMore || this.#node.hasReady()) this.#wake()
    })
  }

  #route(ready: Ready): void {
    this.#counts.readyBatches++
    if (ready.entries.length > 0) this.#counts.readyWith(ready.entries)
    this.#reader.leaves()
    if (ready.softState !== undefined) this.#softStateChanged(ready.softState.raftState)
    if (ready.snapshot !== undefined) this.#applier.restoring(ready.snapshot.index)
    this.#reader.answered(ready.readStates)
    for (const message of ready.messages) {
      if (message.to === APPEND_THREAD) this.#appender.push(message)
      else if (message.to === APPLY_THREAD) this.#applier.push(message)
      else if (isTooOldFor(message)) this.#renewSnapshot(message.to)
      else if (hasSnapshot(message)) this.#outgoing.send(message)
      else {
        if (message.type === 'MsgHeartbeat') this.#roundTrips.leaves(message, this.#options.clock.now())
        this.#outbox.push(message)
      }
    }
  }

  #renewSnapshot(to: RaftId): void {
    this.#snapshotter.spoiled()
    this.#node.reportSnapshot(to, false)
  }

  /** Waiters hear of lost leadership before anything of the new leader is applied at their index. */
  #softStateChanged(raftState: BasicStatus['raftState']): void {
    this.#counts.nowIs(raftState)
    if (raftState !== 'StateLeader') {
      this.#proposals.failAll('this peer lost its leadership')
      this.#outgoing.end()
    }
    this.#reader.askAgain()
  }

  #deliver(responses: readonly Message[]): void {
    for (const message of responses) {
      if (message.to === this.#options.id) this.#inbox.step(message)
      else this.#outbox.push(message)
    }
  }

  /** Whatever the core does not mean as an answer is a bug or worse: this peer ends. */
  #guard(act: () => void): void {
    try {
      act()
    } catch (error) {
      this.#fail(error)
    }
  }

  #tick(): void {
    if (this.#phase !== 'running') return
    this.#guard(() => {
      this.#contacts.tick()
      this.#node.tick()
      this.#impatience.tick()
      const nowMs = this.#options.clock.now()
      this.#proposals.expire(nowMs)
      this.#reader.tick(nowMs, () => this.#quorum())
    })
    this.#takeTurn()
  }

  // --- what applying and installing do

  #applyConfChange(entry: Entry): ConfState {
    let conf: ConfState
    try {
      conf = this.#node.applyConfChange(decodeConfChange(entry), entry.index)
    } catch (error) {
      // Illegal on one peer is illegal on all: nobody's configuration changes.
      if (!(error instanceof RaftError) && !isSkeinError(error, 'ERR_SKEIN_BAD_MESSAGE')) throw error
      this.#proposals.refuse(entry.index, confChangeRefused(messageOf(error)))
      return this.#applier.conf
    }
    this.#counts.reconfigured(this.#applier.conf, conf)
    this.#proposals.resolve(entry.index, entry.term, conf)
    this.#outgoing.keepTo(conf)
    this.#news.tell({ type: 'conf', conf })
    return conf
  }

  async #restore({ index, term, confState }: Snapshot): Promise<void> {
    const { clock, stateMachine } = this.#options
    const beganMs = clock.now()
    await stateMachine.restore(this.#disk.readSnapshot({ index, term }), { index, term })
    this.#applier.restored(index, term, confState)
    this.#snapshotter.installed(index)
    this.#counts.snapshotsInstalled++
    this.#counts.installSeconds.add((clock.now() - beganMs) / 1_000)
    if (this.#phase === 'running') this.#news.tell({ type: 'conf', conf: confState })
  }

  #snapshotStored(message: Message): void {
    if (this.#phase !== 'running') return
    this.#guard(() => this.#inbox.step(message))
    this.#wake()
  }

  #snapshotSent(to: RaftId, error: string | undefined): void {
    if (this.#phase !== 'running') return
    debug('%d: snapshot to %d: %s', this.#options.id, to, error ?? 'sent')
    this.#guard(() => this.#node.reportSnapshot(to, error === undefined))
    this.#wake()
  }

  // --- proposals

  #propose(put: () => Promise<unknown>): Promise<unknown> {
    this.#counts.proposals++
    try {
      this.#refuseUnlessRunning()
      const outcome = put()
      this.#wake()
      return outcome
    } catch (error) {
      if (error instanceof SkeinBug) this.#fail(error)
      this.#proposals.refused++
      return Promise.reject(error as Error)
    }
  }

  // --- who may ask for what

  get #electionMs(): number {
    return this.#options.electionTicks * this.#options.tickMs
  }

  #quorum(): QuorumStatus {
    return this.#contacts.quorum(this.#options.id, this.#applier.conf, this.#options.electionTicks)
  }

  #refuseUnlessRunning(): void {
    if (this.#phase !== 'running') throw stopped(this.#failure)
  }

  // --- the end

  /** An error of the disk or a bug: this peer says nothing more, so it promises nothing it cannot keep, and never campaigns. */
  #fail(error: unknown): void {
    if (this.#phase === 'stopped' || this.#phase === 'failed') return
    debug('%d: failed: %s', this.#options.id, messageOf(error))
    this.#phase = 'failed'
    this.#failure = error
    this.#silence(error)
    void this.#disk.close()
    this.#ended.resolve(error)
  }

  async #shutDown(): Promise<void> {
    if (this.#phase !== 'failed') this.#phase = 'stopping'
    this.#silence(undefined)
    try {
      await this.#appender.stop()
    } catch (error) {
      this.#fail(error)
    }
    await this.#incoming.end(stopped(this.#failure))
    await this.#disk.close()
    if (this.#phase === 'stopping') this.#phase = 'stopped'
    this.#ended.resolve(undefined)
  }

  #silence(cause: unknown): void {
    this.#ticker.stop()
    this.#succession.stop()
    clearImmediate(this.#turn)
    this.#turn = undefined
    this.#snapshotter.stop(stopped(cause))
    this.#outbox.close()
    this.#outgoing.end()
    void this.#incoming.end(stopped(cause))
    this.#proposer.refuse(stopped(cause))
    this.#proposals.failAll('this peer stopped', cause)
    this.#reader.failAll(() => stopped(cause))
  }
}
