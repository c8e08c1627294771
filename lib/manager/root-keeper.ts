import { messageOf } from '../base/errors.js'
import type { Logger } from '../base/logger.js'
import type { Store } from '../store/store.js'
import type { JoinServer } from './join-server.js'
import type { Duty } from './leadership.js'

/** Retires the old root once nobody who is up needs it; looks whenever a node or the cluster's record changes. */
export class RootKeeper implements Duty {
  readonly name = 'root rotation'
  readonly #store: Store
  readonly #join: JoinServer
  readonly #logger: Logger
  #unwatch: (() => void) | undefined
  #work: Promise<void> | undefined
  #again = false

  constructor(store: Store, join: JoinServer, logger: Logger) {
    this.#store = store
    this.#join = join
    this.#logger = logger
  }

  start(): void {
    this.#unwatch = this.#store.onChange((changes) => {
      if (changes.length === 0 || changes.some(({ kind }) => kind === 'node' || kind === 'cluster')) this.#look()
    })
    this.#look()
  }

  async stop(): Promise<void> {
    this.#unwatch?.()
    this.#unwatch = undefined
    await this.#work
  }

  #look(): void {
    this.#again = this.#work !== undefined
    this.#work ??= this.#step().finally(() => {
      this.#work = undefined
      if (this.#again && this.#unwatch !== undefined) this.#look()
    })
  }

  /** Never rejects: what fails now is looked at again with the next change. */
  async #step(): Promise<void> {
    if (this.#store.view().cluster === undefined) return
    try {
      await this.#join.stepRotation()
    } catch (error) {
      this.#logger.warn({ error: messageOf(error) }, 'the old root is not retired yet')
    }
  }
}
