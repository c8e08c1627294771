/** Looks at a raft directory without changing anything: what is in each file, what is damaged, and what that costs. */
import { constants } from 'node:fs'
import { access, open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { isSkeinError, messageOf } from '../../base/errors.js'
import type { Entry, HardState } from '../core/state.js'
import { decodeRecordBody, type SnapshotMark, type WalBatch } from './batch.js'
import { readWhole, type WalFile, type WalFiles } from './files.js'
import { scanRecords } from './record.js'
import { damageRemedy } from './recover.js'
import { Replay, ReplayError, type WalContents } from './replay.js'
import { decodeSegmentHeader, type SegmentHeader, segmentHeaderBytes, segmentName, segmentSeq } from './segment.js'
import type { SnapshotId } from './snapshot-reader.js'
import { Snapshots } from './snapshots.js'

export interface Damage {
  readonly file: string
  readonly offset?: number
  readonly why: string
  /** What is gone, in words. */
  readonly lost: string
  readonly remedy: string
}

export interface SegmentReport {
  readonly file: string
  /** Undefined when the header does not read. */
  readonly header: SegmentHeader | undefined
  readonly records: number
  readonly entries: number
  /** Of the entries in this file; undefined when it has none. */
  readonly first: SnapshotId | undefined
  readonly last: SnapshotId | undefined
  /** Header and good records, without the zeros written ahead. */
  readonly sizeBytes: number
  /** `torn`: the last write was cut short. It was never acknowledged, and a peer that starts takes it off. */
  readonly tail: 'clean' | 'sealed' | 'torn' | 'damaged'
}

export interface SnapshotReport extends SnapshotId {
  /** `current`: what the log refers to. `newer`: never finished, removed at the next start. */
  readonly state: 'current' | 'older' | 'newer'
  readonly chunks: number
  readonly sizeBytes: number
}

export interface LogReport {
  readonly segments: readonly SegmentReport[]
  readonly snapshots: readonly SnapshotReport[]
  readonly hardState: HardState | undefined
  readonly snapshot: SnapshotMark | undefined
  readonly lastIndex: number
  /** Empty when a peer can start on this directory. */
  readonly damage: readonly Damage[]
}

/** One thing a record says, where it says it. */
export type LogItem = { readonly file: string; readonly offset: number } & (
  | { readonly type: 'entry'; readonly entry: Entry; readonly replaced: boolean }
  | { readonly type: 'snapshot'; readonly mark: SnapshotMark }
  | { readonly type: 'hardState'; readonly hardState: HardState }
  | { readonly type: 'seal' }
)

interface Found {
  readonly path: string
  readonly seq: number
  readonly header: SegmentHeader | undefined
  readonly items: readonly { readonly offset: number; readonly batch: WalBatch | 'seal' }[]
  readonly records: number
  readonly sizeBytes: number
  readonly crc: number
  readonly sealed: boolean
  readonly torn: boolean
  readonly damage: { readonly offset: number; readonly why: string } | undefined
}

/** Checks every record of every segment and snapshot under `dir`. @throws the error of the file system when a file cannot be read */
export async function inspectLog(dir: string): Promise<LogReport> {
  const logDir = join(dir, 'log')
  const found = await readSegments(logDir)
  const { contents, damage } = judge(logDir, found)
  const snapshots = await inspectSnapshots(join(dir, 'snapshots'), contents.snapshot, damage)
  if (contents.hardState === undefined && snapshots.length > 0) {
    damage.push({
      file: logDir,
      why: 'the log is missing, though snapshots of it exist',
      lost: 'term, vote and entries',
      remedy: damageRemedy,
    })
  }
  return {
    segments: found.map(reportOf),
    snapshots,
    hardState: contents.hardState,
    snapshot: contents.snapshot,
    lastIndex: contents.entries.at(-1)?.index ?? contents.snapshot?.index ?? 0,
    damage,
  }
}

/** What every good record says, in the order it was written. @throws the error of the file system when a file cannot be read */
export async function listLog(dir: string): Promise<readonly LogItem[]> {
  const logDir = join(dir, 'log')
  const found = await readSegments(logDir)
  const { contents } = judge(logDir, found)
  const covered = contents.snapshot?.index ?? 0
  const termOf = new Map(contents.entries.map(({ index, term }) => [index, term]))
  return found.flatMap(({ path: file, items }) =>
    items.flatMap(({ offset, batch }): LogItem[] => {
      if (batch === 'seal') return [{ file, offset, type: 'seal' }]
      const { snapshot: mark, entries = [], hardState } = batch
      return [
        ...(mark === undefined ? [] : [{ file, offset, type: 'snapshot' as const, mark }]),
        ...entries.map((entry) => {
          const replaced = entry.index > covered && termOf.get(entry.index) !== entry.term
          return { file, offset, type: 'entry' as const, entry, replaced }
        }),
        ...(hardState === undefined ? [] : [{ file, offset, type: 'hardState' as const, hardState }]),
      ]
    }),
  )
}

async function readSegments(logDir: string): Promise<readonly Found[]> {
  const seqs = (await readOnlyFiles.list(logDir)).map(segmentSeq).filter((seq) => seq !== undefined)
  const found: Found[] = []
  for (const seq of seqs.sort((a, b) => a - b)) found.push(await readSegment(join(logDir, segmentName(seq)), seq))
  return found
}

async function readSegment(path: string, seq: number): Promise<Found> {
  const whole = await readWhole(readOnlyFiles, path)
  const bytes = Buffer.from(whole.buffer, whole.byteOffset, whole.byteLength)
  const head = decodeSegmentHeader(bytes)
  if (head.state === 'bad') {
    const damage = { offset: 0, why: head.why }
    return { path, seq, header: undefined, items: [], records: 0, sizeBytes: 0, crc: 0, sealed: false, torn: false, damage }
  }
  const { records, crc, tail } = scanRecords(bytes, segmentHeaderBytes, head.crc)
  const items: { readonly offset: number; readonly batch: WalBatch | 'seal' }[] = []
  let damage = tail.state === 'corrupt' ? { offset: tail.offset, why: tail.why } : undefined
  for (const { offset, payload } of records) {
    try {
      if (items.at(-1)?.batch === 'seal') throw new Error('it follows the seal of the segment')
      const body = decodeRecordBody(payload)
      if (body.type === 'seal') items.push({ offset, batch: 'seal' })
      else for (const batch of body.batches) items.push({ offset, batch })
    } catch (error) {
      damage = { offset, why: `the record does not decode: ${messageOf(error)}` }
      break
    }
  }
  const sealed = items.at(-1)?.batch === 'seal'
  const torn = tail.state === 'torn'
  return { path, seq, header: head.header, items, records: records.length, sizeBytes: tail.offset, crc, sealed, torn, damage }
}

/** The rules by which a peer would refuse this log at its start (recover.ts), all of them rather than the first that fails. */
function judge(logDir: string, found: readonly Found[]): { readonly contents: WalContents; readonly damage: Damage[] } {
  const damage: Damage[] = []
  const tell = (at: { file: string; offset?: number }, why: string, before: Found | undefined): void => {
    const last = before === undefined ? undefined : lastEntryOf(before)
    const lost = last === undefined ? 'what this file held' : `whatever followed entry ${last.index} of term ${last.term}`
    damage.push({ ...at, why, lost, remedy: damageRemedy })
  }
  found.forEach((each, i) => {
    const { path: file, seq, header, sealed, torn } = each
    const [before, next] = [found[i - 1], found[i + 1]]
    if (before !== undefined && seq !== before.seq + 1) {
      tell({ file: join(logDir, segmentName(before.seq + 1)) }, 'the segment is missing', before)
    }
    if (each.damage !== undefined) tell({ file, offset: each.damage.offset }, each.damage.why, each)
    else if (header !== undefined && header.seq !== seq) tell({ file, offset: 0 }, `the file holds segment ${header.seq}`, before)
    else if (header !== undefined && before?.sealed && seq === before.seq + 1 && header.previousCrc !== before.crc) {
      tell({ file, offset: 0 }, 'the segment does not continue the one before it', before)
    } else if (next === undefined && sealed) {
      tell({ file: join(logDir, segmentName(seq + 1)) }, 'the segment is missing', each)
    } else if (next !== undefined && !sealed && !isUnfinishedRotation(next, found)) {
      const why = torn ? 'its last record was cut short' : 'the segment ends without its seal'
      tell({ file, offset: each.sizeBytes }, `${why}, and later segments exist`, each)
    }
  })
  return { contents: replayed(logDir, found, damage), damage }
}

/** A rotation that a crash cut short leaves a last segment with nothing but a copy of the state. */
function isUnfinishedRotation(segment: Found, found: readonly Found[]): boolean {
  return segment === found.at(-1) && segment.records <= 1 && !segment.torn && segment.damage === undefined
}

function replayed(logDir: string, found: readonly Found[], damage: Damage[]): WalContents {
  const replay = new Replay()
  for (const { items } of found) for (const { batch } of items) if (batch !== 'seal') replay.apply(batch)
  try {
    return replay.contents()
  } catch (error) {
    if (!(error instanceof ReplayError)) throw error
    // With damage told of before, this is its consequence and no news.
    if (damage.length === 0) damage.push({ file: logDir, why: error.message, lost: 'those entries', remedy: damageRemedy })
    return { hardState: undefined, snapshot: undefined, entries: [] }
  }
}

async function inspectSnapshots(
  dir: string,
  current: SnapshotMark | undefined,
  damage: Damage[],
): Promise<readonly SnapshotReport[]> {
  const snapshots = await Snapshots.open({ dir, files: readOnlyFiles })
  const reports: SnapshotReport[] = []
  if (current !== undefined && !snapshots.has(current)) {
    damage.push({
      file: dir,
      why: `the snapshot at ${current.index} that the log refers to is missing`,
      lost: `entries 1 to ${current.index}`,
      remedy: damageRemedy,
    })
  }
  for (const id of snapshots.list()) {
    const isCurrent = current?.index === id.index && current.term === id.term
    let [chunks, sizeBytes] = [0, 0]
    try {
      for await (const chunk of snapshots.read(id)) {
        chunks++
        sizeBytes += chunk.length
      }
    } catch (error) {
      if (!isSkeinError(error, 'ERR_SKEIN_CORRUPT')) throw error
      const { file, offset } = error.detail
      damage.push({
        file,
        ...(offset !== undefined && { offset }),
        why: 'the snapshot is damaged',
        lost: isCurrent ? `entries 1 to ${id.index}` : 'nothing: the log does not need this snapshot',
        remedy: isCurrent ? damageRemedy : 'remove the file',
      })
    }
    const state = isCurrent ? 'current' : id.index > (current?.index ?? 0) ? 'newer' : 'older'
    reports.push({ index: id.index, term: id.term, state, chunks, sizeBytes })
  }
  return reports
}

function reportOf(found: Found): SegmentReport {
  const entries = found.items.flatMap(({ batch }) => (batch === 'seal' ? [] : (batch.entries ?? [])))
  const tail = found.damage !== undefined ? 'damaged' : found.sealed ? 'sealed' : found.torn ? 'torn' : 'clean'
  const [first, last] = [entries[0], entries.at(-1)]
  return {
    file: found.path,
    header: found.header,
    records: found.records,
    entries: entries.length,
    first: first && { index: first.index, term: first.term },
    last: last && { index: last.index, term: last.term },
    sizeBytes: found.sizeBytes,
    tail,
  }
}

function lastEntryOf({ items }: Found): Entry | undefined {
  return items.flatMap(({ batch }) => (batch === 'seal' ? [] : (batch.entries ?? []))).at(-1)
}

/** The disk as something to look at: nothing can be changed through it, and what a start would clear away is not there. */
const readOnlyFiles: WalFiles = {
  makeDir: async () => undefined,
  list: async (dir) => {
    const isThere = await access(dir, constants.R_OK).then(
      () => true,
      (error: NodeJS.ErrnoException) => (error.code === 'ENOENT' ? false : Promise.reject(error)),
    )
    return isThere ? (await readdir(dir)).filter((name) => !/\.(tmp|part)$/.test(name)) : []
  },
  open: async (path): Promise<WalFile> => {
    const handle = await open(path, 'r')
    return {
      read: async (position, sizeBytes) => {
        const buffer = Buffer.allocUnsafeSlow(sizeBytes)
        let done = 0
        while (done < sizeBytes) {
          const { bytesRead } = await handle.read(buffer, done, sizeBytes - done, position + done)
          if (bytesRead === 0) break
          done += bytesRead
        }
        return buffer.subarray(0, done)
      },
      size: async () => (await handle.stat()).size,
      close: () => handle.close(),
      write: refuse,
      truncate: refuse,
      sync: refuse,
    }
  },
  create: refuse,
  rename: refuse,
  remove: refuse,
  syncDir: refuse,
}

function refuse(): Promise<never> {
  return Promise.reject(new Error('this directory is only looked at'))
}
