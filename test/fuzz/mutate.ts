/** Makes bad input out of good: what a failing disk, a broken peer or an attacker would make of a valid message. */
import { below, type Random } from '../../lib/base/random.js'
import { decode, encode } from '../../lib/wire/index.js'

/** Bytes that begin something in MessagePack, at the edges of their kinds. */
const telling = [
  0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xc4, 0xc6, 0xc7, 0xca, 0xcb, 0xcf, 0xd3, 0xd6, 0xd9, 0xdb,
  0xdc, 0xdd, 0xde, 0xdf, 0xe0, 0xff,
]
const lengths = [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff]
const values: readonly unknown[] = [
  null,
  true,
  -1,
  0,
  1.5,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  2 ** 48,
  2 ** 53 - 1,
  2 ** 53,
  2 ** 63,
  -(2 ** 53),
  '',
  'text',
  '__proto__',
  'x'.repeat(300),
  new Uint8Array(0),
  new Uint8Array(40).fill(255),
  [],
  [[[[]]]],
  {},
  { __proto__: null, type: 1, length: -1 },
  new Date(0),
]

const byteMutations: readonly ((bytes: Buffer, random: Random, others: readonly Uint8Array[]) => Buffer)[] = [
  function flipBits(bytes, random) {
    for (let flips = 1 + below(random, 3); flips > 0; flips--) {
      const at = below(random, bytes.length)
      bytes[at] = (bytes[at] as number) ^ (1 << below(random, 8))
    }
    return bytes
  },
  function retype(bytes, random) {
    bytes[below(random, bytes.length)] = telling[below(random, telling.length)] as number
    return bytes
  },
  function editLength(bytes, random) {
    if (bytes.length < 4) return bytes
    const [at, length] = [below(random, bytes.length - 3), lengths[below(random, lengths.length)] as number]
    if (below(random, 2) === 0) bytes.writeUInt32BE(length, at)
    else bytes.writeUInt32LE(length, at)
    return bytes
  },
  /** A container or string that claims to be huge: a token and 4 bytes of length. */
  function claimMuch(bytes, random) {
    const token = [0xc6, 0xdb, 0xdd, 0xdf][below(random, 4)] as number
    const at = below(random, bytes.length)
    return Buffer.concat([bytes.subarray(0, at), Buffer.from([token, 0xff, 0xff, 0xff, 0xf0]), bytes.subarray(at + 1)])
  },
  function cut(bytes, random) {
    return bytes.subarray(0, below(random, bytes.length))
  },
  function cutInside(bytes, random) {
    const at = below(random, bytes.length)
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + below(random, 8))])
  },
  function repeat(bytes, random) {
    const at = below(random, bytes.length)
    const piece = bytes.subarray(at, at + 1 + below(random, 32))
    return Buffer.concat([bytes.subarray(0, at), piece, piece, bytes.subarray(at + piece.length)])
  },
  function grow(bytes, random) {
    return Buffer.concat([bytes, Buffer.from(Array.from({ length: 1 + below(random, 12) }, () => below(random, 256)))])
  },
  function splice(bytes, random, others) {
    const other = others[below(random, others.length)] as Uint8Array
    return Buffer.concat([bytes.subarray(0, below(random, bytes.length)), other.subarray(below(random, other.length + 1))])
  },
  function nest(bytes, random) {
    return Buffer.concat([Buffer.alloc(1 + below(random, 100), 0x91), bytes])
  },
]

/** A copy of `bytes` with one to three things wrong; `others` are what it may be mixed with. */
export function mutateBytes(bytes: Uint8Array, random: Random, others: readonly Uint8Array[] = [bytes]): Buffer {
  let mutated: Buffer = Buffer.from(bytes)
  const times = below(random, 4) === 0 ? 2 + below(random, 2) : 1
  for (let done = 0; done < times && mutated.length > 0; done++) {
    mutated = (byteMutations[below(random, byteMutations.length)] as (typeof byteMutations)[number])(mutated, random, others)
  }
  return mutated
}

/** MessagePack in which one value has become another, of a wrong kind or out of its range; the form stays whole. */
export function mutateValue(packed: Uint8Array, random: Random): Uint8Array {
  return encode(replaceOne(decode(packed, Number.POSITIVE_INFINITY), random))
}

function replaceOne(value: unknown, random: Random): unknown {
  const keys = keysOf(value)
  if (keys.length === 0 || below(random, 6) === 0) return otherThan(value, random)
  const key = keys[below(random, keys.length)] as string
  const copy = (Array.isArray(value) ? [...value] : { ...(value as object) }) as Record<string, unknown>
  if (below(random, 8) === 0 && Array.isArray(copy)) copy.splice(Number(key), below(random, 2), otherThan(undefined, random))
  else if (below(random, 8) === 0) delete copy[key]
  else copy[key] = replaceOne(copy[key], random)
  return copy
}

function otherThan(value: unknown, random: Random): unknown {
  // A number that is nearly right goes deeper than one that is absurd.
  if (typeof value === 'number' && below(random, 2) === 0) return value + [1, -1, 1000, 0.5][below(random, 4)]!
  return values[below(random, values.length)]
}

function keysOf(value: unknown): readonly string[] {
  const isContainer = typeof value === 'object' && value !== null && !(value instanceof Uint8Array) && !(value instanceof Date)
  return isContainer ? Object.keys(value) : []
}
