/**
 * Raft messages ↔ the bytes of a frame:
 *
 *     u8 version | u8 length of the cluster id | cluster id | messages (msgpack, as arrays)
 *
 * Version and cluster are said once per frame: what comes from elsewhere, or from a later skein, is told apart before any of it is read.
 */
import { SkeinError } from '../../base/errors.js'
import { badMessage } from '../../wire/index.js'
import { type Entry, isLocalType, type Message, type MessageType, makeMessage, type Snapshot } from '../core/index.js'
import {
  confStateMaxBytes,
  entriesMaxBytes,
  Packer,
  packConfState,
  packEntries,
  scalarMaxBytes,
  Unpacker,
  unpackConfState,
  unpackEntries,
  unpackRaftId,
} from '../wal/index.js'

/** First byte of every frame. A peer that does not know it drops the frame, and says so. */
export const raftFrameVersion = 2
/** A larger frame is refused unread; the outbox starts a new one long before. */
export const raftFrameLimitBytes = 16 * 1024 * 1024
const messagesMax = 65_536

/** Position is number on the wire: append only. */
const types: readonly MessageType[] = [
  'MsgProp',
  'MsgApp',
  'MsgAppResp',
  'MsgVote',
  'MsgVoteResp',
  'MsgSnap',
  'MsgHeartbeat',
  'MsgHeartbeatResp',
  'MsgTransferLeader',
  'MsgTimeoutNow',
  'MsgReadIndex',
  'MsgReadIndexResp',
  'MsgPreVote',
  'MsgPreVoteResp',
]
const numberOf: ReadonlyMap<MessageType, number> = new Map(types.map((type, number) => [type, number]))
const noEntries: Message['entries'] = Object.freeze([])
const noBytes = new Uint8Array(0)

/** What every frame of a cluster begins with; made once. */
export function frameHead(clusterId: string): Uint8Array {
  const id = Buffer.from(clusterId)
  return Buffer.from([raftFrameVersion, id.length, ...id])
}

export function encodeFrame(head: Uint8Array, messages: readonly Message[]): Uint8Array {
  let maxBytes = head.length + scalarMaxBytes
  for (const message of messages) maxBytes += messageMaxBytes(message)
  const packer = new Packer(maxBytes)
  packer.raw(head)
  packer.list(messages.length)
  for (const message of messages) packMessage(packer, message)
  return packer.finish()
}

/**
 * The messages of a frame that begins with `head`; what they carry are views into it, so it is not to be changed afterwards.
 * @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE, ERR_SKEIN_WIRE_VERSION, ERR_SKEIN_OTHER_CLUSTER
 */
export function decodeFrame(head: Uint8Array, frame: Uint8Array): readonly Message[] {
  for (let at = 0; at < head.length; at++) if (frame[at] !== head[at]) throw refusalOfHead(head, frame)
  if (frame.length > raftFrameLimitBytes) throw badMessage('frame', `at most ${raftFrameLimitBytes} bytes`, frame)
  const reader = new Unpacker(frame, 'frame', head.length)
  const count = reader.list()
  if (count > messagesMax) throw badMessage('frame', `at most ${messagesMax} messages`, count)
  const messages: Message[] = []
  while (messages.length < count) messages.push(unpackMessage(reader))
  reader.end()
  return messages
}

function refusalOfHead(head: Uint8Array, frame: Uint8Array): SkeinError {
  const [version, idBytes] = frame
  if (version === undefined) return badMessage('frame', 'a version byte', undefined)
  if (version !== raftFrameVersion) {
    const words = `a raft frame of version ${version}, this peer reads ${raftFrameVersion}; upgrade the older of the two`
    return new SkeinError('ERR_SKEIN_WIRE_VERSION', words, { ours: raftFrameVersion, theirs: version })
  }
  if (idBytes === undefined || frame.length < 2 + idBytes) return badMessage('frame', 'the id of a cluster', frame)
  const [ours, theirs] = [head, frame.subarray(0, 2 + idBytes)].map((bytes) => Buffer.from(bytes.subarray(2)).toString())
  const words = `a raft frame of cluster ${theirs}, this peer belongs to ${ours}`
  return new SkeinError('ERR_SKEIN_OTHER_CLUSTER', words, { ours: ours as string, theirs: theirs as string })
}

/** About what a message takes in a frame, in bytes; for deciding when a frame is full. */
export function messageSizeBytes(message: Message): number {
  let sizeBytes = 64 + (message.snapshot?.data.length ?? 0)
  const { entries } = message
  for (let at = 0; at < entries.length; at++) sizeBytes += 24 + (entries[at] as Entry).data.length
  return sizeBytes
}

function messageMaxBytes({ entries, snapshot, context }: Message): number {
  const snapshotBytes = snapshot === null ? 1 : 4 * scalarMaxBytes + confStateMaxBytes(snapshot.confState) + snapshot.data.length
  return 12 * scalarMaxBytes + entriesMaxBytes(entries) + snapshotBytes + (context?.length ?? 0)
}

function packMessage(packer: Packer, m: Message): void {
  const number = numberOf.get(m.type)
  if (number === undefined || isLocalType(m.type)) throw badMessage('frame', 'a message for another peer', m.type)
  packer.list(13)
  packer.natural(number)
  packer.natural(m.to)
  packer.natural(m.from)
  packer.natural(m.term)
  packer.natural(m.logTerm)
  packer.natural(m.index)
  packer.natural(m.commit)
  packer.natural(m.vote)
  packer.natural(m.rejectHint)
  packer.boolean(m.reject)
  if (m.entries.length === 0) packer.nil()
  else packEntries(packer, m.entries)
  if (m.snapshot === null) packer.nil()
  else packSnapshot(packer, m.snapshot)
  if (m.context === null) packer.nil()
  else packer.bytes(m.context)
}

function unpackMessage(reader: Unpacker): Message {
  reader.tuple(13)
  const type = types[reader.natural()]
  if (type === undefined) throw reader.bad('a known message type before')
  const [to, from] = [unpackRaftId(reader), unpackRaftId(reader)]
  const message = makeMessage(type, from, to, reader.natural(), {
    logTerm: reader.natural(),
    index: reader.natural(),
    commit: reader.natural(),
    vote: reader.natural(),
    rejectHint: reader.natural(),
    reject: reader.boolean(),
    entries: reader.nil() ? noEntries : unpackEntries(reader),
    snapshot: reader.nil() ? null : unpackSnapshot(reader),
    context: reader.nil() ? null : reader.bytes(),
  })
  refuseContradictions(message, 'frame')
  return message
}

/** What the core takes for granted about a message that decodes. */
function refuseContradictions(m: Message, path: string): void {
  const first = m.entries[0]
  if (m.type === 'MsgApp') {
    if (first !== undefined && first.index !== m.index + 1) throw badMessage(path, 'entries that follow its index', first.index)
    if (first !== undefined && first.term < m.logTerm) throw badMessage(path, 'entries not older than the one before', first.term)
    if ((m.entries.at(-1)?.term ?? 0) > m.term) throw badMessage(path, 'entries of its term or older', m.entries.at(-1)?.term)
  }
  if ((m.type === 'MsgSnap') !== (m.snapshot !== null)) throw badMessage(path, 'a snapshot in MsgSnap and nowhere else', m.type)
  const needsOne = m.type === 'MsgReadIndex' || m.type === 'MsgReadIndexResp'
  if (needsOne && m.entries.length !== 1) throw badMessage(path, 'one entry in a read', m.entries.length)
  if (m.term === 0 && !isTermless(m.type)) throw badMessage(path, 'a term from 1', m.term)
}

/** Requests on their way to a leader of any term. */
function isTermless(type: MessageType): boolean {
  return type === 'MsgProp' || type === 'MsgReadIndex' || type === 'MsgTransferLeader'
}

function packSnapshot(packer: Packer, { index, term, confState, data }: Snapshot): void {
  packer.list(4)
  packer.natural(index)
  packer.natural(term)
  packConfState(packer, confState)
  if (data.length === 0) packer.nil()
  else packer.bytes(data)
}

function unpackSnapshot(reader: Unpacker): Snapshot {
  reader.tuple(4)
  const [index, term, confState] = [reader.natural(), reader.natural(), unpackConfState(reader)]
  return { index, term, confState, data: reader.nil() ? noBytes : reader.bytes() }
}
