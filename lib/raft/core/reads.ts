import { type Message, makeMessage } from './messages.js'
import type { JointConfig } from './quorum.js'
import type { Raft } from './raft.js'
import { broadcastHeartbeat } from './replication.js'
import { NONE, type RaftId } from './state.js'

/** Reads that may wait on one leader; past it requests are ignored and their askers ask again. */
const MAX_WAITING_READS = 65_536

interface WaitingRead {
  readonly position: number
  /** The commit index when the request came: what must be applied before it is answered. */
  readonly index: number
  readonly request: Message
}

/**
 * Reads waiting for proof that this leader still leads (thesis §6.4, steps 2 and 3).
 *
 * Each request gets a position that rises within the term; heartbeats carry the last one, answers echo it. An answer so
 * confirms every read up to its position and never a later one, whatever the askers use to tell their requests apart.
 */
export class ReadQueue {
  #position = 0
  #waiting: WaitingRead[] = []
  readonly #acked = new Map<RaftId, number>()
  /** Requests from before the first commit in this term, when the commit index may still be behind (thesis §6.4, step 1). */
  #early: Message[] = []

  get size(): number {
    return this.#waiting.length + this.#early.length
  }

  /** Position of the last waiting read; 0 when none waits. */
  get lastPosition(): number {
    return this.#waiting.at(-1)?.position ?? 0
  }

  /**
   * What heartbeats carry and answers echo: the last position and, if it counts, the number of the heartbeat, in eight bytes each,
   * big-endian; null when there is neither.
   */
  heartbeatContext(beat: number): Uint8Array | null {
    const position = this.lastPosition
    if (position === 0 && beat === 0) return null
    const context = new Uint8Array(beat === 0 ? 8 : 16)
    const view = new DataView(context.buffer)
    view.setBigUint64(0, BigInt(position))
    if (beat > 0) view.setBigUint64(8, BigInt(beat))
    return context
  }

  postpone(request: Message): void {
    if (this.size < MAX_WAITING_READS) this.#early.push(request)
  }

  takePostponed(): readonly Message[] {
    const early = this.#early
    this.#early = []
    return early
  }

  add(index: number, request: Message): void {
    if (this.size < MAX_WAITING_READS) this.#waiting.push({ position: ++this.#position, index, request })
  }

  /** `id` still followed this leader when it saw `position`. */
  ack(id: RaftId, position: number): void {
    if (position <= this.#position && position > this.ackedIndex(id)) this.#acked.set(id, position)
  }

  ackedIndex(id: RaftId): number {
    return this.#acked.get(id) ?? 0
  }

  /** Takes out the reads that a quorum has confirmed. */
  takeConfirmed(voters: JointConfig): readonly WaitingRead[] {
    const upTo = voters.committedIndex(this)
    const count = this.#waiting.findIndex(({ position }) => position > upTo)
    return this.#waiting.splice(0, count < 0 ? this.#waiting.length : count)
  }
}

/** A leader's treatment of a read request, its own or a follower's. */
export function requestRead(raft: Raft, request: Message): void {
  if (!raft.committedInCurrentTerm()) {
    raft.reads.postpone(request)
    return
  }
  enqueue(raft, request)
  askForConfirmation(raft)
}

/** The first entry of the term is committed: requests that came before it may go on, all with one round of heartbeats. */
export function releasePostponedReads(raft: Raft): void {
  const requests = raft.reads.takePostponed()
  for (const request of requests) enqueue(raft, request)
  if (requests.length > 0) askForConfirmation(raft)
}

function enqueue(raft: Raft, request: Message): void {
  const { committed } = raft.log
  if (raft.options.readOnlyOption === 'lease') answer(raft, request, committed)
  else raft.reads.add(committed, request)
}

function askForConfirmation(raft: Raft): void {
  raft.reads.ack(raft.id, raft.reads.lastPosition)
  answerConfirmed(raft)
  if (raft.reads.lastPosition > 0) broadcastHeartbeat(raft)
}

/** A follower's heartbeat answer proves that it still followed us at the position it echoes. */
export function acknowledgeReads(raft: Raft, from: RaftId, context: Uint8Array | null): void {
  const position = readPosition(context)
  if (position === 0) return
  raft.reads.ack(from, position)
  answerConfirmed(raft)
}

function answerConfirmed(raft: Raft): void {
  for (const { index, request } of raft.reads.takeConfirmed(raft.tracker.voters)) answer(raft, request, index)
}

function answer(raft: Raft, request: Message, index: number): void {
  if (request.from === NONE || request.from === raft.id) {
    raft.readStates.push({ index, requestCtx: request.entries[0]!.data })
    return
  }
  raft.queue(makeMessage('MsgReadIndexResp', raft.id, request.from, raft.term, { index, entries: request.entries }))
}

/** The position in a heartbeat context; 0 if there is none. */
function readPosition(context: Uint8Array | null): number {
  return numberAt(context, 0)
}

/** The number of the heartbeat that is answered; 0 if it had none. */
export function beatOf(context: Uint8Array | null): number {
  return numberAt(context, 8)
}

function numberAt(context: Uint8Array | null, at: 0 | 8): number {
  if (context === null || (context.length !== 8 && context.length !== 16) || context.length === at) return 0
  return Number(new DataView(context.buffer, context.byteOffset, context.length).getBigUint64(at))
}
