/** How often a worker says that it lives, and how long silence is forgiven. Pure. */
import type { Random } from '../base/random.js'
import type { ClusterSettings } from '../model/cluster.js'
import type { Evidence } from '../overlay/transport/transport.js'

export type HeartbeatSettings = Pick<ClusterSettings, 'heartbeatMs' | 'graceFactor'>

/** A process that most likely died has this long to prove otherwise, or one heartbeat if that is less. */
const provenDeadMs = 1_000

/** Milliseconds until the next beat: uniform in [0.75, 1) × heartbeatMs, so that workers do not beat in step, and never later than a period. */
export function beatPeriodMs({ heartbeatMs }: HeartbeatSettings, random: Random): number {
  return Math.round(heartbeatMs * (0.75 + random() / 4))
}

/** Silence after which a worker is down: heartbeatMs × graceFactor. */
export function graceMs({ heartbeatMs, graceFactor }: HeartbeatSettings): number {
  return heartbeatMs * graceFactor
}

/** What is left of the grace once a link ended like this; undefined: it says nothing about the worker. */
export function linkGraceMs(evidence: Evidence, { heartbeatMs }: HeartbeatSettings): number | undefined {
  if (evidence === 'refused' || evidence === 'reset') return Math.min(provenDeadMs, heartbeatMs)
  return evidence === 'closed' ? heartbeatMs : undefined
}
