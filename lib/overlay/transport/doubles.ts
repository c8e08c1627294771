import { SkeinError } from '../../base/errors.js'

/** A link as far as the question goes whether its other end still lives. */
export interface Answering {
  readonly instance: string
  /** When the last frame came, in milliseconds of this process. */
  readonly heardMs: number
  /** Asks for a sign of life. */
  probe(): void
}

/** A process that lives answers a probe within this, or its link is not worth keeping. */
const answerMs = 1_000

/**
 * One node id in two processes: a data directory was copied and started twice, or a process died without a word and is back. The
 * newcomer waits until the process of the older link was asked; while that one answers, there is no room for two.
 */
export class Doubles {
  readonly #probedMs = new WeakMap<Answering, number>()

  /** Whether a link of this process may take the place of `before`; called again with each attempt. */
  judge(node: string, instance: string, before: Answering | undefined, nowMs: number): SkeinError | undefined {
    if (before === undefined || before.instance === instance) return undefined
    const probedMs = this.#probedMs.get(before)
    const hasAnswered = probedMs !== undefined && before.heardMs > probedMs
    if (probedMs === undefined || hasAnswered) {
      this.#probedMs.set(before, nowMs)
      before.probe()
    }
    if (hasAnswered) {
      const words = `another process runs as node ${node} and answers: was its data directory copied? Stop one of the two, and give a new peer an empty directory`
      return new SkeinError('ERR_SKEIN_ALREADY_EXISTS', words, { kind: 'node', name: node })
    }
    if (probedMs !== undefined && nowMs - probedMs >= answerMs) return undefined
    return new SkeinError('ERR_SKEIN_BUSY', `an older link of node ${node} is up and was asked for a sign of life; try again`, {
      limit: 'links of a node',
    })
  }
}
