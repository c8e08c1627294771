/**
 * How the loader talks to a skein peer: requests multiplexed by number over TCP, as gRPC multiplexes them by stream.
 * Request: u32 bytes that follow, u32 number, u8 kind, u16 key bytes, key, value. Answer: u32 bytes that follow, u32 number, u8 outcome, value.
 */
import { connect, type Socket } from 'node:net'
import { Cutter, type Done, Gather, type Target } from './target.js'

export const kinds = { put: 1, get: 2 } as const
export const outcomes = { ok: 0, refused: 1 } as const
export const requestHeadBytes = 11
export const answerHeadBytes = 9

export class SkeinTarget implements Target {
  readonly #socket: Socket
  readonly #gather: Gather
  readonly #calls = new Map<number, Done>()
  readonly #cutter = new Cutter(frameSize, (bytes, start) => this.#answer(bytes, start))
  #nextNumber = 1

  private constructor(socket: Socket) {
    this.#socket = socket
    this.#gather = new Gather((chunk) => socket.write(chunk))
    socket.on('data', (chunk: Buffer) => this.#cutter.add(chunk))
    socket.on('error', () => undefined) // `close` follows and tells the callers
    socket.on('close', () => this.#failAll())
  }

  static async connect(host: string, port: number): Promise<SkeinTarget> {
    const socket = connect({ host, port, noDelay: true })
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    return new SkeinTarget(socket)
  }

  put(key: string, value: Uint8Array, done: Done): void {
    this.#call(kinds.put, key, value, done)
  }

  get(key: string, done: Done): void {
    this.#call(kinds.get, key, noValue, done)
  }

  close(): void {
    this.#socket.destroy()
  }

  #call(kind: number, key: string, value: Uint8Array, done: Done): void {
    if (this.#socket.destroyed) {
      done(false)
      return
    }
    const number = this.#nextNumber++
    this.#calls.set(number, done)
    const bytes = Buffer.allocUnsafe(requestHeadBytes + key.length + value.length)
    bytes.writeUInt32BE(bytes.length - 4, 0)
    bytes.writeUInt32BE(number, 4)
    bytes[8] = kind
    bytes.writeUInt16BE(key.length, 9)
    bytes.write(key, requestHeadBytes, 'latin1')
    bytes.set(value, requestHeadBytes + key.length)
    this.#gather.push(bytes)
  }

  #answer(bytes: Buffer, start: number): void {
    const number = bytes.readUInt32BE(start + 4)
    const done = this.#calls.get(number)
    this.#calls.delete(number)
    done?.(bytes[start + 8] === outcomes.ok)
  }

  #failAll(): void {
    const calls = [...this.#calls.values()]
    this.#calls.clear()
    for (const done of calls) done(false)
  }
}

const noValue = new Uint8Array(0)

export function frameSize(bytes: Buffer, at: number): number | undefined {
  return at + 4 > bytes.length ? undefined : 4 + bytes.readUInt32BE(at)
}
