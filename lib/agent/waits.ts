import { abortable } from '../base/abort.js'
import type { Clock } from '../base/clock.js'
import { deferred } from '../base/deferred.js'
import { SkeinError } from '../base/errors.js'
import { afterFairly } from '../overlay/transport/lateness.js'

/** @throws {SkeinError} ERR_SKEIN_ABORTED */
export async function pause(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  const over = deferred()
  const cancel = clock.after(delayMs, () => over.resolve())
  try {
    await abortable(over.promise, signal, 'pause')
  } finally {
    cancel()
  }
}

/**
 * Waits for an answer; a stall of our own process is not held against the other end.
 * @throws {SkeinError} ERR_SKEIN_TIMEOUT, ERR_SKEIN_ABORTED, or what `work` rejects with
 */
export async function within<T>(
  clock: Clock,
  timeoutMs: number,
  work: Promise<T>,
  signal: AbortSignal,
  what: string,
): Promise<T> {
  const late = deferred<never>()
  const cancel = afterFairly(clock, timeoutMs, () =>
    late.reject(new SkeinError('ERR_SKEIN_TIMEOUT', `${what}: no answer within ${timeoutMs} ms`, { what, timeoutMs })),
  )
  try {
    return await abortable(Promise.race([work, late.promise]), signal, what)
  } finally {
    cancel()
  }
}
