import { createSocket, type Socket } from 'node:dgram'
import { lookup } from 'node:dns/promises'
import { once } from 'node:events'
import { isIP } from 'node:net'
import { SkeinError } from '../../base/errors.js'
import { formatHostPort, parseHostPort } from '../../base/host-port.js'
import { parseListen } from '../transport/index.js'
import type { DatagramReader, DatagramSocket } from './datagram-socket.js'
import { HostAddresses } from './host-addresses.js'

/** Bytes the system keeps for us while the event loop is busy: some 2,000 packets. */
const receiveBufferBytes = 1024 * 1024

/** A UDP port. */
export class UdpSocket implements DatagramSocket {
  readonly address: string
  localFaults = 0
  readonly #socket: Socket
  readonly #hosts: HostAddresses
  #closed: Promise<void> | undefined

  private constructor(socket: Socket, address: string, hosts: HostAddresses) {
    this.#socket = socket
    this.#hosts = hosts
    this.address = address
    // Nothing to be done about one packet; the next one tells whether it was more.
    socket.on('error', () => this.localFaults++)
  }

  /**
   * @param address `host:port`, as links listen on; port 0 takes a free one.
   * @throws {SkeinError} ERR_SKEIN_PORT_IN_USE, ERR_SKEIN_INVALID_OPTION (not an address of this machine)
   */
  static async bind(address: string): Promise<UdpSocket> {
    const { host, port } = parseListen(address)
    const family = host.includes(':') ? 6 : 4
    const socket = createSocket({ type: `udp${family}`, recvBufferSize: receiveBufferBytes })
    try {
      socket.bind({ port, address: host, exclusive: true })
      await once(socket, 'listening')
    } catch (error) {
      socket.close()
      throw bindError(address, error)
    }
    const hosts = new HostAddresses(
      async (name) => (await lookup(name, { family })).address,
      () => performance.now(),
    )
    return new UdpSocket(socket, formatHostPort({ host, port: socket.address().port }), hosts)
  }

  open(read: DatagramReader): void {
    this.#socket.on('message', (bytes, { address: host, port }) => read(formatHostPort({ host, port }), bytes))
  }

  send(address: string, bytes: Uint8Array): void {
    if (this.#closed !== undefined) return
    const target = parseHostPort(address)
    // Addresses are what others say of themselves: one that is none must not be more than a datagram lost.
    if (target === undefined || target.port === 0) {
      this.localFaults++
      return
    }
    // A name is not left to the socket: it would look it up for each packet, in the line in which disk writes wait.
    const host = isIP(target.host) === 0 ? this.#hosts.find(target.host) : target.host
    if (host === undefined) {
      this.localFaults++
      return
    }
    this.#socket.send(bytes, target.port, host, (error) => {
      if (error !== null) this.localFaults++
    })
  }

  close(): Promise<void> {
    this.#closed ??= new Promise((resolve) => this.#socket.close(() => resolve()))
    return this.#closed
  }
}

function bindError(address: string, cause: unknown): SkeinError {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  if (code === 'EADDRINUSE')
    return new SkeinError('ERR_SKEIN_PORT_IN_USE', `UDP ${address} is taken by another process`, { address }, { cause })
  const words = `listen: cannot receive datagrams on ${address} (${String(code)}); give an address of this machine`
  return new SkeinError('ERR_SKEIN_INVALID_OPTION', words, { option: 'listen', got: address }, { cause })
}
