/** How often a worker says that it lives, and how long silence is forgiven. Pure. */
import type { Random } from '../base/random.js'
import type { ClusterSettings } from '../model/cluster.js'
import type { Evidence } from '../overlay/transport/transport.js'

export type HeartbeatSettings = Pick<ClusterSettings, 'heartbeatMs' | 'graceFactor' | 'pauseToleranceMs'>

/** A process that most likely died has this long to prove otherwise, or one heartbeat if that is less. */
const processDeathMs = 1_000

/** Milliseconds until the next beat: uniform in [0.75, 1) × heartbeatMs, so that workers do not beat in step, and never later than a period. */
export function beatPeriodMs({ heartbeatMs }: Pick<HeartbeatSettings, 'heartbeatMs'>, random: Random): number {
  return Math.round(heartbeatMs * (0.75 + random() / 4))
}

/** Silence that is nothing to speak of: heartbeatMs × graceFactor. Past it the worker is degraded. */
export function graceMs({ heartbeatMs, graceFactor }: HeartbeatSettings): number {
  return heartbeatMs * graceFactor
}

/** How long a node may stay away after its link ended like this before its process counts as dead, if a dial confirms it; undefined: it proves nothing. */
export function provenDeadMs(evidence: Evidence, { heartbeatMs }: Pick<HeartbeatSettings, 'heartbeatMs'>): number | undefined {
  if (evidence === 'refused' || evidence === 'reset') return Math.min(processDeathMs, heartbeatMs)
  return evidence === 'closed' ? heartbeatMs : undefined
}
