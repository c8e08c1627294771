import type { Clock } from '../../base/clock.js'
import { type Credentials, readCertificate } from '../../security/index.js'
import { type Connection, type ConnectionEnd, type ConnectionUser, type Listener, refused, type Transport } from './transport.js'

/**
 * What is wrong between this process and another.
 * - `silent`: nothing passes; `deaf`: nothing of it arrives here; `mute`: nothing from here arrives there;
 * - `refused`: its connections are reset, and nobody listens.
 */
export type LinkFault = 'silent' | 'deaf' | 'mute' | 'refused'

/** Name of everybody who has no fault of their own. */
export const everybody = '*'

/** Connects and says what that showed. */
type Attempt<Saw> = (address: string, timeoutMs: number) => Promise<Saw>

/** Datagrams as faults know them; `DatagramSocket` is one. */
interface Datagrams {
  readonly address: string
  send(address: string, bytes: Uint8Array): boolean
  open(read: (from: string, bytes: Uint8Array) => void): void
  readonly localFaults: number
  close(): Promise<void>
}

/** Past so many bytes that wait behind a fault the connection is reset. */
const heldMaxBytes = 16 * 1024 * 1024

/**
 * A network that goes wrong on demand, without root: for tests and the demo. Peers are named by node id or by address. What is
 * silent behaves as TCP over a dead path: what is sent waits, nobody is told, and it all arrives once the fault is over.
 */
export class LinkFaults {
  readonly #faults = new Map<string, LinkFault>()
  readonly #connections = new Set<FaultyConnection>()

  set(name: string, fault: LinkFault): void {
    this.#faults.set(name, fault)
    for (const connection of [...this.#connections]) connection.faultsChanged()
  }

  heal(name: string): void {
    this.#faults.delete(name)
    for (const connection of [...this.#connections]) connection.faultsChanged()
  }

  /** The fault of whoever has any of these names. */
  of(...names: readonly (string | undefined)[]): LinkFault | undefined {
    const own = names.find((name) => name !== undefined && this.#faults.has(name))
    return this.#faults.get(own ?? everybody)
  }

  /** The same network, with these faults. */
  over(transport: Transport): Transport {
    return {
      dial: async (address, credentials, signal) => {
        if (this.of(address) === 'refused') throw refused(address)
        return this.#wrap(await transport.dial(address, credentials, signal))
      },
      listen: (address, credentials, accept) => this.#listen(transport, address, credentials, accept),
    }
  }

  /** Trying to connect, with these faults: a silence lasts as long as the try may. */
  trying<Saw>(attempt: Attempt<Saw>, clock: Pick<Clock, 'after'>): Attempt<Saw | 'refused' | 'silent'> {
    return async (address, timeoutMs) => {
      const fault = this.of(address)
      if (fault === undefined) return await attempt(address, timeoutMs)
      if (fault === 'refused') return 'refused'
      await new Promise<void>((resolve) => clock.after(timeoutMs, resolve))
      return 'silent'
    }
  }

  /** The same datagrams, with these faults: what meets one is lost. */
  losing(socket: Datagrams): Datagrams {
    return {
      address: socket.address,
      send: (address, bytes) => {
        const fault = this.of(address)
        return fault === undefined || fault === 'deaf' ? socket.send(address, bytes) : true
      },
      open: (read) =>
        socket.open((from, bytes) => {
          const fault = this.of(from)
          if (fault === undefined || fault === 'mute') read(from, bytes)
        }),
      get localFaults() {
        return socket.localFaults
      },
      close: () => socket.close(),
    }
  }

  async #listen(
    transport: Transport,
    address: string,
    credentials: Credentials,
    accept: (connection: Connection) => void,
  ): Promise<Listener> {
    const listener = await transport.listen(address, credentials, (connection) => {
      const wrapped = this.#wrap(connection)
      if (wrapped.fault === 'refused') wrapped.destroy()
      else accept(wrapped)
    })
    return {
      address: listener.address,
      get turnedAway() {
        return listener.turnedAway
      },
      close: () => {
        // The process goes, and its sockets with it.
        for (const connection of [...this.#connections]) connection.letGo()
        return listener.close()
      },
    }
  }

  #wrap(connection: Connection): FaultyConnection {
    const node = nodeOf(connection.certificate)
    const wrapped = new FaultyConnection(
      connection,
      () => this.of(node, connection.remote),
      () => this.#connections.delete(wrapped),
    )
    this.#connections.add(wrapped)
    return wrapped
  }
}

class FaultyConnection implements Connection {
  readonly #inner: Connection
  readonly #fault: () => LinkFault | undefined
  readonly #forget: () => void
  #user: ConnectionUser | undefined
  /** Of the other end, not told here yet. */
  readonly #incoming: (() => void)[] = []
  /** Of this end, not gone yet. */
  readonly #outgoing: (() => void)[] = []
  #incomingBytes = 0
  #outgoingBytes = 0
  #isEnded = false
  #mayHold = true

  constructor(inner: Connection, fault: () => LinkFault | undefined, forget: () => void) {
    this.#inner = inner
    this.#fault = fault
    this.#forget = forget
  }

  get fault(): LinkFault | undefined {
    return this.#fault()
  }

  get remote(): string {
    return this.#inner.remote
  }

  get certificate(): Uint8Array | undefined {
    return this.#inner.certificate
  }

  get binding(): Uint8Array {
    return this.#inner.binding
  }

  get bufferedBytes(): number {
    return this.#inner.bufferedBytes + this.#outgoingBytes
  }

  open(user: ConnectionUser): void {
    this.#user = user
    this.#inner.open({
      message: (bytes) => this.#hear(bytes.length, () => user.message(bytes)),
      drained: () => {
        if (!this.#isEnded) user.drained()
      },
      closed: (end) => this.#hear(0, () => this.#end(end)),
    })
  }

  send(message: Uint8Array): void {
    if (this.#isEnded) return
    if (!this.#isMute) {
      this.#inner.send(message)
      return
    }
    // A copy: the sender may use its array again.
    const bytes = message.slice()
    this.#outgoingBytes += bytes.length
    this.#outgoing.push(() => {
      this.#outgoingBytes -= bytes.length
      this.#inner.send(bytes)
    })
    if (this.#outgoingBytes > heldMaxBytes) this.#reset()
  }

  close(reason: string): void {
    this.#speak(() => this.#inner.close(reason))
  }

  destroy(): void {
    this.#speak(() => this.#inner.destroy())
    // To a dead path nothing is said, and nobody waits for its answer.
    if (this.#isMute) queueMicrotask(() => this.#end({ evidence: 'reset', reason: '' }))
  }

  /** Nothing is held back any more. */
  letGo(): void {
    this.#mayHold = false
    this.#flush()
  }

  faultsChanged(): void {
    if (this.fault === 'refused') this.#reset()
    else this.#flush()
  }

  get #isMute(): boolean {
    return this.#mayHold && (this.fault === 'silent' || this.fault === 'mute')
  }

  get #isDeaf(): boolean {
    return this.#mayHold && (this.fault === 'silent' || this.fault === 'deaf')
  }

  #hear(sizeBytes: number, tell: () => void): void {
    if (!this.#isDeaf) {
      tell()
      return
    }
    this.#incomingBytes += sizeBytes
    this.#incoming.push(tell)
    if (this.#incomingBytes > heldMaxBytes) this.#reset()
  }

  #speak(act: () => void): void {
    if (this.#isMute) this.#outgoing.push(act)
    else act()
  }

  #reset(): void {
    this.#mayHold = false
    this.#outgoing.length = 0
    this.#inner.destroy()
    this.#end({ evidence: 'reset', reason: '' })
  }

  #flush(): void {
    while (!this.#isMute) {
      const act = this.#outgoing.shift()
      if (act === undefined) break
      act()
    }
    while (!this.#isDeaf) {
      const tell = this.#incoming.shift()
      if (tell === undefined) break
      if (this.#incoming.length === 0) this.#incomingBytes = 0
      if (!this.#isEnded) tell()
    }
  }

  #end(end: ConnectionEnd): void {
    // Kept until what was held has gone: the other end hears of this one's end last.
    if (this.#outgoing.length === 0) this.#forget()
    if (this.#isEnded) return
    this.#isEnded = true
    this.#user?.closed(end)
  }
}

/** The node its certificate names; a stranger's may name nobody. */
function nodeOf(certificate: Uint8Array | undefined): string | undefined {
  try {
    return certificate && readCertificate(certificate).subject.name
  } catch {
    // Not one of ours: whoever believes certificates will say so.
    return undefined
  }
}
