import { SkeinError } from '../base/errors.js'
import type { LinkPool } from '../overlay/transport/index.js'
import type { RaftTransport } from '../raft/runner/index.js'
import { bytes } from '../wire/index.js'

/** Bytes before a raft frame on a link: the sender's raft id, 48 bits. */
const headBytes = 6

/** Raft ids and node ids of the managers, learned from the store, from joining and from frames that arrive. */
export class RaftLinks implements RaftTransport {
  readonly #self: number
  readonly #pool: LinkPool
  readonly #nodeOf = new Map<number, string>()

  constructor(self: number, pool: LinkPool) {
    this.#self = self
    this.#pool = pool
  }

  learn(raftId: number, node: string): void {
    this.#nodeOf.set(raftId, node)
  }

  nodeOf(raftId: number): string | undefined {
    return this.#nodeOf.get(raftId)
  }

  send(to: number, frame: Uint8Array): boolean {
    const node = this.#nodeOf.get(to)
    if (node === undefined) return false
    const whole = Buffer.allocUnsafe(headBytes + frame.length)
    whole.writeUIntBE(this.#self, 0, headBytes)
    whole.set(frame, headBytes)
    return this.#pool.sendRaft(node, whole)
  }

  /** The sender's raft id and its frame; undefined for what is too short to be one. */
  unwrap(node: string, whole: Uint8Array): { readonly from: number; readonly frame: Uint8Array } | undefined {
    if (whole.length <= headBytes) return undefined
    const from = Buffer.from(whole.buffer, whole.byteOffset, headBytes).readUIntBE(0, headBytes)
    this.learn(from, node)
    return { from, frame: whole.subarray(headBytes) }
  }

  async sendSnapshotPiece(to: number, piece: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    const node = this.#nodeOf.get(to)
    if (node === undefined)
      throw new SkeinError('ERR_SKEIN_UNREACHABLE', `raft member ${to} has no known node`, { address: String(to) })
    const answer = await this.#pool.callBulk(node, 'raft.snapshot', { from: this.#self, piece }, { signal })
    return bytes(answer, 'raft.snapshot')
  }
}
