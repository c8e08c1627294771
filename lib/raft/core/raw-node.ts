import { assert } from '../../base/assert.js'
import { SkeinError } from '../../base/errors.js'
import { encodeConfChange } from './conf-change.js'
import { entriesSizeBytes } from './entries.js'
import { ErrStepLocalMsg, ErrStepPeerNotFound } from './errors.js'
import type { Moment } from './lease.js'
import {
  isLocalType,
  isResponseType,
  isStorageThread,
  isTermless,
  type Message,
  type MessageFields,
  makeMessage,
} from './messages.js'
import { type RaftOptions, resolveRaftOptions } from './options.js'
import { Raft } from './raft.js'
import { applyConfChange } from './reconfigure.js'
import {
  APPEND_THREAD,
  APPLY_THREAD,
  type ConfChange,
  type ConfState,
  type Entry,
  type HardState,
  NONE,
  type RaftId,
  type Ready,
  type SoftState,
} from './state.js'
import { type BasicStatus, basicStatusOf, type RaftStatus, statusOf } from './status.js'

type Draft<T> = { -readonly [Key in keyof T]: T[Key] }

/**
 * One peer of a consensus group, as a function of its inputs: tick, step and propose go in; `ready` says what to do.
 *
 * Synchronous storage: persist the Ready's hard state, snapshot and entries, send its messages, apply its committed
 * entries, then `advance`, before the next `ready`. Asynchronous storage: a Ready holds messages to APPEND_THREAD and
 * APPLY_THREAD; carry out each queue in order and deliver a message's `responses` once it is durable or applied.
 *
 * @see Ongaro 2014; the shape and the message flow are those of etcd/raft
 */
export class RawNode {
  /** The state behind the face, for checkInvariants and tests; nothing else reads it. */
  readonly raft: Raft
  #lastSoftState: SoftState
  #lastHardState: HardState
  /** Synchronous storage: what this peer owes itself once the accepted Ready is carried out. */
  #onAdvance: Message[] = []

  /** @throws {SkeinError} ERR_SKEIN_INVALID_OPTION */
  constructor(options: RaftOptions) {
    this.raft = new Raft(resolveRaftOptions(options))
    this.#lastSoftState = this.raft.softState
    this.#lastHardState = this.raft.hardState
  }

  get #isAsync(): boolean {
    return this.raft.options.asyncStorageWrites
  }

  /** Time passes by one tick. */
  tick(): void {
    this.raft.tick()
  }

  /** Asks for votes at once, if this peer may. */
  campaign(): void {
    this.raft.stepLocal('MsgHup')
  }

  /** Proposes one entry; it may still be lost with a leader. @throws {RaftError} ERR_PROPOSAL_DROPPED: it will never be in a log */
  propose(data: Uint8Array): void {
    this.proposeAll([data])
  }

  /** Proposes several entries that go to the followers together: all of them or none. @throws {RaftError} ERR_PROPOSAL_DROPPED */
  proposeAll(all: readonly Uint8Array[]): void {
    this.#stepOwn('MsgProp', { entries: all.map((data) => ({ type: 'EntryNormal', term: 0, index: 0, data })) })
  }

  /**
   * Proposes a configuration change. One that comes while another is under way is committed as an empty entry.
   * @throws {RaftError} ERR_PROPOSAL_DROPPED
   * @throws {SkeinError} ERR_SKEIN_CONF_CHANGE if the change has no meaning
   */
  proposeConfChange(change: ConfChange): void {
    const { type, data } = encodeConfChange(change)
    this.#stepOwn('MsgProp', { entries: [{ type, term: 0, index: 0, data }] })
  }

  /**
   * Puts a committed change into force; call it for every one, in order, when it is applied. Returns the configuration to keep
   * with the applied state. With the entry's `index`, a change that a restored snapshot already contains is ignored.
   * @throws {RaftError} ERR_CONF_CHANGE if the change is illegal; nothing has changed then
   */
  applyConfChange(change: ConfChange, index?: number): ConfState {
    if (index !== undefined && index <= this.raft.restoredIndex) return this.raft.tracker.conf
    return applyConfChange(this.raft, change)
  }

  /**
   * Takes a message from another peer, or from the own storage threads.
   * @throws {RaftError} ERR_STEP_LOCAL_MSG, ERR_STEP_PEER_NOT_FOUND, ERR_PROPOSAL_DROPPED
   * @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE if it lacks a term, or proposes a configuration change that does not decode
   */
  step(m: Message): void {
    if (!isStorageThread(m.from)) {
      if (isLocalType(m.type)) throw ErrStepLocalMsg
      // Term 0 means "local" further in, where it would pass every check of the term.
      if (m.term === 0 && !isTermless(m.type)) {
        throw new SkeinError('ERR_SKEIN_BAD_MESSAGE', `${m.type} from ${m.from}: expected a term from 1, got 0`, { path: 'term' })
      }
      if (isResponseType(m.type) && this.raft.tracker.get(m.from) === undefined) throw ErrStepPeerNotFound
    }
    this.raft.step(m)
  }

  /** Asks the leader to hand over to `id`; nothing happens if that is not possible. */
  transferLeader(id: RaftId): void {
    this.raft.step(makeMessage('MsgTransferLeader', id, NONE, 0))
  }

  /** A follower forgets its leader and may vote at once; for those who know by other means that it is gone. */
  forgetLeader(): void {
    this.#stepOwn('MsgForgetLeader')
  }

  /** Asks for an index to read at; it comes as a read state with `context`, or is lost and may be asked for again. */
  readIndex(context: Uint8Array): void {
    this.#stepOwn('MsgReadIndex', { entries: [{ type: 'EntryNormal', term: 0, index: 0, data: context }] })
  }

  /** The heartbeats of the Readys taken so far leave at this moment, or later. Only needed for `leaseIndex`. */
  heartbeatsLeave(at: Moment): void {
    this.raft.lease.leaves(at)
  }

  /**
   * The index to read at without asking anybody: as leader while a quorum is bound by its promise (`votePromise`). Undefined when
   * there is no such certainty; `readIndex` asks then. Safe as long as the clocks of two peers differ by at most a tenth in speed.
   * @see Ongaro 2014 §6.4.1
   */
  leaseIndex(now: Moment): number | undefined {
    const { raft } = this
    if (raft.state !== 'StateLeader' || raft.options.votePromise === 0 || !raft.committedInCurrentTerm()) return undefined
    return raft.lease.holds(raft.id, raft.tracker.voters, now) ? raft.log.committed : undefined
  }

  /** A message to `id` could not be sent. */
  reportUnreachable(id: RaftId): void {
    this.raft.step(makeMessage('MsgUnreachable', id, NONE, 0))
  }

  /** Sending a snapshot to `id` has ended; without this report nothing more is sent there until it answers. */
  reportSnapshot(id: RaftId, ok: boolean): void {
    this.raft.step(makeMessage('MsgSnapStatus', id, NONE, 0, { reject: !ok }))
  }

  status(): RaftStatus {
    return statusOf(this.raft)
  }

  /** As `status`, without configuration and members: cheap enough for every message. */
  basicStatus(): BasicStatus {
    return basicStatusOf(this.raft)
  }

  /** Index of the last entry in the log; right after `propose`, the index the proposal got. */
  lastIndex(): number {
    return this.raft.log.lastIndex()
  }

  /** For tests: this election timeout ends after `ticks`; the next one is drawn again. */
  setRandomizedElectionTimeout(ticks: number): void {
    this.raft.randomizedElectionTimeout = ticks
  }

  /** True if `ready` has something to do. */
  hasReady(): boolean {
    const { log, messages, messagesAfterAppend, readStates } = this.raft
    return (
      messages.length > 0 ||
      messagesAfterAppend.length > 0 ||
      readStates.length > 0 ||
      log.unstable.hasNextEntries ||
      log.unstable.nextSnapshot !== null ||
      log.hasNextCommitted ||
      this.#hasNewSoftState() ||
      this.#hasNewHardState()
    )
  }

  /** What to do now; asking is a promise to do it. */
  ready(): Ready {
    assert(this.#onAdvance.length === 0, 'a Ready is advanced before the next one')
    const { raft } = this
    const { log } = raft
    const hardState = raft.hardState
    const ready: Draft<Ready> = {
      readStates: raft.readStates,
      entries: log.unstable.nextEntries(),
      committedEntries: log.nextCommitted(),
      messages: raft.messages,
      mustSync: false,
    }
    // Commit alone may be lost: it is found again (thesis §3.8).
    ready.mustSync =
      ready.entries.length > 0 || hardState.term !== this.#lastHardState.term || hardState.vote !== this.#lastHardState.vote
    if (this.#hasNewSoftState()) ready.softState = this.#lastSoftState = raft.softState
    if (this.#hasNewHardState()) ready.hardState = this.#lastHardState = hardState
    if (log.unstable.nextSnapshot !== null) ready.snapshot = log.unstable.nextSnapshot
    const promises = raft.messagesAfterAppend
    raft.messages = []
    raft.messagesAfterAppend = []
    raft.readStates = []
    if (this.#isAsync) this.#addStorageMessages(ready, promises)
    else this.#splitPromises(ready, promises)
    log.unstable.acceptInProgress()
    const lastCommitted = ready.committedEntries.at(-1)
    if (lastCommitted !== undefined) log.acceptApplying(lastCommitted.index, entriesSizeBytes(ready.committedEntries))
    return ready
  }

  /** Synchronous storage only: the last Ready has been carried out. */
  advance(): void {
    assert(!this.#isAsync, 'with asynchronous storage, responses take the place of advance')
    const steps = this.#onAdvance
    this.#onAdvance = []
    for (const m of steps) this.raft.step(m)
  }

  /** Writing happens elsewhere: everything that waits for it travels with the write and comes back behind it. */
  #addStorageMessages(ready: Draft<Ready>, promises: Message[]): void {
    const { id } = this.raft
    const { entries, hardState, snapshot = null, committedEntries } = ready
    const messages = ready.messages as Message[]
    if (entries.length > 0 || hardState !== undefined || snapshot !== null || promises.length > 0) {
      const written = this.#writtenMessage(ready)
      // Behind the leader's acknowledgement to itself, which looks up terms among the unstable entries.
      const responses = written === undefined ? promises : [...promises, written]
      const { term = 0, vote = NONE, commit = 0 } = hardState ?? {}
      messages.push(makeMessage('MsgStorageAppend', id, APPEND_THREAD, term, { vote, commit, entries, snapshot, responses }))
    }
    if (committedEntries.length > 0) {
      const responses = [appliedMessage(id, committedEntries)]
      messages.push(makeMessage('MsgStorageApply', id, APPLY_THREAD, 0, { entries: committedEntries, responses }))
    }
  }

  /** The caller writes before it sends: promises to others leave with the Ready, those to oneself wait for `advance`. */
  #splitPromises(ready: Draft<Ready>, promises: Message[]): void {
    const { id } = this.raft
    const messages = ready.messages as Message[]
    for (const m of promises) (m.to === id ? this.#onAdvance : messages).push(m)
    const written = this.#writtenMessage(ready)
    if (written !== undefined) this.#onAdvance.push(written)
    if (ready.committedEntries.length > 0) this.#onAdvance.push(appliedMessage(id, ready.committedEntries))
  }

  /**
   * The confirmation that everything unstable so far is durable; undefined if there is nothing to confirm.
   *
   * It names the last unstable entry, also one whose write began with an earlier Ready, because a confirmation is ignored
   * after a change of term. Consider entries x of term 1 in flight, replaced by y of term 2 and then again by x of term 3's
   * leader: when the write of the first x is confirmed, x looks stable, but the write of y is still on its way and will
   * destroy it. Confirmations of an older term prove nothing, so the first one of the new term must cover what they left.
   */
  #writtenMessage(ready: Ready): Message | undefined {
    const { id, term, log } = this.raft
    const hasUnstable = log.unstable.length > 0
    if (!hasUnstable && ready.snapshot === undefined) return undefined
    return makeMessage('MsgStorageAppendResp', APPEND_THREAD, id, term, {
      index: hasUnstable ? log.lastIndex() : 0,
      logTerm: hasUnstable ? log.lastTerm() : 0,
      snapshot: ready.snapshot ?? null,
    })
  }

  #stepOwn(type: 'MsgProp' | 'MsgForgetLeader' | 'MsgReadIndex', fields?: MessageFields): void {
    this.raft.step(makeMessage(type, this.raft.id, NONE, 0, fields))
  }

  #hasNewSoftState(): boolean {
    return this.raft.lead !== this.#lastSoftState.lead || this.raft.state !== this.#lastSoftState.raftState
  }

  #hasNewHardState(): boolean {
    const { term, vote, log } = this.raft
    const last = this.#lastHardState
    return term !== last.term || vote !== last.vote || log.committed !== last.commit
  }
}

function appliedMessage(id: RaftId, entries: readonly Entry[]): Message {
  return makeMessage('MsgStorageApplyResp', APPLY_THREAD, id, 0, { entries })
}
