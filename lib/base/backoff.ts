import type { Random } from './random.js'

/** Bounds of a retry delay, in milliseconds. */
export interface BackoffOptions {
  readonly firstMs: number
  readonly maxMs: number
}

/** Delay before retry number `attempt` (from 0): uniform in [b/2, b) with b = min(firstMs·2^attempt, maxMs). */
export function backoffMs(attempt: number, { firstMs, maxMs }: BackoffOptions, random: Random): number {
  const bound = Math.min(firstMs * 2 ** Math.min(attempt, 30), maxMs)
  return bound / 2 + (random() * bound) / 2
}
