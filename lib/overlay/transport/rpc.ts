import { SkeinBug, unreachable } from '../../base/assert.js'
import type { Clock } from '../../base/clock.js'
import { type Deferred, deferred } from '../../base/deferred.js'
import { SkeinError } from '../../base/errors.js'
import type { Identity, LinkSide } from '../../security/index.js'
import { badMessage } from '../../wire/index.js'
import { Inlet, Outlet } from './flow.js'
import { afterFairly } from './lateness.js'
import { errorFromWire, errorToWire } from './remote-errors.js'
import { type CallMode, decodeRpc, encodeRpc, type RpcMessage } from './rpc-messages.js'

/** Where a call and its answer travel: `session` goes ahead of all that waits on `rpc`, and is for heartbeats alone. */
export type CallChannel = 'rpc' | 'session'

export interface CallOptions {
  /** Aborted: the call rejects with ERR_SKEIN_ABORTED and the handler's signal fires. */
  readonly signal?: AbortSignal | undefined
  /** Milliseconds until the call rejects with ERR_SKEIN_TIMEOUT. Default 30,000; none for `stream` and `streamUp`. */
  readonly deadlineMs?: number | undefined
  /** Of a `call`. Default `rpc`. */
  readonly channel?: CallChannel | undefined
}

/** Calls over one link, in either direction. */
export interface RpcLink {
  /** The other end. */
  readonly identity: Identity
  /** See `Connection.binding`. */
  readonly binding: Uint8Array
  /** @throws {SkeinError} what the handler threw; ERR_SKEIN_TIMEOUT, ERR_SKEIN_ABORTED, ERR_SKEIN_LINK_LOST, ERR_SKEIN_BUSY, ERR_SKEIN_TOO_LARGE */
  call(method: string, params: unknown, options?: CallOptions): Promise<unknown>
  /** The call begins with the first `next()` and is cancelled by leaving the loop. @throws as `call`, while iterating */
  stream(method: string, params: unknown, options?: CallOptions): AsyncIterable<unknown>
  /** Sends chunks (cut to 64 KiB) as fast as the handler takes them; resolves with its result. @throws as `call`, or what `chunks` throws */
  streamUp(method: string, params: unknown, chunks: AsyncIterable<Uint8Array>, options?: CallOptions): Promise<unknown>
}

export interface RpcContext {
  /** The caller, as the handshake proved it. */
  readonly identity: Identity
  /** For calling back. */
  readonly link: RpcLink
  /** Of the connection the call came by: a proof made over it was made by the caller, for this call's link. */
  readonly binding: Uint8Array
  /** Fires when the caller gives up, or the link goes down. */
  readonly signal: AbortSignal
  /** Milliseconds the caller waits, from when the call arrived; undefined when it does not say. */
  readonly deadlineMs: number | undefined
  /** What `streamUp` sends; empty otherwise. Read slowly, it slows the sender. */
  readonly chunks: AsyncIterable<Uint8Array>
}

/** Answers a `call` or `streamUp` with a promise, a `stream` with an iterable. What it throws reaches the caller by its code. */
export type RpcHandler = (params: unknown, context: RpcContext) => Promise<unknown> | AsyncIterable<unknown>

/** Method → handler; may grow while links are up. */
export type RpcHandlers = ReadonlyMap<string, RpcHandler>

/** What calls need of their link. */
export interface RpcWorld {
  readonly side: LinkSide
  readonly link: RpcLink
  readonly handlers: RpcHandlers
  /** Whether the other end may call this at all. */
  authorize(verb: string): SkeinError | undefined
  readonly clock: Clock
  /** @throws {SkeinError} ERR_SKEIN_BUSY (only for `bounded`), ERR_SKEIN_TOO_LARGE */
  send(message: Uint8Array, bound: 'bounded' | 'always', channel: CallChannel): void
  /** Resolves when the link has room again, or is down. */
  room(): Promise<void>
  /** A handler met a bug of ours. */
  fault(error: SkeinBug): void
}

interface Outgoing {
  readonly method: string
  readonly channel: CallChannel
  /** Settles a `call` or `up`; never used by a `stream`, whose inlet tells everything. */
  readonly result: Deferred<unknown>
  readonly inlet?: Inlet
  readonly outlet?: Outlet
  /** Stops timers and listeners. */
  release(): void
}

interface Incoming {
  readonly sizeBytes: number
  /** By which it came and is answered. */
  readonly channel: CallChannel
  readonly abort: AbortController
  readonly inlet: Inlet | undefined
  readonly outlet: Outlet | undefined
  /** Nobody waits for what comes of it any more. */
  isDropped: boolean
}

const callsMax = 1024
/** Parameters of calls under way, together: a thousand large ones would be more than this process can hold. */
const callsMaxBytes = 64 * 1024 * 1024
const deadlineDefaultMs = 30_000
const chunkMaxBytes = 64 * 1024
/** The longest a timer can wait; anything longer is no deadline. */
const deadlineMaxMs = 2 ** 31 - 1

/** Calls and streams in both directions over one link. */
export class Rpc {
  readonly #world: RpcWorld
  readonly #outgoing = new Map<number, Outgoing>()
  readonly #incoming = new Map<number, Incoming>()
  #incomingBytes = 0
  #nextId: number
  #closed: SkeinError | undefined

  constructor(world: RpcWorld) {
    this.#world = world
    this.#nextId = world.side === 'dialler' ? 2 : 1
  }

  async call(method: string, params: unknown, options: CallOptions = {}): Promise<unknown> {
    const { result } = this.#begin('call', method, params, { deadlineMs: deadlineDefaultMs, ...options })
    return result.promise
  }

  async *stream(
    method: string,
    params: unknown,
    { signal, deadlineMs }: CallOptions = {},
  ): AsyncGenerator<unknown, void, undefined> {
    const { id, inlet } = this.#begin('stream', method, params, { signal, deadlineMs })
    try {
      for (;;) {
        const taken = await (inlet as Inlet).take()
        if (taken.done) return
        yield taken.value
      }
    } finally {
      this.#giveUp(id, readerLeft(method))
    }
  }

  async streamUp(
    method: string,
    params: unknown,
    chunks: AsyncIterable<Uint8Array>,
    { signal, deadlineMs }: CallOptions = {},
  ): Promise<unknown> {
    const { id, result, outlet } = this.#begin('up', method, params, { signal, deadlineMs })
    this.#upload(id, outlet as Outlet, chunks).catch((error: unknown) => {
      this.#giveUp(id, error)
    })
    return result.promise
  }

  /** @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE: the other end does not keep to the protocol, the link must go */
  receive(bytes: Uint8Array, channel: CallChannel): void {
    const message = decodeRpc(bytes)
    const { id } = message
    switch (message.type) {
      case 'call':
        this.#serve(message, bytes.length, channel)
        break
      case 'result':
        if (this.#outgoing.get(id)?.inlet !== undefined) throw badMessage('rpc.result', 'items, as asked', message.value)
        this.#settle(id, undefined, message.value)
        break
      case 'error': {
        const call = this.#outgoing.get(id)
        const error = errorFromWire(message.code, message.message, message.detail, call?.method ?? '')
        // In its turn: what was sent before it is read before it.
        call?.inlet?.end(error)
        this.#settle(id, error)
        break
      }
      case 'cancel':
        this.#drop(id, new SkeinError('ERR_SKEIN_ABORTED', 'the caller gave up', { what: 'call' }))
        break
      case 'item': {
        const kept = this.#flowOf(id)?.inlet?.push(message.value, bytes.length) ?? true
        if (!kept) throw badMessage('rpc.item', 'credit for it', message.value)
        break
      }
      case 'credit':
        this.#flowOf(id)?.outlet?.grant(message.grantedBytes)
        break
      case 'end':
        this.#flowOf(id)?.inlet?.end()
        this.#settle(id, undefined)
        break
      default:
        unreachable(message)
    }
  }

  /** Ends every call with the error; handlers' signals fire. */
  close(error: SkeinError): void {
    this.#closed ??= error
    for (const [id, call] of [...this.#outgoing]) {
      call.inlet?.fail(error)
      this.#settle(id, error)
    }
    for (const id of [...this.#incoming.keys()]) this.#drop(id, error)
  }

  #begin(mode: CallMode, method: string, params: unknown, { signal, deadlineMs: wishedMs, channel = 'rpc' }: CallOptions) {
    if (this.#closed !== undefined) throw this.#closed
    if (signal?.aborted) throw abortedCall(method, signal)
    if (this.#outgoing.size >= callsMax) throw tooMany('awaiting an answer')
    const deadlineMs = wishedMs === undefined || wishedMs > deadlineMaxMs ? undefined : Math.max(1, Math.ceil(wishedMs))
    const id = this.#nextId
    this.#world.send(encodeRpc({ type: 'call', id, mode, method, params, deadlineMs: deadlineMs ?? 0 }), 'bounded', channel)
    this.#nextId += 2
    const onAbort = (): void => this.#giveUp(id, abortedCall(method, signal))
    const cancelTimer =
      deadlineMs === undefined
        ? undefined
        : afterFairly(this.#world.clock, deadlineMs, () => this.#giveUp(id, timedOut(method, deadlineMs)))
    signal?.addEventListener('abort', onAbort, { once: true })
    const outgoing = {
      id,
      method,
      channel,
      result: deferred<unknown>(),
      ...(mode === 'stream' && { inlet: new Inlet((grantedBytes) => this.#grant(id, grantedBytes)) }),
      ...(mode === 'up' && { outlet: new Outlet() }),
      release: () => {
        cancelTimer?.()
        signal?.removeEventListener('abort', onAbort)
      },
    }
    // A stream's outcome is told by its inlet; nobody may be listening here.
    outgoing.result.promise.catch(() => undefined)
    this.#outgoing.set(id, outgoing)
    return outgoing
  }

  async #upload(id: number, outlet: Outlet, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const chunk of chunks) {
      for (let start = 0; start < chunk.length; start += chunkMaxBytes) {
        await outlet.ready()
        await this.#world.room()
        if (!this.#outgoing.has(id)) return
        this.#sendItem(id, outlet, chunk.subarray(start, start + chunkMaxBytes))
      }
    }
    if (this.#outgoing.has(id)) this.#send({ type: 'end', id })
  }

  /** Ends our own call, telling the other end; nothing happens when it is over already. */
  #giveUp(id: number, error: unknown): void {
    const call = this.#outgoing.get(id)
    if (call === undefined) return
    call.inlet?.fail(error)
    this.#settle(id, error)
    this.#send({ type: 'cancel', id }, call.channel)
  }

  #settle(id: number, error: unknown, value?: unknown): void {
    const call = this.#outgoing.get(id)
    if (call === undefined) return
    this.#outgoing.delete(id)
    call.release()
    call.outlet?.release()
    if (error === undefined) call.result.resolve(value)
    else call.result.reject(error)
  }

  #serve(
    { id, mode, method, params, deadlineMs }: Extract<RpcMessage, { type: 'call' }>,
    sizeBytes: number,
    channel: CallChannel,
  ): void {
    const { handlers, link } = this.#world
    if (this.#isOurs(id) || this.#incoming.has(id)) throw badMessage('rpc.id', 'an id of the caller, not in use', id)
    const handler = handlers.get(method)
    const refusal = handler === undefined ? unknownMethod(method) : this.#refusal(method, sizeBytes)
    if (handler === undefined || refusal !== undefined) {
      this.#send({ type: 'error', id, ...errorToWire(refusal) }, channel)
      return
    }
    const call: Incoming = {
      sizeBytes,
      channel,
      abort: new AbortController(),
      inlet: mode === 'up' ? new Inlet((grantedBytes) => this.#grant(id, grantedBytes)) : undefined,
      outlet: mode === 'stream' ? new Outlet() : undefined,
      isDropped: false,
    }
    this.#incoming.set(id, call)
    this.#incomingBytes += sizeBytes
    const context: RpcContext = {
      identity: link.identity,
      link,
      binding: link.binding,
      // Made when it is asked for: a signal costs more than the rest of a small call, and most handlers need none.
      get signal() {
        return call.abort.signal
      },
      deadlineMs: deadlineMs === 0 ? undefined : deadlineMs,
      chunks: chunksOf(call.inlet),
    }
    void this.#run(id, call, method, () => handler(params, context))
  }

  #refusal(method: string, sizeBytes: number): SkeinError | undefined {
    if (this.#incoming.size >= callsMax) return tooMany('under way')
    if (this.#incomingBytes + sizeBytes > callsMaxBytes) return tooMuch()
    return this.#world.authorize(method)
  }

  /** Never rejects: whatever goes wrong is told to the caller. */
  async #run(id: number, call: Incoming, method: string, handle: () => ReturnType<RpcHandler>): Promise<void> {
    try {
      const answer = await handle()
      if (call.isDropped) return
      if (call.outlet !== undefined) {
        if (!isAsyncIterable(answer)) throw wrongMode(method, 'one answer: use call')
        await this.#sendItems(id, call.outlet, answer, call.abort.signal)
        if (!call.isDropped) this.#send({ type: 'end', id })
      } else {
        if (isAsyncIterable(answer)) throw wrongMode(method, 'a stream: use stream')
        this.#world.send(encodeRpc({ type: 'result', id, value: answer }), 'bounded', call.channel)
      }
    } catch (error) {
      if (!call.isDropped) this.#send({ type: 'error', id, ...errorToWire(error, method) }, call.channel)
      if (error instanceof SkeinBug) this.#world.fault(error)
    } finally {
      if (this.#incoming.get(id) === call) this.#release(id, call)
      call.inlet?.fail(new SkeinError('ERR_SKEIN_ABORTED', `${method} is over`, { what: method }))
    }
  }

  async #sendItems(id: number, outlet: Outlet, items: AsyncIterable<unknown>, signal: AbortSignal): Promise<void> {
    const iterator = items[Symbol.asyncIterator]()
    let over = false
    // Tells a source that may wait for nothing of ours to let go; how it ends no longer matters to anyone.
    const leave = (): void => {
      if (!over) iterator.return?.().then(undefined, () => undefined)
      over = true
    }
    signal.addEventListener('abort', leave, { once: true })
    try {
      for (;;) {
        const item = await nextOf(iterator, () => {
          over = true
        })
        if (signal.aborted || item.done) return
        await outlet.ready()
        await this.#world.room()
        if (signal.aborted) return
        this.#sendItem(id, outlet, item.value)
      }
    } finally {
      signal.removeEventListener('abort', leave)
      leave()
    }
  }

  #sendItem(id: number, outlet: Outlet, value: unknown): void {
    const bytes = encodeRpc({ type: 'item', id, value })
    outlet.spend(bytes.length)
    this.#world.send(bytes, 'always', 'rpc')
  }

  /** Ends a call served here without an answer. */
  #drop(id: number, error: SkeinError): void {
    const call = this.#incoming.get(id)
    if (call === undefined) return
    this.#release(id, call)
    call.isDropped = true
    call.abort.abort(error)
    call.inlet?.fail(error)
    call.outlet?.release()
  }

  #release(id: number, { sizeBytes }: Incoming): void {
    this.#incoming.delete(id)
    this.#incomingBytes -= sizeBytes
  }

  #grant(id: number, grantedBytes: number): void {
    if (this.#flowOf(id) !== undefined) this.#send({ type: 'credit', id, grantedBytes })
  }

  /** Small messages that end or open something: their number is bounded by the calls they belong to. */
  #send(message: RpcMessage, channel: CallChannel = 'rpc'): void {
    if (this.#closed === undefined) this.#world.send(encodeRpc(message), 'always', channel)
  }

  #flowOf(id: number): { readonly inlet?: Inlet | undefined; readonly outlet?: Outlet | undefined } | undefined {
    return this.#isOurs(id) ? this.#outgoing.get(id) : this.#incoming.get(id)
  }

  #isOurs(id: number): boolean {
    return id % 2 === (this.#world.side === 'dialler' ? 0 : 1)
  }
}

async function* chunksOf(inlet: Inlet | undefined): AsyncGenerator<Uint8Array, void, undefined> {
  if (inlet === undefined) return
  for (;;) {
    const taken = await inlet.take()
    if (taken.done) return
    if (!(taken.value instanceof Uint8Array)) throw badMessage('rpc.item', 'bytes', taken.value)
    yield taken.value
  }
}

/** The next item; `onEnd` is told when the source is over, by itself or by an error, and must not be told to return. */
async function nextOf(iterator: AsyncIterator<unknown>, onEnd: () => void): Promise<IteratorResult<unknown>> {
  try {
    const item = await iterator.next()
    if (item.done) onEnd()
    return item
  } catch (error) {
    onEnd()
    throw error
  }
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value
}

function readerLeft(method: string): SkeinError {
  return new SkeinError('ERR_SKEIN_ABORTED', `${method}: its reader left`, { what: method })
}

function unknownMethod(method: string): SkeinError {
  return new SkeinError('ERR_SKEIN_UNKNOWN_METHOD', `the other end knows no method ${method}`, { method })
}

function tooMuch(): SkeinError {
  return new SkeinError('ERR_SKEIN_BUSY', `calls of ${callsMaxBytes} bytes are under way on this link`, {
    limit: 'bytes of calls',
  })
}

function tooMany(words: string): SkeinError {
  return new SkeinError('ERR_SKEIN_BUSY', `${callsMax} calls on one link are ${words}`, { limit: 'calls' })
}

function wrongMode(method: string, words: string): SkeinError {
  return new SkeinError('ERR_SKEIN_PRECONDITION', `${method} answers with ${words}`, { what: method })
}

function timedOut(method: string, timeoutMs: number): SkeinError {
  return new SkeinError('ERR_SKEIN_TIMEOUT', `${method}: no answer within ${timeoutMs} ms`, { what: method, timeoutMs })
}

function abortedCall(method: string, signal: AbortSignal | undefined): SkeinError {
  return new SkeinError('ERR_SKEIN_ABORTED', `${method}: aborted`, { what: method }, { cause: signal?.reason })
}
