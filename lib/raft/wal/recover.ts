/**
 * Reads the segments of a log directory back, checks every record, and repairs what may be repaired: the write
 * that was cut short at the very end. Anything else that is wrong is refused, because a raft peer that forgot
 * what it acknowledged breaks the promises of others (thesis §3.8).
 */
import { join } from 'node:path'
import { messageOf, SkeinError } from '../../base/errors.js'
import { decodeRecordBody, type WalBatch } from './batch.js'
import { readWhole, type WalFiles } from './files.js'
import { type Scan, scanRecords } from './record.js'
import { Replay, ReplayError, type WalContents } from './replay.js'
import { decodeSegmentHeader, type SegmentHeader, segmentHeaderBytes, segmentName, segmentSeq } from './segment.js'

/** A cut-short write that was taken off the end of the log; a copy of the file as it was is in `copy`. */
export interface Repair {
  readonly file: string
  readonly offset: number
  readonly why: string
  readonly copy: string
}

export interface SegmentFound {
  readonly path: string
  readonly seq: number
  readonly sizeBytes: number
  readonly allocatedBytes: number
  readonly crc: number
  readonly maxIndex: number
}

export interface Recovery {
  readonly contents: WalContents
  readonly segments: readonly SegmentFound[]
  readonly repaired: Repair | undefined
}

interface Owner {
  readonly clusterId: string
  readonly nodeId: number
}

interface SegmentRead {
  readonly path: string
  readonly header: SegmentHeader
  readonly fileBytes: number
  readonly scan: Scan
  readonly batches: readonly WalBatch[]
  readonly sealed: boolean
}

/**
 * Undefined when the directory holds no log yet.
 * @throws {SkeinError} ERR_SKEIN_CORRUPT, ERR_SKEIN_OTHER_CLUSTER, ERR_SKEIN_DIR_UNUSABLE (another raft id's log)
 */
export async function recover(files: WalFiles, dir: string, owner: Owner): Promise<Recovery | undefined> {
  const seqs = await cleanAndList(files, dir)
  if (seqs.length === 0) return undefined
  refuseGaps(dir, seqs)

  const reads: SegmentRead[] = []
  for (const seq of seqs) reads.push(await readSegment(files, join(dir, segmentName(seq)), seq, owner, reads.at(-1)))
  await dropUnfinishedRotation(files, dir, reads)
  for (const read of reads.slice(0, -1)) refuseUnlessSealed(read)

  const last = reads.at(-1) as SegmentRead
  refuseMissingSuccessor(dir, last)
  const repaired = await repairTail(files, dir, last)
  return { contents: replayAll(dir, reads), segments: reads.map(found), repaired }
}

async function cleanAndList(files: WalFiles, dir: string): Promise<readonly number[]> {
  const names = await files.list(dir)
  for (const name of names) if (name.endsWith('.tmp')) await files.remove(join(dir, name))
  return names
    .map(segmentSeq)
    .filter((seq) => seq !== undefined)
    .sort((a, b) => a - b)
}

function refuseGaps(dir: string, seqs: readonly number[]): void {
  for (let i = 1; i < seqs.length; i++) {
    const expected = (seqs[i - 1] as number) + 1
    if (seqs[i] !== expected) throw corrupt(join(dir, segmentName(expected)), undefined, 'the segment is missing')
  }
}

async function readSegment(
  files: WalFiles,
  path: string,
  seq: number,
  owner: Owner,
  before: SegmentRead | undefined,
): Promise<SegmentRead> {
  const whole = await readWhole(files, path)
  const bytes = Buffer.from(whole.buffer, whole.byteOffset, whole.byteLength)
  const head = decodeSegmentHeader(bytes)
  if (head.state === 'bad') throw corrupt(path, 0, head.why)
  refuseOthers(path, head.header, owner)
  if (head.header.seq !== seq) throw corrupt(path, 0, `the file holds segment ${head.header.seq}`)
  if (before?.sealed && head.header.previousCrc !== before.scan.crc) {
    throw corrupt(path, 0, 'the segment does not continue the one before it')
  }
  const scan = scanRecords(bytes, segmentHeaderBytes, head.crc)
  const { batches, sealed } = decodeRecords(path, scan)
  return { path, header: head.header, fileBytes: bytes.length, scan, batches, sealed }
}

function refuseOthers(path: string, header: SegmentHeader, owner: Owner): void {
  if (header.clusterId !== owner.clusterId) {
    throw new SkeinError(
      'ERR_SKEIN_OTHER_CLUSTER',
      `${path}: this log belongs to cluster ${header.clusterId}, not to ${owner.clusterId}; use another data directory`,
      { ours: owner.clusterId, theirs: header.clusterId },
    )
  }
  if (header.nodeId !== owner.nodeId) {
    throw new SkeinError(
      'ERR_SKEIN_DIR_UNUSABLE',
      `${path}: this log belongs to raft id ${header.nodeId}, not to ${owner.nodeId}; a peer never takes over another's log`,
      { dir: path },
    )
  }
}

function decodeRecords(path: string, scan: Scan): { readonly batches: readonly WalBatch[]; readonly sealed: boolean } {
  const batches: WalBatch[] = []
  let sealed = false
  for (const record of scan.records) {
    if (sealed) throw corrupt(path, record.offset, 'a record follows the seal of the segment')
    try {
      // A copy: entries are views into it, and would keep the whole file in memory.
      const body = decodeRecordBody(new Uint8Array(record.payload))
      if (body.type === 'seal') sealed = true
      else for (const batch of body.batches) batches.push(batch)
    } catch (error) {
      throw corrupt(path, record.offset, `the record does not decode: ${messageOf(error)}`)
    }
  }
  return { batches, sealed }
}

/**
 * A rotation writes the next segment whole and only then seals the old one. When the crash came in between, the
 * next one holds nothing but a copy of the state: it goes, and the old one is the last again.
 */
async function dropUnfinishedRotation(files: WalFiles, dir: string, reads: SegmentRead[]): Promise<void> {
  const [before, last] = [reads.at(-2), reads.at(-1)]
  if (before === undefined || last === undefined || before.sealed) return
  if (last.scan.records.length > 1 || last.scan.tail.state !== 'clean') return
  await files.remove(last.path)
  await files.syncDir(dir)
  reads.pop()
}

function refuseUnlessSealed({ path, scan, sealed }: SegmentRead): void {
  const { tail } = scan
  if (tail.state !== 'clean') throw corrupt(path, tail.offset, `${tail.why}, and later segments exist`)
  if (!sealed) throw corrupt(path, tail.offset, 'the segment ends without its seal, and later segments exist')
}

function refuseMissingSuccessor(dir: string, last: SegmentRead): void {
  if (last.scan.tail.state === 'corrupt') throw corrupt(last.path, last.scan.tail.offset, last.scan.tail.why)
  if (last.sealed) throw corrupt(join(dir, segmentName(last.header.seq + 1)), undefined, 'the segment is missing')
}

async function repairTail(files: WalFiles, dir: string, { path, scan }: SegmentRead): Promise<Repair | undefined> {
  const { tail } = scan
  if (tail.state !== 'torn') return undefined
  const copy = `${path}.${tail.offset}.broken`
  const broken = await files.create(copy)
  await broken.write(await readWhole(files, path), 0)
  await broken.sync()
  await broken.close()
  await files.syncDir(dir)
  const file = await files.open(path)
  await file.truncate(tail.offset)
  await file.sync()
  await file.close()
  return { file: path, offset: tail.offset, why: tail.why, copy }
}

function replayAll(dir: string, reads: readonly SegmentRead[]): WalContents {
  const replay = new Replay()
  for (const { batches } of reads) for (const batch of batches) replay.apply(batch)
  try {
    return replay.contents()
  } catch (error) {
    if (error instanceof ReplayError) throw corrupt(dir, undefined, error.message)
    throw error
  }
}

function found({ path, header, fileBytes, scan, batches }: SegmentRead): SegmentFound {
  const torn = scan.tail.state === 'torn'
  const maxIndex = batches.reduce((max, batch) => Math.max(max, batch.entries?.at(-1)?.index ?? 0), 0)
  return {
    path,
    seq: header.seq,
    sizeBytes: scan.tail.offset,
    allocatedBytes: torn ? scan.tail.offset : Math.max(fileBytes, scan.tail.offset),
    crc: scan.crc,
    maxIndex,
  }
}

/** What helps when a log has lost something. */
export const damageRemedy =
  'remove the data directory and let this peer join again as a new member, under a new raft id: it may have forgotten what it voted for. ' +
  'An older copy of the directory is no remedy: it has forgotten votes and entries that others count on. ' +
  'If the majority is lost with it, `skein raft recover` makes another peer, whose log is whole, go on alone'

/** The one way this folder says that a file is damaged: file, offset and what to do. */
export function corrupt(file: string, offset: number | undefined, why: string): SkeinError<'ERR_SKEIN_CORRUPT'> {
  const where = offset === undefined ? file : `${file} at offset ${offset}`
  return new SkeinError(
    'ERR_SKEIN_CORRUPT',
    `${where}: ${why}. To go on, ${damageRemedy}`,
    offset === undefined ? { file } : { file, offset },
  )
}

const afterLogFailure =
  'The peer stops: after a failed write nobody knows what is on the disk. Check the disk, then start it again'

/** The one way this folder says that a write, sync or read failed. */
export function storageFailure(file: string, error: unknown, consequence = afterLogFailure): SkeinError<'ERR_SKEIN_STORAGE'> {
  const syscall = error instanceof Error && 'syscall' in error && typeof error.syscall === 'string' ? error.syscall : undefined
  return new SkeinError(
    'ERR_SKEIN_STORAGE',
    `${file}: ${messageOf(error)}. ${consequence}`,
    syscall === undefined ? { file } : { file, syscall },
    { cause: error },
  )
}

/** What a file system says of a directory that this process may not use, or cannot. */
const unusableCodes: ReadonlySet<unknown> = new Set(['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EEXIST', 'ENOENT'])

/** Why a directory could not be opened: it is not ours to use, or its disk fails. */
export function openFailure(dir: string, error: unknown): SkeinError {
  const { code, path } = error instanceof Error ? (error as NodeJS.ErrnoException) : {}
  if (unusableCodes.has(code)) {
    const words = `cannot use the directory ${dir}: ${messageOf(error)}; give one this process may create, read and write`
    return new SkeinError('ERR_SKEIN_DIR_UNUSABLE', words, { dir }, { cause: error })
  }
  return storageFailure(path ?? dir, error, 'Check the disk, then start this peer again')
}
