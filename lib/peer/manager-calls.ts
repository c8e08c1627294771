/** A manager's calls to other peers, over links. */
import type { ManagerOptions } from '../manager/index.js'
import type { LinkPool } from '../overlay/transport/index.js'

type Calls = Pick<ManagerOptions, 'remoteLogs' | 'forward' | 'forwardStream'>
type Lines = ReturnType<Calls['remoteLogs']>

export function managerCalls(pool: LinkPool): Calls {
  return {
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
