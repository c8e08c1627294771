import type { Clock } from './clock.js'

/** A moment by both clocks of a machine: while it is suspended the monotonic one may stand still, and the wall's may be set back. */
export interface Moment {
  readonly nowMs: number
  readonly wallMs: number
}

export function momentOf(clock: Pick<Clock, 'now' | 'wallMs'>): Moment {
  return { nowMs: clock.now(), wallMs: clock.wallMs() }
}

/** Milliseconds since then, by whichever clock says more: never too few for a sleep, too many when somebody set the wall's ahead. */
export function sinceMs(then: Moment, now: Moment): number {
  return Math.max(now.nowMs - then.nowMs, now.wallMs - then.wallMs)
}

export function earlierBy(ms: number, { nowMs, wallMs }: Moment): Moment {
  return { nowMs: nowMs - ms, wallMs: wallMs - ms }
}
