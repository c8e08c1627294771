/** Whether the cluster still takes this peer for one of its own, and what a start that goes on waiting is waiting for. */
import type { Clock } from '../base/clock.js'
import { deferred } from '../base/deferred.js'
import { isSkeinError, messageOf, SkeinError } from '../base/errors.js'
import type { Logger } from '../base/logger.js'
import type { LinkPool } from '../overlay/transport/index.js'

export interface StandingWorld {
  readonly node: string
  readonly clock: Clock
  readonly logger: Logger
  /** Aborts when the peer stops. */
  readonly stopping: AbortSignal
}

/** A wait is told of after this long, and then every so often: long enough for an election or two, short for who looks on. */
const firstWordMs = 5_000
const nextWordMs = 30_000

export class Standing {
  readonly #world: StandingWorld
  readonly #refused = deferred<SkeinError>()
  /** The last thing that went wrong, for people. */
  #lastTrouble: string | undefined

  constructor(world: StandingWorld) {
    this.#world = world
  }

  /** Resolves with the error once a manager refused this node for good; never rejects. */
  get refused(): Promise<SkeinError> {
    return this.#refused.promise
  }

  /** Listens to what becomes of this peer's dials. */
  watch(pool: LinkPool): void {
    const { node } = this.#world
    pool.observe((event) => {
      if (event.type !== 'missed') return
      this.trouble(event.error)
      // Of another node the same error is our own word: we do not let that one in.
      if (isSkeinError(event.error, 'ERR_SKEIN_REMOVED') && event.error.detail.node === node) this.#refused.resolve(event.error)
    })
  }

  /** Something stands in the way of what is waited for. */
  trouble(error: unknown): void {
    this.#lastTrouble = messageOf(error)
  }

  /**
   * Resolves when `done` does; meanwhile says every now and then what is missing and why.
   * @throws {SkeinError} ERR_SKEIN_REMOVED and other refusals for good, ERR_SKEIN_STOPPED, or what `done` rejects with
   */
  async waitFor(what: string, done: Promise<void>): Promise<void> {
    const { stopping } = this.#world
    const over = deferred<never>()
    const onAbort = (): void => over.reject(new SkeinError('ERR_SKEIN_STOPPED', `stopped before ${what}`, { what }))
    stopping.addEventListener('abort', onAbort, { once: true })
    if (stopping.aborted) onAbort()
    const quiet = this.#sayWhileWaiting(what)
    try {
      await Promise.race([done, over.promise, this.refused.then((error) => Promise.reject(error))])
    } finally {
      quiet()
      stopping.removeEventListener('abort', onAbort)
    }
  }

  /** Returns how to end it. */
  #sayWhileWaiting(what: string): () => void {
    const { clock, logger } = this.#world
    const beganMs = clock.now()
    let cancel = (): void => undefined
    const say = (): void => {
      const waitedSeconds = Math.round((clock.now() - beganMs) / 1_000)
      logger.warn(
        { waitedSeconds, ...(this.#lastTrouble !== undefined && { why: this.#lastTrouble }) },
        `still waiting: ${what}${this.#lastTrouble === undefined ? '' : `; ${this.#lastTrouble}`}`,
      )
      cancel = clock.after(nextWordMs, say)
    }
    cancel = clock.after(firstWordMs, say)
    return () => cancel()
  }
}
