/** Byte order as LevelDB and the index sort it: -1, 0 or 1. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  return Math.sign(Buffer.compare(a, b))
}

/** One array of all parts. */
export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts)
}

/** UTF-8 bytes of a text; bytes pass through. */
export function toBytes(value: Uint8Array | string): Uint8Array {
  return typeof value === 'string' ? Buffer.from(value) : value
}
