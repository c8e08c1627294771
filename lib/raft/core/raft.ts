import { assert } from '../../base/assert.js'
import { SkeinError } from '../../base/errors.js'
import { below } from '../../base/random.js'
import { hup, isTransferVote } from './campaign.js'
import { stepCandidate } from './candidate.js'
import { entriesSizeBytes, payloadSizeBytes } from './entries.js'
import { stepFollower } from './follower.js'
import { appendAsLeader, leaveJointIfDue, stepLeader } from './leader.js'
import { Lease } from './lease.js'
import { RaftLog } from './log.js'
import { Tracker } from './membership.js'
import { type Message, type MessageFields, type MessageType, makeMessage } from './messages.js'
import type { ResolvedRaftOptions } from './options.js'
import { ReadQueue } from './reads.js'
import { type HardState, NONE, type RaftId, type RaftState, type ReadState, type SoftState } from './state.js'
import { abortTransfer } from './transfer.js'

/**
 * The state of one peer and the rules that hold in every role: terms, votes, timeouts (thesis §3.3–§3.6).
 * What only one role does lives in follower.ts, candidate.ts and leader.ts.
 */
export class Raft {
  readonly id: RaftId
  readonly options: ResolvedRaftOptions
  readonly log: RaftLog
  tracker: Tracker

  term = 0
  vote: RaftId = NONE
  lead: RaftId = NONE
  state: RaftState = 'StateFollower'

  /** Messages that may leave at once. */
  messages: Message[] = []
  /** Messages that promise something and wait until it is durable. */
  messagesAfterAppend: Message[] = []
  readStates: ReadState[] = []

  /** Ticks since the election timeout last began, or since the leader last checked its quorum. */
  electionElapsed = 0
  heartbeatElapsed = 0
  randomizedElectionTimeout = 0
  /** Ticks since a heartbeat was answered; of the time before the start nobody knows. */
  ticksSincePromise = 0

  /** Leader: who is to lead next. */
  leadTransferee: RaftId = NONE
  /** Leader: no configuration change may be proposed before this index is applied. */
  pendingConfIndex = 0
  /** Leader: bytes of data proposed in this term and not yet applied. */
  uncommittedBytes = 0
  /** Leader: reads not yet confirmed. */
  reads = new ReadQueue()
  /** Leader: how long nobody else can be elected. */
  lease = new Lease()
  /** Index of the last snapshot restored; configuration changes up to it are part of it. */
  restoredIndex = 0

  constructor(options: ResolvedRaftOptions) {
    const { storage, asyncStorageWrites, maxCommittedSizePerReady } = options
    this.id = options.id
    this.options = options
    this.log = new RaftLog(storage, { maxApplyingBytes: maxCommittedSizePerReady, applyUnstable: !asyncStorageWrites })
    this.tracker = this.newTracker()
    const { hardState, confState } = storage.initialState()
    this.tracker.adopt(confState, this.log.lastIndex())
    if (hardState !== null) this.#load(hardState)
    if (options.applied !== undefined) this.#startAfter(options.applied)
    this.becomeFollower(this.term, NONE)
  }

  newTracker(): Tracker {
    return new Tracker({ maxMessages: this.options.maxInflightMsgs, maxBytes: this.options.maxInflightBytes })
  }

  #load({ term, vote, commit }: HardState): void {
    this.term = term
    this.vote = vote
    this.log.commitTo(commit)
  }

  #startAfter(applied: number): void {
    const [before, last] = [this.log.firstIndex() - 1, this.log.lastIndex()]
    if (applied < before || applied > last) {
      throw new SkeinError(
        'ERR_SKEIN_INVALID_OPTION',
        `applied: expected ${before} to ${last}, which this log can continue, got ${applied}: restore a matching snapshot`,
        { option: 'applied', got: applied },
      )
    }
    // Only what is committed is ever applied; the commit index on disk may lag behind (thesis §3.8).
    this.log.commitTo(applied)
    this.log.appliedTo(applied, 0)
  }

  get softState(): SoftState {
    return { lead: this.lead, raftState: this.state }
  }

  get hardState(): HardState {
    return { term: this.term, vote: this.vote, commit: this.log.committed }
  }

  // --- time

  tick(): void {
    this.ticksSincePromise++
    if (this.state === 'StateLeader') this.#tickLeader()
    else this.#tickElection()
  }

  #tickElection(): void {
    this.electionElapsed++
    if (!this.promotable || this.electionElapsed < this.randomizedElectionTimeout) return
    this.electionElapsed = 0
    this.stepLocal('MsgHup')
  }

  #tickLeader(): void {
    this.heartbeatElapsed++
    this.electionElapsed++
    if (this.electionElapsed >= this.options.electionTick) {
      this.electionElapsed = 0
      if (this.options.checkQuorum) this.stepLocal('MsgCheckQuorum')
      // The successor had an election timeout to take over.
      abortTransfer(this)
    }
    if (this.state !== 'StateLeader' || this.heartbeatElapsed < this.options.heartbeatTick) return
    this.heartbeatElapsed = 0
    this.stepLocal('MsgBeat')
  }

  /** Gives this peer a message of its own. */
  stepLocal(type: MessageType): void {
    this.step(makeMessage(type, this.id, this.id, 0))
  }

  // --- messages in

  /**
   * @throws {RaftError} ERR_PROPOSAL_DROPPED
   * @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE if it proposes a configuration change that does not decode
   */
  step(m: Message): void {
    // Term 0 marks local messages, and requests on their way to a leader of any term.
    if (m.term !== 0 && m.term !== this.term) {
      if (m.term < this.term) {
        this.#answerStale(m)
        return
      }
      if (this.#refusesToListen(m)) return
      this.#meetHigherTerm(m)
    }
    switch (m.type) {
      case 'MsgHup':
        hup(this, this.options.preVote ? 'pre-election' : 'election')
        return
      case 'MsgStorageAppendResp':
        if (m.index !== 0) this.log.unstable.stableTo(m.index, m.logTerm)
        if (m.snapshot !== null) this.#appliedSnapshot(m.snapshot.index)
        return
      case 'MsgStorageApplyResp':
        if (m.entries.length > 0) this.#appliedEntries(m)
        return
      case 'MsgVote':
      case 'MsgPreVote':
        if (!this.isBound || isTransferVote(m)) this.#handleVoteRequest(m)
        return
      default:
        this.#stepRole(m)
    }
  }

  #stepRole(m: Message): void {
    switch (this.state) {
      case 'StateFollower':
        stepFollower(this, m)
        return
      case 'StatePreCandidate':
      case 'StateCandidate':
        stepCandidate(this, m)
        return
      case 'StateLeader':
        stepLeader(this, m)
    }
  }

  /** Thesis §4.2.3: whoever hears a leader does not listen to candidates, unless the leader itself sent them. */
  #refusesToListen(m: Message): boolean {
    if (m.type !== 'MsgVote' && m.type !== 'MsgPreVote') return false
    const hearsLeader =
      this.isBound || (this.options.checkQuorum && this.lead !== NONE && this.electionElapsed < this.options.electionTick)
    return hearsLeader && !isTransferVote(m)
  }

  /**
   * It has promised, perhaps before a restart, not to take part in an election (`votePromise`). Unlike hearing a leader this outlasts
   * a change of term: a message of a term that nobody leads yet must not free it.
   */
  get isBound(): boolean {
    return this.options.votePromise > 0 && this.ticksSincePromise < this.options.electionTick
  }

  #meetHigherTerm(m: Message): void {
    // A pre-vote is about a term nobody has entered yet, and so is its being granted.
    if (m.type === 'MsgPreVote' || (m.type === 'MsgPreVoteResp' && !m.reject)) return
    const fromLeader = m.type === 'MsgApp' || m.type === 'MsgHeartbeat' || m.type === 'MsgSnap'
    this.becomeFollower(m.term, fromLeader ? m.from : NONE)
  }

  #answerStale(m: Message): void {
    const { checkQuorum, preVote } = this.options
    if ((checkQuorum || preVote) && (m.type === 'MsgHeartbeat' || m.type === 'MsgApp')) {
      // We raised our term while cut off, and those who hear this leader will not vote for us: tell it our term, so
      // that it steps down and an election brings us together.
      this.send('MsgAppResp', m.from)
    } else if (m.type === 'MsgPreVote') {
      // A candidate of an older term would otherwise ask for ever, if its log is behind and pre-vote was switched on late.
      this.send('MsgPreVoteResp', m.from, { reject: true })
    } else if (m.type === 'MsgStorageAppendResp' && m.snapshot !== null) {
      // Entries of that write may have been replaced since; a snapshot is committed, and right in any term.
      this.#appliedSnapshot(m.snapshot.index)
    }
  }

  #handleVoteRequest(m: Message): void {
    const mayVote =
      this.vote === m.from ||
      (this.vote === NONE && this.lead === NONE) ||
      // A pre-vote costs nothing.
      (m.type === 'MsgPreVote' && m.term > this.term)
    const answer = m.type === 'MsgVote' ? 'MsgVoteResp' : 'MsgPreVoteResp'
    // Learners vote too: the candidate may know of their promotion before they do.
    if (!mayVote || !this.log.isUpToDate(m.index, m.logTerm)) {
      this.send(answer, m.from, { reject: true, ...(this.options.electionsAsInEtcd ? {} : this.#lastCommitted()) })
      return
    }
    // With the term of the request: a pre-vote is granted for the term to come.
    this.queue(makeMessage(answer, this.id, m.from, m.term))
    if (m.type === 'MsgPreVote') return
    this.electionElapsed = 0
    this.vote = m.from
  }

  #lastCommitted(): MessageFields {
    const { committed } = this.log
    return { commit: committed, logTerm: this.log.term(committed) ?? 0 }
  }

  // --- messages out

  /** Sends a message at the present term. */
  send(type: MessageType, to: RaftId, fields?: MessageFields): void {
    this.queue(makeMessage(type, this.id, to, this.term, fields))
  }

  /** Passes a request on to the leader. Proposals and reads stay without a term: they are good for a leader of any. */
  forward(m: Message, to: RaftId): void {
    const term = m.type === 'MsgProp' || m.type === 'MsgReadIndex' ? 0 : this.term
    this.queue(makeMessage(m.type, m.from === NONE ? this.id : m.from, to, term, m))
  }

  queue(m: Message): void {
    const isRequest = m.type === 'MsgVote' && !this.options.electionsAsInEtcd
    if (isRequest || m.type === 'MsgAppResp' || m.type === 'MsgVoteResp' || m.type === 'MsgPreVoteResp') {
      // These promise: that entries are on disk, that no one else gets the vote, that this log never asks again in this term.
      // They leave after the write.
      this.messagesAfterAppend.push(m)
      return
    }
    assert(m.to !== this.id, 'only promises are sent to oneself')
    this.messages.push(m)
  }

  // --- roles

  becomeFollower(term: number, lead: RaftId): void {
    this.#reset(term)
    this.lead = lead
    this.state = 'StateFollower'
  }

  /** Asks around without touching term or vote. */
  becomePreCandidate(): void {
    assert(this.state !== 'StateLeader', 'a leader does not campaign')
    this.tracker.resetVotes()
    this.lead = NONE
    this.state = 'StatePreCandidate'
  }

  becomeCandidate(): void {
    assert(this.state !== 'StateLeader', 'a leader does not campaign')
    this.#reset(this.term + 1)
    this.vote = this.id
    this.state = 'StateCandidate'
  }

  becomeLeader(): void {
    assert(this.state === 'StateCandidate', 'only a candidate wins')
    this.#reset(this.term)
    this.lead = this.id
    this.state = 'StateLeader'
    const self = this.tracker.get(this.id)
    assert(self !== undefined, 'a winner is a member')
    self.becomeReplicate()
    self.recentActive = true
    // There may be a configuration change among the entries not applied yet; looking for it would cost more than waiting.
    this.pendingConfIndex = this.log.lastIndex()
    // Thesis §3.6.2, §6.4: an entry of the new term, so that what came before it can be committed.
    const dropped = appendAsLeader(this, [{ type: 'EntryNormal', term: 0, index: 0, data: NO_DATA }])
    assert(dropped === undefined, 'an empty entry always fits')
  }

  #reset(term: number): void {
    // In the same term the vote stays: it was given, and one term has one vote (thesis §3.4).
    if (this.term !== term) {
      this.term = term
      this.vote = NONE
    }
    this.lead = NONE
    this.electionElapsed = 0
    this.heartbeatElapsed = 0
    const { electionTick, random } = this.options
    this.randomizedElectionTimeout = electionTick + below(random, electionTick)
    abortTransfer(this)
    this.tracker.resetVotes()
    const lastIndex = this.log.lastIndex()
    for (const peer of this.tracker.members) peer.reset(peer.id === this.id ? lastIndex : 0, lastIndex + 1)
    this.pendingConfIndex = 0
    this.uncommittedBytes = 0
    this.reads = new ReadQueue()
    this.lease = new Lease()
  }

  /** May campaign: a voter with its own state in place. */
  get promotable(): boolean {
    const self = this.tracker.get(this.id)
    return self !== undefined && !self.isLearner && !this.log.hasSnapshotPending
  }

  /** The leader's commit index is sure to be the newest one once an entry of its own term is committed. */
  committedInCurrentTerm(): boolean {
    return this.log.matches(this.log.committed, this.term)
  }

  // --- progress of applying

  #appliedEntries(m: Message): void {
    this.#appliedTo(m.entries.at(-1)!.index, entriesSizeBytes(m.entries))
    this.uncommittedBytes = Math.max(0, this.uncommittedBytes - payloadSizeBytes(m.entries))
  }

  #appliedSnapshot(index: number): void {
    this.log.unstable.stableSnapshotTo(index)
    this.#appliedTo(index, 0)
  }

  #appliedTo(index: number, sizeBytes: number): void {
    // Applying may have been overtaken by a snapshot meanwhile.
    this.log.appliedTo(Math.max(index, this.log.applied), sizeBytes)
    leaveJointIfDue(this)
  }
}

const NO_DATA = new Uint8Array(0)
