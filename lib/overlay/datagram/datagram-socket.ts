/** What arrived, and from where: an address is a claim of the network, never an identity. */
export type DatagramReader = (from: string, bytes: Uint8Array) => void

/** Datagrams as the lane needs them. Bodies: UDP, and a network in memory. */
export interface DatagramSocket {
  /** The actual `host:port`. */
  readonly address: string
  /** Never throws and never waits; it may be lost, come twice, or come late. False when it surely went nowhere: take another way. */
  send(address: string, bytes: Uint8Array): boolean
  /** Begins delivery; called once. */
  open(read: DatagramReader): void
  /** Sends that our own system refused (no route, no buffer, no such name, a family of addresses it does not reach): a fault here, never evidence about the other end. */
  readonly localFaults: number
  /** Resolves when the port is free again. Any number of times. */
  close(): Promise<void>
}
