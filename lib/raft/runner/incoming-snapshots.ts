import createDebug from 'debug'
import { isSkeinError, messageOf, SkeinError } from '../../base/errors.js'
import type { Message, RaftId, Snapshot } from '../core/index.js'
import type { PartialSnapshot, RaftDisk, SnapshotDigest } from '../wal/index.js'
import type { SnapshotTransfer } from './outgoing-snapshots.js'
import { decodeRequest, encodeAnswer, type PieceRequest } from './piece-codec.js'
import { type Answer, PieceReceiver } from './piece-protocol.js'

const debug = createDebug('skein:raft')
/** Pieces that may wait for the one that is written; a sender has two under way. */
const waitingMax = 16

type Offer = Extract<PieceRequest, { readonly type: 'offer' }>
type Piece = Extract<PieceRequest, { readonly type: 'piece' }>
type SnapshotMessage = Message & { readonly snapshot: Snapshot }

export interface IncomingParts {
  readonly disk: RaftDisk
  /** The message that announces a snapshot. @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE and others: it is not for us */
  open(from: RaftId, frame: Uint8Array): SnapshotMessage
  position(): { readonly term: number; readonly commit: number }
  /** It is durable, or was here already: the core may hear of it. */
  stored(message: SnapshotMessage): void
}

/**
 * Snapshots on their way in, one at a time: stored before the core hears of them. What came stays through broken links,
 * restarts and changes of leader, as long as the next offer is of the same bytes. A full or failing disk costs the file and
 * its sender a refusal, not this peer its life: nobody was promised anything yet, and the space is the log's again.
 */
export class IncomingSnapshots {
  readonly #parts: IncomingParts
  readonly #pieces = new PieceReceiver()
  #partial: PartialSnapshot | undefined
  #offered: { readonly from: RaftId; readonly message: SnapshotMessage } | undefined
  #last: Promise<unknown> = Promise.resolve()
  #waiting = 0
  #stopped: { readonly reason: unknown } | undefined

  constructor(parts: IncomingParts) {
    this.#parts = parts
  }

  get transfers(): readonly SnapshotTransfer[] {
    const receiving = this.#pieces.receiving
    if (receiving === undefined || this.#offered === undefined) return []
    const { digest, haveBytes } = receiving
    const { index, sizeBytes } = digest
    return [{ peer: this.#offered.from, direction: 'in', index, sizeBytes, doneBytes: haveBytes }]
  }

  /**
   * Takes one piece, in the order they come; resolves with the answer for its sender.
   * @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE, ERR_SKEIN_OTHER_CLUSTER, ERR_SKEIN_WIRE_VERSION, ERR_SKEIN_BUSY, ERR_SKEIN_STOPPED
   */
  async receive(from: RaftId, piece: Uint8Array): Promise<Uint8Array> {
    const request = decodeRequest(piece)
    if (this.#waiting >= waitingMax)
      throw new SkeinError('ERR_SKEIN_BUSY', 'too many pieces of snapshots wait', { limit: 'pieces' })
    this.#waiting++
    const answer = this.#last.then(() => this.#answer(from, request))
    // Whoever asked hears of an error; the next piece does not.
    this.#last = answer.catch(() => undefined)
    try {
      return encodeAnswer(await answer)
    } finally {
      this.#waiting--
    }
  }

  /** Takes nothing more; resolves when nothing is written any more. What came stays for another life. */
  async end(reason: unknown): Promise<void> {
    this.#stopped ??= { reason }
    await this.#last
  }

  async #answer(from: RaftId, request: PieceRequest): Promise<Answer> {
    this.#refuseIfStopped()
    try {
      return request.type === 'offer' ? await this.#offer(from, request) : await this.#piece(request)
    } catch (error) {
      this.#refuseIfStopped()
      if (isSkeinError(error, 'ERR_SKEIN_CORRUPT')) return await this.#startOver(request.digest, error)
      if (!isSkeinError(error, 'ERR_SKEIN_STORAGE')) throw error
      await this.#drop(error)
      return { type: 'refused', code: error.code, message: error.message }
    }
  }

  async #offer(from: RaftId, { digest, isIntact, frame }: Offer): Promise<Answer> {
    const { open, position, disk } = this.#parts
    if (!isIntact)
      throw new SkeinError('ERR_SKEIN_BAD_MESSAGE', 'snapshot: the offer was damaged on its way', { path: 'snapshot' })
    const message = open(from, frame)
    const { index, term } = message.snapshot
    if (index !== digest.index || term !== digest.term) {
      throw new SkeinError('ERR_SKEIN_BAD_MESSAGE', 'snapshot: expected the file that its message speaks of', {
        path: 'snapshot',
      })
    }
    if (message.term < position().term) {
      return { type: 'refused', code: 'ERR_SKEIN_ABORTED', message: `its sender led in term ${message.term}; that is over` }
    }
    if (index <= position().commit || disk.hasSnapshot(digest)) return this.#tell(message)
    this.#partial = await disk.receiveSnapshot(digest)
    this.#offered = { from, message }
    const next = this.#pieces.begin(digest, this.#partial.sizeBytes)
    return next === 'whole' ? await this.#finish() : next
  }

  async #piece({ digest, offset, bytes, isIntact }: Piece): Promise<Answer> {
    const verdict = this.#pieces.piece({ digest, offset, sizeBytes: bytes.length, isIntact })
    if (verdict !== 'write') return verdict
    await this.#partial?.append(bytes)
    const next = this.#pieces.wrote(bytes.length)
    return next === 'whole' ? await this.#finish() : next
  }

  async #finish(): Promise<Answer> {
    const [partial, offered] = [this.#partial, this.#offered]
    if (partial === undefined || offered === undefined)
      throw new SkeinError('ERR_SKEIN_ABORTED', 'nothing comes in', { what: 'snapshot' })
    await this.#parts.disk.snapshotReceived(partial)
    this.#forget()
    this.#refuseIfStopped()
    return this.#tell(offered.message)
  }

  #tell(message: SnapshotMessage): Answer {
    this.#parts.stored(message)
    return { type: 'done' }
  }

  /** Every piece was as its sender read it, and the whole is wrong all the same: nothing of it is kept. */
  async #startOver(digest: SnapshotDigest, error: unknown): Promise<Answer> {
    const offered = this.#offered
    await this.#drop(error)
    this.#offered = offered
    this.#partial = await this.#parts.disk.receiveSnapshot(digest)
    this.#pieces.begin(digest, 0)
    return { type: 'again', offset: 0 }
  }

  async #drop(error: unknown): Promise<void> {
    debug('a snapshot that came in is dropped: %s', messageOf(error))
    this.#forget()
    // A disk that will not even remove a file: it is found again, and refused again, at the next offer or start.
    await this.#parts.disk.dropIncomingSnapshot().catch(() => undefined)
  }

  #forget(): void {
    this.#partial = undefined
    this.#offered = undefined
    this.#pieces.end()
  }

  #refuseIfStopped(): void {
    if (this.#stopped !== undefined) throw this.#stopped.reason
  }
}
