import { messageOf } from '../base/errors.js'
import type { Logger } from '../base/logger.js'

/** Ends the parts of a peer, each once; one that cannot be ended is said, and keeps no other from ending. */
export class Closing {
  readonly #logger: Logger
  readonly #ended = new Set<string>()

  constructor(logger: Logger) {
    this.#logger = logger
  }

  /** @param act undefined for a part that is not there (yet). */
  async end(what: string, act: (() => Promise<void>) | undefined): Promise<void> {
    if (act === undefined || this.#ended.has(what)) return
    this.#ended.add(what)
    try {
      await act()
    } catch (error) {
      this.#logger.error({ what, error: messageOf(error) }, 'did not close cleanly')
    }
  }
}
