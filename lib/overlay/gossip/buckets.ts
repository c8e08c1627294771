/** Digests of digests: equal hashes mean, but for 2^-64, that both hold the same of every owner they are about. Pure. */
import { hashText, mix } from '../../base/hash.js'

export const bucketCount = 256
/** Of one hash. */
export const hashBytes = 8

/** 64 bits, as two halves. */
export interface Hash {
  readonly high: number
  readonly low: number
}

interface Standing {
  readonly epoch: number
  readonly gc: number
  readonly max: number
}

export interface Hashed {
  readonly owner: string
  /** `summaryHash` of it. */
  readonly hash: Hash
}

export function bucketOf(owner: string): number {
  return mix(hashText(owner)) % bucketCount
}

/** Of where somebody stands with one owner. */
export function summaryHash(owner: string, summary: Standing): Hash {
  return { high: halfOf(owner, 0x811c9dc5, summary), low: halfOf(owner, 0x9747b28c, summary) }
}

/** 8 bytes for all of them; their order does not matter. */
export function fingerprintOf(owners: Iterable<Hashed>): Uint8Array {
  return sums(owners, 1, () => 0)
}

/** 8 bytes for each bucket; the order of the owners does not matter. */
export function bucketHashes(owners: Iterable<Hashed>): Uint8Array {
  return sums(owners, bucketCount, bucketOf)
}

/** Numbers of the buckets that differ, ascending. */
export function differing(a: Uint8Array, b: Uint8Array): number[] {
  const found: number[] = []
  for (let bucket = 0; bucket < bucketCount; bucket++) {
    const [from, to] = [bucket * hashBytes, (bucket + 1) * hashBytes]
    if (Buffer.compare(a.subarray(from, to), b.subarray(from, to)) !== 0) found.push(bucket)
  }
  return found
}

function sums(owners: Iterable<Hashed>, count: number, placeOf: (owner: string) => number): Uint8Array {
  const words = new Uint32Array(count * 2)
  for (const { owner, hash } of owners) {
    const at = placeOf(owner) * 2
    words[at] = (words[at] ?? 0) ^ hash.high
    words[at + 1] = (words[at + 1] ?? 0) ^ hash.low
  }
  const bytes = new Uint8Array(words.byteLength)
  const view = new DataView(bytes.buffer) // one byte order for every machine
  for (const [index, word] of words.entries()) view.setUint32(index * 4, word)
  return bytes
}

function halfOf(owner: string, seed: number, { epoch, gc, max }: Standing): number {
  const high = (value: number): number => Math.floor(value / 2 ** 32)
  let hash = hashText(owner, seed)
  for (const part of [epoch, high(epoch), gc, high(gc), max, high(max)]) hash = mix(hash ^ mix((part >>> 0) + 0x9e3779b9))
  return hash
}
