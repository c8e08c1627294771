import { assert } from '../base/assert.js'
import { SkeinError } from '../base/errors.js'
import { type Channel, channelOf } from './channels.js'

/** Version in the header of frames sent before the two ends have agreed on one. */
export const unagreedVersion = 0
/** Bytes before the payload: version, channel, flags, zero, payload length (32 bits, big-endian). */
export const headerBytes = 8
/** The largest payload of one frame. Longer messages travel in several, so that none delays the others for long. */
export const framePayloadMaxBytes = 64 * 1024
/** The largest frame; a transport refuses more before reading it. */
export const frameMaxBytes = headerBytes + framePayloadMaxBytes

const flagMore = 0b1

export interface Frame {
  readonly version: number
  readonly channel: Channel
  /** Whether the message goes on in the next frame of this channel. */
  readonly more: boolean
  readonly payload: Uint8Array
}

/** The frames of one message, each at most `frameMaxBytes`. */
export function framesOf(version: number, channel: Channel, message: Uint8Array): Uint8Array[] {
  assert(message.length <= channel.maxBytes, 'the sender checks the channel bound first')
  const frames: Uint8Array[] = []
  let start = 0
  do {
    const end = Math.min(start + framePayloadMaxBytes, message.length)
    const frame = Buffer.allocUnsafe(headerBytes + end - start)
    frame[0] = version
    frame[1] = channel.number
    frame[2] = end < message.length ? flagMore : 0
    frame[3] = 0
    frame.writeUInt32BE(end - start, 4)
    frame.set(message.subarray(start, end), headerBytes)
    frames.push(frame)
    start = end
  } while (start < message.length)
  return frames
}

/** Reads one frame; its payload is a view. @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE */
export function readFrame(bytes: Uint8Array): Frame {
  if (bytes.length < headerBytes) throw badFrame('length', `${bytes.length} bytes are no frame`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const channel = channelOf(view.getUint8(1))
  if (channel === undefined) throw badFrame('channel', `no channel ${view.getUint8(1)}`)
  const flags = view.getUint8(2)
  if ((flags & ~flagMore) !== 0 || view.getUint8(3) !== 0) throw badFrame('flags', `unknown flags ${flags}`)
  const sizeBytes = view.getUint32(4)
  if (sizeBytes !== bytes.length - headerBytes)
    throw badFrame('length', `${sizeBytes} claimed, ${bytes.length - headerBytes} there`)
  if (sizeBytes > framePayloadMaxBytes) throw badFrame('length', `${sizeBytes} is over ${framePayloadMaxBytes}`)
  return { version: view.getUint8(0), channel, more: flags === flagMore, payload: bytes.subarray(headerBytes) }
}

/** Puts the messages of one link together again; holds at most one unfinished message per channel, within its bound. */
export class Assembler {
  readonly #parts = new Map<Channel, { readonly frames: Uint8Array[]; sizeBytes: number }>()

  /** The whole message this frame ends, if it ends one. @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE over the bound */
  add({ channel, more, payload }: Frame): Uint8Array | undefined {
    const begun = this.#parts.get(channel)
    const sizeBytes = (begun?.sizeBytes ?? 0) + payload.length
    if (sizeBytes > channel.maxBytes) throw badFrame('length', `a ${channel.name} message is over ${channel.maxBytes} bytes`)
    if (begun === undefined && !more) return payload
    const part = begun ?? { frames: [], sizeBytes: 0 }
    part.frames.push(payload)
    part.sizeBytes = sizeBytes
    if (more) {
      this.#parts.set(channel, part)
      return undefined
    }
    this.#parts.delete(channel)
    return Buffer.concat(part.frames, sizeBytes)
  }
}

function badFrame(path: string, words: string): SkeinError {
  return new SkeinError('ERR_SKEIN_BAD_MESSAGE', `frame ${path}: ${words}`, { path: `frame.${path}` })
}
