/** A manager's calls to other peers, over links, and its looks at whether somebody listens. */
import type { Clock } from '../base/clock.js'
import { deferred } from '../base/deferred.js'
import type { ManagerOptions } from '../manager/index.js'
import { tcpTriage } from '../overlay/swim/index.js'
import type { LinkPool } from '../overlay/transport/index.js'
import { systemClock } from './system-world.js'

type Calls = Pick<ManagerOptions, 'remoteLogs' | 'forward' | 'forwardStream' | 'dial'>
/** A machine that is there answers a connection within this. */
const dialMs = 1_000
/** A worker's second link follows the leader within a second: until then there is none from here. */
const linkWithinMs = 1_500
type Lines = ReturnType<Calls['remoteLogs']>

export function managerCalls(pool: Pick<LinkPool, 'call' | 'stream' | 'link' | 'observe'>, clock: Clock = systemClock): Calls {
  const triage = tcpTriage(clock)
  return {
    dial: (address) => triage(address, dialMs),
    async *remoteLogs(to, task, request, signal) {
      await linked(pool, clock, to, signal)
      yield* pool.stream(to, 'agent.logs', { task, request }, { signal }) as Lines
    },
    forward: async (to, verb, params, { requestId, deadlineMs, signal }) =>
      (await pool.call(
        to,
        `control.${verb}`,
        { params, requestId, deadlineMs, forwarded: true },
        { deadlineMs, ...(signal && { signal }) },
      )) as never,
    forwardStream: (to, verb, params, signal) =>
      pool.stream(to, `control.${verb}`, { params, forwarded: true }, { ...(signal && { signal }) }) as AsyncIterable<never>,
  }
}

/** Resolves when there is a link to this peer, or none came in time; that is for the call to say. */
async function linked(
  pool: Pick<LinkPool, 'link' | 'observe'>,
  clock: Clock,
  node: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (pool.link(node) !== undefined) return
  const over = deferred()
  const undo = [
    clock.after(linkWithinMs, over.resolve),
    pool.observe((event) => {
      if (event.type === 'up' && event.node === node) over.resolve()
    }),
  ]
  const onAbort = (): void => over.resolve()
  signal?.addEventListener('abort', onAbort, { once: true })
  await over.promise
  signal?.removeEventListener('abort', onAbort)
  for (const act of undo) act()
}
