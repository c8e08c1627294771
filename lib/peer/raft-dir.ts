/** A peer's raft log looked at from outside, while the peer does not run. Changes nothing under `raft/`. */
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { isSkeinError, SkeinError } from '../base/errors.js'
import type { Op } from '../model/command.js'
import { type Damage, inspectLog, type LogItem, type LogReport, listLog, lockDir, lockName } from '../raft/wal/index.js'
import { isSealed, LogSealing, type RecordSealing } from '../security/index.js'
import { LevelStorage } from '../storage/index.js'
import { decodeCommand } from '../store/index.js'
import { dirSealing } from './dir-sealing.js'
import { readIdentity, stateDirAt } from './state-dir.js'

export interface RaftDirReport extends LogReport {
  /** Where the log lies. */
  readonly dir: string
}

export interface DumpOptions {
  /** Only entries from this index on. */
  readonly from?: number
  /** Only entries up to this index. */
  readonly to?: number
  /** Opens the directory's keys where one seals them. */
  readonly passphrase?: string | undefined
}

/** One line of a dump. `ops` only of a command of the store: what it does to what, never the values. */
export interface DumpLine {
  readonly file: string
  readonly offset: number
  /** `sealed`: a command that does not open with the keys in this directory. */
  readonly type: 'command' | 'sealed' | 'data' | 'empty' | 'conf' | 'snapshot' | 'hardState' | 'seal'
  readonly index?: number
  readonly term?: number
  readonly sizeBytes?: number
  /** A later record took its place. */
  readonly replaced?: boolean
  readonly ops?: readonly string[]
  /** Of one that is sealed: what it takes to open it. */
  readonly remedy?: string
  readonly change?: string
  readonly vote?: number
  readonly commit?: number
  readonly voters?: readonly number[]
  readonly learners?: readonly number[]
}

/**
 * Checks every file of the log under a peer's directory (or one that skein/raft was given).
 * @throws {SkeinError} ERR_SKEIN_INVALID_OPTION (no log there), ERR_SKEIN_DIR_IN_USE (the peer runs), ERR_SKEIN_CORRUPT (the identity)
 */
export function verifyRaftDir(path: string): Promise<RaftDirReport> {
  return whileStopped(path, async ({ raftDir: dir }) => {
    const report = await inspectLog(dir)
    return { dir, ...report, damage: [...report.damage, ...(await foreign(path, report))] }
  })
}

/**
 * What the log says, in the order it was written.
 * @throws {SkeinError} as `verifyRaftDir`; ERR_SKEIN_LOCKED (the passphrase does not open the keys), ERR_SKEIN_DIR_UNUSABLE
 */
export function dumpRaftDir(path: string, options: DumpOptions = {}): Promise<readonly DumpLine[]> {
  return whileStopped(path, async ({ raftDir: dir }) => {
    const { from, to, passphrase } = options
    const isAll = from === undefined && to === undefined
    const items = await listLog(dir)
    const isWanted = (item: LogItem): boolean =>
      isAll || (item.type === 'entry' && item.entry.index >= (from ?? 0) && item.entry.index <= (to ?? Number.POSITIVE_INFINITY))
    const opener = await openerOf(path, passphrase)
    return items.filter(isWanted).map((item) => lineOf(item, opener))
  })
}

/** A directory on which no peer can start meanwhile. */
export interface StoppedDir {
  readonly raftDir: string
  /** The tables, if there are readable ones. */
  readonly db: LevelStorage | undefined
  /** For who locks the log by itself: lets go of the log's lock, not of the database's. */
  releaseLog(): Promise<void>
}

/**
 * Holds the locks of database and log while `work` looks: that of the database is the directory's for a peer, that of the log for whoever
 * uses skein/raft alone. @throws {SkeinError} ERR_SKEIN_INVALID_OPTION (no log there), ERR_SKEIN_DIR_IN_USE, and what `work` throws
 */
export async function whileStopped<T>(path: string, work: (stopped: StoppedDir) => Promise<T>): Promise<T> {
  const raftDir = await raftDirOf(path)
  const db = await unlessInUse(path, join(path, 'db'), LevelStorage.open)
  try {
    let unlock = await unlessInUse(path, join(raftDir, lockName), () => lockDir(raftDir))
    const releaseLog = async (): Promise<void> => {
      await unlock?.()
      unlock = undefined
    }
    try {
      return await work({ raftDir, db, releaseLog })
    } finally {
      await releaseLog()
    }
  } finally {
    await db?.close()
  }
}

/** What `open` makes of a database, if there is one. Only looking must not create it. */
async function unlessInUse<T>(path: string, database: string, open: (database: string) => Promise<T>): Promise<T | undefined> {
  if (!(await exists(database))) return undefined
  try {
    return await open(database)
  } catch (error) {
    if (isSkeinError(error, 'ERR_SKEIN_DIR_IN_USE')) {
      throw new SkeinError('ERR_SKEIN_DIR_IN_USE', `a peer runs on ${path}; stop it first, or look at a copy of the directory`, {
        dir: path,
      })
    }
    // A damaged or unwritable database keeps every peer out as well, and says nothing about the log.
    return undefined
  }
}

async function raftDirOf(path: string): Promise<string> {
  for (const dir of [join(path, 'raft'), path]) if (await exists(join(dir, 'log'))) return dir
  throw new SkeinError(
    'ERR_SKEIN_INVALID_OPTION',
    `${path}: no raft log is there; give the data directory of a manager (workers have none)`,
    { option: 'dir', got: path },
  )
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => (error.code === 'ENOENT' || error.code === 'ENOTDIR' ? false : Promise.reject(error)),
  )
}

/** A log under another peer's identity is refused at the start as well. */
async function foreign(path: string, { segments }: LogReport): Promise<readonly Damage[]> {
  const identity = await readIdentity(stateDirAt(path))
  if (identity === undefined) return []
  return segments.flatMap(({ file, header }) => {
    if (header === undefined || (header.clusterId === identity.cluster && header.nodeId === identity.raftId)) return []
    const [theirs, ours] = [`${header.clusterId}/${header.nodeId}`, `${identity.cluster}/${identity.raftId ?? 'none'}`]
    return [
      {
        file,
        offset: 0,
        why: `the segment belongs to ${theirs} (cluster/raft id), the directory to ${ours}`,
        lost: 'the log of this peer',
        remedy: 'put the files back where they came from; a peer never takes over the log of another one',
      },
    ]
  })
}

/** Opens commands of a log, or says why they stay shut. */
export interface LogOpener {
  readonly sealing: LogSealing | undefined
  readonly remedy: string
}

const otherKey = 'put back the keys.json that was written with this log: that in the directory does not open it'
const noKey = 'put identity.json and keys.json of this manager beside raft/: they hold the data key'
const locked = 'set SKEIN_PASSPHRASE to the passphrase of keys.json'

export function logOpener(sealing: RecordSealing | undefined): LogOpener {
  return sealing === undefined ? { sealing: undefined, remedy: noKey } : { sealing: new LogSealing(sealing), remedy: otherKey }
}

/** Who gives no passphrase looks at what lies open. @throws {SkeinError} as `dirSealing` */
async function openerOf(path: string, passphrase: string | undefined): Promise<LogOpener> {
  try {
    return logOpener(await dirSealing(path, passphrase))
  } catch (error) {
    if (passphrase !== undefined || !isSkeinError(error, 'ERR_SKEIN_LOCKED')) throw error
    return { sealing: undefined, remedy: locked }
  }
}

export function lineOf(item: LogItem, opener: LogOpener): DumpLine {
  const { file, offset } = item
  switch (item.type) {
    case 'seal':
      return { file, offset, type: 'seal' }
    case 'hardState':
      return { file, offset, type: 'hardState', ...item.hardState }
    case 'snapshot': {
      const { index, term, confState } = item.mark
      return { file, offset, type: 'snapshot', index, term, voters: confState.voters, learners: confState.learners }
    }
    case 'entry':
      return { file, offset, ...entryLine(item, opener) }
  }
}

function entryLine(
  { entry, replaced }: Extract<LogItem, { type: 'entry' }>,
  { sealing, remedy }: LogOpener,
): Omit<DumpLine, 'file' | 'offset'> {
  const { index, term, data } = entry
  const facts = { index, term, sizeBytes: data.length, ...(replaced && { replaced }) }
  if (entry.type !== 'EntryNormal') return { type: 'conf', ...facts, change: Buffer.from(data).toString('latin1') }
  if (data.length === 0) return { type: 'empty', ...facts }
  try {
    if (isSealed(data) && sealing === undefined) return { type: 'sealed', ...facts, remedy }
    const command = sealing === undefined ? data : sealing.open(data, index)
    return { type: 'command', ...facts, ops: decodeCommand(command).ops.map(wordsOf) }
  } catch (error) {
    if (!(error instanceof SkeinError)) throw error
    if (error.code === 'ERR_SKEIN_CORRUPT') return { type: 'sealed', ...facts, remedy }
    return { type: 'data', ...facts } // of somebody else's state machine
  }
}

/** `kv.put colour`: what is done to what. Values may be secrets and stay out. */
function wordsOf(op: Op): string {
  if ('key' in op) return `${op.op} ${op.key}`
  if ('id' in op) return `${op.op} ${op.id}`
  return 'service' in op ? `${op.op} ${op.service}` : op.op
}
