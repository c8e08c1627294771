import { type Deferred, deferred } from '../../base/deferred.js'
import { SkeinError } from '../../base/errors.js'
import { type Channel, framesOf } from '../../wire/index.js'
import type { Connection } from './transport.js'

/** Queued frames go to the connection while it holds less than this, so that a raft frame never waits behind more. */
const connectionLowBytes = 256 * 1024
/** Lossy messages are dropped while the connection holds this much. */
const lossyMaxBytes = 8 * 1024 * 1024
/** Ordered messages are refused while this much is queued. */
const orderedMaxBytes = 32 * 1024 * 1024
/** With this much queued the other end is taken not to read at all, and the link must go. */
const overrunBytes = 2 * orderedMaxBytes
/** Streams wait while this much is queued. */
const roomBytes = 1024 * 1024

/** What one link has to send: lossy, control and session frames at once, the other ordered ones in turn as the connection takes them. */
export class Outbox {
  readonly #connection: Connection
  readonly #overrun: () => void
  #frames: Uint8Array[] = []
  #head = 0
  #queuedBytes = 0
  #room: Deferred<void> | undefined
  #closed = false
  /** Lossy messages dropped because the link was congested. */
  dropped = 0
  /** Set once by the handshake. */
  version = 0

  /** @param overrun called when answers pile up because the other end asks and does not read */
  constructor(connection: Connection, overrun: () => void) {
    this.#connection = connection
    this.#overrun = overrun
  }

  /** Sends ahead of everything queued. False when it was dropped: congested, too large, or closed. */
  sendLossy(channel: Channel, message: Uint8Array): boolean {
    if (this.#closed) return false
    if (message.length > channel.maxBytes || this.#connection.bufferedBytes >= lossyMaxBytes) {
      this.dropped++
      return false
    }
    this.sendAtOnce(channel, message)
    return true
  }

  /** For the handshake: ahead of everything, never dropped. */
  sendAtOnce(channel: Channel, message: Uint8Array): void {
    for (const frame of framesOf(this.version, channel, message)) this.#connection.send(frame)
  }

  /**
   * Ahead of everything queued, for what is small and must be in time; within the channel's bound.
   * @param bound as in `sendOrdered`, of what the connection holds.
   * @throws {SkeinError} ERR_SKEIN_BUSY
   */
  sendAhead(channel: Channel, message: Uint8Array, bound: 'bounded' | 'always'): void {
    if (this.#closed) return
    const heldBytes = this.#connection.bufferedBytes
    if (bound === 'bounded' && heldBytes >= lossyMaxBytes) throw busy(heldBytes)
    this.sendAtOnce(channel, message)
    if (heldBytes > overrunBytes) this.#overrun()
  }

  /**
   * Queues in order.
   * @param bound `always` passes over the queue's bound, for messages without which calls could not end.
   * @throws {SkeinError} ERR_SKEIN_BUSY, ERR_SKEIN_TOO_LARGE
   */
  sendOrdered(channel: Channel, message: Uint8Array, bound: 'bounded' | 'always'): void {
    if (this.#closed) return
    if (message.length > channel.maxBytes) {
      throw new SkeinError(
        'ERR_SKEIN_TOO_LARGE',
        `a ${channel.name} message of ${message.length} bytes is over ${channel.maxBytes}`,
        { what: `${channel.name} message`, size: message.length, limit: channel.maxBytes },
      )
    }
    if (bound === 'bounded' && this.#queuedBytes >= orderedMaxBytes) throw busy(this.#queuedBytes)
    for (const frame of framesOf(this.version, channel, message)) {
      this.#frames.push(frame)
      this.#queuedBytes += frame.length
    }
    this.pump()
    if (this.#queuedBytes > overrunBytes) this.#overrun()
  }

  /** Resolves when little is queued, or the link is down. */
  room(): Promise<void> {
    if (this.#closed || this.#queuedBytes < roomBytes) return Promise.resolve()
    this.#room ??= deferred<void>()
    return this.#room.promise
  }

  /** Hands over what the connection has room for; called whenever bytes have left. */
  pump(): void {
    while (this.#head < this.#frames.length && this.#connection.bufferedBytes < connectionLowBytes) {
      const frame = this.#frames[this.#head++] as Uint8Array
      this.#queuedBytes -= frame.length
      this.#connection.send(frame)
    }
    // Forgets what was sent, at amortised no cost.
    if (this.#head * 2 >= this.#frames.length) {
      this.#frames = this.#frames.slice(this.#head)
      this.#head = 0
    }
    if (this.#queuedBytes < roomBytes) this.#release()
  }

  close(): void {
    this.#closed = true
    this.#frames = []
    this.#head = 0
    this.#queuedBytes = 0
    this.#release()
  }

  #release(): void {
    this.#room?.resolve()
    this.#room = undefined
  }
}

function busy(waitingBytes: number): SkeinError {
  return new SkeinError('ERR_SKEIN_BUSY', `${waitingBytes} bytes wait to be sent on this link`, { limit: 'link queue' })
}
