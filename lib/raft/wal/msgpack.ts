/**
 * The few kinds of MessagePack that log records and raft frames are made of, written and read in place. Both are on the path of
 * every write of every peer: a general encoder would build a tree of arrays first, and copy all bytes once more.
 *
 * @see https://github.com/msgpack/msgpack/blob/master/spec.md
 */
import { assert } from '../../base/assert.js'
import type { SkeinError } from '../../base/errors.js'
import { badMessage } from '../../wire/index.js'

/** The most that one number, the head of a list or the head of a byte string takes. */
export const scalarMaxBytes = 9

/**
 * One buffer used again and again, for bytes that are done with before the next are made. What is made anew for each write of a busy
 * log is megabytes outside the heap every second, and those are what makes a collector run that has little else to collect.
 */
export class Scratch {
  #bytes = Buffer.allocUnsafeSlow(scratchBytes)

  /** At least so many bytes, with anything in them; the same again at the next call. */
  take(sizeBytes: number): Buffer {
    const fits = sizeBytes <= this.#bytes.length && (sizeBytes > scratchBytes || this.#bytes.length === scratchBytes)
    if (!fits) this.#bytes = Buffer.allocUnsafeSlow(Math.max(sizeBytes, scratchBytes))
    return this.#bytes
  }
}

const scratchBytes = 512 * 1024

/** Writes values one after another into bytes whose bound the caller knows. */
export class Packer {
  readonly #bytes: Buffer
  #at = 0
  /** Whether what is packed stays as it is. */
  readonly lasts: boolean

  /**
   * @param maxBytes What all values together take at most
   * @param scratch Where to; what is packed is then good until the scratch is taken again
   */
  constructor(maxBytes: number, scratch?: Scratch) {
    this.#bytes = scratch === undefined ? Buffer.allocUnsafe(maxBytes) : scratch.take(maxBytes)
    this.lasts = scratch === undefined
  }

  get sizeBytes(): number {
    return this.#at
  }

  /** The head of a list; its items follow. */
  list(length: number): void {
    if (length < 16) this.#bytes[this.#at++] = 0x90 | length
    else this.#head(0xdc, length)
  }

  /** A whole number from 0. */
  natural(value: number): void {
    if (value < 0x80) this.#bytes[this.#at++] = value
    else if (value < 0x100) {
      this.#bytes[this.#at++] = 0xcc
      this.#bytes[this.#at++] = value
    } else if (value < 0x1_0000_0000) this.#head(0xcd, value)
    else {
      this.#bytes[this.#at] = 0xcb
      this.#at = this.#bytes.writeDoubleBE(value, this.#at + 1)
    }
  }

  boolean(value: boolean): void {
    this.#bytes[this.#at++] = value ? 0xc3 : 0xc2
  }

  nil(): void {
    this.#bytes[this.#at++] = 0xc0
  }

  bytes(value: Uint8Array): void {
    if (value.length < 0x100) {
      this.#bytes[this.#at++] = 0xc4
      this.#bytes[this.#at++] = value.length
    } else this.#head(0xc5, value.length)
    this.raw(value)
  }

  /** Values that were packed before. */
  raw(packed: Uint8Array): void {
    this.#bytes.set(packed, this.#at)
    this.#at += packed.length
  }

  /** What was packed from `start` on; not to be changed. */
  packedSince(start: number): Uint8Array {
    return this.#bytes.subarray(start, this.#at)
  }

  /** Everything packed. */
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#at)
  }

  /** A token whose successor is the same with a length of 32 bits instead of 16. */
  #head(token16: number, length: number): void {
    assert(length < 0x1_0000_0000, 'a length or number has 32 bits')
    if (length < 0x1_0000) {
      this.#bytes[this.#at] = token16
      this.#at = this.#bytes.writeUInt16BE(length, this.#at + 1)
    } else {
      this.#bytes[this.#at] = token16 + 1
      this.#at = this.#bytes.writeUInt32BE(length, this.#at + 1)
    }
  }
}

/** Reads values from bytes that nobody vouches for. All methods throw {SkeinError} ERR_SKEIN_BAD_MESSAGE. */
export class Unpacker {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #what: string
  #at: number

  /** @param what Names the message in errors */
  constructor(bytes: Uint8Array, what: string, start = 0) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    this.#what = what
    this.#at = start
  }

  get at(): number {
    return this.#at
  }

  /** A list of exactly `length` items follows. */
  tuple(length: number): void {
    if (this.list() !== length) throw this.bad(`a list of ${length}`)
  }

  /** How many items follow; no more than bytes are left. */
  list(): number {
    const token = this.#token('a list')
    let length: number
    if (token >= 0x90 && token <= 0x9f) length = token & 0x0f
    else if (token === 0xdc) length = this.#view.getUint16(this.#skip(2))
    else if (token === 0xdd) length = this.#view.getUint32(this.#skip(4))
    else throw this.bad('a list')
    if (length > this.#bytes.length - this.#at) throw this.bad('as many items as it says')
    return length
  }

  natural(): number {
    const token = this.#token('an integer from 0')
    if (token < 0x80) return token
    switch (token) {
      case 0xcc:
        return this.#bytes[this.#skip(1)] as number
      case 0xcd:
        return this.#view.getUint16(this.#skip(2))
      case 0xce:
        return this.#view.getUint32(this.#skip(4))
      case 0xcb: {
        const value = this.#view.getFloat64(this.#skip(8))
        if (Number.isSafeInteger(value) && value >= 0) return value
      }
    }
    throw this.bad('an integer from 0')
  }

  boolean(): boolean {
    const token = this.#token('true or false')
    if (token !== 0xc2 && token !== 0xc3) throw this.bad('true or false')
    return token === 0xc3
  }

  /** True, and past it, if there is nothing here. */
  nil(): boolean {
    if (this.#bytes[this.#at] !== 0xc0) return false
    this.#at++
    return true
  }

  /** A view of the bytes. */
  bytes(): Uint8Array {
    const token = this.#token('bytes')
    let length: number
    if (token === 0xc4) length = this.#bytes[this.#skip(1)] as number
    else if (token === 0xc5) length = this.#view.getUint16(this.#skip(2))
    else if (token === 0xc6) length = this.#view.getUint32(this.#skip(4))
    else throw this.bad('bytes')
    return this.#viewOf(this.#skip(length), length)
  }

  /** A view of what was read from `start` on. */
  readSince(start: number): Uint8Array {
    return this.#viewOf(start, this.#at - start)
  }

  /** Nothing follows. */
  end(): void {
    if (this.#at < this.#bytes.length) throw this.bad('the end')
  }

  /** The error for something else than `expected` at this place. */
  bad(expected: string): SkeinError {
    return badMessage(`${this.#what}, byte ${this.#at}`, expected, this.#at < this.#bytes.length ? 'something else' : undefined)
  }

  /** Not `subarray`: that would make Buffers of what came in one. */
  #viewOf(start: number, length: number): Uint8Array {
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + start, length)
  }

  #token(expected: string): number {
    const token = this.#bytes[this.#at]
    if (token === undefined) throw this.bad(expected)
    this.#at++
    return token
  }

  /** Goes past `length` bytes; where they begin. */
  #skip(length: number): number {
    const start = this.#at
    if (length > this.#bytes.length - start) throw this.bad(`${length} bytes more`)
    this.#at = start + length
    return start
  }
}
