import { messageOf } from '../../base/errors.js'
import type { Message, RaftId } from '../core/index.js'
import { coalesce } from './coalesce.js'
import { encodeFrame, messageSizeBytes } from './raft-codec.js'

/** How frames reach other peers. Lossy and reordered is fine; altered is not. */
export interface RaftTransport {
  /** Queues one frame (several messages) for one peer; false if that was not possible. Never blocks, never throws. */
  send(to: RaftId, frame: Uint8Array): boolean
  /** A snapshot on its own path, in order: resolves when the peer has it whole, rejects otherwise or when the signal aborts. */
  sendSnapshot(to: RaftId, message: Uint8Array, chunks: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void>
}

export interface OutboxHooks {
  /** A frame could not even be queued. */
  unreachable(to: RaftId): void
  /** Sending a snapshot ended; `error` only when it failed. */
  snapshotSent(to: RaftId, error: string | undefined): void
  /** The contents that belong to a MsgSnap. */
  chunksOf(message: Message): AsyncIterable<Uint8Array>
}

/** Beyond this a frame is full and the next begins: other traffic shares the link. */
const frameFullBytes = 512 * 1024

/** Gathers messages by peer, and sends what gathered as one frame per peer and flush. Snapshots leave on their own path. */
export class Outbox {
  readonly #transport: RaftTransport
  readonly #hooks: OutboxHooks
  readonly #waiting = new Map<RaftId, Message[]>()
  /** One at a time to each peer: the core asks for the next only after hearing of this one. */
  readonly #snapshots = new Map<RaftId, AbortController>()
  framesSent = 0
  messagesSent = 0
  framesRefused = 0
  snapshotsSent = 0

  constructor(transport: RaftTransport, hooks: OutboxHooks) {
    this.#transport = transport
    this.#hooks = hooks
  }

  push(message: Message): void {
    if (message.type === 'MsgSnap') {
      this.#sendSnapshot(message)
      return
    }
    const waiting = this.#waiting.get(message.to)
    if (waiting === undefined) this.#waiting.set(message.to, [message])
    else waiting.push(message)
  }

  flush(): void {
    if (this.#waiting.size === 0) return
    const all = [...this.#waiting]
    this.#waiting.clear()
    for (const [to, messages] of all) for (const frame of fill(coalesce(messages))) this.#send(to, frame)
  }

  /** Drops what waits and ends snapshots under way. */
  close(): void {
    this.#waiting.clear()
    for (const sending of this.#snapshots.values()) sending.abort()
  }

  #send(to: RaftId, messages: readonly Message[]): void {
    if (this.#transport.send(to, encodeFrame(messages))) {
      this.framesSent++
      this.messagesSent += messages.length
      return
    }
    this.framesRefused++
    this.#hooks.unreachable(to)
  }

  #sendSnapshot(message: Message): void {
    const { to } = message
    this.#snapshots.get(to)?.abort()
    const sending = new AbortController()
    this.#snapshots.set(to, sending)
    const end = (error: string | undefined) => {
      if (this.#snapshots.get(to) !== sending) return
      this.#snapshots.delete(to)
      if (error === undefined) this.snapshotsSent++
      this.#hooks.snapshotSent(to, error)
    }
    this.#transport.sendSnapshot(to, encodeFrame([message]), this.#hooks.chunksOf(message), sending.signal).then(
      () => end(undefined),
      (error: unknown) => end(messageOf(error)),
    )
  }
}

/** Messages in order, cut into frames that are not overfull. */
function* fill(messages: readonly Message[]): Iterable<readonly Message[]> {
  let frame: Message[] = []
  let sizeBytes = 0
  for (const message of messages) {
    frame.push(message)
    sizeBytes += messageSizeBytes(message)
    if (sizeBytes < frameFullBytes) continue
    yield frame
    frame = []
    sizeBytes = 0
  }
  if (frame.length > 0) yield frame
}
