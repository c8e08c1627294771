/** Asks the machines of nodes whose link ended whether their process is still there: one broken link proves nothing. */
import type { Clock } from '../base/clock.js'

/** What trying to connect to a node's address showed: `refused` alone says that nobody is there. */
export type DialFinding = 'accepting' | 'refused' | 'silent' | 'local'

export interface ConfirmationsWorld {
  readonly clock: Clock
  /** Connects and hangs up; never rejects. */
  dial(address: string): Promise<DialFinding>
  /** Where the node listens; undefined or '' when that is not known. */
  address(node: string): string | undefined
  /** The machine says that nobody is there. */
  refused(node: string): void
}

/** Asked so often at most: a process that dies closes its links a moment before its port. */
const asksMax = 3
/** So many at once; when a switch fails a thousand links end together. */
const dialsMax = 64

/** One question per node at a time; bounded by the number of nodes. */
export class Confirmations {
  readonly #world: ConfirmationsWorld
  /** Nodes asked about, each with the way to end its wait. */
  readonly #asking = new Map<string, () => void>()
  readonly #queue: (() => void)[] = []
  #dialling = 0

  constructor(world: ConfirmationsWorld) {
    this.#world = world
  }

  /** Its link ended: asks after `delayMs`, and again as long as somebody answers. */
  ask(node: string, delayMs: number): void {
    if (!this.#asking.has(node)) this.#later(node, delayMs, 1)
  }

  /** It was heard, or is forgotten: nothing is to be asked any more. */
  drop(node: string): void {
    this.#asking.get(node)?.()
    this.#asking.delete(node)
  }

  end(): void {
    for (const cancel of this.#asking.values()) cancel()
    this.#asking.clear()
    this.#queue.length = 0
  }

  #later(node: string, delayMs: number, nth: number): void {
    const cancel = this.#world.clock.after(delayMs, () => {
      this.#queue.push(() => void this.#dial(node, mine, delayMs, nth))
      this.#next()
    })
    const mine = (): void => cancel()
    this.#asking.set(node, mine)
  }

  #next(): void {
    while (this.#dialling < dialsMax) {
      const dial = this.#queue.shift()
      if (dial === undefined) return
      dial()
    }
  }

  async #dial(node: string, mine: () => void, delayMs: number, nth: number): Promise<void> {
    const address = this.#world.address(node)
    if (this.#asking.get(node) !== mine) return
    if (address === undefined || address === '') return void this.#asking.delete(node)
    this.#dialling++
    const found = await this.#world.dial(address)
    this.#dialling--
    this.#next()
    if (this.#asking.get(node) !== mine) return
    this.#asking.delete(node)
    if (found === 'refused') this.#world.refused(node)
    else if (found === 'accepting' && nth < asksMax) this.#later(node, delayMs, nth + 1)
  }
}
