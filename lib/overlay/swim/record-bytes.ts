import { dimensions } from './coordinate.js'
import type { MemberRecord } from './member.js'
import type { Packet, SwimMessage } from './messages.js'

/** id 8 · epoch 4 · incarnation 4 · flags 1 · profile version 4. */
export const briefBytes = 21
/** version 1 · type 1 · to 8 · from 8 · epoch 4 · incarnation 4 · count of records 2. */
export const headerBytes = 28

/** What a record weighs on the wire; `swim-codec` writes exactly this. */
export function recordBytes({ accusations, profile }: MemberRecord): number {
  const testimony = accusations.length * 9
  return briefBytes + testimony + (profile === undefined ? 0 : 5 + Buffer.byteLength(profile.address) + profile.meta.length)
}

/** What a packet weighs before it is sealed. */
export function packetBytes({ message, records }: Pick<Packet, 'message' | 'records'>): number {
  let sizeBytes = headerBytes + messageBytes(message)
  for (const record of records) sizeBytes += recordBytes(record)
  return sizeBytes
}

function messageBytes(message: SwimMessage): number {
  switch (message.type) {
    case 'ping':
      return 8
    case 'ack':
      return 8 + 4 * (dimensions + 2)
    case 'ping-req':
      return 4 + 8 + 2
    case 'heard':
    case 'nack':
      return 4
    case 'gossip':
    case 'share':
      return 0
    case 'sync':
      return 2 + 4 * message.buckets.length
    case 'briefs':
      return 2 + 2 + 2 * message.buckets.length + 2 + briefBytes * message.briefs.length
    case 'pull':
      return 2 + 8 * message.ids.length
  }
}
