import { randomBytes } from 'node:crypto'
import debug from 'debug'
import { abortable } from '../../base/abort.js'
import { type Deferred, deferred } from '../../base/deferred.js'
import { SkeinError } from '../../base/errors.js'
import { Rounds } from '../../base/rounds.js'
import { type Identity, type LinkRole, type LinkSide, mustRenew } from '../../security/index.js'
import type { MessageChannel } from '../../wire/index.js'
import { BulkLinks } from './bulk-links.js'
import { Doubles } from './doubles.js'
import type { LinkPurpose } from './handshake.js'
import { Keeper } from './keeper.js'
import { afterFairly } from './lateness.js'
import { Link, type LinkEvents, type LinkHost } from './link.js'
import { type LinkOptions, type ResolvedLinkOptions, resolveLinkOptions } from './options.js'
import type { CallOptions } from './rpc.js'
import { type Connection, type ConnectionEnd, type Evidence, evidenceOf, type Listener } from './transport.js'

const log = debug('skein:links')

/** Who sent it proved to be that. */
export type MessageListener = (from: Identity, message: Uint8Array) => void

/** News of links. */
export type LinkEvent =
  /** A link to this peer is up, dialled by us or by it; clients and newcomers without an id are not told of. */
  | { readonly type: 'up'; readonly node: string; readonly identity: Identity; readonly side: LinkSide }
  /** There is no link to this peer any more. */
  | { readonly type: 'down'; readonly node: string; readonly evidence: Evidence; readonly reason: string }
  /** A kept peer could not be linked; it is tried again. */
  | {
      readonly type: 'missed'
      readonly node: string
      readonly address: string
      readonly evidence: Evidence
      readonly error: SkeinError
    }
  /** Somebody who dialled us was turned away in the handshake. */
  | { readonly type: 'refused'; readonly remote: string; readonly error: SkeinError }

/** How often something happened since the pool began. */
export interface LinkCounters {
  /** Handshakes of diallers that came to nothing. */
  readonly refused: number
  /** Connections cut off because too many were in their handshake. */
  readonly crowdedOut: number
  /** Links and handshakes ended because the other end broke the protocol. */
  readonly malformed: number
  /** Raft frames dropped by congested links. */
  readonly dropped: number
}

export interface DialOptions {
  readonly signal?: AbortSignal | undefined
  /** Milliseconds until the dial is given up with ERR_SKEIN_UNREACHABLE. Default 10,000. */
  readonly deadlineMs?: number | undefined
  /** Default `all`. A `bulk` link is another one beside it, for what is large: known only to its dialler, who closes it. */
  readonly purpose?: LinkPurpose | undefined
}

/** What a call without a deadline of its own may take, waiting for the link included. */
const callDefaultMs = 30_000
const dialDefaultMs = 10_000
/** Calls that may wait for one link to come up. */
const waitersMax = 1024

/** All links of one process: at most one per peer, whoever dialled; kept peers are redialled for ever. */
export class LinkPool implements AsyncDisposable {
  readonly #host: LinkHost
  readonly #options: ResolvedLinkOptions
  readonly #rounds: Rounds
  readonly #instance = randomBytes(12).toString('hex')
  readonly #links = new Map<string, Link>()
  /** Every link that has not ended yet, in whatever state. */
  readonly #open = new Set<Link>()
  readonly #shaking = new Set<Link>()
  /** Taken from who has no certificate, the oldest first. */
  readonly #newcomers = new Set<Link>()
  readonly #keepers = new Map<string, Keeper>()
  /** Who wants the link of each keeper. */
  readonly #users = new Map<string, Set<string>>()
  readonly #waiting = new Map<string, Set<Deferred<Link>>>()
  readonly #observers = new Set<(event: LinkEvent) => void>()
  readonly #doubles = new Doubles()
  /** Dials under way, each with the way to end it. */
  readonly #dials = new Set<AbortController>()
  readonly #bulk: BulkLinks
  readonly #listeners = new Map<MessageChannel, MessageListener>()
  readonly #ended = deferred<unknown>()
  #listener: Listener | undefined
  #stopping = false
  #stopped: Promise<void> | undefined
  #refused = 0
  #crowdedOut = 0
  #malformed = 0
  #dropped = 0

  private constructor(host: LinkHost, options: LinkOptions) {
    this.#options = resolveLinkOptions(options)
    this.#rounds = new Rounds(this.#options.clock, this.#options.keepAliveMs)
    this.#bulk = new BulkLinks({ clock: this.#options.clock, dial: (node) => this.#dialBulk(node) })
    this.#host = {
      node: host.node,
      handlers: host.handlers,
      ...(host.authorize && { authorize: host.authorize }),
      credentials: host.credentials,
      admit: (identity, process) =>
        this.#full() ?? this.#impostor(identity) ?? this.#double(identity, process) ?? host.admit(identity, process),
      onRaftFrame: (from, frame) => host.onRaftFrame(from, frame),
      onMessage: (channel, from, message) => this.#listeners.get(channel)?.(from, message),
    }
  }

  /**
   * A pool that takes links at `listen` (`host:port`, port 0 for a free one) and dials.
   * @throws {SkeinError} ERR_SKEIN_PORT_IN_USE, ERR_SKEIN_INVALID_OPTION
   */
  static async listen(host: LinkHost, options: LinkOptions & { readonly listen: string }): Promise<LinkPool> {
    const pool = new LinkPool(host, options)
    pool.#listener = await pool.#options.transport.listen(options.listen, host.credentials, (connection) =>
      pool.#accept(connection),
    )
    return pool
  }

  /** A pool that only dials. */
  static client(host: LinkHost, options: LinkOptions): LinkPool {
    return new LinkPool(host, options)
  }

  /** The actual `host:port` it listens on; '' for a client. */
  get address(): string {
    return this.#listener?.address ?? ''
  }

  /** Never rejects: undefined after `stop`, the error if a bug of ours stopped it. */
  get ended(): Promise<unknown> {
    return this.#ended.promise
  }

  get counters(): LinkCounters {
    let dropped = this.#dropped
    for (const link of this.#open) dropped += link.dropped
    return {
      refused: this.#refused + (this.#listener?.turnedAway ?? 0),
      crowdedOut: this.#crowdedOut,
      malformed: this.#malformed,
      dropped,
    }
  }

  /**
   * Links to whoever answers at the address; `link.identity` says who that is. When there is a better link to the same
   * process already, that one.
   * @throws {SkeinError} ERR_SKEIN_UNREACHABLE, ERR_SKEIN_BAD_JOIN_SECRET, ERR_SKEIN_OTHER_CLUSTER, ERR_SKEIN_WIRE_VERSION,
   * ERR_SKEIN_REMOVED, ERR_SKEIN_FORBIDDEN, ERR_SKEIN_ALREADY_EXISTS (our node id is in use), ERR_SKEIN_PRECONDITION (the
   * address is our own, or that peer has no cluster yet), ERR_SKEIN_ABORTED, ERR_SKEIN_STOPPED, or what its `admit` says
   */
  async dial(address: string, options: DialOptions = {}): Promise<Link> {
    return await this.#dial(address, options.purpose ?? 'all', options)
  }

  async #dial(address: string, purpose: LinkPurpose, { signal, deadlineMs = dialDefaultMs }: DialOptions): Promise<Link> {
    if (this.#stopping) throw stopped()
    if (signal?.aborted) throw abortedDial(address, signal)
    const { clock, transport } = this.#options
    const giveUp = new AbortController()
    const onAbort = (): void => giveUp.abort(abortedDial(address, signal))
    signal?.addEventListener('abort', onAbort, { once: true })
    const cancel = afterFairly(clock, deadlineMs, () => giveUp.abort(noAnswer(address, deadlineMs)))
    this.#dials.add(giveUp)
    let connection: Connection | undefined
    try {
      connection = await transport.dial(address, this.#host.credentials, giveUp.signal)
      giveUp.signal.throwIfAborted()
      return await abortable(this.#shake(connection, 'dialler', purpose), giveUp.signal, `dial ${address}`)
    } catch (error) {
      throw giveUp.signal.aborted ? giveUp.signal.reason : error
    } finally {
      cancel()
      signal?.removeEventListener('abort', onAbort)
      this.#dials.delete(giveUp)
      if (giveUp.signal.aborted) connection?.destroy()
    }
  }

  /**
   * Holds a link to this peer at this address from now on; called again, it moves to the new address.
   * @param user who wants it: the link is held until the last of them releases it
   */
  keep(node: string, address: string, user = 'peer'): void {
    if (this.#stopping || node === this.#host.node) return
    const users = this.#users.get(node) ?? new Set()
    this.#users.set(node, users.add(user))
    const keeper = this.#keepers.get(node)
    if (keeper !== undefined) {
      keeper.move(address)
      return
    }
    const begun = new Keeper(address, {
      options: this.#options,
      dial: (to, signal) => this.#dialPeer(node, to, signal),
      isUp: () => this.#links.has(node),
      missed: (to, error) => this.#tell({ type: 'missed', node, address: to, evidence: evidenceOf(error), error }),
    })
    this.#keepers.set(node, begun)
    begun.start()
  }

  /** One user needs the link no more. When nobody here does, a link that we dialled is closed; one that they dialled is theirs. */
  release(node: string, user: string): void {
    const users = this.#users.get(node)
    if (users?.delete(user) !== true || users.size > 0) return
    if (this.#links.get(node)?.side === 'acceptor') {
      this.#users.delete(node)
      this.#keepers.get(node)?.stop()
      this.#keepers.delete(node)
    } else this.forget(node)
  }

  /** Holds no link to this peer any more, whoever wants it, and closes the one there is. */
  forget(node: string): void {
    this.#users.delete(node)
    this.#keepers.get(node)?.stop()
    this.#keepers.delete(node)
    this.#links.get(node)?.close('forgotten')
    this.#bulk.close(node, 'forgotten')
    this.#failWaiters(node, unreachable(node))
  }

  /** Closes every link to these peers that counts as this role (any, if none is given), also those that only their dialler knows. */
  dismiss(nodes: ReadonlySet<string>, reason: string, role?: LinkRole): void {
    for (const link of [...this.#open]) {
      if (!link.isUp || !nodes.has(link.identity.node)) continue
      if (role === undefined || link.identity.role === role) link.close(reason)
    }
  }

  /** Closes every link, clients' too; those that are kept are dialled anew, with the certificate of now. */
  renewLinks(reason: string): void {
    for (const link of [...this.#open]) if (link.isUp) link.close(reason)
  }

  /** The link to this peer, if it is up; whoever dialled it. */
  link(node: string): Link | undefined {
    return this.#links.get(node)
  }

  /** Sends if it can be sent now: false when there is no link, it is congested, or the frame is over its bound. */
  sendRaft(node: string, frame: Uint8Array): boolean {
    return this.#links.get(node)?.sendRaft(frame) ?? false
  }

  /** Sends one message if it can be sent now: false when there is no link, or it is congested. */
  send(node: string, channel: MessageChannel, message: Uint8Array): boolean {
    return this.#links.get(node)?.send(channel, message) ?? false
  }

  /** Tells every message of the channel from now on; one listener for each. */
  onMessage(channel: MessageChannel, listener: MessageListener): void {
    this.#listeners.set(channel, listener)
  }

  /**
   * Calls a method of this peer; for a kept one waits, within the deadline, until there is a link.
   * @throws {SkeinError} ERR_SKEIN_UNREACHABLE (never sent), ERR_SKEIN_LINK_LOST (sent, and the outcome is unknown), ERR_SKEIN_TIMEOUT,
   * ERR_SKEIN_ABORTED, ERR_SKEIN_BUSY, ERR_SKEIN_STOPPED, or what the handler threw
   */
  async call(
    node: string,
    method: string,
    params: unknown,
    { signal, deadlineMs = callDefaultMs, channel }: CallOptions = {},
  ): Promise<unknown> {
    const { clock } = this.#options
    const beganMs = clock.now()
    const link = await this.#linkTo(node, signal, deadlineMs)
    return link.call(method, params, { signal, deadlineMs: deadlineMs - (clock.now() - beganMs), channel })
  }

  /** A stream from this peer; waits for the link as `call` does. The deadline, if given, is for the whole stream. @throws as `call`, while iterating */
  async *stream(
    node: string,
    method: string,
    params: unknown,
    options: CallOptions = {},
  ): AsyncGenerator<unknown, void, undefined> {
    const link = await this.#linkTo(node, options.signal, options.deadlineMs)
    yield* link.stream(method, params, options)
  }

  /** Sends chunks up as fast as the peer takes them; resolves with its result. @throws as `call`, or what `chunks` throws */
  async streamUp(
    node: string,
    method: string,
    params: unknown,
    chunks: AsyncIterable<Uint8Array>,
    options: CallOptions = {},
  ): Promise<unknown> {
    const link = await this.#linkTo(node, options.signal, options.deadlineMs)
    return link.streamUp(method, params, chunks, options)
  }

  /**
   * Calls a method of a kept peer over a second link, so that nothing else waits behind what is large; of a peer that is not kept,
   * and so has no known address, over the link there is.
   * @throws as `dial` and `call`
   */
  async callBulk(node: string, method: string, params: unknown, options: CallOptions = {}): Promise<unknown> {
    if (!this.#keepers.has(node)) return await this.call(node, method, params, options)
    return await this.#bulk.with(node, (link) => link.call(method, params, options))
  }

  /** Tells every event from now on, synchronously; returns the function that ends it. */
  observe(observer: (event: LinkEvent) => void): () => void {
    this.#observers.add(observer)
    return () => this.#observers.delete(observer)
  }

  /** Closes everything; resolves when nothing is open any more. Any number of times. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #stop(): Promise<void> {
    this.#stopping = true
    const unlistened = this.#listener?.close()
    for (const keeper of this.#keepers.values()) keeper.stop()
    this.#keepers.clear()
    this.#users.clear()
    for (const node of [...this.#waiting.keys()]) this.#failWaiters(node, stopped())
    for (const dial of this.#dials) dial.abort(stopped())
    this.#bulk.closeAll('stopped')
    const ended = [...this.#open].map((link) => link.ended)
    for (const link of [...this.#open]) link.close('stopped')
    await Promise.all(ended)
    await unlistened
    this.#ended.resolve(undefined)
  }

  #accept(connection: Connection): void {
    if (this.#stopping || this.#shaking.size >= this.#options.handshakesMax) {
      this.#crowdedOut++
      connection.destroy()
      return
    }
    this.#shake(connection, 'acceptor', 'all').catch((error: SkeinError) => {
      this.#refused++
      if (!this.#stopping) this.#tell({ type: 'refused', remote: connection.remote, error })
    })
  }

  /** From a connection to a link that is up and in the pool. */
  #shake(connection: Connection, side: LinkSide, purpose: LinkPurpose = 'all'): Promise<Link> {
    const { promise, resolve, reject } = deferred<Link>()
    const events: LinkEvents = {
      up: (link) => {
        this.#shaking.delete(link)
        resolve(this.#adopt(link))
      },
      failed: (error) => {
        this.#shaking.delete(link)
        reject(error)
      },
      down: (gone, end) => this.#onDown(gone, end),
      malformed: (error) => {
        this.#malformed++
        log('%s broke the protocol: %s', connection.remote, error.message)
      },
      fault: (error) => this.#fault(error),
    }
    const link = new Link({
      connection,
      side,
      host: this.#host,
      options: this.#options,
      rounds: this.#rounds,
      instance: this.#instance,
      purpose,
      events,
    })
    this.#open.add(link)
    if (side === 'acceptor') this.#shaking.add(link)
    void link.ended.then(() => {
      this.#open.delete(link)
      this.#newcomers.delete(link)
      this.#dropped += link.dropped
    })
    link.start()
    return promise
  }

  /** The link to use from now on to that peer: this one, or the one there was. */
  #adopt(link: Link): Link {
    const { node, role } = link.identity
    if (role === 'newcomer') this.#makeRoomFor(link)
    // Clients and newcomers have no id to be found by; a bulk link is whoever's asked for it.
    if (node === '' || link.purpose === 'bulk' || mustRenew(link.identity)) return link
    const before = this.#links.get(node)
    if (before !== undefined && !this.#supersedes(link, before)) {
      link.retire()
      return before
    }
    this.#links.set(node, link)
    const same = before !== undefined && before.instance === link.instance && before.identity.role === link.identity.role
    if (before !== undefined && same) before.retire()
    else {
      if (before !== undefined) {
        before.close('superseded')
        this.#tell({ type: 'down', node, evidence: 'closed', reason: 'superseded' })
      }
      this.#tell({ type: 'up', node, identity: link.identity, side: link.side })
    }
    this.#keepers.get(node)?.linkUp()
    for (const waiter of this.#waiting.get(node) ?? []) waiter.resolve(link)
    this.#waiting.delete(node)
    return link
  }

  /** Who is honest asks its one question in milliseconds: nobody who only knows the cluster's name keeps others out. */
  #makeRoomFor(newcomer: Link): void {
    const [oldest] = this.#newcomers
    if (oldest !== undefined && this.#newcomers.size >= this.#options.newcomersMax) {
      this.#newcomers.delete(oldest)
      oldest.close('too many newcomers')
    }
    this.#newcomers.add(newcomer)
  }

  /**
   * The newer link wins (`Doubles` lets no second process in while the first answers), with one exception: when two processes dial each other at once, both ends must keep the same
   * one of the two links, whichever came first here or there. That is the one the smaller node id dialled.
   */
  #supersedes(link: Link, before: Link): boolean {
    if (before.instance !== link.instance || before.side === link.side) return true
    const weAreSmaller = this.#host.node < link.identity.node
    return (link.side === 'dialler') === weAreSmaller
  }

  #full(): SkeinError | undefined {
    const { linksMax } = this.#options
    if (this.#open.size - this.#shaking.size < linksMax) return undefined
    return new SkeinError('ERR_SKEIN_BUSY', `this peer holds ${linksMax} links already`, { limit: 'links' })
  }

  /** A worker again, or its key stolen before: it must not take the place of a manager whose link is up. Who only renews takes nobody's. */
  #impostor(identity: Identity): SkeinError | undefined {
    const { node, role } = identity
    if (role === 'manager' || mustRenew(identity) || this.#links.get(node)?.identity.role !== 'manager') return undefined
    return new SkeinError('ERR_SKEIN_FORBIDDEN', `node ${node} is linked as manager and cannot be a ${role} too`, {
      role,
      verb: 'link',
    })
  }

  #double({ node }: Identity, process: string): SkeinError | undefined {
    return this.#doubles.judge(node, process, this.#links.get(node), this.#options.clock.now())
  }

  #onDown(link: Link, { evidence, reason }: ConnectionEnd): void {
    const { node } = link.identity
    if (this.#links.get(node) !== link) return
    this.#links.delete(node)
    this.#tell({ type: 'down', node, evidence, reason })
    this.#keepers.get(node)?.linkDown()
  }

  async #dialPeer(node: string, address: string, signal: AbortSignal): Promise<void> {
    const link = await this.dial(address, { signal })
    if (link.identity.node === node) return
    const words = `${address} is where ${link.identity.node} lives now, not ${node}`
    if (!this.#keepers.has(link.identity.node)) link.close('not who was meant')
    throw new SkeinError('ERR_SKEIN_UNREACHABLE', words, { address })
  }

  async #dialBulk(node: string): Promise<Link> {
    const address = this.#keepers.get(node)?.address
    if (address === undefined) throw unreachable(node)
    const link = await this.#dial(address, 'bulk', {})
    if (link.identity.node === node) return link
    link.close('not who was meant')
    throw new SkeinError('ERR_SKEIN_UNREACHABLE', `${address} is where ${link.identity.node} lives now, not ${node}`, { address })
  }

  async #linkTo(node: string, signal: AbortSignal | undefined, deadlineMs = callDefaultMs): Promise<Link> {
    if (this.#stopping) throw stopped()
    const link = this.#links.get(node)
    if (link !== undefined) return link
    if (!this.#keepers.has(node)) throw unreachable(node)
    const waiters = this.#waiting.get(node) ?? new Set()
    if (waiters.size >= waitersMax)
      throw new SkeinError('ERR_SKEIN_BUSY', `${waitersMax} calls wait for a link to ${node}`, { limit: 'waiting calls' })
    const waiter = deferred<Link>()
    waiters.add(waiter)
    this.#waiting.set(node, waiters)
    const cancel = afterFairly(this.#options.clock, deadlineMs, () => waiter.reject(unreachable(node)))
    try {
      return await (signal === undefined ? waiter.promise : abortable(waiter.promise, signal, `call to ${node}`))
    } finally {
      cancel()
      waiters.delete(waiter)
    }
  }

  #failWaiters(node: string, error: SkeinError): void {
    for (const waiter of this.#waiting.get(node) ?? []) waiter.reject(error)
    this.#waiting.delete(node)
  }

  #tell(event: LinkEvent): void {
    log('%o', event)
    try {
      for (const observer of [...this.#observers]) observer(event)
    } catch (error) {
      this.#fault(error)
    }
  }

  /** A bug of ours: this pool ends, its owner hears of it through `ended`; the process belongs to the host. */
  #fault(error: unknown): void {
    log('fault: %O', error)
    this.#ended.resolve(error)
    void this.stop()
  }
}

function stopped(): SkeinError {
  return new SkeinError('ERR_SKEIN_STOPPED', 'the links of this peer are stopped', { what: 'links' })
}

function noAnswer(address: string, timeoutMs: number): SkeinError {
  const cause = new SkeinError('ERR_SKEIN_TIMEOUT', 'no answer', { what: 'dial', timeoutMs })
  return new SkeinError('ERR_SKEIN_UNREACHABLE', `${address}: no answer within ${timeoutMs} ms`, { address }, { cause })
}

function abortedDial(address: string, signal: AbortSignal | undefined): SkeinError {
  return new SkeinError('ERR_SKEIN_ABORTED', `dial ${address}: aborted`, { what: 'dial' }, { cause: signal?.reason })
}

function unreachable(node: string): SkeinError {
  return new SkeinError('ERR_SKEIN_UNREACHABLE', `there is no link to ${node}`, { address: node })
}
