import { randomBytes } from 'node:crypto'
import type { Clock } from '../../base/clock.js'
import { SkeinError } from '../../base/errors.js'
import { formatHostPort } from '../../base/host-port.js'
import { bindingBytes, type Credentials } from '../../security/index.js'
import { parseAddress, parseListen } from './addresses.js'
import {
  type Connection,
  type ConnectionEnd,
  type ConnectionUser,
  type Listener,
  refused,
  strange,
  type Transport,
} from './transport.js'

type Parcel = { readonly type: 'message'; readonly bytes: Uint8Array } | { readonly type: 'end'; readonly end: ConnectionEnd }

interface Pending {
  readonly from: string
  readonly to: string
  readonly connect: () => void
}

/** What TLS would have proved of the other end. */
type Shown = Pick<Connection, 'certificate' | 'binding'>

/**
 * A network in one process. Hosts are named by the host part of their addresses. A cut between two hosts behaves as TCP
 * over a dead path: what is sent waits, nobody is told, and it all arrives once the cut is healed.
 */
export class Switchboard {
  readonly clock: Clock
  readonly #cuts = new Set<string>()
  readonly #delaysMs = new Map<string, number>()
  readonly #listeners = new Map<string, MemoryListener>()
  readonly #connections = new Set<MemoryConnection>()
  readonly #dials = new Set<Pending>()
  #nextPort = 1024

  constructor(clock: Clock) {
    this.clock = clock
  }

  /** The network as this host sees it. */
  host(name: string): Transport {
    return {
      dial: async (address, credentials, signal) => this.#dial(name, address, credentials, signal),
      listen: async (address, credentials, accept) => this.#listen(address, credentials, accept),
    }
  }

  /** Nothing passes between the two until `heal`. */
  cut(a: string, b: string): void {
    this.#cuts.add(pairOf(a, b))
  }

  heal(a: string, b: string): void {
    this.#cuts.delete(pairOf(a, b))
    for (const dial of [...this.#dials]) if (!this.isCut(dial.from, dial.to)) dial.connect()
    for (const connection of this.#connections) connection.flush()
  }

  /** Milliseconds every message between the two takes from now on. */
  delay(a: string, b: string, delayMs: number): void {
    this.#delaysMs.set(pairOf(a, b), delayMs)
  }

  /** The host's process dies: its connections are reset and nobody listens there any more. */
  crash(name: string): void {
    for (const [address, listener] of this.#listeners) {
      if (parseAddress(address).host === name) {
        this.#listeners.delete(address)
        void listener.close()
      }
    }
    for (const connection of [...this.#connections]) if (connection.host === name) connection.destroy()
  }

  isCut(a: string, b: string): boolean {
    return this.#cuts.has(pairOf(a, b))
  }

  delayMs(a: string, b: string): number {
    return this.#delaysMs.get(pairOf(a, b)) ?? 0
  }

  forget(connection: MemoryConnection): void {
    this.#connections.delete(connection)
  }

  #listen(address: string, credentials: Credentials, accept: (connection: Connection) => void): Listener {
    const { host, port } = parseListen(address)
    const actual = formatHostPort({ host, port: port === 0 ? this.#nextPort++ : port })
    if (this.#listeners.has(actual)) {
      throw new SkeinError('ERR_SKEIN_PORT_IN_USE', `listen: ${actual} is taken`, { address: actual })
    }
    const listener = new MemoryListener(actual, credentials, accept, () => this.#listeners.delete(actual))
    this.#listeners.set(actual, listener)
    return listener
  }

  #dial(from: string, address: string, credentials: Credentials, signal: AbortSignal): Promise<Connection> {
    const { host: to } = parseAddress(address)
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        this.#dials.delete(pending)
        reject(new SkeinError('ERR_SKEIN_ABORTED', `dial ${address}: aborted`, { what: 'dial' }, { cause: signal.reason }))
      }
      const pending: Pending = {
        from,
        to,
        connect: () => {
          this.#dials.delete(pending)
          signal.removeEventListener('abort', abort)
          const listener = this.#listeners.get(address)
          if (listener === undefined) reject(refused(address))
          else if (!listener.credentials.knows(credentials.serverName)) reject(strange(address, credentials))
          else resolve(this.#connect(from, to, address, credentials, listener))
        },
      }
      if (signal.aborted) return abort()
      signal.addEventListener('abort', abort, { once: true })
      this.#dials.add(pending)
      this.clock.after(this.delayMs(from, to), () => {
        if (this.#dials.has(pending) && !this.isCut(from, to)) pending.connect()
      })
    })
  }

  #connect(from: string, to: string, address: string, credentials: Credentials, listener: MemoryListener): Connection {
    const binding = randomBytes(bindingBytes)
    const shown = (who: Credentials): Shown => ({ certificate: who.certificate?.der, binding })
    const dialled = new MemoryConnection(this, from, address, shown(listener.credentials))
    const accepted = new MemoryConnection(this, to, `${from}:0`, shown(credentials))
    dialled.join(accepted)
    accepted.join(dialled)
    this.#connections.add(dialled).add(accepted)
    listener.take(accepted)
    return dialled
  }
}

class MemoryListener implements Listener {
  readonly address: string
  readonly credentials: Credentials
  readonly turnedAway = 0
  readonly #accept: (connection: Connection) => void
  readonly #unlist: () => void
  readonly #taken = new Set<Promise<void>>()

  constructor(address: string, credentials: Credentials, accept: (connection: Connection) => void, unlist: () => void) {
    this.address = address
    this.credentials = credentials
    this.#accept = accept
    this.#unlist = unlist
  }

  take(connection: MemoryConnection): void {
    this.#taken.add(connection.ended)
    void connection.ended.then(() => this.#taken.delete(connection.ended))
    this.#accept(connection)
  }

  async close(): Promise<void> {
    this.#unlist()
    await Promise.all(this.#taken)
  }
}

class MemoryConnection implements Connection {
  readonly host: string
  readonly remote: string
  readonly certificate: Uint8Array | undefined
  readonly binding: Uint8Array
  readonly ended: Promise<void>
  readonly #switchboard: Switchboard
  #other!: MemoryConnection
  #user: ConnectionUser | undefined
  #finish!: () => void
  /** On their way from here to the other end. */
  readonly #parcels: Parcel[] = []
  /** Arrived before there was a user. */
  readonly #early: Parcel[] = []
  #flying = false
  #ended: ConnectionEnd | undefined
  bufferedBytes = 0

  constructor(switchboard: Switchboard, host: string, remote: string, { certificate, binding }: Shown) {
    this.certificate = certificate
    this.binding = binding
    this.#switchboard = switchboard
    this.host = host
    this.remote = remote
    this.ended = new Promise((resolve) => {
      this.#finish = resolve
    })
  }

  join(other: MemoryConnection): void {
    this.#other = other
  }

  open(user: ConnectionUser): void {
    this.#user = user
    const ended = this.#ended
    queueMicrotask(() => {
      if (ended !== undefined) user.closed(ended)
      for (let parcel = this.#early.shift(); parcel !== undefined; parcel = this.#early.shift()) this.#deliver(parcel)
    })
  }

  send(message: Uint8Array): void {
    if (this.#ended !== undefined) return
    // A copy: the sender may use its array again, and a receiver must never see that.
    this.#post({ type: 'message', bytes: message.slice() })
  }

  close(reason: string): void {
    this.#leave({ evidence: 'closed', reason: reason.slice(0, 100) }, { evidence: 'closed', reason })
  }

  destroy(): void {
    this.#parcels.length = 0
    this.bufferedBytes = 0
    this.#leave({ evidence: 'reset', reason: '' }, { evidence: 'reset', reason: '' })
  }

  /** Sends on what waits, one parcel at a time so that order holds whatever the delay. */
  flush(): void {
    const { clock } = this.#switchboard
    if (this.#flying || this.#parcels.length === 0 || this.#switchboard.isCut(this.host, this.#other.host)) return
    this.#flying = true
    clock.after(this.#switchboard.delayMs(this.host, this.#other.host), () => {
      this.#flying = false
      if (this.#switchboard.isCut(this.host, this.#other.host)) return
      for (const parcel of this.#parcels.splice(0)) {
        if (parcel.type === 'message') this.bufferedBytes -= parcel.bytes.length
        this.#other.arrive(parcel)
      }
      if (this.#ended === undefined) this.#user?.drained()
      else this.#switchboard.forget(this)
    })
  }

  arrive(parcel: Parcel): void {
    if (this.#user === undefined || this.#early.length > 0) this.#early.push(parcel)
    else this.#deliver(parcel)
  }

  #post(parcel: Parcel): void {
    if (parcel.type === 'message') this.bufferedBytes += parcel.bytes.length
    this.#parcels.push(parcel)
    this.flush()
  }

  #leave(forOther: ConnectionEnd, forUs: ConnectionEnd): void {
    if (this.#ended !== undefined) return
    this.#post({ type: 'end', end: forOther })
    queueMicrotask(() => this.#end(forUs))
  }

  #deliver(parcel: Parcel): void {
    if (this.#ended !== undefined) return
    if (parcel.type === 'message') this.#user?.message(parcel.bytes)
    else this.#end(parcel.end)
  }

  #end(end: ConnectionEnd): void {
    if (this.#ended !== undefined) return
    this.#ended = end
    this.#user?.closed(end)
    if (this.#parcels.length === 0) this.#switchboard.forget(this)
    this.#finish()
  }
}

function pairOf(a: string, b: string): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`
}
