import type { Clock } from '../../base/clock.js'
import { deferred } from '../../base/deferred.js'
import { SkeinError } from '../../base/errors.js'
import type { RaftId } from '../core/index.js'
import type { RaftEvent } from './role-news.js'

export interface TakeoverWatch {
  readonly to: RaftId
  readonly timeoutMs: number
  readonly clock: Clock
  observe(listener: (event: RaftEvent) => void): () => void
  /** Rejects when there is nothing more to wait for. */
  readonly over: Promise<never>
}

/** Resolves once `to` is known to lead. @throws {SkeinError} ERR_SKEIN_TIMEOUT */
export async function takeover({ to, timeoutMs, clock, observe, over }: TakeoverWatch): Promise<void> {
  const { promise, resolve, reject } = deferred()
  const forget = observe((event) => {
    if (event.type === 'role' && event.leader === to) resolve()
  })
  const cancel = clock.after(timeoutMs, () =>
    reject(new SkeinError('ERR_SKEIN_TIMEOUT', `raft id ${to} did not take over`, { what: 'transferLeadership', timeoutMs })),
  )
  try {
    await Promise.race([promise, over])
  } finally {
    cancel()
    forget()
  }
}
