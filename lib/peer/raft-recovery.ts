/** Recovery of a stopped manager whose fellow managers are lost for ever: raft's members and the managers' records, together. */
import { SkeinError } from '../base/errors.js'
import { makeId } from '../base/ids.js'
import { planRecovery, type RecoveryPlan, recoverRaft } from '../raft/recovery.js'
import { listLog } from '../raft/wal/index.js'
import { LogSealing, type RecordSealing, TableSealing } from '../security/index.js'
import type { LevelStorage } from '../storage/index.js'
import { encodeCommand, readTables, tableLayout } from '../store/index.js'
import { dirSealing } from './dir-sealing.js'
import { type DumpLine, lineOf, logOpener, whileStopped } from './raft-dir.js'
import { readIdentity, type StoredIdentity, stateDirAt } from './state-dir.js'
import { systemClock, systemRandom } from './system-world.js'

export interface LostManager {
  readonly node: string
  readonly name: string
  readonly address: string
  readonly raftId: number | undefined
}

export interface RaftDirRecovery extends Omit<RecoveryPlan, 'entries'> {
  /** The node that goes on; undefined for a directory of skein/raft used alone. */
  readonly node: string | undefined
  /** Managers whose records go, as far as this directory's tables know: what the log holds beyond them is applied at the next start. */
  readonly managers: readonly LostManager[]
  /** Entries that were not known to be committed, and become so. */
  readonly becomesCommitted: readonly DumpLine[]
  readonly state: 'planned' | 'done'
}

export interface RecoverOptions {
  /** Opens the directory's keys where one seals them. */
  readonly passphrase?: string | undefined
}

/**
 * What a recovery of the manager under `path` would do; changes nothing.
 * @throws {SkeinError} as `recoverRaftDir`
 */
export function planRaftDirRecovery(path: string, options: RecoverOptions = {}): Promise<RaftDirRecovery> {
  return recovery(path, options, 'planned')
}

/**
 * Makes the stopped manager under `path` the only one of its cluster; services, keys and workers stay. The other managers are
 * removed for ever: one that is started again is refused with ERR_SKEIN_REMOVED.
 * @throws {SkeinError} ERR_SKEIN_INVALID_OPTION (no log there), ERR_SKEIN_DIR_IN_USE (the peer runs), ERR_SKEIN_CORRUPT (file, offset,
 *   remedy), ERR_SKEIN_PRECONDITION (nothing to recover), ERR_SKEIN_OTHER_CLUSTER (the log is not of this peer), ERR_SKEIN_STORAGE,
 *   ERR_SKEIN_LOCKED (its keys are sealed: the passphrase is missing or wrong)
 */
export function recoverRaftDir(path: string, options: RecoverOptions = {}): Promise<RaftDirRecovery> {
  return recovery(path, options, 'done')
}

function recovery(path: string, { passphrase }: RecoverOptions, state: RaftDirRecovery['state']): Promise<RaftDirRecovery> {
  return whileStopped(path, async ({ raftDir: dir, db, releaseLog }) => {
    const identity = await readIdentity(stateDirAt(path))
    // Without its keys a manager cannot start again either: better asked for now.
    const sealing = await dirSealing(path, passphrase)
    const options = { commands: identity === undefined ? [] : [keepOnly(identity, sealing)] }
    const { entries: _, ...plan } = await planRecovery(dir, options)
    if (identity !== undefined) refuseForeign(dir, identity, plan)
    const [tail, opener] = [await listLog(dir), logOpener(sealing)]
    const becomesCommitted = tail.flatMap((item) =>
      item.type === 'entry' && !item.replaced && item.entry.index > plan.commitIndex ? [lineOf(item, opener)] : [],
    )
    const managers = identity === undefined || db === undefined ? [] : await othersIn(db, identity.node, sealing)
    if (state === 'done') {
      await releaseLog()
      await recoverRaft(dir, options)
    }
    return { ...plan, node: identity?.node, managers, becomesCommitted, state }
  })
}

/** Without it the next leader would take the lost managers back into raft, because their records are there. */
function keepOnly({ node }: StoredIdentity, sealing: RecordSealing | undefined): Uint8Array {
  const requestId = `recover-${makeId(systemRandom)}`
  const ops = [{ op: 'cluster.recover', keep: node }] as const
  const command = encodeCommand({ requestId, atMs: systemClock.wallMs(), by: node, ops })
  return sealing === undefined ? command : new LogSealing(sealing).seal(command)
}

function refuseForeign(dir: string, { cluster, raftId }: StoredIdentity, plan: Pick<RecoveryPlan, 'clusterId' | 'id'>): void {
  if (plan.clusterId === cluster && plan.id === raftId) return
  const [theirs, ours] = [`${plan.clusterId}/${plan.id}`, `${cluster}/${raftId ?? 'none'}`]
  throw new SkeinError(
    'ERR_SKEIN_OTHER_CLUSTER',
    `${dir}: the log belongs to ${theirs} (cluster/raft id), the directory to ${ours}; put the files back where they came from`,
    { ours, theirs },
  )
}

async function othersIn(db: LevelStorage, self: string, sealing: RecordSealing | undefined): Promise<readonly LostManager[]> {
  const sealed = sealing && (await readTables(db, tableLayout(new TableSealing(sealing))))
  const tables = sealed ?? (await readTables(db, tableLayout(undefined))) // written before tables were sealed
  return [...(tables?.nodes() ?? [])].flatMap(({ id: node, name, role, address, raftId }) =>
    role === 'manager' && node !== self ? [{ node, name, address, raftId }] : [],
  )
}
