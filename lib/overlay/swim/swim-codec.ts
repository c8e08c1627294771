import { assert } from '../../base/assert.js'
import { parseHostPort } from '../../base/host-port.js'
import type { NodeId } from '../../base/ids.js'
import { badMessage } from '../../wire/index.js'
import { ByteReader, ByteWriter } from './byte-buffer.js'
import { type Coordinate, coordinateMaxMs, dimensions } from './coordinate.js'
import {
  type Accusation,
  accusationsMax,
  type MemberRecord,
  type MemberState,
  metaBytesMax,
  type Profile,
  type Seen,
} from './member.js'
import { bucketCount, finestCount, isBucketing } from './member-table.js'
import type { Brief, Packet, SwimMessage } from './messages.js'
import { briefBytes, packetBytes } from './record-bytes.js'

const version = 1
/** Order is the wire format. */
const types = ['ping', 'ack', 'ping-req', 'heard', 'nack', 'gossip', 'sync', 'briefs', 'pull', 'share'] as const
const states: readonly MemberState[] = ['alive', 'suspect', 'dead', 'left']
const seen: readonly Seen[] = ['silent', 'accepting', 'refused']

const hasProfileBit = 0x04
const isStreamBit = 0x01

/** A packet as bytes; exactly `packetBytes(packet)` of them. */
export function encodePacket(packet: Packet): Uint8Array {
  const writer = new ByteWriter(packetBytes(packet))
  const { to, from, epoch, incarnation, message, records } = packet
  writer.u8(version)
  writer.u8(types.indexOf(message.type))
  writer.id(to)
  writer.id(from)
  writer.u32(epoch)
  writer.u32(incarnation)
  writeMessage(writer, message)
  writer.u16(records.length)
  for (const record of records) writeRecord(writer, record)
  assert(writer.written === writer.bytes.length, 'packetBytes says what encodePacket writes')
  return writer.bytes
}

/** Reads what may come from anybody. @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE */
export function decodePacket(bytes: Uint8Array): Packet {
  const reader = new ByteReader(bytes)
  const spoken = reader.u8('swim.version')
  if (spoken !== version) throw badMessage('swim.version', `version ${version}`, spoken)
  const type = oneOf(types, reader.u8('swim.type'), 'swim.type')
  const to = reader.id('swim.to')
  const from = reader.id('swim.from')
  const epoch = positive(reader.u32('swim.epoch'), 'swim.epoch')
  const incarnation = positive(reader.u32('swim.incarnation'), 'swim.incarnation')
  const message = readMessage(reader, type)
  const count = reader.count(briefBytes, 'swim.records')
  const records = Array.from({ length: count }, (_, at) => readRecord(reader, `swim.records[${at}]`))
  if (reader.left > 0) throw badMessage('swim', 'nothing after the last record', reader.left)
  return { to, from, epoch, incarnation, message, records }
}

function writeMessage(writer: ByteWriter, message: SwimMessage): void {
  switch (message.type) {
    case 'ping':
      writer.u32(message.seq)
      writer.u32(message.digest)
      return
    case 'ack':
      writer.u32(message.seq)
      writer.u32(message.digest)
      for (const value of message.coordinate.position) writer.f32(value)
      writer.f32(message.coordinate.heightMs)
      writer.f32(message.coordinate.error)
      return
    case 'ping-req':
      writer.u32(message.seq)
      writer.id(message.target)
      writer.u16(Math.min(0xffff, message.remainingMs))
      return
    case 'heard':
    case 'nack':
      writer.u32(message.seq)
      return
    case 'sync':
      writer.u16(message.buckets.length)
      for (const bucket of message.buckets) writer.u32(bucket)
      return
    case 'briefs':
      writer.u16(message.count)
      writer.u16(message.buckets.length)
      for (const bucket of message.buckets) writer.u16(bucket)
      writer.u16(message.briefs.length)
      for (const brief of message.briefs) writeBrief(writer, brief, 0)
      return
    case 'pull':
      writer.u16(message.ids.length)
      for (const id of message.ids) writer.id(id)
      return
    case 'gossip':
    case 'share':
      return
  }
}

function readMessage(reader: ByteReader, type: SwimMessage['type']): SwimMessage {
  switch (type) {
    case 'ping':
      return { type, seq: reader.u32('swim.seq'), digest: reader.u32('swim.digest') }
    case 'ack':
      return { type, seq: reader.u32('swim.seq'), digest: reader.u32('swim.digest'), coordinate: readCoordinate(reader) }
    case 'ping-req':
      return { type, seq: reader.u32('swim.seq'), target: reader.id('swim.target'), remainingMs: reader.u16('swim.remainingMs') }
    case 'heard':
    case 'nack':
      return { type, seq: reader.u32('swim.seq') }
    case 'sync': {
      const count = bucketsOf(reader.u16('swim.buckets'), bucketCount, 'swim.buckets')
      return { type, buckets: Uint32Array.from({ length: count }, () => reader.u32('swim.buckets')) }
    }
    case 'briefs': {
      const count = bucketsOf(reader.u16('swim.count'), finestCount, 'swim.count')
      const buckets = Array.from({ length: reader.count(2, 'swim.buckets') }, () => {
        const bucket = reader.u16('swim.buckets')
        if (bucket >= count) throw badMessage('swim.buckets', `a bucket below ${count}`, bucket)
        return bucket
      })
      const briefs = Array.from({ length: reader.count(briefBytes, 'swim.briefs') }, () => readBrief(reader, 'swim.briefs').brief)
      return { type, count, buckets, briefs }
    }
    case 'pull':
      return { type, ids: Array.from({ length: reader.count(8, 'swim.ids') }, () => reader.id('swim.ids')) }
    case 'gossip':
    case 'share':
      return { type }
  }
}

function readCoordinate(reader: ByteReader): Coordinate {
  const position = Array.from({ length: dimensions }, () => near(reader.f32('swim.coordinate'), 'swim.coordinate'))
  const heightMs = Math.max(0, near(reader.f32('swim.coordinate.height'), 'swim.coordinate.height'))
  return { position, heightMs, error: Math.max(0, reader.f32('swim.coordinate.error')) }
}

function writeBrief(writer: ByteWriter, { id, epoch, incarnation, state, profileVersion }: Brief, more: number): void {
  writer.id(id)
  writer.u32(epoch)
  writer.u32(incarnation)
  writer.u8(states.indexOf(state) | more)
  writer.u32(profileVersion)
}

function readBrief(reader: ByteReader, path: string): { readonly brief: Brief; readonly flags: number } {
  const id = reader.id(`${path}.id`)
  const epoch = positive(reader.u32(`${path}.epoch`), `${path}.epoch`)
  const incarnation = positive(reader.u32(`${path}.incarnation`), `${path}.incarnation`)
  const flags = reader.u8(`${path}.flags`)
  const state = states[flags & 0x03] as MemberState
  return { brief: { id, epoch, incarnation, state, profileVersion: reader.u32(`${path}.profileVersion`) }, flags }
}

function writeRecord(writer: ByteWriter, record: MemberRecord): void {
  const { profile, accusations } = record
  // A profile goes with its own version; we may hold one that is behind the word on its member.
  const brief = profile === undefined ? record : { ...record, profileVersion: profile.version }
  writeBrief(writer, brief, (profile === undefined ? 0 : hasProfileBit) | (accusations.length << 3))
  for (const { by, saw } of accusations) {
    writer.id(by)
    writer.u8(seen.indexOf(saw))
  }
  if (profile === undefined) return
  const address = Buffer.from(profile.address)
  writer.u8(profile.lanes === 'stream' ? isStreamBit : 0)
  writer.u16(address.length)
  writer.raw(address)
  writer.u16(profile.meta.length)
  writer.raw(profile.meta)
}

function readRecord(reader: ByteReader, path: string): MemberRecord {
  const { brief, flags } = readBrief(reader, path)
  const count = flags >> 3
  if (count > accusationsMax) throw badMessage(`${path}.accusations`, `at most ${accusationsMax}`, count)
  const accusations = Array.from({ length: count }, () => readAccusation(reader, `${path}.accusations`))
  const profile = (flags & hasProfileBit) === 0 ? undefined : readProfile(reader, brief.profileVersion, path)
  const { id, epoch, incarnation, state, profileVersion } = brief
  return { id, epoch, incarnation, state, profileVersion, profile, accusations }
}

function readAccusation(reader: ByteReader, path: string): Accusation {
  return { by: reader.id(path) as NodeId, saw: oneOf(seen, reader.u8(path), path) }
}

const addressBytesMax = 260

function readProfile(reader: ByteReader, profileVersion: number, path: string): Profile {
  const lanes = (reader.u8(`${path}.lanes`) & isStreamBit) === 0 ? 'both' : 'stream'
  const addressBytes = atMost(addressBytesMax, reader.u16(`${path}.address`), `${path}.address`)
  const address = Buffer.from(reader.raw(addressBytes, `${path}.address`)).toString()
  // What is no text would be longer when it is passed on, and nobody could read the packet it is in.
  const isText = Buffer.byteLength(address) === addressBytes
  if (!isText || (address !== '' && parseHostPort(address) === undefined))
    throw badMessage(`${path}.address`, 'host:port', address)
  const metaBytes = atMost(metaBytesMax, reader.u16(`${path}.meta`), `${path}.meta`)
  return { version: profileVersion, address, lanes, meta: reader.raw(metaBytes, `${path}.meta`) }
}

function oneOf<T>(values: readonly T[], at: number, path: string): T {
  const value = values[at]
  if (value === undefined) throw badMessage(path, `a number below ${values.length}`, at)
  return value
}

function positive(value: number, path: string): number {
  if (value > 0) return value
  throw badMessage(path, 'a number from 1', value)
}

function near(value: number, path: string): number {
  if (Math.abs(value) <= coordinateMaxMs) return value
  throw badMessage(path, `at most ${coordinateMaxMs} ms`, value)
}

function atMost(limit: number, value: number, path: string): number {
  if (value <= limit) return value
  throw badMessage(path, `at most ${limit} bytes`, value)
}

function bucketsOf(count: number, most: number, path: string): number {
  if (isBucketing(count, most)) return count
  throw badMessage(path, `a power of two up to ${most}`, count)
}
