import type { Clock } from '../base/clock.js'
import { messageOf } from '../base/errors.js'
import type { Logger } from '../base/logger.js'
import type { Store } from '../store/store.js'
import type { JoinServer } from './join-server.js'
import type { Duty } from './leadership.js'

export interface KeyringKeeperWorld {
  readonly store: Pick<Store, 'view' | 'onChange'>
  readonly desk: Pick<JoinServer, 'rotationDueInMs' | 'rotateKeyring'>
  readonly clock: Clock
  readonly logger: Logger
}

/** Before a rotation that could not be recorded is tried again. */
const againMs = 5_000
/** It is looked at least so often: while a machine sleeps its timers do, and its clock goes on. */
const lookMs = 60_000

/** Makes the first keys of datagrams, and the next ones in time: sooner after a node was removed. */
export class KeyringKeeper implements Duty {
  readonly name = 'keyring'
  readonly #world: KeyringKeeperWorld
  #unwatch: (() => void) | undefined
  #cancel: (() => void) | undefined
  #work: Promise<void> | undefined

  constructor(world: KeyringKeeperWorld) {
    this.#world = world
  }

  start(): void {
    this.#unwatch = this.#world.store.onChange((changes) => {
      if (changes.length === 0 || changes.some(({ kind }) => kind === 'cluster')) this.#look()
    })
    this.#look()
  }

  async stop(): Promise<void> {
    this.#unwatch?.()
    this.#unwatch = undefined
    this.#cancel?.()
    await this.#work
  }

  #look(): void {
    const { store, desk } = this.#world
    if (this.#work !== undefined || store.view().cluster === undefined) return
    const dueInMs = desk.rotationDueInMs
    if (dueInMs > 0) this.#lookIn(Math.min(dueInMs, lookMs))
    else this.#work = this.#rotate()
  }

  #lookIn(delayMs: number): void {
    this.#cancel?.()
    if (this.#unwatch !== undefined) this.#cancel = this.#world.clock.after(delayMs, () => this.#look())
  }

  /** Never rejects. */
  async #rotate(): Promise<void> {
    const { desk, logger } = this.#world
    try {
      await desk.rotateKeyring()
      this.#work = undefined
      if (this.#unwatch !== undefined) this.#look()
    } catch (error) {
      this.#work = undefined
      logger.warn({ error: messageOf(error) }, 'the keys of datagrams could not be rotated; trying again')
      this.#lookIn(againMs)
    }
  }
}
