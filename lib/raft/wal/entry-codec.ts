/**
 * Entries and configurations as bytes, and back with suspicion. The log's records and the frames between peers are both built from
 * these; lists, because a message has hundreds of entries and keys would double them.
 *
 * What an entry looks like in the log is what it looks like in a frame, so it is encoded once: the leader's first frame is copied
 * into the other frames and into its log, and a follower's log takes the bytes that came.
 */
import { badMessage } from '../../wire/index.js'
import type { ConfState, Entry, EntryType, RaftId } from '../core/state.js'
import { type Packer, scalarMaxBytes, type Unpacker } from './msgpack.js'

const entryTypes: readonly EntryType[] = ['EntryNormal', 'EntryConfChange', 'EntryConfChangeV2']
const noData = new Uint8Array(0)
/** More peers than this in one configuration is nonsense. */
const peersMax = 10_000
/** Beside its data: the head of the list, type, term, index, the head of the data. */
const entryHeadMaxBytes = 2 + 2 * scalarMaxBytes + 5

/** Entries that follow one another in the log, and their bytes: as in a list, without its head. */
interface PackedRun {
  readonly first: Entry
  readonly last: Entry
  readonly count: number
  readonly bytes: Uint8Array
}

/**
 * The last few runs packed or unpacked in this process, in a ring. Entries never change, and logs that share an entry are the same
 * up to it (log matching, thesis §3.5): a run with the same first and last entry, and as many of them, has the same bytes.
 * (Not a WeakMap: what it holds outlives every scavenge, and would only go with a full collection.)
 */
const runs: (PackedRun | undefined)[] = new Array<undefined>(16).fill(undefined)
const runMaxBytes = 256 * 1024
let nextRun = 0

function runFrom(entry: Entry): PackedRun | undefined {
  for (let at = 0; at < runs.length; at++) if (runs[at]?.first === entry) return runs[at]
  return undefined
}

function remember(entries: readonly Entry[], from: number, to: number, bytes: Uint8Array): void {
  if (to === from || bytes.length > runMaxBytes) return
  runs[nextRun] = { first: entries[from] as Entry, last: entries[to - 1] as Entry, count: to - from, bytes }
  nextRun = (nextRun + 1) % runs.length
}

/** What `packEntries` takes at most, in bytes. */
export function entriesMaxBytes(entries: readonly Entry[]): number {
  let sizeBytes = scalarMaxBytes
  for (let at = 0; at < entries.length; at++) sizeBytes += (entries[at] as Entry).data.length
  return sizeBytes + entries.length * entryHeadMaxBytes
}

export function packEntries(packer: Packer, entries: readonly Entry[]): void {
  packer.list(entries.length)
  /** First of the entries that nobody packed before, and where they begin. */
  let fresh = 0
  let start = packer.sizeBytes
  for (let at = 0; at < entries.length; ) {
    const run = runFrom(entries[at] as Entry)
    if (run === undefined || run.last !== entries[at + run.count - 1]) {
      packEntry(packer, entries[at++] as Entry)
      continue
    }
    if (packer.lasts) remember(entries, fresh, at, packer.packedSince(start))
    packer.raw(run.bytes)
    at += run.count
    fresh = at
    start = packer.sizeBytes
  }
  if (packer.lasts) remember(entries, fresh, entries.length, packer.packedSince(start))
}

function packEntry(packer: Packer, { type, term, index, data }: Entry): void {
  packer.list(4)
  packer.natural(entryTypes.indexOf(type))
  packer.natural(term)
  packer.natural(index)
  if (data.length === 0) packer.nil()
  else packer.bytes(data)
}

/** Entries whose indexes follow one another and whose terms never fall; their data are views. @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE */
export function unpackEntries(reader: Unpacker): readonly Entry[] {
  const count = reader.list()
  const start = reader.at
  const entries: Entry[] = []
  for (let before: Entry | undefined; entries.length < count; ) {
    reader.tuple(4)
    const type = entryTypes[reader.natural()]
    if (type === undefined) throw reader.bad('a known entry type before')
    const entry: Entry = { type, term: reader.natural(), index: reader.natural(), data: reader.nil() ? noData : reader.bytes() }
    if (before !== undefined) {
      if (entry.index !== before.index + 1) throw reader.bad('the index after the one before')
      if (entry.term < before.term) throw reader.bad('a term not below the one before')
    }
    entries.push(entry)
    before = entry
  }
  remember(entries, 0, count, reader.readSince(start))
  return entries
}

/** What `packConfState` takes at most, in bytes. */
export function confStateMaxBytes({ voters, votersOutgoing, learners, learnersNext }: ConfState): number {
  return scalarMaxBytes * (6 + voters.length + votersOutgoing.length + learners.length + learnersNext.length)
}

export function packConfState(packer: Packer, conf: ConfState): void {
  packer.list(5)
  for (const ids of [conf.voters, conf.votersOutgoing, conf.learners, conf.learnersNext]) {
    packer.list(ids.length)
    for (const id of ids) packer.natural(id)
  }
  packer.boolean(conf.autoLeave)
}

/** @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE */
export function unpackConfState(reader: Unpacker): ConfState {
  reader.tuple(5)
  return {
    voters: unpackIds(reader),
    votersOutgoing: unpackIds(reader),
    learners: unpackIds(reader),
    learnersNext: unpackIds(reader),
    autoLeave: reader.boolean(),
  }
}

function unpackIds(reader: Unpacker): readonly RaftId[] {
  const count = reader.list()
  if (count > peersMax) throw reader.bad(`at most ${peersMax} peers before`)
  return Array.from({ length: count }, () => unpackRaftId(reader))
}

/** A raft id: an integer from 1 to 2^48 - 1. @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE */
export function unpackRaftId(reader: Unpacker): RaftId {
  const id = reader.natural()
  if (id >= 1 && id < 2 ** 48) return id
  throw reader.bad('a raft id from 1 to 2^48 - 1 before')
}

/** A list of exactly `length` items. @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE */
export function readTuple(value: unknown, length: number, path: string): readonly unknown[] {
  if (Array.isArray(value) && value.length === length) return value
  throw badMessage(path, `a list of ${length}`, value)
}
