/**
 * How a snapshot's file crosses in pieces, decided at both ends without time or I/O. The sender offers it; the receiver
 * says from which byte it wants it, and again with every piece it took. A piece that came damaged or out of turn is not
 * taken: the receiver says what it wants instead, and the sender goes back there. Whatever breaks, the sender offers again.
 */
import { assert } from '../../base/assert.js'
import type { SnapshotDigest } from '../wal/index.js'

export type Answer =
  /** Taken; from this byte on it is wanted. */
  | { readonly type: 'want'; readonly offset: number }
  /** Not taken; from this byte on it is wanted. */
  | { readonly type: 'again'; readonly offset: number }
  /** All of it is durable and handed to the core, or was not needed. */
  | { readonly type: 'done' }
  /** Not taken, and not now. */
  | { readonly type: 'refused'; readonly code: string; readonly message: string }

/** What to send now. Its answer is told with its round: what belongs to a round that broke says nothing about the next. */
export type SenderStep =
  | { readonly type: 'offer'; readonly round: number }
  | { readonly type: 'piece'; readonly round: number; readonly offset: number; readonly sizeBytes: number }

export interface PieceSenderOptions {
  readonly sizeBytes: number
  readonly pieceBytes: number
  /** Pieces that may be unanswered at once. */
  readonly window: number
}

export class PieceSender {
  readonly #options: PieceSenderOptions
  #phase: 'offer' | 'offered' | 'sending' | 'going-back' | 'done' = 'offer'
  #round = 1
  /** The receiver has all before. */
  #wanted = 0
  #next = 0
  #unanswered = 0
  #furthest = 0
  #setbacks = 0

  constructor(options: PieceSenderOptions) {
    this.#options = options
  }

  get isDone(): boolean {
    return this.#phase === 'done'
  }

  /** Bytes the receiver has. */
  get doneBytes(): number {
    return this.isDone ? this.#options.sizeBytes : this.#wanted
  }

  /** How often something went wrong since the receiver last had more than ever before. */
  get setbacks(): number {
    return this.#setbacks
  }

  /** What to send now; undefined while an answer must come first, and when it is done. */
  next(): SenderStep | undefined {
    const { sizeBytes, pieceBytes, window } = this.#options
    const round = this.#round
    if (this.#phase === 'offer') {
      this.#phase = 'offered'
      return { type: 'offer', round }
    }
    if (this.#phase !== 'sending' || this.#unanswered >= window || this.#next >= sizeBytes) return undefined
    const offset = this.#next
    const pieceSize = Math.min(pieceBytes, sizeBytes - offset)
    this.#next += pieceSize
    this.#unanswered++
    return { type: 'piece', round, offset, sizeBytes: pieceSize }
  }

  answered(round: number, answer: Answer): void {
    if (round !== this.#round || this.#phase === 'done') return
    if (answer.type === 'done') this.#phase = 'done'
    else if (answer.type === 'refused' || answer.offset < 0 || answer.offset > this.#options.sizeBytes) this.broken(round)
    else if (this.#phase === 'offered') this.#begin(answer.offset)
    else this.#onPiece(answer)
  }

  /** The link broke, or the other end wants no more now: offers again. */
  broken(round: number): void {
    if (round !== this.#round || this.#phase === 'done') return
    this.#setbacks++
    this.#round++
    this.#phase = 'offer'
    this.#unanswered = 0
  }

  #begin(offset: number): void {
    this.#phase = 'sending'
    this.#learn(offset)
    this.#next = offset
    // It has every byte, and still is not done: it will say so when it is asked again.
    if (offset === this.#options.sizeBytes) this.broken(this.#round)
  }

  #onPiece(answer: Extract<Answer, { readonly offset: number }>): void {
    assert(this.#unanswered > 0, 'an answer belongs to a piece')
    this.#unanswered--
    if (answer.type === 'want') this.#learn(Math.max(answer.offset, this.#wanted))
    else {
      this.#setbacks++
      this.#wanted = answer.offset
      this.#phase = 'going-back'
    }
    if (this.#unanswered > 0) return
    // Whatever was on its way is answered: the last word says where to go on.
    if (this.#phase === 'going-back') this.#phase = 'sending'
    if (this.#next >= this.#options.sizeBytes && this.#wanted === this.#options.sizeBytes) this.broken(this.#round)
    else if (this.#next > this.#wanted) this.#next = this.#wanted
  }

  #learn(offset: number): void {
    this.#wanted = offset
    if (offset <= this.#furthest) return
    this.#furthest = offset
    this.#setbacks = 0
  }
}

/** What the receiver knows of a piece before it writes it. */
export interface PieceHead {
  readonly digest: SnapshotDigest
  readonly offset: number
  readonly sizeBytes: number
  /** Its bytes match its checksum. */
  readonly isIntact: boolean
}

export type ReceiverVerdict = 'write' | Answer

export class PieceReceiver {
  #digest: SnapshotDigest | undefined
  #haveBytes = 0

  /** What comes in; undefined when nothing does. */
  get receiving(): { readonly digest: SnapshotDigest; readonly haveBytes: number } | undefined {
    return this.#digest && { digest: this.#digest, haveBytes: this.#haveBytes }
  }

  /** This one is taken in from now on, instead of any other; so much of it is here. */
  begin(digest: SnapshotDigest, haveBytes: number): 'whole' | Answer {
    this.#digest = digest
    this.#haveBytes = haveBytes
    return haveBytes === digest.sizeBytes ? 'whole' : { type: 'want', offset: haveBytes }
  }

  piece({ digest, offset, sizeBytes, isIntact }: PieceHead): ReceiverVerdict {
    if (this.#digest === undefined || !isSameDigest(this.#digest, digest)) {
      return { type: 'refused', code: 'ERR_SKEIN_ABORTED', message: 'this snapshot is not the one that comes in; offer it' }
    }
    const isNext = offset === this.#haveBytes && sizeBytes > 0 && offset + sizeBytes <= digest.sizeBytes
    return isNext && isIntact ? 'write' : { type: 'again', offset: this.#haveBytes }
  }

  /** The piece of the last verdict is in the file. */
  wrote(sizeBytes: number): 'whole' | Answer {
    assert(this.#digest !== undefined, 'only a piece of what comes in is written')
    this.#haveBytes += sizeBytes
    return this.#haveBytes === this.#digest.sizeBytes ? 'whole' : { type: 'want', offset: this.#haveBytes }
  }

  end(): void {
    this.#digest = undefined
    this.#haveBytes = 0
  }
}

function isSameDigest(a: SnapshotDigest, b: SnapshotDigest): boolean {
  return a.index === b.index && a.term === b.term && a.sizeBytes === b.sizeBytes && a.crc === b.crc
}
