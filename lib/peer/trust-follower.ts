import { readTrustNews, type TrustNews } from '../api/join.js'
import type { Clock } from '../base/clock.js'
import { messageOf } from '../base/errors.js'
import type { Logger } from '../base/logger.js'
import { pause } from '../base/pause.js'
import type { LinkPool } from '../overlay/transport/index.js'

export interface TrustFollowerWorld {
  readonly pool: LinkPool
  readonly clock: Clock
  readonly logger: Logger
  learn(news: TrustNews): void
}

/** Before a manager that could not tell is asked again. */
const againMs = 1_000

/** Hears from every manager it is linked to which roots count and who was removed. */
export class TrustFollower {
  readonly #world: TrustFollowerWorld
  readonly #stopping = new AbortController()
  readonly #following = new Map<string, Promise<void>>()
  #unobserve: (() => void) | undefined

  constructor(world: TrustFollowerWorld) {
    this.#world = world
  }

  /** `known` are managers to whom a link may be up already: they dial in as soon as this peer listens. */
  start(known: readonly string[]): void {
    this.#unobserve = this.#world.pool.observe((event) => {
      if (event.type === 'up' && event.identity.role === 'manager') this.#follow(event.node)
    })
    for (const node of known) if (this.#world.pool.link(node)?.identity.role === 'manager') this.#follow(node)
  }

  async stop(): Promise<void> {
    this.#unobserve?.()
    this.#stopping.abort()
    await Promise.all(this.#following.values())
  }

  #follow(node: string): void {
    if (this.#following.has(node)) return
    this.#following.set(
      node,
      this.#listen(node).finally(() => this.#following.delete(node)),
    )
  }

  /** Never rejects; ends when there is no link to that manager any more. */
  async #listen(node: string): Promise<void> {
    const { pool, clock, logger, learn } = this.#world
    const { signal } = this.#stopping
    while (!signal.aborted && pool.link(node) !== undefined) {
      try {
        for await (const news of pool.stream(node, 'join.trust', null, { signal })) learn(readTrustNews(news))
      } catch (error) {
        logger.debug({ node, error: messageOf(error) }, 'no news of trust')
      }
      await pause(clock, againMs, signal)
    }
  }
}
