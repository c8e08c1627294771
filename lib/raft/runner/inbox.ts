import createDebug from 'debug'
import { isSkeinError, messageOf, SkeinError } from '../../base/errors.js'
import { type Message, RaftError, type RaftId, type RawNode, type Snapshot } from '../core/index.js'
import { corrupt } from '../wal/index.js'
import { decodeFrame, frameHead } from './raft-codec.js'

const debug = createDebug('skein:raft')
/** Farther ahead than elections or entries could lead while a message was under way: nonsense, and poison to whoever adopts it. */
const leapMax = 2 ** 32

export interface InboxOptions {
  readonly id: RaftId
  readonly clusterId: string
  /** Where the log is; for whom it concerns when it is found to have lost something. */
  readonly dir: string
}

/** What other peers send, on its way to the core: what is malformed, foreign or makes no sense is dropped and counted. */
export class Inbox {
  readonly #id: RaftId
  readonly #node: RawNode
  readonly #head: Uint8Array
  readonly #dir: string
  framesReceived = 0
  /** All that were not read; of these, `framesOfOtherCluster` and `framesOfOtherVersion` say why. */
  framesDropped = 0
  framesOfOtherCluster = 0
  framesOfOtherVersion = 0
  messagesDropped = 0

  constructor({ id, clusterId, dir }: InboxOptions, node: RawNode) {
    this.#id = id
    this.#node = node
    this.#head = frameHead(clusterId)
    this.#dir = dir
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
    if (
      message === undefined ||
      !hasSnapshot(message) ||
      others.length > 0 ||
      !this.#isFor(message, from) ||
      !this.#isPossible(message)
    ) {
      throw new SkeinError('ERR_SKEIN_BAD_MESSAGE', 'frame: expected one MsgSnap from its sender to this peer', { path: 'frame' })
    }
    return message
  }

  /**
   * Gives the core what is for this peer, from whom it says, and possible. Snapshots have their own way in.
   * @throws {SkeinError} ERR_SKEIN_CORRUPT: the log has lost what this peer acknowledged
   */
  take(from: RaftId, messages: readonly Message[]): void {
    for (const message of messages) {
      if (message.type !== 'MsgSnap' && this.#isFor(message, from) && this.#isPossible(message)) this.step(message)
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

  /** What no peer of a healthy group says, whatever its state and however late. */
  #isPossible({ type, term, index, commit, reject, entries }: Message): boolean {
    const { term: ours } = this.#node.basicStatus()
    if (term > ours + leapMax || (type === 'MsgProp' && entries.length === 0)) return false
    const last = this.#node.lastIndex()
    // Nobody has more of this peer's log than itself.
    if (type === 'MsgAppResp' && term === ours && !reject) return index <= last
    if (type !== 'MsgHeartbeat' || term < ours || commit <= last) return true
    if (commit > last + leapMax) return false
    const why = `the leader says that this peer acknowledged entry ${commit}, and its log ends at ${last}`
    throw corrupt(this.#dir, undefined, why)
  }

  /** Messages name their sender, and it is not this peer; only a transfer names somebody else, whom it is about. */
  #isFor({ type, to, from: named }: Message, from: RaftId): boolean {
    return to === this.#id && (type === 'MsgTransferLeader' || (named === from && named !== this.#id))
  }
}

export function hasSnapshot(message: Message): message is Message & { readonly snapshot: Snapshot } {
  return message.snapshot !== null
}
