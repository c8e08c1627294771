/** A worker that reaches none of the managers it knows looks for them where its join string says: all of them may have moved. */
import type { ManagerAddress } from '../api/session.js'
import type { Clock } from '../base/clock.js'
import type { LinkPool } from '../overlay/transport/index.js'
import type { Seeds } from './seeds.js'

export interface SeedKeeperWorld {
  readonly seeds: Seeds
  readonly pool: LinkPool
  readonly clock: Clock
  /** Managers as last heard of. */
  managers(): readonly ManagerAddress[]
  /** What is to be known of them from now on. */
  heard(managers: readonly ManagerAddress[]): void
}

/** Long enough to reach a manager that is where it was. */
const firstLookMs = 3_000
const lookMs = 15_000
const dialMs = 3_000

export class SeedKeeper {
  readonly #world: SeedKeeperWorld
  #cancel: (() => void) | undefined

  constructor(world: SeedKeeperWorld) {
    this.#world = world
  }

  start(): void {
    this.#schedule(firstLookMs)
  }

  stop(): void {
    this.#cancel?.()
    this.#cancel = undefined
  }

  #schedule(delayMs: number): void {
    this.#cancel = this.#world.clock.after(delayMs, () => {
      void this.#look().finally(() => {
        if (this.#cancel !== undefined) this.#schedule(lookMs)
      })
    })
  }

  /** Never rejects: who does not answer is dialled again next time. */
  async #look(): Promise<void> {
    const { seeds, pool, managers, heard } = this.#world
    const isLost = (): boolean => managers().every(({ node }) => pool.link(node) === undefined)
    if (!isLost()) return
    for (const address of await seeds.list()) {
      if (this.#cancel === undefined || !isLost()) return
      try {
        const { identity } = await pool.dial(address, { deadlineMs: dialMs })
        if (identity.role !== 'manager') continue
        heard([...managers().filter(({ node }) => node !== identity.node), { node: identity.node, address }])
      } catch {
        // The pool tells its observers; the next address may answer.
      }
    }
  }
}
