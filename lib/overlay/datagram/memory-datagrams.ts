import { SkeinError } from '../../base/errors.js'
import type { DatagramReader, DatagramSocket } from './datagram-socket.js'

/** What the network does with a datagram: the bytes of each copy that arrives. */
export type Fate = (from: string, to: string, bytes: Uint8Array) => readonly Uint8Array[]

/** A network in one process. Datagrams wait until `deliver` is called, so that a test says what happens when. */
export class MemoryDatagrams {
  readonly #sockets = new Map<string, MemorySocket>()
  #flying: { readonly from: string; readonly to: string; readonly bytes: Uint8Array }[] = []
  /** Default: each arrives once, as it was. */
  fate: Fate = (_from, _to, bytes) => [bytes]

  /** @throws {SkeinError} ERR_SKEIN_PORT_IN_USE */
  bind(address: string): DatagramSocket {
    if (this.#sockets.has(address))
      throw new SkeinError('ERR_SKEIN_PORT_IN_USE', `UDP ${address} is taken by another process`, { address })
    const socket = new MemorySocket(address, {
      post: (to, bytes) => this.#flying.push({ from: address, to, bytes }),
      closed: () => this.#sockets.delete(address),
    })
    this.#sockets.set(address, socket)
    return socket
  }

  /** Hands over everything under way, and what is sent in answer, until nothing flies; answers how many arrived. */
  deliver(): number {
    let arrived = 0
    while (this.#flying.length > 0) {
      const flying = this.#flying
      this.#flying = []
      for (const { from, to, bytes } of flying) {
        for (const copy of this.fate(from, to, bytes)) {
          arrived++
          this.#sockets.get(to)?.arrive(from, copy)
        }
      }
    }
    return arrived
  }
}

interface Wire {
  post(to: string, bytes: Uint8Array): void
  closed(): void
}

class MemorySocket implements DatagramSocket {
  readonly address: string
  readonly localFaults = 0
  readonly #wire: Wire
  #read: DatagramReader | undefined
  #isClosed = false

  constructor(address: string, wire: Wire) {
    this.address = address
    this.#wire = wire
  }

  open(read: DatagramReader): void {
    this.#read = read
  }

  send(address: string, bytes: Uint8Array): boolean {
    // A copy: the sender may use its array again.
    if (!this.#isClosed) this.#wire.post(address, bytes.slice())
    return !this.#isClosed
  }

  arrive(from: string, bytes: Uint8Array): void {
    this.#read?.(from, bytes)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#wire.closed()
  }
}
