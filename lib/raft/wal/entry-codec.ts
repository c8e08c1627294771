/**
 * Entries and configurations as plain arrays, and back with suspicion. The log's records and the frames between
 * peers are both built from these; arrays, because a message has hundreds of entries and keys would double them.
 */
import { array, badMessage, boolean, bytes, natural, type Reader, refine } from '../../wire/index.js'
import type { ConfState, Entry, EntryType, RaftId } from '../core/state.js'

const entryTypes: readonly EntryType[] = ['EntryNormal', 'EntryConfChange', 'EntryConfChangeV2']
const noData = new Uint8Array(0)
/** More peers than this in one configuration is nonsense. */
const peersMax = 10_000

export type Plain = readonly unknown[]

export function entryToPlain(entry: Entry): Plain {
  return [entryTypes.indexOf(entry.type), entry.term, entry.index, entry.data.length === 0 ? null : entry.data]
}

export const readEntry: Reader<Entry> = (value, path) => {
  const [type, term, index, data] = readTuple(value, 4, path)
  const name = entryTypes[natural(type, path)]
  if (name === undefined) throw badMessage(`${path}[0]`, 'a known entry type', type)
  return { type: name, term: natural(term, path), index: natural(index, path), data: data === null ? noData : bytes(data, path) }
}

/** Entries whose indexes follow one another and whose terms never fall. */
export const readEntries: Reader<readonly Entry[]> = refine(array(readEntry), (entries, path) => {
  let before = entries[0]
  for (let i = 1; i < entries.length; i++) {
    const entry = entries[i] as Entry
    if (entry.index !== (before as Entry).index + 1)
      throw badMessage(`${path}[${i}]`, 'the index after the one before', entry.index)
    if (entry.term < (before as Entry).term) throw badMessage(`${path}[${i}]`, 'a term not below the one before', entry.term)
    before = entry
  }
  return entries
})

export function confStateToPlain(conf: ConfState): Plain {
  return [conf.voters, conf.votersOutgoing, conf.learners, conf.learnersNext, conf.autoLeave]
}

/** A raft id: an integer from 1 to 2^48 - 1. */
export const readRaftId: Reader<RaftId> = (value, path) => {
  const id = natural(value, path)
  if (id >= 1 && id < 2 ** 48) return id
  throw badMessage(path, 'a raft id from 1 to 2^48 - 1', value)
}

const readIds = array(readRaftId, { lengthMax: peersMax })

export const readConfState: Reader<ConfState> = (value, path) => {
  const [voters, votersOutgoing, learners, learnersNext, autoLeave] = readTuple(value, 5, path)
  return {
    voters: readIds(voters, `${path}.voters`),
    votersOutgoing: readIds(votersOutgoing, `${path}.votersOutgoing`),
    learners: readIds(learners, `${path}.learners`),
    learnersNext: readIds(learnersNext, `${path}.learnersNext`),
    autoLeave: boolean(autoLeave, `${path}.autoLeave`),
  }
}

/** A list of exactly `length` items. @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE */
export function readTuple(value: unknown, length: number, path: string): readonly unknown[] {
  if (Array.isArray(value) && value.length === length) return value
  throw badMessage(path, `a list of ${length}`, value)
}
