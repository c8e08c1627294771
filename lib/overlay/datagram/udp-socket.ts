import { createSocket, type Socket } from 'node:dgram'
import { lookup } from 'node:dns/promises'
import { once } from 'node:events'
import { isIP } from 'node:net'
import { SkeinError } from '../../base/errors.js'
import { formatHostPort, type HostPort, parseHostPort } from '../../base/host-port.js'
import { parseListen } from '../transport/index.js'
import type { DatagramReader, DatagramSocket } from './datagram-socket.js'
import { HostAddresses } from './host-addresses.js'

/** Bytes the system keeps for us while the event loop is busy: some 2,000 packets. */
const receiveBufferBytes = 1024 * 1024

/** Families of IP that a socket reaches; 0: both. */
type Family = 0 | 4 | 6

/** An IPv4 address as sockets for IPv6 write it. */
const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i

/** A UDP port. */
export class UdpSocket implements DatagramSocket {
  readonly address: string
  localFaults = 0
  readonly #socket: Socket
  readonly #family: Family
  readonly #hosts: HostAddresses
  /** For IPv6, and for IPv4 too where it is bound to both. */
  readonly #isSix: boolean
  #closed: Promise<void> | undefined

  private constructor(socket: Socket, host: string) {
    const { address, family, port } = socket.address()
    this.#socket = socket
    this.#isSix = family === 'IPv6'
    this.#family = familyOf(address)
    this.#hosts = new HostAddresses(
      async (name) => (await lookup(name, { family: this.#family })).address,
      () => performance.now(),
    )
    this.address = formatHostPort({ host, port })
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
    return new UdpSocket(socket, host)
  }

  open(read: DatagramReader): void {
    this.#socket.on('message', (bytes, { address, port }) => read(formatHostPort({ host: plain(address), port }), bytes))
  }

  send(address: string, bytes: Uint8Array): boolean {
    if (this.#closed !== undefined) return false
    const target = this.#targetOf(address)
    if (target === undefined) {
      this.localFaults++
      return false
    }
    this.#socket.send(bytes, target.port, target.host, (error) => {
      if (error !== null) this.localFaults++
    })
    return true
  }

  /** As this socket writes it; undefined when it is none, is not known yet, or is of a family that this socket does not reach. */
  #targetOf(address: string): HostPort | undefined {
    const target = parseHostPort(address)
    // Addresses are what others say of themselves: one that is none must not be more than a datagram lost.
    if (target === undefined || target.port === 0) return undefined
    // A name is not left to the socket: it would look it up for each packet, in the line in which disk writes wait.
    const found = isIP(target.host) === 0 ? this.#hosts.find(target.host) : target.host
    if (found === undefined) return undefined
    const host = plain(found)
    const isFour = isIP(host) === 4
    if (this.#family === (isFour ? 6 : 4)) return undefined
    return { host: isFour && this.#isSix ? `::ffff:${host}` : host, port: target.port }
  }

  close(): Promise<void> {
    this.#closed ??= new Promise((resolve) => this.#socket.close(() => resolve()))
    return this.#closed
  }
}

/** Bound to one address of IPv6 a socket reaches no IPv4; bound to all it reaches both. */
function familyOf(bound: string): Family {
  if (bound === '::') return 0
  return isIP(plain(bound)) === 4 ? 4 : 6
}

function plain(host: string): string {
  return mapped.exec(host)?.[1] ?? host
}

function bindError(address: string, cause: unknown): SkeinError {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  if (code === 'EADDRINUSE')
    return new SkeinError('ERR_SKEIN_PORT_IN_USE', `UDP ${address} is taken by another process`, { address }, { cause })
  const words = `listen: cannot receive datagrams on ${address} (${String(code)}); give an address of this machine`
  return new SkeinError('ERR_SKEIN_INVALID_OPTION', words, { option: 'listen', got: address }, { cause })
}
