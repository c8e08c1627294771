/** Peers in one thread for the tests of raft/core: synchronous storage, no delays, and a wire that can be cut. */
import { seededRandom } from '../../../lib/base/random.js'
import {
  type ConfState,
  checkInvariants,
  type DropReason,
  decodeConfChange,
  type Entry,
  type HardState,
  isConfChange,
  isRaftError,
  MemoryStorage,
  type Message,
  type MessageFields,
  type MessageType,
  makeMessage,
  type RaftId,
  type RaftOptions,
  RawNode,
  type ReadState,
  type Ready,
  type Snapshot,
} from '../../../lib/raft/core/index.js'

/** A node that checks its invariants after whatever is done to it. */
export class CheckedNode extends RawNode {
  override tick(): void {
    super.tick()
    checkInvariants(this)
  }

  override campaign(): void {
    super.campaign()
    checkInvariants(this)
  }

  override propose(data: Uint8Array): void {
    super.propose(data)
    checkInvariants(this)
  }

  override proposeConfChange(...args: Parameters<RawNode['proposeConfChange']>): void {
    super.proposeConfChange(...args)
    checkInvariants(this)
  }

  override applyConfChange(...args: Parameters<RawNode['applyConfChange']>): ConfState {
    const conf = super.applyConfChange(...args)
    checkInvariants(this)
    return conf
  }

  override step(m: Message): void {
    super.step(m)
    checkInvariants(this)
  }

  override ready(): Ready {
    const ready = super.ready()
    checkInvariants(this)
    return ready
  }

  override advance(): void {
    super.advance()
    checkInvariants(this)
  }
}

export function conf(voters: readonly RaftId[], learners: readonly RaftId[] = []): ConfState {
  return { voters, votersOutgoing: [], learners, learnersNext: [], autoLeave: false }
}

export function entry(term: number, index: number, data = ''): Entry {
  return { type: 'EntryNormal', term, index, data: Buffer.from(data) }
}

/** Entries with these terms, from `firstIndex` on. */
export function entriesOf(terms: readonly number[], firstIndex = 1): Entry[] {
  return terms.map((term, at) => entry(term, firstIndex + at))
}

export function snapshotAt(index: number, term: number, confState: ConfState): Snapshot {
  return { index, term, confState, data: new Uint8Array(0) }
}

/** How a peer starts: its configuration, its log by terms (from index 1), its hard state, and options. */
export interface PeerStart extends Partial<Omit<RaftOptions, 'id' | 'storage'>> {
  readonly voters?: readonly RaftId[]
  readonly learners?: readonly RaftId[]
  readonly log?: readonly number[]
  readonly hardState?: HardState
  readonly snapshot?: Snapshot
}

export class Peer {
  readonly node: CheckedNode
  readonly storage: MemoryStorage
  readonly applied: Entry[] = []
  readonly readStates: ReadState[] = []
  conf: ConfState

  constructor(id: RaftId, start: PeerStart = {}) {
    const { voters = [1, 2, 3], learners = [], log = [], hardState, snapshot, ...options } = start
    this.conf = snapshot?.confState ?? conf(voters, learners)
    this.storage = new MemoryStorage({
      snapshot: snapshot ?? snapshotAt(0, 0, this.conf),
      entries: entriesOf(log, (snapshot?.index ?? 0) + 1),
      ...(hardState === undefined ? {} : { hardState }),
    })
    this.node = new CheckedNode({
      electionTick: 10,
      heartbeatTick: 1,
      random: seededRandom(id),
      ...options,
      id,
      storage: this.storage,
    })
  }

  get id(): RaftId {
    return this.node.raft.id
  }

  get state(): string {
    return this.node.raft.state
  }

  get term(): number {
    return this.node.raft.term
  }

  get committed(): number {
    return this.node.raft.log.committed
  }

  tick(times = 1): void {
    for (let i = 0; i < times; i++) this.node.tick()
  }

  step(type: MessageType, from: RaftId, term: number, fields?: MessageFields): void {
    this.node.step(makeMessage(type, from, this.id, term, fields))
  }

  propose(text: string): void {
    this.node.propose(Buffer.from(text))
  }

  /** Why a proposal was dropped; undefined if it was not. */
  proposalRefused(act: () => void = () => this.propose('x')): DropReason | undefined {
    try {
      act()
      return undefined
    } catch (error) {
      if (isRaftError(error, 'ERR_PROPOSAL_DROPPED')) return error.reason
      throw error
    }
  }

  /** Carries out every Ready and gives the messages that leave. */
  take(): Message[] {
    const messages: Message[] = []
    while (this.node.hasReady()) {
      const ready = this.node.ready()
      if (ready.hardState !== undefined) this.storage.setHardState(ready.hardState)
      if (ready.snapshot !== undefined) {
        this.storage.applySnapshot(ready.snapshot)
        this.conf = ready.snapshot.confState
      }
      this.storage.append(ready.entries)
      messages.push(...ready.messages)
      this.readStates.push(...ready.readStates)
      for (const committed of ready.committedEntries) {
        this.applied.push(committed)
        if (isConfChange(committed)) this.conf = this.node.applyConfChange(decodeConfChange(committed), committed.index)
      }
      this.node.advance()
    }
    return messages
  }

  /** As `take`, but nothing is wanted of the messages. */
  settle(): this {
    this.take()
    return this
  }

  /** Wins the election of the next term with the votes of all voters. */
  becomeLeader(): this {
    this.node.campaign()
    this.take()
    for (const id of this.conf.voters) {
      if (id === this.id || this.state !== 'StateCandidate') continue
      this.step('MsgVoteResp', id, this.term)
    }
    return this
  }

  /** Terms of the log, first to last. */
  terms(): number[] {
    const { log } = this.node.raft
    return log.entriesFrom(log.firstIndex(), Number.POSITIVE_INFINITY).map(({ term }) => term)
  }

  /** Appends an entry as leader, which everyone in `acks` acknowledges. */
  replicate(text: string, acks: readonly RaftId[]): Message[] {
    this.propose(text)
    const messages = this.take()
    for (const from of acks) this.step('MsgAppResp', from, this.term, { index: this.node.raft.log.lastIndex() })
    return [...messages, ...this.take()]
  }
}

/** Several peers and the wires between them. */
export class Group {
  readonly peers: readonly Peer[]
  /** Messages for which this is true are lost. */
  lost: (m: Message) => boolean = () => false

  constructor(peers: readonly Peer[]) {
    this.peers = peers
  }

  peer(id: RaftId): Peer {
    const found = this.peers.find((peer) => peer.id === id)
    if (found === undefined) throw new Error(`no peer ${id}`)
    return found
  }

  /** Cuts a peer off. */
  isolate(id: RaftId): void {
    this.lost = (m) => m.from === id || m.to === id
  }

  heal(): void {
    this.lost = () => false
  }

  /** Carries out Readys and delivers messages until all is quiet. */
  settle(): void {
    for (let quiet = false; !quiet; ) {
      quiet = true
      for (const m of this.peers.flatMap((peer) => peer.take())) {
        quiet = false
        if (!this.lost(m)) this.deliver(m)
      }
    }
  }

  deliver(m: Message): void {
    try {
      this.peers.find(({ id }) => id === m.to)?.node.step(m)
    } catch (error) {
      // As a runner does: a response of a former member, or a proposal that came too late.
      if (!isRaftError(error, 'ERR_STEP_PEER_NOT_FOUND') && !isRaftError(error, 'ERR_PROPOSAL_DROPPED')) throw error
    }
  }

  elect(id: RaftId): void {
    this.peer(id).node.campaign()
    this.settle()
  }
}

/** Peers 1 to `count` with the same start. */
export function group(count: number, start: PeerStart = {}): Group {
  const voters = Array.from({ length: count }, (_, at) => at + 1)
  return new Group([...voters, ...(start.learners ?? [])].map((id) => new Peer(id, { voters, ...start })))
}
