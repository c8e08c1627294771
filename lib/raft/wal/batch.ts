/** What one write to the log says, and its bytes. */
import { array, badMessage, decode, encode, natural, type Reader } from '../../wire/index.js'
import type { ConfState, Entry, HardState } from '../core/state.js'
import { confStateToPlain, entryToPlain, type Plain, readConfState, readEntries, readTuple } from './entry-codec.js'
import { recordLimitBytes } from './record.js'

/** A snapshot as the log knows it; its contents are a file of their own. */
export interface SnapshotMeta {
  readonly index: number
  readonly term: number
  readonly confState: ConfState
}

/**
 * `taken`: this peer's own; the log after it stands. `installed`: the leader's; the log before and after it is
 * replaced.
 */
export interface SnapshotMark extends SnapshotMeta {
  readonly kind: 'taken' | 'installed'
}

/** In the order they take effect: the snapshot, then the entries (they follow it), then term, vote and commit. */
export interface WalBatch {
  readonly snapshot?: SnapshotMark
  /** A first index at or below the last one replaces the log from there on. */
  readonly entries?: readonly Entry[]
  readonly hardState?: HardState
}

/** A record's payload: batches, or the seal that says a next segment exists. */
export type RecordBody = { readonly type: 'batches'; readonly batches: readonly WalBatch[] } | { readonly type: 'seal' }

const batchesTag = 1
const sealTag = 2

export function encodeBatches(batches: readonly WalBatch[]): Uint8Array {
  return encode([batchesTag, batches.map(batchToPlain)])
}

export function encodeSeal(): Uint8Array {
  return encode([sealTag, null])
}

/** @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE */
export function decodeRecordBody(payload: Uint8Array): RecordBody {
  const [tag, body] = readTuple(decode(payload, recordLimitBytes), 2, 'record')
  if (tag === sealTag) return { type: 'seal' }
  if (tag !== batchesTag) throw badMessage('record', 'a known tag', tag)
  return { type: 'batches', batches: readBatches(body, 'record') }
}

export function encodeSnapshotMeta(meta: SnapshotMeta): Uint8Array {
  return encode([meta.index, meta.term, confStateToPlain(meta.confState)])
}

/** @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE */
export function decodeSnapshotMeta(payload: Uint8Array): SnapshotMeta {
  const [index, term, confState] = readTuple(decode(payload, recordLimitBytes), 3, 'snapshot')
  return { index: natural(index, 'snapshot'), term: natural(term, 'snapshot'), confState: readConfState(confState, 'snapshot') }
}

function batchToPlain({ snapshot, entries, hardState }: WalBatch): Plain {
  return [
    snapshot === undefined
      ? null
      : [snapshot.kind === 'installed' ? 1 : 0, snapshot.index, snapshot.term, confStateToPlain(snapshot.confState)],
    entries === undefined || entries.length === 0 ? null : entries.map(entryToPlain),
    hardState === undefined ? null : [hardState.term, hardState.vote, hardState.commit],
  ]
}

const readBatch: Reader<WalBatch> = (value, path) => {
  const [snapshot, entries, hardState] = readTuple(value, 3, path)
  return {
    ...(snapshot !== null && { snapshot: readMark(snapshot, `${path}.snapshot`) }),
    ...(entries !== null && { entries: readEntries(entries, `${path}.entries`) }),
    ...(hardState !== null && { hardState: readHardState(hardState, `${path}.hardState`) }),
  }
}

const readBatches = array(readBatch)

const readMark: Reader<SnapshotMark> = (value, path) => {
  const [kind, index, term, confState] = readTuple(value, 4, path)
  return {
    kind: natural(kind, path) === 1 ? 'installed' : 'taken',
    index: natural(index, path),
    term: natural(term, path),
    confState: readConfState(confState, path),
  }
}

const readHardState: Reader<HardState> = (value, path) => {
  const [term, vote, commit] = readTuple(value, 3, path)
  return { term: natural(term, path), vote: natural(vote, path), commit: natural(commit, path) }
}
