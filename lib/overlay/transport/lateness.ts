import type { Clock } from '../../base/clock.js'

/** A timer this late means our own event loop stood still. */
const lateMs = 50
/** What a late verdict waits before it stands: long enough for one round of reading sockets. */
const graceMs = 50

/**
 * Runs `act` after `delayMs`, but not while what would prevent it may lie unread in a socket: after a stall Node runs
 * expired timers before it reads, so a late timer first gives the loop a turn. Returns the cancel function.
 * @see decision 14: with a 300 ms stall 20 of 20 verdicts were wrong without this, none with it
 */
export function afterFairly(clock: Clock, delayMs: number, act: () => void): () => void {
  const dueMs = clock.now() + delayMs
  let cancel = clock.after(delayMs, () => {
    if (clock.now() - dueMs <= lateMs) act()
    else cancel = clock.after(graceMs, act)
  })
  return () => cancel()
}

export interface SilenceView {
  readonly nowMs: number
  /** When this check should have run. */
  readonly dueMs: number
  /** When the other end was last heard. */
  readonly heardMs: number
  readonly silentAfterMs: number
}

/** What a periodic check may conclude: `late` means that we stood still ourselves and must listen afresh before judging. */
export function judgeSilence({ nowMs, dueMs, heardMs, silentAfterMs }: SilenceView): 'heard' | 'late' | 'silent' {
  if (nowMs - heardMs < silentAfterMs) return 'heard'
  return nowMs - dueMs > lateMs ? 'late' : 'silent'
}
