import type { RaftRunnerMetrics, Summary } from '../raft/index.js'

/** Metrics that say how something is now; every other number counts. */
const gauges: ReadonlySet<keyof RaftRunnerMetrics> = new Set([
  'isLeader',
  'hasLeader',
  'term',
  'commitIndex',
  'appliedIndex',
  'lastIndex',
  'voters',
  'learners',
  'leaderContactSeconds',
  'pendingProposals',
  'pendingReads',
  'entriesPerFsync',
  'walSegments',
])

/** Raft's metrics under the names that a peer gives all of its own: `skein_raft_`, lower case, counts with `_total`. */
export function raftMetricsOf(metrics: RaftRunnerMetrics): Readonly<Record<string, number | Summary>> {
  return Object.fromEntries(Object.entries(metrics).map(([name, value]) => [publicName(name, typeof value), value]))
}

function publicName(name: string, type: string): string {
  const words = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
  const counts = type === 'number' && !(gauges as ReadonlySet<string>).has(name)
  return `skein_raft_${words}${counts ? '_total' : ''}`
}
