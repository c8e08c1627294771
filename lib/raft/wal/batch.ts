/** What one write to the log says, and its bytes. */
import { Packr } from 'msgpackr'
import type { ConfState, Entry, HardState } from '../core/state.js'
import {
  badMessage,
  confStateFromPlain,
  confStateToPlain,
  entriesFromPlain,
  entryToPlain,
  type Plain,
  readArray,
  readInteger,
  readTuple,
} from './entry-codec.js'

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

const packr = new Packr({ useRecords: false, copyBuffers: true })
const batchesTag = 1
const sealTag = 2

export function encodeBatches(batches: readonly WalBatch[]): Uint8Array {
  return packr.pack([batchesTag, batches.map(batchToPlain)])
}

export function encodeSeal(): Uint8Array {
  return packr.pack([sealTag, null])
}

/** @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE */
export function decodeRecordBody(payload: Uint8Array): RecordBody {
  const [tag, body] = readTuple(packr.unpack(payload), 2, 'record')
  if (tag === sealTag) return { type: 'seal' }
  if (tag !== batchesTag) throw badMessage('record.tag', 'a known tag', tag)
  return { type: 'batches', batches: readArray(body, 'record.batches').map(batchFromPlain) }
}

export function encodeSnapshotMeta(meta: SnapshotMeta): Uint8Array {
  return packr.pack([meta.index, meta.term, confStateToPlain(meta.confState)])
}

/** @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE */
export function decodeSnapshotMeta(payload: Uint8Array): SnapshotMeta {
  const [index, term, confState] = readTuple(packr.unpack(payload), 3, 'snapshot')
  return {
    index: readInteger(index, 'snapshot.index'),
    term: readInteger(term, 'snapshot.term'),
    confState: confStateFromPlain(confState, 'snapshot.confState'),
  }
}

function batchToPlain({ snapshot, entries, hardState }: WalBatch): Plain {
  return [
    snapshot && [snapshot.kind === 'installed' ? 1 : 0, snapshot.index, snapshot.term, confStateToPlain(snapshot.confState)],
    entries && entries.length > 0 ? entries.map(entryToPlain) : null,
    hardState && [hardState.term, hardState.vote, hardState.commit],
  ].map(part => part ?? null)
}

function batchFromPlain(value: unknown, i: number): WalBatch {
  const path = `record.batches[${i}]`
  const [snapshot, entries, hardState] = readTuple(value, 3, path)
  return {
    ...(snapshot !== null && { snapshot: markFromPlain(snapshot, `${path}.snapshot`) }),
    ...(entries !== null && { entries: entriesFromPlain(entries, `${path}.entries`) }),
    ...(hardState !== null && { hardState: hardStateFromPlain(hardState, `${path}.hardState`) }),
  }
}

function markFromPlain(value: unknown, path: string): SnapshotMark {
  const [kind, index, term, confState] = readTuple(value, 4, path)
  return {
    kind: readInteger(kind, `${path}.kind`) === 1 ? 'installed' : 'taken',
    index: readInteger(index, `${path}.index`),
    term: readInteger(term, `${path}.term`),
    confState: confStateFromPlain(confState, `${path}.confState`),
  }
}

function hardStateFromPlain(value: unknown, path: string): HardState {
  const [term, vote, commit] = readTuple(value, 3, path)
  return {
    term: readInteger(term, `${path}.term`),
    vote: readInteger(vote, `${path}.vote`),
    commit: readInteger(commit, `${path}.commit`),
  }
}
