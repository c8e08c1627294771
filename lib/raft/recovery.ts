/** The majority of a group is lost for ever: the log of one member that is left is rewritten so that it goes on alone. Offline. */
import { join } from 'node:path'
import { SkeinError } from '../base/errors.js'
import {
  type ConfChange,
  type ConfState,
  decodeConfChange,
  type Entry,
  encodeConfChange,
  isConfChange,
  RaftError,
  type RaftId,
} from './core/index.js'
import { changeConf, EMPTY_CONF } from './core/membership.js'
import { inspectLog, type LogItem, type LogReport, listLog, RaftDisk } from './wal/index.js'

export interface RecoveryOptions {
  /** What is appended behind the change of members, as this peer's state machine reads it. Default: nothing. */
  readonly commands?: readonly Uint8Array[]
}

/** What a recovery does to a log, and what it costs. */
export interface RecoveryPlan {
  readonly dir: string
  readonly clusterId: string
  /** The member that goes on. */
  readonly id: RaftId
  /** Who were members by the last entry of this log. */
  readonly members: ConfState
  /** Members that are taken out. None of them may ever take part again: with a majority of their own they would be another group. */
  readonly removed: readonly RaftId[]
  /** The last entry this log knows to be committed. */
  readonly commitIndex: number
  /** The last entry of this log. What lies between becomes committed, whether or not a majority ever had it. */
  readonly lastIndex: number
  /** The term that begins with the recovery. */
  readonly term: number
  /** What is appended, in that term. */
  readonly entries: readonly Entry[]
}

/**
 * Says what `recoverRaft` would do to the log under `dir`; changes nothing.
 * @throws {SkeinError} as `recoverRaft`
 */
export async function planRecovery(dir: string, { commands = [] }: RecoveryOptions = {}): Promise<RecoveryPlan> {
  const report = await inspectLog(dir)
  refuseDamaged(report)
  const { header } = report.segments[0] ?? {}
  if (header === undefined || report.hardState === undefined) throw nothingToRecover(dir, 'there is no raft log')
  const { nodeId: id, clusterId } = header
  const members = lastConf(await listLog(dir), report.snapshot?.index ?? 0)
  const changes = changesToStayAlone(id, members)
  if (changes === undefined) throw nothingToRecover(dir, `raft id ${id} is no member of its group any more: it was removed`)
  if (changes.length === 0) throw nothingToRecover(dir, `raft id ${id} is the only member already`)
  const { hardState, lastIndex } = report
  const term = hardState.term + 1
  const normal = commands.map((data) => ({ type: 'EntryNormal' as const, data }))
  const entries = [...changes.map(encodeConfChange), ...normal].map((each, i) => ({ ...each, term, index: lastIndex + 1 + i }))
  const removed = [...new Set([...members.voters, ...members.votersOutgoing, ...members.learners, ...members.learnersNext])]
  return {
    dir,
    clusterId,
    id,
    members,
    removed: removed.filter((member) => member !== id).sort((a, b) => a - b),
    commitIndex: hardState.commit,
    lastIndex,
    term,
    entries,
  }
}

/**
 * Makes the peer whose log lies under `dir` the only member of its group, in one durable write. Only for a majority that is lost
 * for ever: the others must never be started again, and what they alone had acknowledged is gone. Choose the log that
 * reaches furthest; nothing of it is dropped. A second call refuses, as there is nothing left to do.
 * @throws {SkeinError} ERR_SKEIN_PRECONDITION (nothing to recover), ERR_SKEIN_CORRUPT (file, offset, remedy), ERR_SKEIN_DIR_IN_USE, ERR_SKEIN_STORAGE
 * @see Ongaro 2014 §4.2.2 note on reconfiguring without a majority: unsafe, and sometimes all there is
 */
export async function recoverRaft(dir: string, options: RecoveryOptions = {}): Promise<RecoveryPlan> {
  const plan = await planRecovery(dir, options)
  const { id, clusterId, term, entries, lastIndex } = plan
  const { disk } = await RaftDisk.open({ dir, clusterId, nodeId: id })
  try {
    // One record: whole or not at all. Its vote stands for the election that nobody else can take part in.
    await disk.append([{ entries, hardState: { term, vote: id, commit: lastIndex + entries.length } }])
  } finally {
    await disk.close()
  }
  return plan
}

/** The configuration once every entry of the log is applied. */
function lastConf(items: readonly LogItem[], snapshotIndex: number): ConfState {
  let conf = EMPTY_CONF
  // A log that began with a snapshot says in it who was a member then.
  for (const item of items) if (item.type === 'snapshot' && item.mark.index === snapshotIndex) conf = item.mark.confState
  const entries = items.flatMap((item) => (item.type === 'entry' && !item.replaced ? [item.entry] : []))
  const byIndex = new Map(entries.filter(({ index }) => index > snapshotIndex).map((entry) => [entry.index, entry]))
  for (const entry of [...byIndex.values()].sort((a, b) => a.index - b.index)) {
    if (isConfChange(entry)) conf = confAfter(conf, entry)
  }
  return conf
}

/** As every peer applies it: an illegal change changes nothing. */
function confAfter(conf: ConfState, entry: Entry): ConfState {
  try {
    return changeConf(conf, decodeConfChange(entry))
  } catch (error) {
    if (!(error instanceof RaftError) && !(error instanceof SkeinError)) throw error
    return conf
  }
}

/** One voter at a time, each change legal after the one before; undefined for who is no member. */
export function changesToStayAlone(id: RaftId, members: ConfState): readonly ConfChange[] | undefined {
  const { voters, votersOutgoing, learners, learnersNext } = members
  if (![...voters, ...votersOutgoing, ...learners].includes(id)) return undefined
  const changes: ConfChange[] = []
  const single = (type: 'v' | 'r', nodeId: RaftId): void => void changes.push({ v1: true, changes: [{ type, nodeId }] })
  if (votersOutgoing.length > 0) changes.push({ changes: [] }) // leaves the joint configuration
  if (!voters.includes(id)) single('v', id)
  for (const other of [...voters, ...learners, ...learnersNext]) if (other !== id) single('r', other)
  return changes
}

function refuseDamaged({ damage }: LogReport): void {
  const [first] = damage
  if (first === undefined) return
  const { file, offset, why, lost } = first
  throw new SkeinError(
    'ERR_SKEIN_CORRUPT',
    `${file}${offset === undefined ? '' : ` at offset ${offset}`}: ${why}; lost: ${lost}. Recover on another member's ` +
      'directory: what is lost here cannot be told from what never was. If no whole one is left, recover on a copy of a directory ' +
      'from before the damage: what was written after the copy is lost then',
    offset === undefined ? { file } : { file, offset },
  )
}

function nothingToRecover(dir: string, why: string): SkeinError<'ERR_SKEIN_PRECONDITION'> {
  return new SkeinError('ERR_SKEIN_PRECONDITION', `${join(dir, 'log')}: nothing to recover: ${why}`, { what: 'recover' })
}
