import { SkeinBug } from '../../base/assert.js'
import { deferred } from '../../base/deferred.js'
import { isSkeinError, messageOf, SkeinError } from '../../base/errors.js'
import type { Rounds } from '../../base/rounds.js'
import { authorize, type Credentials, type Identity, type LinkSide, mustRenew } from '../../security/index.js'
import { Assembler, channels, type Frame, type MessageChannel, readFrame } from '../../wire/index.js'
import { type Established, Handshake, type LinkPurpose, type Self, type Step } from './handshake.js'
import { afterFairly, judgeSilence } from './lateness.js'
import type { ResolvedLinkOptions } from './options.js'
import { Outbox } from './outbox.js'
import { type CallOptions, Rpc, type RpcHandlers, type RpcLink } from './rpc.js'
import type { Connection, ConnectionEnd } from './transport.js'

/** What the owner of links tells them about itself. */
export interface LinkHost {
  /** Own node id; '' for a client. */
  readonly node: string
  /** What it shows, and whom it believes; as they are when a link begins. */
  readonly credentials: Credentials
  /** The last word on who may link, after it proved who it is; an error is told to the other end and refuses it. */
  admit(identity: Identity, instance: string): SkeinError | undefined
  readonly handlers: RpcHandlers
  /** Who may call what. Default: the table of `security/authorize`. */
  readonly authorize?: typeof authorize
  onRaftFrame(from: string, frame: Uint8Array): void
  /** A message of one of the cluster's own on a channel that somebody may listen to. */
  onMessage?(channel: MessageChannel, from: Identity, message: Uint8Array): void
}

/** What a link tells whoever made it; each at most once, `down` only after `up`, `failed` instead of both. */
export interface LinkEvents {
  up(link: Link): void
  failed(error: SkeinError): void
  /** It can no longer be used. Its connection may take a moment longer to end: see `ended`. */
  down(link: Link, end: ConnectionEnd): void
  /** The other end broke the protocol; the link goes. */
  malformed(error: SkeinError): void
  /** A bug of ours showed itself; the link goes, and so should this peer. */
  fault(error: unknown): void
}

export interface LinkWorld {
  readonly connection: Connection
  readonly side: LinkSide
  /** What it is dialled for; an accepted link hears it. */
  readonly purpose: LinkPurpose
  readonly host: LinkHost
  readonly options: ResolvedLinkOptions
  /** Every `keepAliveMs`. */
  readonly rounds: Rounds
  /** This process: random, the same for all its links. */
  readonly instance: string
  readonly events: LinkEvents
}

const ping = Uint8Array.of(1)
const pong = Uint8Array.of(2)
/** How long a goodbye may take before the connection is ended without one. */
const goodbyeMs = 500
/** How long a link that lost a double dial may finish its calls. */
const retireMs = 1000

/** One authenticated connection: handshake, keep-alive, channels, calls. */
export class Link implements RpcLink {
  readonly #world: LinkWorld
  readonly #handshake: Handshake
  readonly #outbox: Outbox
  readonly #assembler = new Assembler()
  readonly #rpc: Rpc
  readonly #ended = deferred<ConnectionEnd>()
  #state: 'shaking' | 'up' | 'down' = 'shaking'
  #established: Established | undefined
  #heardMs: number
  #cancelTimer: () => void = () => undefined

  constructor(world: LinkWorld) {
    const { connection, side, host, options } = world
    this.#world = world
    this.#heardMs = options.clock.now()
    this.#outbox = new Outbox(connection, () => this.#goDown({ evidence: 'silent', reason: 'it does not read' }))
    this.#handshake = new Handshake(side, selfOf(world))
    this.#rpc = new Rpc({
      side,
      link: this,
      handlers: host.handlers,
      authorize: (verb) => {
        const reach = (host.authorize ?? authorize)(this.identity.role, verb)
        return reach instanceof SkeinError ? reach : undefined
      },
      clock: options.clock,
      send: (message, bound, channel) => {
        // Whatever is too large to go ahead waits its turn.
        if (channel === 'session' && message.length <= channels.session.maxBytes)
          this.#outbox.sendAhead(channels.session, message, bound)
        else this.#outbox.sendOrdered(channels.rpc, message, bound)
      },
      room: () => this.#outbox.room(),
      fault: (error) => this.#fault(error),
    })
  }

  /** Takes the connection over and begins the handshake; `events` tell the rest. */
  start(): void {
    const { connection, options } = this.#world
    this.#cancelTimer = afterFairly(options.clock, options.handshakeTimeoutMs, () => {
      this.#failHandshake(unfinished(this.remote, options.handshakeTimeoutMs))
    })
    connection.open({
      message: (bytes) => this.#guard(() => this.#receive(bytes)),
      drained: () => this.#outbox.pump(),
      closed: (end) => this.#connectionClosed(end),
    })
    this.#take(this.#handshake.start())
  }

  /** The other end's address as its connection shows it, for people. */
  get remote(): string {
    return this.#world.connection.remote
  }

  get side(): LinkSide {
    return this.#world.side
  }

  /** What both ends share and nobody else: see `Connection.binding`. */
  get binding(): Uint8Array {
    return this.#world.connection.binding
  }

  get isUp(): boolean {
    return this.#state === 'up'
  }

  get identity(): Identity {
    return this.#known().identity
  }

  get purpose(): LinkPurpose {
    return this.#known().purpose
  }

  /** The wire version both ends agreed on. */
  get version(): number {
    return this.#known().version
  }

  /** The other end's process: another one after it was restarted. */
  get instance(): string {
    return this.#known().instance
  }

  /** Resolves when the connection has ended. */
  get ended(): Promise<ConnectionEnd> {
    return this.#ended.promise
  }

  /** Raft frames dropped because the link was congested. */
  get dropped(): number {
    return this.#outbox.dropped
  }

  async call(method: string, params: unknown, options?: CallOptions): Promise<unknown> {
    return this.#rpc.call(method, params, options)
  }

  stream(method: string, params: unknown, options?: CallOptions): AsyncIterable<unknown> {
    return this.#rpc.stream(method, params, options)
  }

  async streamUp(method: string, params: unknown, chunks: AsyncIterable<Uint8Array>, options?: CallOptions): Promise<unknown> {
    return this.#rpc.streamUp(method, params, chunks, options)
  }

  /** False when the frame was dropped: the link is down or congested, or the frame over its bound. */
  sendRaft(frame: Uint8Array): boolean {
    return this.#state === 'up' && this.#outbox.sendLossy(channels.raft, frame)
  }

  /** False when the message was dropped: the link is down or congested, or the message over its bound. */
  send(channel: MessageChannel, message: Uint8Array): boolean {
    return this.#state === 'up' && this.#outbox.sendLossy(channels[channel], message)
  }

  /** Says goodbye. Calls under way reject with ERR_SKEIN_LINK_LOST. Any number of times. */
  close(reason: string): void {
    if (this.#state === 'shaking')
      this.#failHandshake(
        new SkeinError('ERR_SKEIN_STOPPED', `the link to ${this.remote} was closed: ${reason}`, { what: 'link' }),
      )
    else this.#goDown({ evidence: 'closed', reason })
  }

  /** Closes a second from now, for calls that are under way: another link to the same process has taken its place. */
  retire(): void {
    const cancel = this.#world.options.clock.after(retireMs, () => this.close('superseded'))
    void this.ended.then(cancel)
  }

  #receive(bytes: Uint8Array): void {
    if (this.#state === 'down') return
    this.#heardMs = this.#world.options.clock.now()
    const frame = readFrame(bytes)
    if (frame.version !== this.#outbox.version)
      throw badFrame('version', `version ${frame.version}, agreed ${this.#outbox.version}`)
    if (this.#state === 'up') {
      this.#dispatch(frame)
      return
    }
    if (frame.channel !== channels.control || frame.more) throw badFrame('channel', 'only the handshake comes first')
    this.#take(this.#handshake.receive(frame.payload))
  }

  #dispatch(frame: Frame): void {
    const message = this.#assembler.add(frame)
    if (message === undefined) return
    const { name } = frame.channel
    // It does not know yet what became of its certificate, and learns that from its calls.
    if (mustRenew(this.identity) && (name === 'raft' || name === 'gossip' || name === 'swim')) return
    switch (name) {
      case 'raft':
        // What a worker may not call, it may not send either.
        if (this.identity.role !== 'manager') throw badFrame('channel', `a ${this.identity.role} sends no raft frames`)
        this.#world.host.onRaftFrame(this.identity.node, message)
        break
      case 'rpc':
      case 'session':
        this.#rpc.receive(message, name)
        break
      case 'gossip':
      case 'swim':
        if (!this.#isMember())
          throw badFrame('channel', `a ${this.identity.role} is no member and does not ${frame.channel.name}`)
        this.#world.host.onMessage?.(name, this.identity, message)
        break
      case 'control':
        if (message.length === 1 && message[0] === ping[0]) this.#outbox.sendLossy(channels.control, pong)
        break
      default:
        throw badFrame('channel', `nobody listens on ${frame.channel.name}`)
    }
  }

  /** When the last frame came, in milliseconds of this process. */
  get heardMs(): number {
    return this.#heardMs
  }

  /** Asks for a sign of life. */
  probe(): void {
    if (this.#state === 'up') this.#outbox.sendLossy(channels.control, ping)
  }

  #isMember(): boolean {
    return this.identity.role === 'manager' || this.identity.role === 'worker'
  }

  #take({ send, outcome }: Step): void {
    this.#outbox.version = this.#handshake.version
    for (const message of send) this.#outbox.sendAtOnce(channels.control, message)
    if (outcome?.type === 'failed') this.#failHandshake(outcome.error)
    if (outcome?.type === 'established') this.#goUp(outcome)
  }

  #goUp(established: Established): void {
    const { rounds, events } = this.#world
    this.#cancelTimer()
    this.#state = 'up'
    this.#established = established
    this.#cancelTimer = rounds.add((dueMs) => this.#look(dueMs))
    events.up(this)
  }

  #look(dueMs: number): void {
    const { clock, keepAliveMs, silentAfterMs } = this.#world.options
    const nowMs = clock.now()
    const verdict = judgeSilence({ nowMs, dueMs, heardMs: this.#heardMs, silentAfterMs })
    if (verdict === 'silent') {
      this.#goDown({ evidence: 'silent', reason: `nothing heard for ${silentAfterMs} ms` })
      return
    }
    // We were the slow one: what it sent may lie unread, so it gets the whole time again.
    if (verdict === 'late') this.#heardMs = nowMs
    if (nowMs - this.#heardMs >= keepAliveMs / 2 || verdict === 'late') this.#outbox.sendLossy(channels.control, ping)
  }

  #failHandshake(error: SkeinError): void {
    if (this.#state !== 'shaking') return
    this.#state = 'down'
    this.#finish({ evidence: 'closed', reason: error.code })
    this.#world.events.failed(error)
  }

  #goDown(end: ConnectionEnd): void {
    if (this.#state !== 'up') return
    const { identity } = this.#known()
    this.#state = 'down'
    this.#finish(end)
    const words = `the link to ${identity.node || identity.role} at ${this.remote} is down (${end.evidence}${end.reason && `: ${end.reason}`})`
    this.#rpc.close(new SkeinError('ERR_SKEIN_LINK_LOST', words, { node: identity.node }))
    this.#world.events.down(this, end)
  }

  #finish({ evidence, reason }: ConnectionEnd): void {
    const { connection, options } = this.#world
    this.#cancelTimer()
    this.#outbox.close()
    // To one that does not answer, a goodbye would only wait.
    if (evidence === 'silent') connection.destroy()
    else connection.close(reason)
    const cancel = options.clock.after(goodbyeMs, () => connection.destroy())
    void this.ended.then(cancel)
  }

  #connectionClosed(end: ConnectionEnd): void {
    this.#ended.resolve(end)
    this.#failHandshake(brokenOff(this.remote, end))
    this.#goDown(end)
  }

  /** What the other end sends may be wrong: then it goes. What we make of it may be wrong: then everybody must hear. */
  #guard(act: () => void): void {
    try {
      act()
    } catch (error) {
      if (isSkeinError(error, 'ERR_SKEIN_BAD_MESSAGE')) this.#refuse(error)
      else this.#fault(error)
    }
  }

  #refuse(error: SkeinError): void {
    this.#world.events.malformed(error)
    this.#failHandshake(error)
    this.#goDown({ evidence: 'closed', reason: messageOf(error) })
  }

  #fault(error: unknown): void {
    this.close('fault')
    this.#world.events.fault(error)
  }

  #known(): Established {
    if (this.#established === undefined) throw new SkeinBug('a link is handed out only after its handshake')
    return this.#established
  }
}

function selfOf({ host, options, instance, connection, side, purpose }: LinkWorld): Self {
  const { credentials } = host
  const { certificate } = connection
  return {
    node: host.node,
    versions: options.versions,
    instance,
    purpose,
    chain: credentials.chain,
    remote: connection.remote,
    identify: (chain) => credentials.identify({ certificate, chain }, side === 'dialler' ? 'acceptor' : 'dialler'),
    admit: (identity, process) => host.admit(identity, process),
  }
}

function unfinished(address: string, timeoutMs: number): SkeinError {
  const words = `${address} did not finish its handshake in ${timeoutMs} ms`
  const cause = new SkeinError('ERR_SKEIN_TIMEOUT', words, { what: 'handshake', timeoutMs })
  return new SkeinError('ERR_SKEIN_UNREACHABLE', words, { address }, { cause })
}

function brokenOff(address: string, { evidence, reason }: ConnectionEnd): SkeinError {
  const words = `${address} ended the connection during the handshake${reason && `: ${reason}`}`
  // What `evidenceOf` reads.
  const cause = evidence === 'reset' ? Object.assign(new Error(words), { code: 'ECONNRESET' }) : undefined
  return new SkeinError('ERR_SKEIN_UNREACHABLE', words, { address }, { cause })
}

function badFrame(path: string, words: string): SkeinError {
  return new SkeinError('ERR_SKEIN_BAD_MESSAGE', `frame ${path}: ${words}`, { path: `frame.${path}` })
}
