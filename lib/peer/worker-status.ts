import type { Status } from '../api/types.js'
import type { StoredIdentity } from './state-dir.js'

/** A worker's own view of the cluster: it knows managers, and nothing of raft. */
export function workerStatus({ cluster, node, name }: StoredIdentity, managers: number, linked: number): Status {
  return {
    cluster,
    node,
    name,
    role: 'worker',
    leading: false,
    term: 0,
    leader: undefined,
    leaderName: undefined,
    commitIndex: 0,
    appliedIndex: 0,
    quorum: { voters: managers, reachable: linked, mayLose: 0 },
    stale: true,
  }
}
