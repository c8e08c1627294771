import createDebug from 'debug'
import { abortable } from '../../base/abort.js'
import { assert } from '../../base/assert.js'
import { backoffMs } from '../../base/backoff.js'
import type { Clock } from '../../base/clock.js'
import { deferred } from '../../base/deferred.js'
import { isSkeinError, messageOf, SkeinError } from '../../base/errors.js'
import type { Random } from '../../base/random.js'
import type { ConfState, Message, RaftId, Snapshot } from '../core/index.js'
import type { RaftDisk, SnapshotDigest, SnapshotId, SnapshotReader } from '../wal/index.js'
import { allocatePiece, decodeAnswer, encodeOffer, pieceBytes, pieceOf, sealPiece } from './piece-codec.js'
import { PieceSender, type SenderStep } from './piece-protocol.js'

const debug = createDebug('skein:raft')
/** Two: while one is written there, the next is on its way. */
const window = 2
/** After so many setbacks in a row the core hears that it failed; it begins anew, perhaps with a newer snapshot. */
const setbacksMax = 8
const pauses = { firstMs: 100, maxMs: 5000 }
/** A piece that is not answered for so long is lost. */
const answerMs = 30_000

export interface OutgoingParts {
  readonly disk: RaftDisk
  readonly clock: Clock
  readonly random: Random
  readonly bytesPerSecond: number
  /** The core's message as a frame. */
  frame(message: Message): Uint8Array
  /** Carries one piece on a path of its own; resolves with the peer's answer. */
  carry(to: RaftId, piece: Uint8Array, signal: AbortSignal): Promise<Uint8Array>
  /** Sending ended; `error` only when it failed. */
  sent(to: RaftId, error: string | undefined): void
  /** This peer's file is damaged: another snapshot must take its place. */
  damaged(id: SnapshotId): void
}

/** A snapshot on its way, for people. */
export interface SnapshotTransfer {
  readonly peer: RaftId
  readonly direction: 'out' | 'in'
  readonly index: number
  readonly sizeBytes: number
  readonly doneBytes: number
}

interface Sending {
  readonly snapshot: Snapshot
  readonly abort: AbortController
  digest: SnapshotDigest | undefined
  pieces: PieceSender | undefined
}

/** Snapshots on their way out, one at a time to each peer: from the file, piece by piece, no faster than allowed. */
export class OutgoingSnapshots {
  readonly #parts: OutgoingParts
  readonly #sending = new Map<RaftId, Sending>()
  /** Failures since the last success, by peer: the core would ask for the next at once. */
  readonly #failures = new Map<RaftId, number>()
  /** Pieces to all peers together leave at this pace. */
  #paidUntilMs = 0
  sent = 0
  damaged = 0

  constructor(parts: OutgoingParts) {
    this.#parts = parts
  }

  /** The oldest index on its way: what follows it will be needed next. Undefined when nothing is. */
  get oldestIndex(): number | undefined {
    const indexes = [...this.#sending.values()].map(({ snapshot }) => snapshot.index)
    return indexes.length === 0 ? undefined : Math.min(...indexes)
  }

  get transfers(): readonly SnapshotTransfer[] {
    return [...this.#sending].map(([peer, { snapshot, digest, pieces }]) => ({
      peer,
      direction: 'out',
      index: snapshot.index,
      sizeBytes: digest?.sizeBytes ?? 0,
      doneBytes: pieces?.doneBytes ?? 0,
    }))
  }

  /** Begins; what is on its way to that peer already is given up for it. */
  send(message: Message & { readonly snapshot: Snapshot }): void {
    const { to, snapshot } = message
    this.#sending.get(to)?.abort.abort()
    const sending: Sending = { snapshot, abort: new AbortController(), digest: undefined, pieces: undefined }
    this.#sending.set(to, sending)
    this.#carry(message, sending).then(
      () => this.#ended(to, sending, undefined),
      (error: unknown) => this.#failed(to, sending, error),
    )
  }

  /** Gives up what goes to peers that are not members any more. */
  keepTo(conf: ConfState): void {
    for (const [to, { abort }] of this.#sending) if (!isMember(conf, to)) abort.abort()
  }

  /** Gives up all: this peer does not lead any more, or ends. */
  end(): void {
    for (const { abort } of this.#sending.values()) abort.abort()
    this.#sending.clear()
    this.#failures.clear()
  }

  async #carry(message: Message, sending: Sending): Promise<void> {
    const { disk, frame } = this.#parts
    const reader = await disk.openSnapshot(sending.snapshot)
    try {
      const digest = await reader.digest()
      const pieces = new PieceSender({ sizeBytes: digest.sizeBytes, pieceBytes, window })
      sending.digest = digest
      sending.pieces = pieces
      const offer = encodeOffer(digest, frame(message))
      while (!pieces.isDone) {
        await this.#round({ to: message.to, sending, pieces, digest, offer, reader })
        if (pieces.setbacks >= setbacksMax) throw this.#tooMany(message.to, digest)
        if (!pieces.isDone) await this.#pause(backoffMs(pieces.setbacks - 1, pauses, this.#parts.random), sending.abort.signal)
      }
    } finally {
      await reader.close()
    }
  }

  /** From an offer until it is done or something breaks. Throws only what no further round can mend. */
  async #round({ to, sending, pieces, digest, offer, reader }: Round): Promise<void> {
    const { signal: given } = sending.abort
    const broken = new AbortController()
    const signal = AbortSignal.any([given, broken.signal])
    const underWay = new Set<Promise<void>>()
    let isOver = false
    /** Arrays of pieces that were answered: new ones for each would keep the collector busy, and it keeps everybody waiting. */
    const free: Buffer[] = []
    const ask = async (step: SenderStep, request: Buffer): Promise<void> => {
      const cancel = this.#parts.clock.after(answerMs, () => broken.abort(new Error(`no answer within ${answerMs} ms`)))
      try {
        const answer = decodeAnswer(await abortable(this.#parts.carry(to, request, signal), signal, 'snapshot'))
        if (answer.type === 'refused') debug('%d refused a piece: %s', to, answer.message)
        pieces.answered(step.round, answer)
        if (step.type === 'piece') free.push(request)
        isOver ||= answer.type === 'refused'
      } catch (error) {
        debug('a piece to %d was lost: %s', to, messageOf(error))
        pieces.broken(step.round)
        isOver = true
      } finally {
        cancel()
      }
    }
    try {
      while (!isOver && !pieces.isDone && pieces.setbacks < setbacksMax) {
        given.throwIfAborted()
        const step = pieces.next()
        if (step === undefined) {
          assert(underWay.size > 0, 'a sender with nothing to do waits for an answer')
          await Promise.race(underWay)
          continue
        }
        if (step.type === 'piece') await this.#pay(step.sizeBytes, given)
        const request = step.type === 'offer' ? offer : await fill(step, free.pop(), digest, reader)
        const asked: Promise<void> = ask(step, request).finally(() => underWay.delete(asked))
        underWay.add(asked)
      }
    } finally {
      broken.abort()
    }
    given.throwIfAborted()
  }

  /** Waits until so many bytes may leave. */
  async #pay(sizeBytes: number, signal: AbortSignal): Promise<void> {
    const nowMs = this.#parts.clock.now()
    const dueMs = Math.max(this.#paidUntilMs, nowMs)
    this.#paidUntilMs = dueMs + (sizeBytes / this.#parts.bytesPerSecond) * 1000
    if (dueMs > nowMs) await this.#pause(dueMs - nowMs, signal)
  }

  async #pause(delayMs: number, signal: AbortSignal): Promise<void> {
    const over = deferred()
    const cancel = this.#parts.clock.after(delayMs, over.resolve)
    const aborted = (): void => over.reject(signal.reason)
    signal.addEventListener('abort', aborted, { once: true })
    try {
      signal.throwIfAborted()
      await over.promise
    } finally {
      cancel()
      signal.removeEventListener('abort', aborted)
    }
  }

  /** The core hears of it only after a while: it would send the next one at once, and so for ever. */
  #failed(to: RaftId, sending: Sending, error: unknown): void {
    if (this.#sending.get(to) !== sending) return
    if (isSkeinError(error, 'ERR_SKEIN_CORRUPT')) {
      this.damaged++
      this.#parts.damaged(sending.snapshot)
    }
    const failures = this.#failures.get(to) ?? 0
    this.#failures.set(to, failures + 1)
    const delayMs = backoffMs(failures, pauses, this.#parts.random)
    const tell = (): void => this.#ended(to, sending, messageOf(error))
    this.#pause(delayMs, sending.abort.signal).then(tell, tell)
  }

  #ended(to: RaftId, sending: Sending, error: string | undefined): void {
    if (this.#sending.get(to) !== sending) return
    this.#sending.delete(to)
    if (error === undefined) {
      this.sent++
      this.#failures.delete(to)
    }
    this.#parts.sent(to, error)
  }

  #tooMany(to: RaftId, { index }: SnapshotDigest): SkeinError {
    const words = `the snapshot at ${index} did not get through to raft id ${to} in ${setbacksMax} attempts`
    return new SkeinError('ERR_SKEIN_UNREACHABLE', words, { address: String(to) })
  }
}

interface Round {
  readonly to: RaftId
  readonly sending: Sending
  readonly pieces: PieceSender
  readonly digest: SnapshotDigest
  readonly offer: Buffer
  readonly reader: SnapshotReader
}

async function fill(
  { offset, sizeBytes }: Extract<SenderStep, { readonly type: 'piece' }>,
  used: Buffer | undefined,
  digest: SnapshotDigest,
  reader: SnapshotReader,
): Promise<Buffer> {
  const request = used !== undefined && pieceOf(used).length === sizeBytes ? used : allocatePiece(sizeBytes)
  await reader.into(pieceOf(request), offset)
  return sealPiece(request, digest, offset)
}

/** A peer ignores a snapshot older than its own membership; the next one will list it. */
export function isTooOldFor({ to, snapshot }: Message): boolean {
  return snapshot !== null && !isMember(snapshot.confState, to)
}

function isMember({ voters, votersOutgoing, learners }: ConfState, id: RaftId): boolean {
  return [voters, votersOutgoing, learners].some((members) => members.includes(id))
}
