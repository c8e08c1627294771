/** What holders of one scope say to each other, and the bytes of it, read with suspicion. */
import {
  array,
  badMessage,
  boolean,
  bytes,
  natural,
  object,
  optional,
  type Reader,
  read,
  refine,
  string,
  tagged,
} from '../../wire/decode.js'
import { decode, encode } from '../../wire/index.js'
import { bucketCount, hashBytes } from './buckets.js'
import { type Delta, deltaBytes, type Row, type Summary } from './keyspace.js'

/** The largest message, encoded: one of the links' gossip channel. */
export const gossipMessageMaxBytes = 64 * 1024
/** Rows of one message, about, before encoding. */
export const chunkBytes = 48 * 1024
/** Largest row. */
export const rowMaxBytes = 16 * 1024
/** Names of tables and keys: plain, so that their length is their size. */
export const nameForm = /^[\x20-\x7e]{0,256}$/

/** Bytes of a message but its rows or owners, at most: the longest scope, a range that names every bucket. */
const headBytes = 2 * 1024
/** Bytes of a summary but its owner's name, at most: three numbers of nine, and what tells their lengths. */
const summaryHeadBytes = 32

/** Which owners a digest speaks about: all the sender knows, those listed, or those in some buckets. */
export type Range =
  | { readonly of: 'all' }
  | { readonly of: 'listed' }
  | { readonly of: 'buckets'; readonly buckets: readonly number[] }

export interface OwnerSummary extends Summary {
  readonly owner: string
}

export type GossipMessage =
  /** 8 bytes that are the same where the same is held; who holds something else says where it stands. */
  | { readonly type: 'fingerprint'; readonly scope: string; readonly hash: Uint8Array }
  /** Where the sender stands. `wants-answer`: tell me also where you do, as far as I can help. */
  | {
      readonly type: 'digest'
      readonly scope: string
      readonly range: Range
      readonly answer: 'wants-answer' | 'is-answer'
      readonly owners: readonly OwnerSummary[]
    }
  /** A digest of digests, for many owners: 8 bytes for each of 256 buckets. */
  | { readonly type: 'buckets'; readonly scope: string; readonly hashes: Uint8Array }
  /** `more`: the range of a digest that this did not answer in full; ask again. `push`: sent unasked. */
  | {
      readonly type: 'deltas'
      readonly scope: string
      readonly deltas: readonly Delta[]
      readonly push: boolean
      readonly more?: Range
    }

/** How many of these owners, from the first, one digest holds. */
export function fittingCount(owners: readonly OwnerSummary[]): number {
  let roomBytes = gossipMessageMaxBytes - headBytes
  const cut = owners.findIndex(({ owner }) => {
    roomBytes -= owner.length + summaryHeadBytes
    return roomBytes < 0
  })
  return cut === -1 ? owners.length : cut
}

/** Deltas packed into messages that fit; `more` goes with the last. */
export function deltaMessages(
  scope: string,
  deltas: readonly Delta[],
  { push, more }: { readonly push: boolean; readonly more?: Range },
): readonly GossipMessage[] {
  const parcels: Delta[][] = []
  let bytes = 0
  for (const delta of deltas) {
    const size = deltaBytes(delta)
    const last = parcels.at(-1)
    if (last === undefined || bytes + size > chunkBytes) {
      parcels.push([delta])
      bytes = size
    } else {
      last.push(delta)
      bytes += size
    }
  }
  return parcels.map((each, index) => ({
    type: 'deltas',
    scope,
    deltas: each,
    push,
    ...(more !== undefined && index === parcels.length - 1 && { more }),
  }))
}

export function encodeGossip(message: GossipMessage): Uint8Array {
  if (message.type === 'fingerprint' || message.type === 'buckets') return encode(message)
  if (message.type === 'digest')
    return encode({ ...message, owners: message.owners.map(({ owner, epoch, gc, max }) => [owner, epoch, gc, max]) })
  const deltas = message.deltas.map(({ rows, ...rest }) => ({
    ...rest,
    rows: rows.map(({ table, key, version, value }) => [table, key, version, value ?? null]),
  }))
  return encode({ ...message, deltas })
}

/** @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE */
export function decodeGossip(data: Uint8Array): GossipMessage {
  return read(messageReader, decode(data, gossipMessageMaxBytes), 'gossip')
}

const name = refine(string, (text, path) => {
  if (nameForm.test(text)) return text
  throw badMessage(path, 'at most 256 printable ASCII characters', text)
})

const row: Reader<Row> = (value, path) => {
  const parts: readonly unknown[] = Array.isArray(value) ? value : []
  if (parts.length !== 4) throw badMessage(path, 'table, key, version and value', value)
  const [table, key, version, content] = parts
  return {
    table: name(table, `${path}.table`),
    key: name(key, `${path}.key`),
    version: natural(version, `${path}.version`),
    value: content === null ? undefined : boundedBytes(content, `${path}.value`),
  }
}

const summary: Reader<OwnerSummary> = (value, path) => {
  const parts: readonly unknown[] = Array.isArray(value) ? value : []
  if (parts.length !== 4) throw badMessage(path, 'owner, epoch, gc and max', value)
  const [owner, epoch, gc, max] = parts
  return {
    owner: name(owner, `${path}.owner`),
    epoch: natural(epoch, `${path}.epoch`),
    gc: natural(gc, `${path}.gc`),
    max: natural(max, `${path}.max`),
  }
}

const summaries = refine(array(summary), (owners, path) => {
  if (new Set(owners.map(({ owner }) => owner)).size === owners.length) return owners
  throw badMessage(path, 'each owner once', owners)
})

const boundedBytes = refine(bytes, (value, path) => {
  if (value.length <= rowMaxBytes) return value
  throw badMessage(path, `at most ${rowMaxBytes} bytes`, value)
})

/** Versions rise within (from, to]: what the order of the rows rests on. */
const delta: Reader<Delta> = refine(
  object({
    owner: name,
    epoch: natural,
    from: natural,
    to: natural,
    gc: natural,
    max: natural,
    reset: boolean,
    rows: array(row),
  }),
  (value, path) => {
    let last = value.from
    for (const { version } of value.rows) {
      if (version <= last) throw badMessage(`${path}.rows`, `versions rising from ${value.from}`, version)
      last = version
    }
    if (value.reset && value.from > 0) throw badMessage(`${path}.from`, '0 for a reset', value.from)
    if (last > value.to || value.to > value.max || value.gc > value.max)
      throw badMessage(path, 'from ≤ to ≤ max, gc ≤ max', value)
    return value
  },
)

const bucketNumbers = array(
  refine(natural, (value, path) => {
    if (value < bucketCount) return value
    throw badMessage(path, 'a bucket in 0..255', value)
  }),
  { lengthMax: bucketCount },
)
const range = tagged('of', {
  all: object({}),
  listed: object({}),
  buckets: object({ buckets: bucketNumbers }),
}) as Reader<Range>

const answer: Reader<'wants-answer' | 'is-answer'> = (value, path) => {
  if (value === 'wants-answer' || value === 'is-answer') return value
  throw badMessage(path, 'wants-answer or is-answer', value)
}

const hash = refine(bytes, (value, path) => {
  if (value.length === hashBytes) return value
  throw badMessage(path, '8 bytes', value)
})

const hashes = refine(bytes, (value, path) => {
  if (value.length === bucketCount * hashBytes) return value
  throw badMessage(path, '2,048 bytes', value)
})

const messageReader = tagged('type', {
  fingerprint: object({ scope: name, hash }),
  digest: object({
    scope: name,
    range,
    answer,
    owners: summaries,
  }),
  buckets: object({ scope: name, hashes }),
  deltas: object({ scope: name, deltas: array(delta), push: boolean, more: optional(range) }),
}) as Reader<GossipMessage>
