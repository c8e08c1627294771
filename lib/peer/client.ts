import { clusterOver } from '../api/cluster.js'
import { LinkCaller } from '../api/link-caller.js'
import type { Cluster } from '../api/types.js'
import { SkeinError } from '../base/errors.js'
import { type Link, LinkPool } from '../overlay/transport/index.js'
import { parseJoinString } from '../security/index.js'
import { systemClock, systemRandom } from './system-world.js'

/** Longest wait for one address before the next is tried. */
const dialMs = 2_000

/**
 * Talks to a cluster without being part of it; outlives any one of the managers in the URL.
 * @param url `skein://TOKEN@host:port[,host:port]`
 * @throws {SkeinError} ERR_SKEIN_BAD_JOIN_STRING, ERR_SKEIN_UNREACHABLE, ERR_SKEIN_BAD_JOIN_SECRET, ERR_SKEIN_OTHER_CLUSTER, ERR_SKEIN_WIRE_VERSION
 */
export async function connect(url: string, o: { readonly signal?: AbortSignal } = {}): Promise<Cluster & AsyncDisposable> {
  const { token, addresses } = parseJoinString(url)
  const pool = LinkPool.client(
    {
      node: '',
      cluster: () => token.cluster,
      role: () => 'client',
      secrets: () => ({ [token.role]: token.secret }),
      admit: () => undefined,
      handlers: new Map(),
      onRaftFrame: () => undefined,
    },
    { clock: systemClock, random: systemRandom },
  )
  let current: Link | undefined
  let dialing: Promise<Link> | undefined
  let turn = 0
  const dialNext = async (signal: AbortSignal | undefined): Promise<Link> => {
    let last: unknown = new SkeinError('ERR_SKEIN_UNREACHABLE', `nobody answers at ${addresses.join(', ')}`, {
      address: addresses.join(','),
    })
    for (let tries = 0; tries < addresses.length; tries++) {
      const address = addresses[turn++ % addresses.length] as string
      try {
        return await pool.dial(address, { deadlineMs: dialMs, ...(signal && { signal }) })
      } catch (error) {
        last = error
      }
    }
    throw last
  }
  const manager = async (_deadlineMs: number, signal: AbortSignal | undefined): Promise<Link> => {
    if (current?.isUp === true) return current
    // Callers that come together share one dial.
    dialing ??= dialNext(signal).finally(() => {
      dialing = undefined
    })
    current = await dialing
    return current
  }
  const close = (): Promise<void> => pool.stop()
  o.signal?.addEventListener('abort', () => void close(), { once: true })
  try {
    await manager(dialMs, o.signal)
  } catch (error) {
    await close()
    throw error
  }
  const caller = new LinkCaller({ clock: systemClock, random: systemRandom, manager })
  return { ...clusterOver(caller, systemClock), [Symbol.asyncDispose]: close }
}
