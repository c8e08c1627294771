/**
 * etcd's v3 gRPC API over a connection of our own, so that the loader costs etcd as little as it costs skein: only what unary calls
 * need of HTTP/2 (RFC 9113) and of HPACK (RFC 7541), requests built by hand, all of one turn in one chunk.
 */
import { connect, type Socket } from 'node:net'
import { Cutter, type Done, Gather, type Target } from './target.js'

const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
const frames = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goaway: 7, windowUpdate: 8 } as const
const flagEnd = 0x1
const flagAck = 0x1
const flagEndHeaders = 0x4
const headBytes = 9

interface Call {
  readonly done: Done
  /** Bytes of the answer so far. A gRPC answer without a message is an error (status in the trailers only). */
  answerBytes: number
}

export class EtcdTarget implements Target {
  readonly #socket: Socket
  readonly #gather: Gather
  readonly #calls = new Map<number, Call>()
  readonly #put: Buffer
  readonly #range: Buffer
  readonly #cutter = new Cutter(frameSize, (bytes, start, end) => this.#take(bytes, start, end))
  #nextStream = 1
  /** What the server still takes on this connection, in bytes. */
  #window = 65_535
  #held: Buffer[] = []

  private constructor(socket: Socket, authority: string) {
    this.#socket = socket
    this.#gather = new Gather((chunk) => socket.write(chunk))
    this.#put = headerBlock('/etcdserverpb.KV/Put', authority)
    this.#range = headerBlock('/etcdserverpb.KV/Range', authority)
    socket.on('data', (chunk: Buffer) => this.#cutter.add(chunk))
    socket.on('error', () => undefined) // `close` follows and tells the callers
    socket.on('close', () => this.#failAll())
    // Header table size 0, so that nothing that arrives needs a decoder's state; windows so large that they never close.
    const settings = Buffer.from([0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 4, 0x7f, 0xff, 0xff, 0xff])
    const room = Buffer.from([0x7f, 0, 0, 0])
    socket.write(Buffer.concat([preface, frame(frames.settings, 0, 0, settings), frame(frames.windowUpdate, 0, 0, room)]))
  }

  static async connect(host: string, port: number): Promise<EtcdTarget> {
    const socket = connect({ host, port, noDelay: true })
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    return new EtcdTarget(socket, `${host}:${port}`)
  }

  put(key: string, value: Uint8Array, done: Done): void {
    this.#call(this.#put, putRequest(key, value), done)
  }

  get(key: string, done: Done): void {
    this.#call(this.#range, field(1, Buffer.from(key)), done)
  }

  close(): void {
    this.#socket.destroy()
  }

  #call(headers: Buffer, message: Buffer, done: Done): void {
    if (this.#socket.destroyed) {
      done(false)
      return
    }
    const stream = this.#nextStream
    this.#nextStream += 2
    this.#calls.set(stream, { done, answerBytes: 0 })
    const grpcHead = Buffer.alloc(5)
    grpcHead.writeUInt32BE(message.length, 1)
    const request = Buffer.concat([
      frame(frames.headers, flagEndHeaders, stream, headers),
      frame(frames.data, flagEnd, stream, Buffer.concat([grpcHead, message])),
    ])
    // Counts the headers too, which are free: it only errs towards sending later.
    if (this.#held.length > 0 || this.#window < request.length) this.#held.push(request)
    else this.#send(request)
  }

  #send(request: Buffer): void {
    this.#window -= request.length - headBytes * 2 - this.#put.length
    this.#gather.push(request)
  }

  #take(bytes: Buffer, start: number, end: number): void {
    const [type, flags, stream] = [bytes[start + 3], bytes[start + 4] as number, bytes.readUInt32BE(start + 5) & 0x7fffffff]
    switch (type) {
      case frames.data: {
        const call = this.#calls.get(stream)
        if (call !== undefined) call.answerBytes += end - start - headBytes
        break
      }
      case frames.headers:
        if ((flags & flagEnd) !== 0) this.#finish(stream, 'answered')
        break
      case frames.reset:
        this.#finish(stream, 'reset')
        break
      case frames.settings:
        if ((flags & flagAck) === 0) this.#gather.push(frame(frames.settings, flagAck, 0, Buffer.alloc(0)))
        break
      case frames.ping:
        if ((flags & flagAck) === 0)
          this.#gather.push(frame(frames.ping, flagAck, 0, Buffer.from(bytes.subarray(start + headBytes, end))))
        break
      case frames.goaway:
        this.#socket.destroy()
        break
      case frames.windowUpdate:
        if (stream === 0) this.#widen(bytes.readUInt32BE(start + headBytes))
        break
      default:
    }
  }

  #widen(byBytes: number): void {
    this.#window += byBytes
    while (this.#held.length > 0 && this.#window >= (this.#held[0] as Buffer).length) this.#send(this.#held.shift() as Buffer)
  }

  #finish(stream: number, how: 'answered' | 'reset'): void {
    const call = this.#calls.get(stream)
    if (!this.#calls.delete(stream) || call === undefined) return
    call.done(how === 'answered' && call.answerBytes > 5)
  }

  #failAll(): void {
    const calls = [...this.#calls.values()]
    this.#calls.clear()
    for (const { done } of calls) done(false)
  }
}

function frameSize(bytes: Buffer, at: number): number | undefined {
  return at + headBytes > bytes.length ? undefined : headBytes + bytes.readUIntBE(at, 3)
}

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(headBytes + payload.length)
  bytes.writeUIntBE(payload.length, 0, 3)
  bytes[3] = type
  bytes[4] = flags
  bytes.writeUInt32BE(stream, 5)
  payload.copy(bytes, headBytes)
  return bytes
}

/** The headers of every call to one method: static indexes where there are some, the rest literal and not indexed. */
function headerBlock(path: string, authority: string): Buffer {
  const literal = (text: string): Buffer => Buffer.concat([Buffer.from([text.length]), Buffer.from(text)])
  return Buffer.concat([
    Buffer.from([0x83, 0x86, 0x04]), // :method POST, :scheme http, :path …
    literal(path),
    Buffer.from([0x01]), // :authority …
    literal(authority),
    Buffer.from([0x0f, 0x10]), // content-type …
    literal('application/grpc'),
    Buffer.from([0x00]),
    literal('te'),
    literal('trailers'),
  ])
}

/** etcdserverpb.PutRequest: `bytes key = 1; bytes value = 2`. */
function putRequest(key: string, value: Uint8Array): Buffer {
  return Buffer.concat([field(1, Buffer.from(key)), field(2, value)])
}

/** One length-delimited protobuf field. */
function field(number: number, bytes: Uint8Array): Buffer {
  const head = [(number << 3) | 2]
  let sizeBytes = bytes.length
  for (; sizeBytes > 0x7f; sizeBytes >>>= 7) head.push((sizeBytes & 0x7f) | 0x80)
  head.push(sizeBytes)
  return Buffer.concat([Buffer.from(head), bytes])
}
