import type { Entry } from './state.js'

/** What an entry costs beside its data: type, term and index, about as the wire and the log write them. */
export const ENTRY_OVERHEAD_BYTES = 16

/** Bytes an entry takes in a message or in the log. */
export function entrySizeBytes(entry: Entry): number {
  return ENTRY_OVERHEAD_BYTES + entry.data.length
}

/** Bytes these entries take in a message or in the log. */
export function entriesSizeBytes(entries: readonly Entry[]): number {
  return payloadSizeBytes(entries) + entries.length * ENTRY_OVERHEAD_BYTES
}

/** Bytes of data alone, as its proposer counts them. */
export function payloadSizeBytes(entries: readonly Entry[]): number {
  let sizeBytes = 0
  // By index: an iterator would cost an object for each entry, and this is asked of every entry several times.
  for (let at = 0; at < entries.length; at++) sizeBytes += entries[at]!.data.length
  return sizeBytes
}

/** The longest prefix within `maxBytes`, but at least one entry: an oversized entry must still move. */
export function limitSize(entries: readonly Entry[], maxBytes: number): readonly Entry[] {
  let sizeBytes = 0
  for (let count = 0; count < entries.length; count++) {
    sizeBytes += entrySizeBytes(entries[count]!)
    if (sizeBytes > maxBytes && count > 0) return entries.slice(0, count)
  }
  return entries
}
