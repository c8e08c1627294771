import { assert } from '../base/assert.js'
import { SkeinError } from '../base/errors.js'
import type { Range } from './storage.js'

/** One step of a key. Sorted: all texts by their UTF-8 bytes, then all numbers by size. */
export type KeyPart = string | number

const textTag = 0x01
const numberTag = 0x02
const end = 0x00
const escaped = 0xff

/**
 * A key made of parts, such that keys sort as their parts do, part by part, and a key's first parts are its prefix.
 * A text is its UTF-8 bytes ended by 00 (a 00 inside becomes 00 ff); a number (safe integer from 0) is 8 bytes, big-endian.
 */
export function makeKey(...parts: readonly KeyPart[]): Uint8Array {
  return Buffer.concat(parts.map((part) => (typeof part === 'number' ? numberBytes(part) : textBytes(part))))
}

/** The parts of a key made by `makeKey`. @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE */
export function readKey(key: Uint8Array): KeyPart[] {
  const bytes = Buffer.from(key.buffer, key.byteOffset, key.length)
  const parts: KeyPart[] = []
  let at = 0
  while (at < bytes.length) {
    const tag = bytes[at++]
    if (tag === numberTag && at + 8 <= bytes.length) {
      parts.push(bytes.readUInt32BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 4))
      at += 8
    } else if (tag === textTag) {
      const plain: number[] = []
      for (;;) {
        const byte = bytes[at++]
        if (byte === undefined) throw badKey(at)
        if (byte === end && bytes[at] !== escaped) break
        if (byte === end) at++
        plain.push(byte)
      }
      parts.push(Buffer.from(plain).toString())
    } else throw badKey(at)
  }
  return parts
}

/** All keys that begin with these parts and go on. */
export function keysUnder(...parts: readonly KeyPart[]): Range {
  return prefixRange(makeKey(...parts))
}

/** All keys that begin with these bytes. */
export function prefixRange(prefix: Uint8Array): Range {
  const lt = afterPrefix(prefix)
  return { gte: prefix, ...(lt !== undefined && { lt }) }
}

/** The smallest key above every key with this prefix; undefined when there is none (only ff bytes). */
function afterPrefix(prefix: Uint8Array): Uint8Array | undefined {
  const last = prefix.findLastIndex((byte) => byte !== 0xff)
  if (last === -1) return undefined
  // Not slice: of a Buffer it is a view, and the prefix would change with it.
  const after = Uint8Array.from(prefix.subarray(0, last + 1))
  after[last] = (after[last] as number) + 1
  return after
}

function numberBytes(value: number): Uint8Array {
  assert(Number.isSafeInteger(value) && value >= 0, 'numbers in keys are safe integers from 0')
  const bytes = Buffer.allocUnsafe(9)
  bytes[0] = numberTag
  bytes.writeUInt32BE(Math.floor(value / 2 ** 32), 1)
  bytes.writeUInt32BE(value % 2 ** 32, 5)
  return bytes
}

function textBytes(text: string): Uint8Array {
  const plain = Buffer.from(text)
  const bytes: number[] = [textTag]
  for (const byte of plain) {
    bytes.push(byte)
    if (byte === end) bytes.push(escaped)
  }
  bytes.push(end)
  return Buffer.from(bytes)
}

function badKey(at: number): SkeinError {
  return new SkeinError('ERR_SKEIN_BAD_MESSAGE', `not a key: broken at byte ${at}`, { path: `key[${at}]` })
}
