/**
 * Entries and configurations as plain arrays for msgpack, and back with suspicion. The log's records and the
 * frames between peers are both built from these.
 */
import { SkeinError } from '../../base/errors.js'
import type { ConfState, Entry, EntryType, RaftId } from '../core/state.js'

const entryTypes: readonly EntryType[] = ['EntryNormal', 'EntryConfChange', 'EntryConfChangeV2']
const empty = new Uint8Array(0)
/** More peers than this in one configuration is nonsense. */
const peersMax = 10_000

export type Plain = readonly unknown[]

export function entryToPlain(entry: Entry): Plain {
  return [entryTypes.indexOf(entry.type), entry.term, entry.index, entry.data.length === 0 ? null : entry.data]
}

/** @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE at `path` */
export function entryFromPlain(value: unknown, path: string): Entry {
  const [type, term, index, data] = readTuple(value, 4, path)
  const name = entryTypes[readInteger(type, `${path}.type`)]
  if (name === undefined) throw badMessage(`${path}.type`, 'a known entry type', type)
  return {
    type: name,
    term: readInteger(term, `${path}.term`),
    index: readInteger(index, `${path}.index`),
    data: data === null ? empty : readBytes(data, `${path}.data`),
  }
}

/** Entries whose indexes follow one another and whose terms never fall. @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE */
export function entriesFromPlain(value: unknown, path: string): readonly Entry[] {
  const entries = readArray(value, path).map((item, i) => entryFromPlain(item, `${path}[${i}]`))
  for (let i = 1; i < entries.length; i++) {
    const [before, entry] = [entries[i - 1] as Entry, entries[i] as Entry]
    if (entry.index !== before.index + 1) throw badMessage(`${path}[${i}].index`, `${before.index + 1}`, entry.index)
    if (entry.term < before.term) throw badMessage(`${path}[${i}].term`, `at least ${before.term}`, entry.term)
  }
  return entries
}

export function confStateToPlain(conf: ConfState): Plain {
  return [conf.voters, conf.votersOutgoing, conf.learners, conf.learnersNext, conf.autoLeave]
}

/** @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE at `path` */
export function confStateFromPlain(value: unknown, path: string): ConfState {
  const [voters, votersOutgoing, learners, learnersNext, autoLeave] = readTuple(value, 5, path)
  return {
    voters: readIds(voters, `${path}.voters`),
    votersOutgoing: readIds(votersOutgoing, `${path}.votersOutgoing`),
    learners: readIds(learners, `${path}.learners`),
    learnersNext: readIds(learnersNext, `${path}.learnersNext`),
    autoLeave: readBoolean(autoLeave, `${path}.autoLeave`),
  }
}

function readIds(value: unknown, path: string): readonly RaftId[] {
  const ids = readArray(value, path)
  if (ids.length > peersMax) throw badMessage(path, `at most ${peersMax} ids`, ids.length)
  return ids.map((id, i) => readRaftId(id, `${path}[${i}]`))
}

/** @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE unless a whole number from 1 to 2^48 - 1 */
export function readRaftId(value: unknown, path: string): RaftId {
  const id = readInteger(value, path)
  if (id < 1 || id >= 2 ** 48) throw badMessage(path, 'a raft id from 1 to 2^48 - 1', value)
  return id
}

/** @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE unless a whole number from 0 to 2^53 - 1 */
export function readInteger(value: unknown, path: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
  throw badMessage(path, 'a whole number from 0 to 2^53 - 1', value)
}

/** @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE */
export function readBoolean(value: unknown, path: string): boolean {
  if (typeof value === 'boolean') return value
  throw badMessage(path, 'true or false', value)
}

/** @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE */
export function readBytes(value: unknown, path: string): Uint8Array {
  if (value instanceof Uint8Array) return value
  throw badMessage(path, 'bytes', value)
}

/** @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE */
export function readArray(value: unknown, path: string): readonly unknown[] {
  if (Array.isArray(value)) return value
  throw badMessage(path, 'a list', value)
}

/** A list of exactly `length` items. @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE */
export function readTuple(value: unknown, length: number, path: string): readonly unknown[] {
  const items = readArray(value, path)
  if (items.length !== length) throw badMessage(path, `a list of ${length}`, `a list of ${items.length}`)
  return items
}

export function badMessage(path: string, expected: string, got: unknown): SkeinError<'ERR_SKEIN_BAD_MESSAGE'> {
  const words = typeof got === 'string' || typeof got === 'number' ? String(got).slice(0, 60) : typeof got
  return new SkeinError('ERR_SKEIN_BAD_MESSAGE', `${path}: expected ${expected}, got ${words}`, { path })
}
