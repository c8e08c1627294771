import { createServer as createHttpServer, type IncomingMessage } from 'node:http'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect, TLSSocket } from 'node:tls'
import { WebSocket, WebSocketServer } from 'ws'
import type { Clock } from '../../base/clock.js'
import { messageOf, SkeinError } from '../../base/errors.js'
import { formatHostPort } from '../../base/host-port.js'
import { bindingBytes, type Credentials, strangersContext, tlsOptions } from '../../security/index.js'
import { frameMaxBytes } from '../../wire/index.js'
import { parseAddress, parseListen } from './addresses.js'
import { afterFairly } from './lateness.js'
import { type Connection, type ConnectionEnd, type ConnectionUser, type Listener, strange, type Transport } from './transport.js'

/** Sub-protocol both ends must name; what the frames inside mean is agreed by the handshake. */
export const subprotocol = 'skein.v1'
/** Label of the keying material that binds proofs to a connection (RFC 9266 §2). */
const bindingLabel = 'EXPORTER-Channel-Binding'

export interface WsTransportOptions {
  readonly clock: Clock
  /** Milliseconds a connected socket may take through TLS and the WebSocket upgrade. Default 5,000. */
  readonly upgradeTimeoutMs?: number
  /** Sockets that may be between connected and upgraded at once; for the next one the oldest is cut off. Default 256. */
  readonly upgradesMax?: number
}

/**
 * WebSocket over mutual TLS 1.3. TLS proves that each end holds the key of the certificate it shows; whether that
 * certificate is believed is said above, in the handshake of the link, where both ends can hear why not. A dialler must ask for
 * a name that only the cluster knows: to everybody else this port has no certificate, and tells nothing but that it speaks TLS.
 */
export class WsTransport implements Transport {
  readonly #options: Required<WsTransportOptions>

  constructor({ clock, upgradeTimeoutMs = 5000, upgradesMax = 256 }: WsTransportOptions) {
    this.#options = { clock, upgradeTimeoutMs, upgradesMax }
  }

  async dial(address: string, credentials: Credentials, signal: AbortSignal): Promise<Connection> {
    const { host, port } = parseAddress(address)
    const target = formatHostPort({ host, port })
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(aborted(target, signal))
      const tls = connect({
        ...tlsOptions,
        host,
        port,
        servername: credentials.serverName,
        secureContext: credentials.context(),
        // Not by Node: its refusal would be an alert, without a word of why.
        rejectUnauthorized: false,
      })
      // Compression off: frames are small or already dense, and its memory per socket is large.
      const socket = new WebSocket(`wss://${target}`, subprotocol, {
        perMessageDeflate: false,
        maxPayload: frameMaxBytes,
        // A mask keeps scripts in browsers from choosing the bytes that proxies see (RFC 6455 §10.3). No script chooses ours, and a
        // mask of zeros costs neither end a pass over every byte.
        generateMask: (mask) => void mask.fill(0),
        createConnection: () => tls,
      })
      const onAbort = (): void => {
        reject(aborted(target, signal))
        socket.terminate()
      }
      signal.addEventListener('abort', onAbort, { once: true })
      socket.once('open', () => {
        signal.removeEventListener('abort', onAbort)
        socket.off('error', onError)
        resolve(new WsConnection(socket, tls, target))
      })
      // Stays after an abort: terminating a socket that is still connecting reports an error once more.
      const onError = (cause: Error): void => {
        signal.removeEventListener('abort', onAbort)
        reject(isStrange(cause) ? strange(target, credentials, cause) : unreachable(target, cause))
      }
      socket.on('error', onError)
    })
  }

  async listen(address: string, credentials: Credentials, accept: (connection: Connection) => void): Promise<Listener> {
    const { host, port } = parseListen(address)
    const listener = new WsListener(this.#options, credentials, accept)
    await listener.bind(host, port)
    return listener
  }
}

class WsListener implements Listener {
  readonly #clock: Clock
  readonly #upgradeTimeoutMs: number
  readonly #upgradesMax: number
  readonly #credentials: Credentials
  readonly #accept: (connection: Connection) => void
  readonly #upgrader = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: frameMaxBytes,
    handleProtocols: (offered) => (offered.has(subprotocol) ? subprotocol : false),
  })
  // Node's own timeouts for slow requests look only every 30 s; ours below bounds the whole way to the upgrade.
  readonly #http = createHttpServer({ headersTimeout: 0, requestTimeout: 0, maxHeaderSize: 8192 }, (_request, response) => {
    response.writeHead(426, { connection: 'close' }).end()
  })
  readonly #server = createServer({ noDelay: true })
  /** Sockets on their way to the upgrade, the oldest first; each with what ends the watch over it. */
  readonly #upgrading = new Map<Duplex, () => void>()
  #closing: Promise<void> | undefined
  turnedAway = 0
  address = ''

  constructor(
    { clock, upgradeTimeoutMs, upgradesMax }: Required<WsTransportOptions>,
    credentials: Credentials,
    accept: (connection: Connection) => void,
  ) {
    this.#clock = clock
    this.#upgradeTimeoutMs = upgradeTimeoutMs
    this.#upgradesMax = upgradesMax
    this.#credentials = credentials
    this.#accept = accept
  }

  async bind(host: string, port: number): Promise<void> {
    const asked = formatHostPort({ host, port })
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error) => reject(listenError(asked, error)))
      this.#server.listen({ host, port }, resolve)
    })
    this.#server.removeAllListeners('error')
    // An accept that fails (no file descriptors) costs that connection, not the listener.
    this.#server.on('error', () => this.turnedAway++)
    this.#server.on('connection', (socket) => this.#secure(socket))
    this.#http.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head))
    this.address = formatHostPort({ host, port: (this.#server.address() as AddressInfo).port })
  }

  close(): Promise<void> {
    this.#closing ??= new Promise((resolve) => {
      this.#server.close(() => resolve())
      // Their watches end now: the port is free as soon as the system's sockets are closed, and these tell of it later.
      for (const socket of [...this.#upgrading.keys()]) {
        this.#settle(socket)
        socket.destroy()
      }
    })
    return this.#closing
  }

  #secure(raw: Socket): void {
    raw.on('error', () => undefined) // its end is what counts
    if (this.#credentials.certificate === undefined || this.#closing !== undefined) {
      this.turnedAway++
      raw.destroy()
      return
    }
    const tls = new TLSSocket(raw, {
      isServer: true,
      secureContext: strangersContext,
      SNICallback: (name, answer) => answer(null, this.#credentials.knows(name) ? this.#credentials.context() : strangersContext),
      requestCert: true,
      rejectUnauthorized: false,
    })
    this.#watchUpgrade(tls)
    // The alert, if there is one, is written before this.
    tls.on('error', () => tls.destroy())
    tls.once('secure', () => this.#http.emit('connection', tls))
  }

  #watchUpgrade(socket: Duplex): void {
    // Who is honest is through in milliseconds: under a flood the oldest is the least likely to be.
    if (this.#upgrading.size >= this.#upgradesMax) this.#upgrading.keys().next().value?.destroy()
    const cancel = afterFairly(this.#clock, this.#upgradeTimeoutMs, () => socket.destroy())
    const gone = (): void => {
      if (this.#settle(socket)) this.turnedAway++
    }
    this.#upgrading.set(socket, () => {
      cancel()
      socket.off('close', gone)
    })
    socket.once('close', gone)
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim())
    if (!offered.includes(subprotocol)) {
      socket.end('HTTP/1.1 426 Upgrade Required\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
      return
    }
    this.#upgrader.handleUpgrade(request, socket, head, (ws) => {
      this.#settle(socket)
      const { remoteAddress = 'unknown', remotePort = 0 } = request.socket
      this.#accept(new WsConnection(ws, socket as TLSSocket, formatHostPort({ host: remoteAddress, port: remotePort })))
    })
  }

  #settle(socket: Duplex): boolean {
    this.#upgrading.get(socket)?.()
    return this.#upgrading.delete(socket)
  }
}

class WsConnection implements Connection {
  readonly remote: string
  readonly certificate: Uint8Array | undefined
  readonly binding: Uint8Array
  readonly #socket: WebSocket
  #user: ConnectionUser | undefined
  #end: ConnectionEnd | undefined
  #fault: Error | undefined

  constructor(socket: WebSocket, tls: TLSSocket, remote: string) {
    this.remote = remote
    this.certificate = tls.getPeerX509Certificate()?.raw
    this.binding = tls.exportKeyingMaterial(bindingBytes, bindingLabel, Buffer.alloc(0))
    this.#socket = socket
    // Nothing may arrive before there is somebody to take it.
    socket.pause()
    socket.on('message', (data) => this.#user?.message(data as Buffer))
    socket.on('error', (error) => {
      this.#fault = error
    })
    socket.once('close', (code, reason) => this.#closed(code, reason.toString()))
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount
  }

  open(user: ConnectionUser): void {
    this.#user = user
    const ended = this.#end
    if (ended === undefined) this.#socket.resume()
    else queueMicrotask(() => user.closed(ended))
  }

  send(message: Uint8Array): void {
    this.#socket.send(message, { binary: true }, () => {
      // An error here is followed by `close`, which tells the story.
      if (this.#end === undefined) this.#user?.drained()
    })
  }

  close(reason: string): void {
    // A paused socket would never read the other end's goodbye.
    this.#socket.resume()
    this.#socket.close(1000, reason.slice(0, 100))
  }

  destroy(): void {
    this.#socket.terminate()
  }

  #closed(code: number, reason: string): void {
    // 1006: the socket ended without a close frame (RFC 6455 §7.4.1).
    this.#end = {
      evidence: code === 1006 ? 'reset' : 'closed',
      reason: reason || (this.#fault === undefined ? '' : messageOf(this.#fault)),
    }
    this.#user?.closed(this.#end)
  }
}

function unreachable(address: string, cause: Error): SkeinError {
  const words = cause instanceof AggregateError ? messageOf(cause.errors.at(-1)) : messageOf(cause)
  return new SkeinError('ERR_SKEIN_UNREACHABLE', `${address} cannot be reached: ${words}`, { address }, { cause })
}

/** The alert of a TLS server that has no certificate for the name we asked for. */
function isStrange(error: Error): boolean {
  // EPROTO when the request was being written already, else a code of its own: only the words are the same (RFC 8446 §6.2).
  return error.message.includes('SSL alert number 40')
}

function aborted(address: string, signal: AbortSignal): SkeinError {
  return new SkeinError('ERR_SKEIN_ABORTED', `dial ${address}: aborted`, { what: 'dial' }, { cause: signal.reason })
}

function listenError(address: string, cause: NodeJS.ErrnoException): SkeinError {
  if (cause.code === 'EADDRINUSE') {
    return new SkeinError(
      'ERR_SKEIN_PORT_IN_USE',
      `listen: ${address} is taken by another program; choose another port, or port 0 for any free one`,
      { address },
      { cause },
    )
  }
  return new SkeinError(
    'ERR_SKEIN_INVALID_OPTION',
    `listen: cannot listen on ${address}: ${messageOf(cause)}`,
    { option: 'listen', got: address },
    { cause },
  )
}
