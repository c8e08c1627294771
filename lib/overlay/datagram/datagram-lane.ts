import type { DatagramSocket } from './datagram-socket.js'
import { type DropReason, dropReasons, payloadMaxBytes, Sealing, type SealingOptions } from './sealing.js'

/** A genuine packet. `sender` proved to hold the cluster's key; anybody who holds it could have claimed that id. */
export interface Packet {
  /** Where it came from: answer there. */
  readonly from: string
  /** Node id. */
  readonly sender: string
  /** Which start of the sender's process. */
  readonly epoch: number
  readonly payload: Uint8Array
}

export interface LaneCounters {
  readonly sent: number
  readonly sentBytes: number
  readonly received: number
  readonly receivedBytes: number
  /** Not sent because no key is known yet. */
  readonly unsealed: number
  /** Refused by our own system. */
  readonly localFaults: number
  /** Packets that arrived and were dropped, by reason. */
  readonly dropped: Readonly<Record<DropReason, number>>
}

export type DatagramLaneOptions = SealingOptions

/**
 * Sealed datagrams between the nodes of one cluster: small, unordered, perhaps lost, never forged by a stranger and never twice.
 * Whether a peer can be reached this way is for the users of the lane to find out.
 */
export class DatagramLane implements AsyncDisposable {
  readonly #socket: DatagramSocket
  readonly #sealing: Sealing
  readonly #dropped = Object.fromEntries(dropReasons.map((reason) => [reason, 0])) as Record<DropReason, number>
  #sent = 0
  #sentBytes = 0
  #received = 0
  #receivedBytes = 0
  #unsealed = 0
  #listener: ((packet: Packet) => void) | undefined

  /** Takes the socket over. */
  constructor(socket: DatagramSocket, options: DatagramLaneOptions) {
    this.#socket = socket
    this.#sealing = new Sealing(options)
    socket.open((from, bytes) => this.#receive(from, bytes))
  }

  /** The actual `host:port`. */
  get address(): string {
    return this.#socket.address
  }

  /** The largest payload of one packet. */
  get payloadMaxBytes(): number {
    return payloadMaxBytes
  }

  /** Of the key that seals what is sent now; undefined while none is known. */
  get keyId(): number | undefined {
    return this.#sealing.keyId
  }

  get counters(): LaneCounters {
    return {
      sent: this.#sent,
      sentBytes: this.#sentBytes,
      received: this.#received,
      receivedBytes: this.#receivedBytes,
      unsealed: this.#unsealed,
      localFaults: this.#socket.localFaults,
      dropped: { ...this.#dropped },
    }
  }

  /** Never throws and never waits; false when it could not even be sealed, or its address cannot be reached from here. */
  send(address: string, payload: Uint8Array): boolean {
    const packet = this.#sealing.seal(payload)
    if (packet === undefined) {
      this.#unsealed++
      return false
    }
    if (!this.#socket.send(address, packet)) return false
    this.#sent++
    this.#sentBytes += packet.length
    return true
  }

  /** Tells every genuine packet from now on; one listener. */
  onPacket(listener: (packet: Packet) => void): void {
    this.#listener = listener
  }

  /** Any number of times. */
  async close(): Promise<void> {
    this.#listener = undefined
    await this.#socket.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #receive(from: string, bytes: Uint8Array): void {
    const opened = this.#sealing.open(bytes)
    if (!opened.ok) {
      this.#dropped[opened.reason]++
      return
    }
    this.#received++
    this.#receivedBytes += bytes.length
    const { sender, epoch, payload } = opened
    this.#listener?.({ from, sender, epoch, payload })
  }
}
