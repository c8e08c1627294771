import { Packr } from 'msgpackr/pack'
import { SkeinBug } from '../base/assert.js'
import { messageOf, SkeinError } from '../base/errors.js'
import { scan } from './scan.js'

/**
 * One configuration for every process: plain maps (no records whose structure two processes must share), `undefined`
 * keys left out, integers as numbers, bytes as `Uint8Array`, no classes. (A constant of its own because `skipValues` is
 * documented by msgpackr and missing from its types.)
 */
const options = {
  useRecords: false,
  mapsAsObjects: true,
  variableMapSize: true,
  skipValues: [undefined],
  encodeUndefinedAsNil: true,
  int64AsType: 'number',
  largeBigIntToFloat: true,
  moreTypes: false,
  structuredClone: false,
  bundleStrings: false,
  useToJSON: false,
  // A view would keep the whole received chunk (often 64 KiB of socket data) alive for a few bytes of it.
  copyBuffers: true,
} as const

const packr = new Packr(options)
/** Small values share buffers of `bufferBytes`; msgpackr would go on with buffers as large as the largest value ever was. */
const bufferBytes = 8192
const sharedBytesMax = 65_536

/**
 * Bytes of a plain value: null, booleans, numbers, strings, dates, `Uint8Array`, arrays and objects of these.
 * A key whose value is undefined is left out.
 * @throws {SkeinBug} when the value is not plain data (a symbol, a cycle)
 */
export function encode(value: unknown): Uint8Array {
  try {
    return ownBytes(packr.pack(value))
  } catch (error) {
    throw new SkeinBug(`cannot encode: ${messageOf(error)}`, { cause: error })
  }
}

/**
 * The value in the bytes, which must hold exactly one. Bytes inside it are copies.
 * @param limitBytes More than this is refused unread.
 * @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE
 */
export function decode(bytes: Uint8Array, limitBytes: number): unknown {
  if (bytes.length > limitBytes) throw refusal(`${bytes.length} bytes, at most ${limitBytes} are accepted`)
  const fault = scan(bytes)
  if (fault !== undefined) throw refusal(fault)
  try {
    // A plain view: msgpackr cuts byte strings with the class of its source, and a Buffer would yield Buffers.
    return packr.unpack(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length) as Buffer)
  } catch (error) {
    throw refusal(messageOf(error), error)
  }
}

/** The bytes without the rest of a large buffer: whoever keeps a few of them (a log entry) would keep all of it. */
function ownBytes(packed: Buffer): Uint8Array {
  const heldBytes = packed.buffer.byteLength
  if (heldBytes <= sharedBytesMax) return packed
  packr.useBuffer(Buffer.allocUnsafeSlow(bufferBytes))
  return packed.length * 2 < heldBytes ? Buffer.from(packed) : packed
}

function refusal(words: string, cause?: unknown): SkeinError {
  return new SkeinError('ERR_SKEIN_BAD_MESSAGE', `message does not decode: ${words}`, { path: '' }, { cause })
}
