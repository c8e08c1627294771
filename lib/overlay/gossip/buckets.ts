/** A digest of digests: equal bucket hashes mean, but for 2^-64, that both hold the same of every owner in the bucket. Pure. */
import type { OwnerSummary } from './messages.js'

export const bucketCount = 256

/** FNV-1a; the same on every machine. */
export function hashText(text: string, seed = 0x811c9dc5): number {
  let hash = seed
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return hash >>> 0
}

export function bucketOf(owner: string): number {
  return mix(hashText(owner)) % bucketCount
}

/** 8 bytes for each bucket; the order of the owners does not matter. */
export function bucketHashes(owners: Iterable<OwnerSummary>): Uint8Array {
  const sums = new Uint32Array(bucketCount * 2)
  for (const { owner, epoch, gc, max } of owners) {
    const at = bucketOf(owner) * 2
    const high = (value: number): number => Math.floor(value / 2 ** 32)
    for (const half of [0, 1]) {
      let hash = hashText(owner, half === 0 ? 0x811c9dc5 : 0x9747b28c)
      for (const part of [epoch, high(epoch), gc, high(gc), max, high(max)]) hash = mix(hash ^ mix((part >>> 0) + 0x9e3779b9))
      sums[at + half] = (sums[at + half] ?? 0) ^ hash
    }
  }
  const bytes = new Uint8Array(sums.byteLength)
  const view = new DataView(bytes.buffer) // one byte order for every machine
  for (const [index, sum] of sums.entries()) view.setUint32(index * 4, sum)
  return bytes
}

/** Numbers of the buckets that differ, ascending. */
export function differing(a: Uint8Array, b: Uint8Array): number[] {
  const found: number[] = []
  for (let bucket = 0; bucket < bucketCount; bucket++) {
    const [from, to] = [bucket * 8, bucket * 8 + 8]
    if (Buffer.compare(a.subarray(from, to), b.subarray(from, to)) !== 0) found.push(bucket)
  }
  return found
}

/** Finaliser of murmur3. */
function mix(value: number): number {
  let hash = value
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
