/** Recovery of a stopped manager whose fellow managers are lost for ever: raft's members and the managers' records, together. */
import { SkeinError } from '../base/errors.js'
import { makeId } from '../base/ids.js'
import { planRecovery, type RecoveryPlan, recoverRaft } from '../raft/recovery.js'
import { listLog } from '../raft/wal/index.js'
import type { LevelStorage } from '../storage/index.js'
import { encodeCommand, Store } from '../store/index.js'
import { type DumpLine, lineOf, whileStopped } from './raft-dir.js'
import { shared } from './shared-storage.js'
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

/**
 * What a recovery of the manager under `path` would do; changes nothing.
 * @throws {SkeinError} as `recoverRaftDir`
 */
export function planRaftDirRecovery(path: string): Promise<RaftDirRecovery> {
  return recovery(path, 'planned')
}

/**
 * Makes the stopped manager under `path` the only one of its cluster; services, keys and workers stay. The other managers are
 * removed for ever: one that is started again is refused with ERR_SKEIN_REMOVED.
 * @throws {SkeinError} ERR_SKEIN_INVALID_OPTION (no log there), ERR_SKEIN_DIR_IN_USE (the peer runs), ERR_SKEIN_CORRUPT (file, offset,
 *   remedy), ERR_SKEIN_PRECONDITION (nothing to recover), ERR_SKEIN_OTHER_CLUSTER (the log is not of this peer), ERR_SKEIN_STORAGE
 */
export function recoverRaftDir(path: string): Promise<RaftDirRecovery> {
  return recovery(path, 'done')
}

function recovery(path: string, state: RaftDirRecovery['state']): Promise<RaftDirRecovery> {
  return whileStopped(path, async ({ raftDir: dir, db, releaseLog }) => {
    const identity = await readIdentity(stateDirAt(path))
    const options = { commands: identity === undefined ? [] : [keepOnly(identity)] }
    const { entries: _, ...plan } = await planRecovery(dir, options)
    if (identity !== undefined) refuseForeign(dir, identity, plan)
    const tail = await listLog(dir)
    const becomesCommitted = tail.flatMap((item) =>
      item.type === 'entry' && !item.replaced && item.entry.index > plan.commitIndex ? [lineOf(item)] : [],
    )
    const managers = identity === undefined || db === undefined ? [] : await othersIn(db, identity.node)
    if (state === 'done') {
      await releaseLog()
      await recoverRaft(dir, options)
    }
    return { ...plan, node: identity?.node, managers, becomesCommitted, state }
  })
}

/** Without it the next leader would take the lost managers back into raft, because their records are there. */
function keepOnly({ node }: StoredIdentity): Uint8Array {
  const requestId = `recover-${makeId(systemRandom)}`
  return encodeCommand({ requestId, atMs: systemClock.wallMs(), by: node, ops: [{ op: 'cluster.recover', keep: node }] })
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

async function othersIn(db: LevelStorage, self: string): Promise<readonly LostManager[]> {
  const store = await Store.open({ storage: shared(db), clock: systemClock, random: systemRandom })
  const managers = [...store.view().nodes()].flatMap(({ id: node, name, role, address, raftId }) =>
    role === 'manager' && node !== self ? [{ node, name, address, raftId }] : [],
  )
  await store.close()
  return managers
}
