import type { Clock } from '../../base/clock.js'
import type { Message, RaftId } from '../core/index.js'
import { coalesce } from './coalesce.js'
import { encodeFrame, frameHead, messageSizeBytes } from './raft-codec.js'

/** How frames reach other peers. Lossy and reordered is fine; altered is not. */
export interface RaftTransport {
  /** Queues one frame (several messages) for one peer; false if that was not possible. Never blocks, never throws. */
  send(to: RaftId, frame: Uint8Array): boolean
  /**
   * Carries one piece of a snapshot, about half a MiB, and resolves with what `receiveSnapshotPiece` answered there; rejects
   * when that cannot be had or the signal aborts. Once answered, the array is used for the next one. On a connection of its own, or frames wait behind it. Two are under way at once.
   */
  sendSnapshotPiece(to: RaftId, piece: Uint8Array, signal: AbortSignal): Promise<Uint8Array>
}

export interface OutboxOptions {
  readonly clusterId: string
  readonly transport: RaftTransport
  readonly clock: Clock
}

export interface OutboxHooks {
  /** A frame could not even be queued. */
  unreachable(to: RaftId): void
  /** What was held back must leave with the next flush, and that should come soon. */
  wake(): void
}

/** Beyond this a frame is full and the next begins: links cut what is over 64 KiB, and then it is copied once more at the other end. */
const frameFullBytes = 56 * 1024
/**
 * Appends without entries wait this long for others to travel with: mostly they tell that entries were committed, and the next
 * append tells it too. Without this, each write of a lone client would cost its followers two frames and two answers, not one.
 */
const holdMs = 3

/** Gathers messages by peer, and sends what gathered as one frame per peer and flush. Snapshots have a path of their own. */
export class Outbox {
  readonly #transport: RaftTransport
  readonly #hooks: OutboxHooks
  readonly #clock: Clock
  readonly #head: Uint8Array
  readonly #waiting = new Map<RaftId, Message[]>()
  /** Ends the present holding back; undefined while nothing is held. */
  #cancelHold: (() => void) | undefined
  #holdIsOver = false
  framesSent = 0
  messagesSent = 0
  framesRefused = 0

  constructor({ clusterId, transport, clock }: OutboxOptions, hooks: OutboxHooks) {
    this.#transport = transport
    this.#clock = clock
    this.#head = frameHead(clusterId)
    this.#hooks = hooks
  }

  push(message: Message): void {
    const waiting = this.#waiting.get(message.to)
    if (waiting === undefined) this.#waiting.set(message.to, [message])
    else waiting.push(message)
  }

  /** Sends what waits, but holds back for a moment what gains from company. */
  flush(): void {
    if (this.#waiting.size === 0) return
    const isOver = this.#holdIsOver
    this.#holdIsOver = false
    for (const [to, waiting] of this.#waiting) {
      const messages = coalesce(waiting)
      if (!isOver && messages.every(mayWait)) {
        this.#hold(to, waiting, messages)
        continue
      }
      this.#waiting.delete(to)
      for (const frame of fill(messages)) this.#send(to, frame)
    }
    if (this.#waiting.size > 0) return
    this.#cancelHold?.()
    this.#cancelHold = undefined
  }

  /** Drops what waits. */
  close(): void {
    this.#waiting.clear()
    this.#cancelHold?.()
  }

  #hold(to: RaftId, waiting: readonly Message[], messages: readonly Message[]): void {
    if (messages !== waiting) this.#waiting.set(to, [...messages])
    this.#cancelHold ??= this.#clock.after(holdMs, () => {
      this.#cancelHold = undefined
      this.#holdIsOver = true
      this.#hooks.wake()
    })
  }

  #send(to: RaftId, messages: readonly Message[]): void {
    if (this.#transport.send(to, encodeFrame(this.#head, messages))) {
      this.framesSent++
      this.messagesSent += messages.length
      return
    }
    this.framesRefused++
    this.#hooks.unreachable(to)
  }
}

/** Nobody's answer depends on it: reads carry the commit index in their own heartbeats. */
function mayWait({ type, entries }: Message): boolean {
  return type === 'MsgApp' && entries.length === 0
}

/** Messages in order, cut into frames that are not overfull. */
function* fill(messages: readonly Message[]): Iterable<readonly Message[]> {
  let frame: Message[] = []
  let sizeBytes = 0
  for (const message of messages) {
    const more = messageSizeBytes(message)
    if (frame.length > 0 && sizeBytes + more > frameFullBytes) {
      yield frame
      frame = []
      sizeBytes = 0
    }
    frame.push(message)
    sizeBytes += more
  }
  if (frame.length > 0) yield frame
}
