import type { Assignments, ManagerAddress, SessionApi, SessionHello, SessionOpened } from '../api/session.js'
import { abortable } from '../base/abort.js'
import type { Clock } from '../base/clock.js'
import { SkeinError } from '../base/errors.js'
import type { Logger } from '../base/logger.js'
import { momentOf } from '../base/moment.js'
import type { Reporter } from './reporter.js'
import { pause, within } from './waits.js'
import type { Worker } from './worker.js'

export interface SessionParts {
  readonly node: string
  readonly api: SessionApi
  readonly worker: Worker
  readonly reporter: Reporter
  readonly clock: Clock
  readonly logger: Logger
  readonly onManagers: (managers: readonly ManagerAddress[]) => void
}

const openTimeoutMs = 5_000
const reportTimeoutMs = 10_000
const beatTimeoutLeastMs = 1_000
/** A manager's word is obeyed, but not into a tight loop. */
const heartbeatLeastMs = 10

/** Registers the node. @throws as SessionApi.open, ERR_SKEIN_TIMEOUT, ERR_SKEIN_ABORTED */
export async function openSession(parts: SessionParts, hello: SessionHello, signal: AbortSignal): Promise<SessionOpened> {
  const { api, clock, node, worker } = parts
  const sent = momentOf(clock)
  const opened = await within(clock, openTimeoutMs, api.open(node, hello), signal, 'session open')
  // A majority recorded it after it was sent: nobody else led before.
  worker.heard(sent, 0)
  return opened
}

/**
 * Lives through one open session: beats, makes assignments true, reports. Ends only by rejecting, with the first thing
 * that went wrong in any of the three; then all three have ended.
 */
export async function liveSession(parts: SessionParts, opened: SessionOpened, signal: AbortSignal): Promise<never> {
  const over = new AbortController()
  const end = (): void => over.abort(signal.reason)
  signal.addEventListener('abort', end, { once: true })
  if (signal.aborted) end()
  const duties = [beat(parts, opened, over.signal), follow(parts, opened, over.signal), report(parts, opened, over.signal)]
  try {
    return await Promise.race(duties)
  } finally {
    signal.removeEventListener('abort', end)
    over.abort()
    await Promise.allSettled(duties)
  }
}

async function beat(
  { api, clock, node, worker }: SessionParts,
  { session, heartbeatMs }: SessionOpened,
  signal: AbortSignal,
): Promise<never> {
  let periodMs = heartbeatMs
  for (;;) {
    await pause(clock, Math.max(heartbeatLeastMs, periodMs), signal)
    const timeoutMs = Math.max(beatTimeoutLeastMs, 2 * periodMs)
    const sent = momentOf(clock)
    const answer = await within(clock, timeoutMs, api.beat(node, session), signal, 'heartbeat')
    if (answer.ledAgoMs !== undefined) worker.heard(sent, answer.ledAgoMs)
    periodMs = answer.heartbeatMs
  }
}

async function report(
  { api, clock, node, reporter, worker }: SessionParts,
  { session }: SessionOpened,
  signal: AbortSignal,
): Promise<never> {
  return reporter.run(
    (reports) => within(clock, reportTimeoutMs, api.report(node, session, reports), signal, 'report'),
    (ids) => worker.forget(ids),
    signal,
  )
}

/** A gap in the sequence opens the stream again, which begins with everything. */
async function follow(parts: SessionParts, { session }: SessionOpened, signal: AbortSignal): Promise<never> {
  const { api, logger, node } = parts
  for (;;) {
    const stream = new AbortController()
    const end = (): void => stream.abort()
    signal.addEventListener('abort', end, { once: true })
    if (signal.aborted) end()
    try {
      await followStream(parts, api.assignments(node, session, stream.signal), signal)
    } finally {
      signal.removeEventListener('abort', end)
      stream.abort()
    }
    logger.info({ node }, 'gap in the assignments: asking for all of them again')
  }
}

/** Returns at a gap. */
async function followStream(parts: SessionParts, stream: AsyncIterable<Assignments>, signal: AbortSignal): Promise<void> {
  let last: number | undefined
  const iterator = stream[Symbol.asyncIterator]()
  try {
    for (;;) {
      const { done, value: message } = await abortable(iterator.next(), signal, 'assignments')
      if (done === true) throw new SkeinError('ERR_SKEIN_STOPPED', 'the manager ended the assignments', { what: 'assignments' })
      if (!follows(last, message)) {
        // A stream that begins wrongly would only begin wrongly again.
        if (last !== undefined) return
        throw new SkeinError('ERR_SKEIN_BAD_MESSAGE', 'assignments: expected a complete message first', {
          path: 'assignments.type',
        })
      }
      last = message.resultsIn
      if (message.managers !== undefined) parts.onManagers(message.managers)
      await parts.worker.apply(message)
    }
  } finally {
    // Not awaited: a stream that is waiting would answer only when its next message comes.
    void iterator.return?.()?.catch(() => {})
  }
}

/** Whether the message is the next after `last` (undefined: none yet). A complete one may come at any time. */
export function follows(last: number | undefined, message: Assignments): boolean {
  return message.type === 'complete' ? message.appliesTo === 0 : last !== undefined && message.appliesTo === last
}
