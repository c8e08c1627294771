/**
 * Raft messages ↔ the bytes of a frame:
 *
 *     u8 version | u8 length of the cluster id | cluster id | messages (msgpack, as arrays)
 *
 * Version and cluster are said once per frame: what comes from elsewhere, or from a later skein, is told apart before any of it is read.
 */
import { SkeinError } from '../../base/errors.js'
import { array, badMessage, boolean, bytes, decode, encode, natural, type Reader } from '../../wire/index.js'
import { isLocalType, type Message, type MessageType, makeMessage, type Snapshot } from '../core/index.js'
import { confStateToPlain, entryToPlain, type Plain, readConfState, readEntries, readRaftId, readTuple } from '../wal/index.js'

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

/** What every frame of a cluster begins with; made once. */
export function frameHead(clusterId: string): Uint8Array {
  const id = Buffer.from(clusterId)
  return Buffer.from([raftFrameVersion, id.length, ...id])
}

export function encodeFrame(head: Uint8Array, messages: readonly Message[]): Uint8Array {
  const body = encode(messages.map(messageToPlain))
  const frame = new Uint8Array(head.length + body.length)
  frame.set(head)
  frame.set(body, head.length)
  return frame
}

/**
 * The messages of a frame that begins with `head`.
 * @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE, ERR_SKEIN_WIRE_VERSION, ERR_SKEIN_OTHER_CLUSTER
 */
export function decodeFrame(head: Uint8Array, frame: Uint8Array): readonly Message[] {
  for (let at = 0; at < head.length; at++) if (frame[at] !== head[at]) throw refusalOfHead(head, frame)
  return readMessages(decode(frame.subarray(head.length), raftFrameLimitBytes), 'frame')
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
  for (const entry of message.entries) sizeBytes += 24 + entry.data.length
  return sizeBytes
}

function messageToPlain(m: Message): Plain {
  const number = numberOf.get(m.type)
  if (number === undefined || isLocalType(m.type)) throw badMessage('frame', 'a message for another peer', m.type)
  return [
    number,
    m.to,
    m.from,
    m.term,
    m.logTerm,
    m.index,
    m.commit,
    m.vote,
    m.rejectHint,
    m.reject,
    m.entries.length === 0 ? null : m.entries.map(entryToPlain),
    m.snapshot === null ? null : snapshotToPlain(m.snapshot),
    m.context,
  ]
}

const readMessage: Reader<Message> = (value, path) => {
  const [number, to, from, term, logTerm, index, commit, vote, rejectHint, reject, entries, snapshot, context] = readTuple(
    value,
    13,
    path,
  )
  const type = types[natural(number, path)]
  if (type === undefined) throw badMessage(path, 'a known message type', number)
  const message = makeMessage(type, readRaftId(from, path), readRaftId(to, path), natural(term, path), {
    logTerm: natural(logTerm, path),
    index: natural(index, path),
    commit: natural(commit, path),
    vote: natural(vote, path),
    rejectHint: natural(rejectHint, path),
    reject: boolean(reject, path),
    entries: entries === null ? noEntries : readEntries(entries, path),
    snapshot: snapshot === null ? null : readSnapshot(snapshot, path),
    context: context === null ? null : bytes(context, path),
  })
  refuseContradictions(message, path)
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

const readMessages = array(readMessage, { lengthMax: messagesMax })

function snapshotToPlain({ index, term, confState, data }: Snapshot): Plain {
  return [index, term, confStateToPlain(confState), data.length === 0 ? null : data]
}

const readSnapshot: Reader<Snapshot> = (value, path) => {
  const [index, term, confState, data] = readTuple(value, 4, path)
  return {
    index: natural(index, path),
    term: natural(term, path),
    confState: readConfState(confState, path),
    data: data === null ? new Uint8Array(0) : bytes(data, path),
  }
}
