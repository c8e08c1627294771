import type { SkeinError } from '../../../lib/base/errors.js'
import { makeId } from '../../../lib/base/ids.js'
import { seededRandom } from '../../../lib/base/random.js'
import {
  type Identity,
  type LinkEvent,
  type LinkHost,
  type LinkOptions,
  LinkPool,
  type RpcHandler,
  Switchboard,
  type Transport,
  WsTransport,
} from '../../../lib/overlay/transport/index.js'
import { systemClock } from '../../../lib/peer/system-world.js'
import { authorize, type CertifiedRole, type Credentials } from '../../../lib/security/index.js'
import { TestAuthority } from '../../../lib/testing/test-authority.js'

export const random = seededRandom(42)
export const cluster = makeId(random)
export const authority = await TestAuthority.make(cluster)
/** The authority of a cluster that has nothing to do with this one. */
export const stranger = await TestAuthority.make('otherother00')

export interface TestHost extends LinkHost {
  readonly handlers: Map<string, RpcHandler>
  readonly frames: { readonly from: string; readonly frame: Uint8Array }[]
  onFrame?: () => void
}

export interface HostWishes {
  readonly node?: string
  /** Default manager. */
  readonly role?: CertifiedRole | 'newcomer'
  /** Default: what the authority gives for node and role. */
  readonly credentials?: Credentials
  readonly handlers?: Readonly<Record<string, RpcHandler>>
  readonly admit?: (identity: Identity) => SkeinError | undefined
}

export function makeHost(wishes: HostWishes = {}): TestHost {
  const { role = 'manager', handlers = {}, admit = () => undefined } = wishes
  const { node = role === 'manager' || role === 'worker' ? makeId(random) : '' } = wishes
  const certified = (): Credentials =>
    role === 'newcomer' ? authority.newcomer() : authority.credentials(role, node === '' ? makeId(random) : node)
  const host: TestHost = {
    node,
    credentials: wishes.credentials ?? certified(),
    admit,
    // The verbs of these tests are in no table.
    authorize: (as, verb) => (/^(control|session|raft)\./.test(verb) && as !== 'newcomer' ? 'any' : authorize(as, verb)),
    handlers: new Map(Object.entries(handlers)),
    frames: [],
    onRaftFrame(from, frame) {
      host.frames.push({ from, frame })
      host.onFrame?.()
    },
  }
  return host
}

/** One network for a test: hosts by name, each with its transport and an address to listen on. */
export interface Network {
  readonly name: string
  transport(host: string): Transport
  listen(host: string): string
}

export function networks(): readonly Network[] {
  const switchboard = new Switchboard(systemClock)
  const ws = new WsTransport({ clock: systemClock })
  return [
    { name: 'ws', transport: () => ws, listen: () => '127.0.0.1:0' },
    { name: 'memory', transport: (host) => switchboard.host(host), listen: (host) => `${host}:0` },
  ]
}

export type PoolWishes = Partial<LinkOptions> & { readonly listen?: string }

/** Pools that are stopped at the end of the test. */
export class Pools {
  readonly #network: Network
  readonly #made: LinkPool[] = []

  constructor(t: { teardown(act: () => Promise<void>): void }, network: Network) {
    this.#network = network
    t.teardown(() => this.stop())
  }

  async listen(name: string, host: LinkHost, wishes: PoolWishes = {}): Promise<LinkPool> {
    const pool = await LinkPool.listen(host, { ...this.#options(name), listen: this.#network.listen(name), ...wishes })
    this.#made.push(pool)
    return pool
  }

  client(name: string, host: LinkHost, wishes: PoolWishes = {}): LinkPool {
    const pool = LinkPool.client(host, { ...this.#options(name), ...wishes })
    this.#made.push(pool)
    return pool
  }

  async stop(): Promise<void> {
    await Promise.all(this.#made.map((pool) => pool.stop()))
  }

  #options(name: string): LinkOptions {
    return { clock: systemClock, random, transport: this.#network.transport(name) }
  }
}

/** The first event that fits; listening begins at once. */
export function eventOf<Type extends LinkEvent['type']>(
  pool: LinkPool,
  type: Type,
  fits: (event: Extract<LinkEvent, { type: Type }>) => boolean = () => true,
): Promise<Extract<LinkEvent, { type: Type }>> {
  return new Promise((resolve) => {
    const stop = pool.observe((event) => {
      if (event.type !== type || !fits(event as Extract<LinkEvent, { type: Type }>)) return
      stop()
      resolve(event as Extract<LinkEvent, { type: Type }>)
    })
  })
}

/** What the work rejects with. */
export async function failure(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    (value) => new Error(`expected a rejection, got ${String(value)}`),
    (error: unknown) => error,
  )
}

/** Resolves when the claim holds, looking again whenever the loop turns. */
export async function until(claim: () => boolean): Promise<void> {
  while (!claim()) await new Promise((resolve) => setImmediate(resolve))
}
