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

export const random = seededRandom(42)
export const cluster = makeId(random)
export const secrets = { manager: 'm'.repeat(26), worker: 'w'.repeat(26) }
export const workerSecrets = { worker: secrets.worker }

export interface TestHost extends LinkHost {
  readonly handlers: Map<string, RpcHandler>
  readonly frames: { readonly from: string; readonly frame: Uint8Array }[]
  onFrame?: () => void
}

export interface HostWishes {
  readonly node?: string
  readonly role?: Identity['role']
  readonly secrets?: { readonly manager?: string; readonly worker?: string }
  readonly cluster?: string | undefined
  readonly handlers?: Readonly<Record<string, RpcHandler>>
  readonly admit?: (identity: Identity) => SkeinError | undefined
}

export function makeHost(wishes: HostWishes = {}): TestHost {
  const { role = 'manager', node = role === 'client' ? '' : makeId(random), handlers = {}, admit = () => undefined } = wishes
  const host: TestHost = {
    node,
    role: () => role,
    cluster: () => ('cluster' in wishes ? wishes.cluster : cluster),
    secrets: () => wishes.secrets ?? (role === 'worker' ? workerSecrets : secrets),
    admit,
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
