import { clusterOver } from '../api/cluster.js'
import { LinkCaller } from '../api/link-caller.js'
import type { Cluster } from '../api/types.js'
import { isSkeinError, SkeinError } from '../base/errors.js'
import { type Link, LinkPool } from '../overlay/transport/index.js'
import {
  Credentials,
  isKeyString,
  type JoinToken,
  makeKeyPair,
  parseJoinString,
  parseKeyString,
  trustOfToken,
} from '../security/index.js'
import { askCredential } from './join.js'
import { systemClock, systemRandom } from './system-world.js'

/** Longest wait for one address before the next is tried. */
const dialMs = 2_000

/** Where to ask and as whom. */
interface Target {
  readonly addresses: readonly string[]
  readonly credentials: Credentials
  /** Undefined for a key string: its certificate is what it is. */
  readonly token: JoinToken | undefined
}

/**
 * Talks to a cluster without being part of it; outlives any one of the managers in the URL. With the manager's token it operates
 * the cluster, with the worker's it reads and uses keys; the token is said once, for a certificate of twelve hours that is renewed at need.
 * @param url `skein://TOKEN@host:port[,host:port]`, or the key string in a peer's control file
 * @throws {SkeinError} ERR_SKEIN_BAD_JOIN_STRING, ERR_SKEIN_UNREACHABLE, ERR_SKEIN_BAD_JOIN_SECRET, ERR_SKEIN_OTHER_CLUSTER,
 * ERR_SKEIN_BAD_CERTIFICATE, ERR_SKEIN_WIRE_VERSION
 */
export async function connect(url: string, o: { readonly signal?: AbortSignal } = {}): Promise<Cluster & AsyncDisposable> {
  const { addresses, credentials, token } = targetOf(url)
  const pool = LinkPool.client(
    { node: '', credentials, admit: () => undefined, handlers: new Map(), onRaftFrame: () => undefined },
    { clock: systemClock, random: systemRandom },
  )
  let current: Link | undefined
  let dialing: Promise<Link> | undefined
  let turn = 0
  const dialOne = async (address: string, signal: AbortSignal | undefined): Promise<Link> => {
    const how = { deadlineMs: dialMs, ...(signal && { signal }) }
    if (token !== undefined && !isFresh(credentials)) await certify(pool, credentials, token, address, how)
    return await pool.dial(address, how)
  }
  const dialNext = async (signal: AbortSignal | undefined): Promise<Link> => {
    let last: unknown = new SkeinError('ERR_SKEIN_UNREACHABLE', `nobody answers at ${addresses.join(', ')}`, {
      address: addresses.join(','),
    })
    // A worker passes on what its own key may do, which is less than an operator's: it is asked when no manager answers.
    let worker: Link | undefined
    for (let tries = 0; tries < addresses.length; tries++) {
      const address = addresses[turn++ % addresses.length] as string
      try {
        const link = await dialOne(address, signal)
        if (link.identity.role === 'manager') {
          worker?.close('a manager was found')
          return link
        }
        worker ??= link
      } catch (error) {
        last = error
      }
    }
    if (worker !== undefined) return worker
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

function targetOf(url: string): Target {
  const wallMs = (): number => systemClock.wallMs()
  if (isKeyString(url)) {
    const { own, trust, addresses } = parseKeyString(url)
    return { addresses, credentials: new Credentials({ own, trust }, wallMs), token: undefined }
  }
  const { token, addresses } = parseJoinString(url)
  const credentials = new Credentials({ own: undefined, trust: trustOfToken(token) }, wallMs)
  return { addresses, credentials, token }
}

/** Half of its life is left: a link that begins now will not outlive it soon. */
function isFresh({ certificate }: Credentials): boolean {
  return certificate !== undefined && systemClock.wallMs() < (certificate.notBeforeMs + certificate.notAfterMs) / 2
}

/** Says the token to a manager for a certificate. A worker that is asked names a manager instead. */
async function certify(
  pool: LinkPool,
  credentials: Credentials,
  token: JoinToken,
  address: string,
  how: { readonly deadlineMs: number; readonly signal?: AbortSignal },
): Promise<void> {
  const { role, secret } = token
  credentials.replace({ own: undefined, trust: trustOfToken(token) })
  const keys = await makeKeyPair()
  const askAt = async (at: string): Promise<void> => {
    const link = await pool.dial(at, { ...how, purpose: 'bulk' })
    try {
      const { own, trust } = await askCredential(link, keys, { role, secret }, systemRandom)
      credentials.replace({ own, trust })
    } finally {
      link.close('answered')
    }
  }
  try {
    await askAt(address)
  } catch (error) {
    const elsewhere = isSkeinError(error, 'ERR_SKEIN_NOT_LEADER') ? error.detail.address : undefined
    if (elsewhere === undefined) throw error
    await askAt(elsewhere)
  }
}
