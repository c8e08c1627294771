/** Values inside values a message may have; deeper is an attack on the decoder's stack, not data of ours. */
export const depthMax = 64

/**
 * Walks the bytes of one MessagePack value without building it, and says what is wrong with them, or nothing.
 * Decoding trusts counts (it allocates by them) and recurses; so counts over the bytes at hand, depth, trailing bytes
 * and extension types other than the timestamp are refused here first.
 * @see https://github.com/msgpack/msgpack/blob/master/spec.md
 */
export function scan(bytes: Uint8Array): string | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const open: number[] = [] // values still missing in each container around the present one
  let missing = 1
  let at = 0
  while (missing > 0 || open.length > 0) {
    if (missing === 0) {
      missing = open.pop() as number
      continue
    }
    missing--
    if (at >= bytes.length) return `ends early at byte ${at}`
    const token = view.getUint8(at++)
    let children = 0
    if (token <= 0x7f || token >= 0xe0) continue
    if (token <= 0x8f) children = (token & 0x0f) * 2
    else if (token <= 0x9f) children = token & 0x0f
    else if (token <= 0xbf) at += token & 0x1f
    else if (timestampBytes(token) !== undefined) {
      // A date: the type -1, after a length of 12 where the token does not say the size.
      const head = token === 0xc7 ? [12, 0xff] : [0xff]
      if (head.some((byte, offset) => bytes[at + offset] !== byte)) return `an extension at byte ${at - 1} is not a timestamp`
      at += head.length + (timestampBytes(token) as number)
    } else {
      const sizeBytes = lengthBytes(token)
      if (sizeBytes === undefined) return `type 0x${token.toString(16)} at byte ${at - 1} is not used here`
      if (at + sizeBytes > bytes.length) return `ends early at byte ${at}`
      const length = sizeBytes === 0 ? 0 : readLength(view, at, sizeBytes)
      at += sizeBytes
      if (token === 0xdc || token === 0xdd) children = length
      else if (token === 0xde || token === 0xdf) children = length * 2
      else at += fixedBytes(token) + length
    }
    if (at > bytes.length) return `ends early at byte ${bytes.length}`
    if (children === 0) continue
    if (children > bytes.length - at) return `claims ${children} values at byte ${at}, where ${bytes.length - at} bytes are left`
    if (open.length >= depthMax) return `nested deeper than ${depthMax} at byte ${at}`
    open.push(missing)
    missing = children
  }
  return at === bytes.length ? undefined : `${bytes.length - at} bytes too many after byte ${at}`
}

/** Bytes of the length that follows this token; undefined for tokens skein never sends. */
function lengthBytes(token: number): 0 | 1 | 2 | 4 | undefined {
  switch (token) {
    case 0xc0: // nil
    case 0xc2: // false
    case 0xc3: // true
    case 0xca: // float 32
    case 0xcb: // float 64
    case 0xcc: // uint 8 … 64
    case 0xcd:
    case 0xce:
    case 0xcf:
    case 0xd0: // int 8 … 64
    case 0xd1:
    case 0xd2:
    case 0xd3:
      return 0
    case 0xc4: // bin 8
    case 0xd9: // str 8
      return 1
    case 0xc5: // bin 16
    case 0xda: // str 16
    case 0xdc: // array 16
    case 0xde: // map 16
      return 2
    case 0xc6: // bin 32
    case 0xdb: // str 32
    case 0xdd: // array 32
    case 0xdf: // map 32
      return 4
    default:
      return undefined // 0xc1 is never used; the rest are extensions that are no timestamps
  }
}

/** Bytes of a timestamp with this token; undefined for tokens of other values. */
function timestampBytes(token: number): 4 | 8 | 12 | undefined {
  if (token === 0xd6) return 4
  if (token === 0xd7) return 8
  return token === 0xc7 ? 12 : undefined
}

/** Bytes of a number token's value. */
function fixedBytes(token: number): number {
  if (token === 0xca) return 4
  if (token === 0xcb) return 8
  if (token >= 0xcc && token <= 0xcf) return 1 << (token - 0xcc)
  if (token >= 0xd0 && token <= 0xd3) return 1 << (token - 0xd0)
  return 0
}

function readLength(view: DataView, at: number, sizeBytes: 1 | 2 | 4): number {
  if (sizeBytes === 1) return view.getUint8(at)
  return sizeBytes === 2 ? view.getUint16(at) : view.getUint32(at)
}
