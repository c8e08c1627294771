import createDebug from 'debug'
import { isSkeinError, messageOf, SkeinError } from '../../base/errors.js'
import { type Message, RaftError, type RaftId, type RawNode, type Snapshot } from '../core/index.js'
import { decodeFrame, frameHead } from './raft-codec.js'

const debug = createDebug('skein:raft')

/** What other peers send, on its way to the core: what is malformed, foreign or makes no sense is dropped and counted. */
export class Inbox {
  readonly #id: RaftId
  readonly #node: RawNode
  readonly #head: Uint8Array
  framesReceived = 0
  /** All that were not read; of these, `framesOfOtherCluster` and `framesOfOtherVersion` say why. */
  framesDropped = 0
  framesOfOtherCluster = 0
  framesOfOtherVersion = 0
  messagesDropped = 0

  constructor({ id, clusterId }: { readonly id: RaftId; readonly clusterId: string }, node: RawNode) {
    this.#id = id
    this.#node = node
    this.#head = frameHead(clusterId)
  }

  /** The messages of a frame; undefined if it is malformed, of another cluster or of another version. */
  open(from: RaftId, frame: Uint8Array): readonly Message[] | undefined {
    this.framesReceived++
    try {
      return decodeFrame(this.#head, frame)
    } catch (error) {
      this.framesDropped++
      if (isSkeinError(error, 'ERR_SKEIN_OTHER_CLUSTER')) this.framesOfOtherCluster++
      if (isSkeinError(error, 'ERR_SKEIN_WIRE_VERSION')) this.framesOfOtherVersion++
      debug('%d: dropped a frame from %d: %s', this.#id, from, messageOf(error))
      return undefined
    }
  }

  /** The message that announces a snapshot. @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE, ERR_SKEIN_OTHER_CLUSTER, ERR_SKEIN_WIRE_VERSION */
  openSnapshot(from: RaftId, frame: Uint8Array): Message & { readonly snapshot: Snapshot } {
    const [message, ...others] = decodeFrame(this.#head, frame)
    if (message === undefined || !hasSnapshot(message) || others.length > 0 || !this.#isFor(message, from)) {
      throw new SkeinError('ERR_SKEIN_BAD_MESSAGE', 'frame: expected one MsgSnap from its sender to this peer', { path: 'frame' })
    }
    return message
  }

  /** Gives the core what is for this peer and from whom it says. Snapshots have their own way in. */
  take(from: RaftId, messages: readonly Message[]): void {
    for (const message of messages) {
      if (message.type !== 'MsgSnap' && this.#isFor(message, from)) this.step(message)
      else this.messagesDropped++
    }
  }

  /** Gives the core one message, from a peer or from the own disk. */
  step(message: Message): void {
    try {
      this.#node.step(message)
    } catch (error) {
      if (!(error instanceof RaftError) && !isSkeinError(error, 'ERR_SKEIN_BAD_MESSAGE')) throw error
      this.messagesDropped++
      debug('%d: dropped %s from %d: %s', this.#id, message.type, message.from, messageOf(error))
    }
  }

  /** Messages name their sender; only a transfer names somebody else, whom it is about. */
  #isFor(message: Message, from: RaftId): boolean {
    return message.to === this.#id && (message.from === from || message.type === 'MsgTransferLeader')
  }
}

function hasSnapshot(message: Message): message is Message & { readonly snapshot: Snapshot } {
  return message.snapshot !== null
}
