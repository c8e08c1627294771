import { assert } from '../../base/assert.js'
import type { NodeId } from '../../base/ids.js'
import { badMessage } from '../../wire/index.js'

const alphabet = '0123456789abcdefghijklmnopqrstuvwxyz'
const digits = new Map([...alphabet].map((character, digit) => [character.charCodeAt(0), digit]))
/** Six characters of an id are a number below 36⁶, which is below 2³². */
const half = 6
const base = 36
const halfMax = base ** half

/** Writes numbers and ids behind one another; its size is known beforehand. */
export class ByteWriter {
  readonly bytes: Uint8Array
  readonly #view: DataView
  #at = 0

  constructor(sizeBytes: number) {
    this.bytes = new Uint8Array(sizeBytes)
    this.#view = new DataView(this.bytes.buffer)
  }

  get written(): number {
    return this.#at
  }

  u8(value: number): void {
    this.#view.setUint8(this.#at++, value)
  }

  u16(value: number): void {
    assert(value >= 0 && value <= 0xffff, 'a u16 fits in two bytes')
    this.#view.setUint16(this.#at, value)
    this.#at += 2
  }

  u32(value: number): void {
    assert(value >= 0 && value <= 0xffff_ffff, 'a u32 fits in four bytes')
    this.#view.setUint32(this.#at, value)
    this.#at += 4
  }

  f32(value: number): void {
    this.#view.setFloat32(this.#at, value)
    this.#at += 4
  }

  raw(bytes: Uint8Array): void {
    this.bytes.set(bytes, this.#at)
    this.#at += bytes.length
  }

  /** 12 characters of [0-9a-z] in 8 bytes. */
  id(id: NodeId): void {
    this.u32(numberOf(id, 0))
    this.u32(numberOf(id, half))
  }
}

/** Reads what a stranger may have written: every read is checked against what is left. @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE */
export class ByteReader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  get left(): number {
    return this.#bytes.length - this.#at
  }

  u8(path: string): number {
    return this.#view.getUint8(this.#advance(1, path))
  }

  u16(path: string): number {
    return this.#view.getUint16(this.#advance(2, path))
  }

  u32(path: string): number {
    return this.#view.getUint32(this.#advance(4, path))
  }

  /** A finite number. */
  f32(path: string): number {
    const value = this.#view.getFloat32(this.#advance(4, path))
    if (Number.isFinite(value)) return value
    throw badMessage(path, 'a finite number', value)
  }

  raw(length: number, path: string): Uint8Array {
    const at = this.#advance(length, path)
    // A copy: a slice would keep the whole packet in memory for as long as one record of it lives.
    return this.#bytes.slice(at, at + length)
  }

  id(path: string): NodeId {
    return `${textOf(this.u32(path), path)}${textOf(this.u32(path), path)}` as NodeId
  }

  /** A count of things of at least `leastBytes` each: never more than can follow. */
  count(leastBytes: number, path: string): number {
    const count = this.u16(path)
    if (count * leastBytes <= this.left) return count
    throw badMessage(path, `at most ${Math.floor(this.left / leastBytes)} items in what is left`, count)
  }

  #advance(length: number, path: string): number {
    if (length > this.left) throw badMessage(path, `${length} more bytes`, this.left)
    const at = this.#at
    this.#at += length
    return at
  }
}

function numberOf(id: NodeId, start: number): number {
  let value = 0
  for (let at = start; at < start + half; at++) {
    const digit = digits.get(id.charCodeAt(at))
    assert(digit !== undefined, 'an id is 12 characters of [0-9a-z]')
    value = value * base + digit
  }
  return value
}

function textOf(value: number, path: string): string {
  if (value >= halfMax) throw badMessage(path, 'an id of 12 characters', value)
  return value.toString(base).padStart(half, '0')
}
