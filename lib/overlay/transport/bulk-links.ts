import type { Clock } from '../../base/clock.js'
import type { Link } from './link.js'

export interface BulkWorld {
  readonly clock: Clock
  /** A new link to this peer, for bulk only. */
  dial(node: string): Promise<Link>
}

interface Held {
  readonly link: Promise<Link>
  users: number
  /** Ends the wait for the next user. */
  cancelIdle: () => void
}

/** How long a link that nobody uses stays. */
const idleMs = 30_000

/** Second links to peers, for what is large and can wait: dialled when there is something to carry, closed when there is not. */
export class BulkLinks {
  readonly #world: BulkWorld
  readonly #held = new Map<string, Held>()

  constructor(world: BulkWorld) {
    this.#world = world
  }

  /** Does something with the link to this peer; rejects as the dial does, or as `use`. */
  async with<T>(node: string, use: (link: Link) => Promise<T>): Promise<T> {
    const held = this.#held.get(node) ?? this.#begin(node)
    held.users++
    held.cancelIdle()
    try {
      return await use(await held.link)
    } finally {
      held.users--
      const isIdle = held.users === 0 && this.#held.get(node) === held
      if (isIdle) held.cancelIdle = this.#world.clock.after(idleMs, () => this.close(node, 'not in use'))
    }
  }

  close(node: string, reason: string): void {
    const held = this.#held.get(node)
    if (held === undefined) return
    this.#held.delete(node)
    held.cancelIdle()
    held.link.then((link) => link.close(reason), ignore)
  }

  closeAll(reason: string): void {
    for (const node of [...this.#held.keys()]) this.close(node, reason)
  }

  #begin(node: string): Held {
    const held: Held = { link: this.#world.dial(node), users: 0, cancelIdle: () => undefined }
    this.#held.set(node, held)
    const gone = (): void => {
      held.cancelIdle()
      if (this.#held.get(node) === held) this.#held.delete(node)
    }
    held.link.then((link) => link.ended.then(gone), gone)
    return held
  }
}

/** A dial that failed: whoever waits for the link hears of it. */
function ignore(): void {}
