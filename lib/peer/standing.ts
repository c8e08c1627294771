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
  readonly #over = deferred<unknown>()
  #failure: { readonly error: unknown } | undefined
  /** The last thing that went wrong, for people. */
  #lastTrouble: string | undefined

  constructor(world: StandingWorld) {
    this.#world = world
  }

  /** Resolves with the reason once this peer cannot go on: the cluster refused it, or a part of it failed. Never rejects. */
  get over(): Promise<unknown> {
    return this.#over.promise
  }

  /** This peer cannot go on. The first reason counts. */
  fail(error: unknown): void {
    this.#failure ??= { error }
    this.#over.resolve(this.#failure.error)
  }

  /** Listens to what becomes of this peer's dials. */
  watch(pool: LinkPool): void {
    const { node } = this.#world
    pool.observe((event) => {
      if (event.type !== 'missed') return
      this.trouble(event.error)
      // Of another node the same errors are our own word: we do not let that one in.
      const { error } = event
      const isRemoved = isSkeinError(error, 'ERR_SKEIN_REMOVED') && error.detail.node === node
      const isDouble = isSkeinError(error, 'ERR_SKEIN_ALREADY_EXISTS') && error.detail.name === node
      if (isRemoved || isDouble) this.fail(error)
    })
  }

  /** Something stands in the way of what is waited for. */
  trouble(error: unknown): void {
    this.#lastTrouble = messageOf(error)
  }

  /**
   * Resolves when `done` does; meanwhile says every now and then what is missing and why.
   * @param progress how far it has come, asked whenever something is said
   * @throws {SkeinError} ERR_SKEIN_STOPPED, or why this peer cannot go on, or what `done` rejects with
   */
  async waitFor(what: string, done: Promise<void>, progress?: () => string): Promise<void> {
    const { stopping } = this.#world
    const stopped = deferred<never>()
    const onAbort = (): void =>
      stopped.reject(this.#failure?.error ?? new SkeinError('ERR_SKEIN_STOPPED', `stopped before ${what}`, { what }))
    stopping.addEventListener('abort', onAbort, { once: true })
    if (stopping.aborted) onAbort()
    const quiet = this.#sayWhileWaiting(what, progress)
    try {
      await Promise.race([done, stopped.promise, this.over.then((error) => Promise.reject(error))])
    } finally {
      quiet()
      stopping.removeEventListener('abort', onAbort)
    }
  }

  /** Returns how to end it. */
  #sayWhileWaiting(what: string, progress: (() => string) | undefined): () => void {
    const { clock, logger } = this.#world
    const beganMs = clock.now()
    let cancel = (): void => undefined
    const say = (): void => {
      const waitedSeconds = Math.round((clock.now() - beganMs) / 1_000)
      const why = progress?.() ?? this.#lastTrouble
      logger.warn(
        { waitedSeconds, ...(why !== undefined && { why }) },
        `still waiting: ${what}${why === undefined ? '' : `; ${why}`}`,
      )
      cancel = clock.after(nextWordMs, say)
    }
    cancel = clock.after(firstWordMs, say)
    return () => cancel()
  }
}
