/** A manager's calls to other peers, over links, and its looks at whether somebody listens. */
import type { ManagerOptions } from '../manager/index.js'
import { tcpTriage } from '../overlay/swim/index.js'
import type { LinkPool } from '../overlay/transport/index.js'
import { systemClock } from './system-world.js'

type Calls = Pick<ManagerOptions, 'remoteLogs' | 'forward' | 'forwardStream' | 'dial'>
/** A machine that is there answers a connection within this. */
const dialMs = 1_000
type Lines = ReturnType<Calls['remoteLogs']>

export function managerCalls(pool: LinkPool): Calls {
  const triage = tcpTriage(systemClock)
  return {
    dial: (address) => triage(address, dialMs),
    remoteLogs: (to, task, request, signal) => pool.stream(to, 'agent.logs', { task, request }, { signal }) as Lines,
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
