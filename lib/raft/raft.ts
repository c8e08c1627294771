import type { Clock } from '../base/clock.js'
import { SkeinError } from '../base/errors.js'
import type { Random } from '../base/random.js'
import {
  Autopilot,
  type AutopilotOptions,
  type AutopilotPlan,
  type AutopilotStep,
  resolveAutopilotOptions,
} from './autopilot/index.js'
import type { ConfState, RaftId } from './core/index.js'
import { isRaftId, type MemberAct, planMember } from './members.js'
import {
  type ProposeOptions,
  type RaftEvent,
  RaftRunner,
  type RaftRunnerMetrics,
  type RaftRunnerOptions,
  type RaftRunnerStatus,
  type WaitOptions,
} from './runner/index.js'
import { processClock, processRandom } from './system.js'
import { encodeRequest, type StateMachine, TypedMachine } from './typed-machine.js'

type Inherited = Omit<RaftRunnerOptions, 'bootstrap' | 'stateMachine' | 'clock' | 'random'>

export interface RaftPeerOptions<C, R> extends Inherited {
  readonly stateMachine: StateMachine<C, R>
  /** Raft ids of the first voters, this one among them; the same list for each of them, ignored once there is a log. Others wait to be added. */
  readonly bootstrap?: readonly RaftId[] | undefined
  /** Keeps the wanted number of voters alive by itself, while this peer leads. Default: off. Give every peer the same. */
  readonly autopilot?: AutopilotOptions | undefined
  /** Default: the process's clock. */
  readonly clock?: Clock | undefined
  /** Default: the process's source of randomness. */
  readonly random?: Random | undefined
}

export interface RaftPeerStatus extends RaftRunnerStatus {
  /** What the autopilot would do next and what it waits for; undefined when it is off, or on a peer that does not lead. */
  readonly autopilot: AutopilotPlan | undefined
}

export type ApplyOptions = ProposeOptions

export interface ReadOptions extends WaitOptions {
  /**
   * `linearizable` (default): reflects every write acknowledged before the call. `lease`: the same without asking anybody on a leader
   * that a quorum has promised not to replace (option `leaseReads`); it trusts that no clock goes a tenth faster than another, and
   * that no machine's clocks all stand still while it sleeps. `stale`: what this peer has, at once.
   */
  readonly consistency?: 'linearizable' | 'lease' | 'stale'
}

/**
 * A replicated state machine: one peer of a raft group, with the caller's commands, machine and transport.
 *
 * Resolved means done: an `apply` is on the disks of a majority and applied here. Everything that only the leader may do
 * rejects elsewhere with ERR_SKEIN_NOT_LEADER, whose `detail.leader` is the raft id to ask, in digits.
 * @see Ongaro 2014 §4 (members), §6 (clients)
 */
export class Raft<C, R> implements AsyncDisposable {
  readonly #runner: RaftRunner
  readonly #machine: StateMachine<C, R>
  readonly #clock: Clock
  /** A peer not heard of for this long counts as unreachable. */
  readonly #electionMs: number
  /** When each peer was last heard; milliseconds of this process. */
  readonly #autopilot: Autopilot | undefined
  #members: ReadonlySet<RaftId>
  /** Members that left, ever: kept in snapshots. */
  readonly #gone: Set<RaftId>

  private constructor(runner: RaftRunner, machine: TypedMachine<C, R>, options: RaftPeerOptions<C, R>, clock: Clock) {
    this.#runner = runner
    this.#gone = machine.removed
    this.#machine = options.stateMachine
    this.#clock = clock
    this.#electionMs = electionMsOf(options)
    this.#autopilot = options.autopilot && this.#makeAutopilot(options.autopilot)
    this.#members = membersOf(runner.status().conf)
    runner.observe((event) => event.type === 'conf' && this.#noteGone(event.conf))
  }

  /**
   * Opens log and snapshots and fills the machine from the newest snapshot. Nothing is sent before `start`.
   * @throws {SkeinError} ERR_SKEIN_INVALID_OPTION, ERR_SKEIN_CORRUPT, ERR_SKEIN_OTHER_CLUSTER, ERR_SKEIN_DIR_UNUSABLE, ERR_SKEIN_STORAGE
   */
  static async open<C, R>(options: RaftPeerOptions<C, R>): Promise<Raft<C, R>> {
    const { id, stateMachine, bootstrap, autopilot, clock = processClock, random = processRandom } = options
    if (!isRaftId(id)) throw invalid('id', id, 'a whole number from 1 to 281474976710655')
    refuseUnlessMachine(stateMachine)
    if (autopilot !== undefined) resolveAutopilotOptions(autopilot, electionMsOf(options)) // refused before anything is opened
    const machine = new TypedMachine(stateMachine)
    const runner = await RaftRunner.open({
      ...options,
      stateMachine: machine,
      bootstrap: bootstrap === undefined ? undefined : firstVoters(id, bootstrap),
      clock,
      random,
    })
    return new Raft(runner, machine, options, clock)
  }

  get id(): RaftId {
    return this.#runner.status().id
  }

  /** Never rejects. Resolves to undefined after stop(), to the error if this peer failed by itself. */
  get ended(): Promise<unknown> {
    return this.#runner.ended
  }

  /** Begins to take part. After a restart the machine is up to date once `barrier` resolves. */
  start(): void {
    this.#runner.start()
    this.#autopilot?.start()
  }

  /** Finishes the write under way and closes the log; waiters hear that their outcome is unknown. Any number of times. */
  async stop(): Promise<void> {
    await Promise.all([this.#autopilot?.stop(), this.#runner.stop()])
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  /** For the transport: a frame from another peer. */
  receive(from: RaftId, frame: Uint8Array): void {
    this.#runner.receive(from, frame)
  }

  /**
   * For the transport: a piece of a snapshot from another peer; resolves with the answer that goes back to it.
   * @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE, ERR_SKEIN_OTHER_CLUSTER, ERR_SKEIN_WIRE_VERSION, ERR_SKEIN_BUSY, ERR_SKEIN_STOPPED
   */
  receiveSnapshotPiece(from: RaftId, piece: Uint8Array): Promise<Uint8Array> {
    return this.#runner.receiveSnapshotPiece(from, piece)
  }

  /** For the transport: a peer cannot be reached. `dead`: connections are refused, its process is gone. */
  reportUnreachable(id: RaftId, evidence: 'lost' | 'dead' = 'lost'): void {
    this.#runner.reportUnreachable(id, evidence)
  }

  /**
   * Proposes a command; resolves with what the machine's `apply` returned here.
   * @param o.requestId Makes retries exactly-once, on any peer, while the last 10,000 of them are remembered; the result must then be plain data.
   * @param o.deadlineMs Milliseconds from now, default five election timeouts. Past it the outcome is unknown, not failed.
   * @throws {SkeinError} definitely not proposed: ERR_SKEIN_NOT_LEADER, ERR_SKEIN_BUSY, ERR_SKEIN_TOO_LARGE, ERR_SKEIN_ABORTED,
   *   ERR_SKEIN_STOPPED, ERR_SKEIN_STORAGE; may have happened: ERR_SKEIN_OUTCOME_UNKNOWN; or what `codec.encode` throws
   * @see Ongaro 2014 §6.3
   */
  async apply(command: C, o: ApplyOptions = {}): Promise<R> {
    return await this.#runner.propose<R>(encodeRequest(this.#machine.codec.encode(command), o.requestId), o)
  }

  /**
   * Looks at the machine; any peer may be asked.
   * @param look Called once, synchronously, when the machine may be read.
   * @throws {SkeinError} ERR_SKEIN_INVALID_OPTION, ERR_SKEIN_NO_QUORUM, ERR_SKEIN_BUSY, ERR_SKEIN_ABORTED, ERR_SKEIN_STOPPED,
   *   ERR_SKEIN_STORAGE, or what `look` throws
   * @see Ongaro 2014 §6.4, §6.4.1
   */
  async read<T>(look: () => T, { consistency = 'linearizable', ...wait }: ReadOptions = {}): Promise<T> {
    if (consistency !== 'linearizable' && consistency !== 'lease' && consistency !== 'stale') {
      throw invalid('consistency', consistency, 'linearizable, lease or stale')
    }
    if (consistency === 'lease') return await this.#runner.readByLease(look, wait)
    if (consistency === 'linearizable') await this.#runner.read(wait)
    return look()
  }

  /**
   * Resolves once everything committed before the call is applied here.
   * @throws {SkeinError} ERR_SKEIN_NO_QUORUM, ERR_SKEIN_BUSY, ERR_SKEIN_ABORTED, ERR_SKEIN_STOPPED, ERR_SKEIN_STORAGE
   */
  barrier(o?: WaitOptions): Promise<void> {
    return this.#runner.barrier(o)
  }

  /**
   * Resolves if this peer leads and a majority has confirmed so since the call.
   * @throws {SkeinError} ERR_SKEIN_NOT_LEADER, and those of `barrier`
   */
  async verifyLeader(o?: WaitOptions): Promise<void> {
    const term = this.#leadingTerm()
    await this.#runner.read(o)
    // A term has one leader, and who lost a term never leads in it again.
    if (this.#leadingTerm() !== term) throw notLeader(this.#runner.status())
  }

  /**
   * Adds a voter; resolves with the configuration in force. A newcomer without the log counts for the quorum at once:
   * `addLearner` and later `promote` cost nobody anything. A learner is promoted.
   * @throws {SkeinError} ERR_SKEIN_CONF_CHANGE (another change is under way, or the learner has not caught up),
   *   ERR_SKEIN_REMOVED (it was a member before: one that comes back may have forgotten its votes), ERR_SKEIN_INVALID_OPTION, ERR_SKEIN_NO_QUORUM, and
   *   those of `apply`
   */
  addVoter(id: RaftId, o?: WaitOptions): Promise<ConfState> {
    return this.#change('addVoter', id, o)
  }

  /** Adds a member that receives everything and has no vote; otherwise as `addVoter`. */
  addLearner(id: RaftId, o?: WaitOptions): Promise<ConfState> {
    return this.#change('addLearner', id, o)
  }

  /** Gives a learner its vote, if it answers and has caught up. @throws {SkeinError} those of `addVoter`, ERR_SKEIN_NOT_FOUND */
  promote(id: RaftId, o?: WaitOptions): Promise<ConfState> {
    return this.#change('promote', id, o)
  }

  /** Takes a voter's vote, if a majority of the others answers. @throws {SkeinError} those of `addVoter`, ERR_SKEIN_NOT_FOUND */
  demote(id: RaftId, o?: WaitOptions): Promise<ConfState> {
    return this.#change('demote', id, o)
  }

  /** Removes a member for good, if a majority of the others answers. @throws {SkeinError} those of `addVoter`, ERR_SKEIN_NOT_FOUND */
  remove(id: RaftId, o?: WaitOptions): Promise<ConfState> {
    return this.#change('remove', id, o)
  }

  /**
   * Hands leadership to `to`, default the voter that has most of the log; resolves once it is known to lead.
   * @throws {SkeinError} ERR_SKEIN_NOT_LEADER, ERR_SKEIN_PRECONDITION (no such voter), ERR_SKEIN_TIMEOUT (after two election timeouts)
   * @see Ongaro 2014 §3.10
   */
  async transferLeadership(to?: RaftId): Promise<void> {
    this.#leadingTerm()
    await this.#runner.transferLeadership(to ?? this.#successor())
  }

  /**
   * Takes a snapshot of what is applied here; resolves with its index once it is durable and the log before it may go.
   * @throws {SkeinError} ERR_SKEIN_PRECONDITION (nothing is applied yet), ERR_SKEIN_STORAGE, ERR_SKEIN_STOPPED, or what the machine throws
   */
  snapshot(): Promise<number> {
    return this.#runner.snapshot()
  }

  status(): RaftPeerStatus {
    return { ...this.#runner.status(), autopilot: this.#autopilot?.plan }
  }

  metrics(): RaftRunnerMetrics {
    return this.#runner.metrics()
  }

  /** News of leadership and members, in order; returns how to stop listening. A listener that throws stops this peer. */
  observe(listener: (event: RaftEvent) => void): () => void {
    return this.#runner.observe(listener)
  }

  async #change(act: MemberAct, id: RaftId, o: WaitOptions | undefined): Promise<ConfState> {
    if (!isRaftId(id)) throw invalid('id', id, 'a raft id from 1 to 2^48 - 1')
    if (act.startsWith('add') && this.#gone.has(id)) throw removed(id)
    // A majority answers, and what this peer knows of the members is what is in force.
    await this.verifyLeader(o)
    const { conf, progress } = this.#runner.status()
    const change = planMember(act, id, { conf, progress, reachable: (voters) => this.#reachable(voters) })
    return change === undefined ? conf : await this.#runner.changeConf({ changes: [change] }, o)
  }

  #makeAutopilot(options: AutopilotOptions): Autopilot {
    return new Autopilot({
      clock: this.#clock,
      options: resolveAutopilotOptions(options, this.#electionMs),
      look: () => {
        const { id: self, role, term, conf, commitIndex, progress } = this.#runner.status()
        const heardAtMs = (id: RaftId): number | undefined => this.#runner.heardAtMs(id)
        return role === 'leader' ? { self, term, conf, commitIndex, progress, heardAtMs } : undefined
      },
      carryOut: async ({ act, id }: AutopilotStep) => void (await this.#change(act, id, undefined)),
    })
  }

  #noteGone(conf: ConfState): void {
    const members = membersOf(conf)
    for (const id of this.#members) if (!members.has(id)) this.#gone.add(id)
    this.#members = members
  }

  #reachable(voters: readonly RaftId[]): number {
    return voters.filter((id) => this.#runner.hears(id)).length
  }

  #successor(): RaftId {
    const { conf, progress } = this.#runner.status()
    const others = conf.voters.filter((id) => id !== this.id)
    const matchOf = (id: RaftId) => (this.#runner.hears(id) ? (progress.get(id)?.match ?? 0) : -1)
    const [first, ...rest] = others
    if (first === undefined) {
      throw new SkeinError('ERR_SKEIN_PRECONDITION', 'there is no other voter to hand leadership to; add one first', {
        what: 'transferLeadership',
      })
    }
    return rest.reduce((best, id) => (matchOf(id) > matchOf(best) ? id : best), first)
  }

  #leadingTerm(): number {
    const status = this.#runner.status()
    if (status.role !== 'leader') throw notLeader(status)
    return status.term
  }
}

function electionMsOf({ tickMs = 100, electionTicks = 10 }: Pick<RaftRunnerOptions, 'tickMs' | 'electionTicks'>): number {
  return tickMs * electionTicks
}

function membersOf({ voters, votersOutgoing, learners, learnersNext }: ConfState): ReadonlySet<RaftId> {
  return new Set([...voters, ...votersOutgoing, ...learners, ...learnersNext])
}

function removed(id: RaftId): SkeinError<'ERR_SKEIN_REMOVED'> {
  const words = `raft id ${id} was removed: a peer that comes back may have forgotten its votes; start it with an empty directory and a new id`
  return new SkeinError('ERR_SKEIN_REMOVED', words, { node: String(id) })
}

/** Checked here: what the runner is given is always the same wrapper. */
function refuseUnlessMachine(machine: unknown): void {
  const { codec, apply, snapshot, restore } = fieldsOf(machine)
  const { encode, decode } = fieldsOf(codec)
  const wanted = { apply, snapshot, restore, 'codec.encode': encode, 'codec.decode': decode }
  const missing = Object.entries(wanted).find(([, value]) => typeof value !== 'function')
  if (missing !== undefined) throw invalid('stateMachine', machine, `an object with a function ${missing[0]}`)
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

function firstVoters(id: RaftId, ids: readonly RaftId[]): ConfState {
  const isList = Array.isArray(ids) && ids.every(isRaftId) && new Set(ids).size === ids.length
  if (!isList || !ids.includes(id))
    throw invalid('bootstrap', ids, `a list of raft ids, each once, with this peer's id ${id} in it`)
  return { voters: ids, votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false }
}

function notLeader({ id, leader }: RaftRunnerStatus): SkeinError<'ERR_SKEIN_NOT_LEADER'> {
  const known = leader === 0 || leader === id ? undefined : String(leader)
  const words = known === undefined ? 'no leader is known' : `raft id ${known} leads`
  return new SkeinError('ERR_SKEIN_NOT_LEADER', `this peer does not lead: ${words}`, { leader: known })
}

function invalid(option: string, got: unknown, expected: string): SkeinError<'ERR_SKEIN_INVALID_OPTION'> {
  return new SkeinError('ERR_SKEIN_INVALID_OPTION', `${option}: expected ${expected}, got ${String(got)}`, { option, got })
}
