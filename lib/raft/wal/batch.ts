/** What one write to the log says, and its bytes. */
import { badMessage } from '../../wire/index.js'
import type { ConfState, Entry, HardState } from '../core/state.js'
import { confStateMaxBytes, entriesMaxBytes, packConfState, packEntries, unpackConfState, unpackEntries } from './entry-codec.js'
import { Packer, type Scratch, scalarMaxBytes, Unpacker } from './msgpack.js'

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

/** @param scratch For bytes that are needed only until the next */
export function encodeBatches(batches: readonly WalBatch[], scratch?: Scratch): Uint8Array {
  let maxBytes = 3 * scalarMaxBytes
  for (const batch of batches) maxBytes += batchMaxBytes(batch)
  const packer = new Packer(maxBytes, scratch)
  packer.list(2)
  packer.natural(batchesTag)
  packer.list(batches.length)
  for (const batch of batches) packBatch(packer, batch)
  return packer.finish()
}

export function encodeSeal(): Uint8Array {
  const packer = new Packer(3)
  packer.list(2)
  packer.natural(sealTag)
  packer.nil()
  return packer.finish()
}

/** The data of entries are views into the payload. @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE */
export function decodeRecordBody(payload: Uint8Array): RecordBody {
  const reader = new Unpacker(payload, 'record')
  reader.tuple(2)
  const tag = reader.natural()
  if (tag === sealTag) {
    if (!reader.nil()) throw reader.bad('nothing')
    reader.end()
    return { type: 'seal' }
  }
  if (tag !== batchesTag) throw badMessage('record', 'a known tag', tag)
  const batches = Array.from({ length: reader.list() }, () => unpackBatch(reader))
  reader.end()
  return { type: 'batches', batches }
}

export function encodeSnapshotMeta({ index, term, confState }: SnapshotMeta): Uint8Array {
  const packer = new Packer(3 * scalarMaxBytes + confStateMaxBytes(confState))
  packer.list(3)
  packer.natural(index)
  packer.natural(term)
  packConfState(packer, confState)
  return packer.finish()
}

/** @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE */
export function decodeSnapshotMeta(payload: Uint8Array): SnapshotMeta {
  const reader = new Unpacker(payload, 'snapshot')
  reader.tuple(3)
  const meta = { index: reader.natural(), term: reader.natural(), confState: unpackConfState(reader) }
  reader.end()
  return meta
}

function batchMaxBytes({ snapshot, entries = [] }: WalBatch): number {
  const markBytes = snapshot === undefined ? 1 : 4 * scalarMaxBytes + confStateMaxBytes(snapshot.confState)
  return 1 + markBytes + entriesMaxBytes(entries) + 4 * scalarMaxBytes
}

function packBatch(packer: Packer, { snapshot, entries = [], hardState }: WalBatch): void {
  packer.list(3)
  if (snapshot === undefined) packer.nil()
  else packMark(packer, snapshot)
  if (entries.length === 0) packer.nil()
  else packEntries(packer, entries)
  if (hardState === undefined) packer.nil()
  else packHardState(packer, hardState)
}

function unpackBatch(reader: Unpacker): WalBatch {
  reader.tuple(3)
  return {
    ...(!reader.nil() && { snapshot: unpackMark(reader) }),
    ...(!reader.nil() && { entries: unpackEntries(reader) }),
    ...(!reader.nil() && { hardState: unpackHardState(reader) }),
  }
}

function packMark(packer: Packer, { kind, index, term, confState }: SnapshotMark): void {
  packer.list(4)
  packer.natural(kind === 'installed' ? 1 : 0)
  packer.natural(index)
  packer.natural(term)
  packConfState(packer, confState)
}

function unpackMark(reader: Unpacker): SnapshotMark {
  reader.tuple(4)
  const kind = reader.natural() === 1 ? 'installed' : 'taken'
  return { kind, index: reader.natural(), term: reader.natural(), confState: unpackConfState(reader) }
}

function packHardState(packer: Packer, { term, vote, commit }: HardState): void {
  packer.list(3)
  packer.natural(term)
  packer.natural(vote)
  packer.natural(commit)
}

function unpackHardState(reader: Unpacker): HardState {
  reader.tuple(3)
  return { term: reader.natural(), vote: reader.natural(), commit: reader.natural() }
}
