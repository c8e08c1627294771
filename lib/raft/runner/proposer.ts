import { SkeinBug } from '../../base/assert.js'
import type { RawNode } from '../core/index.js'
import type { ResolvedRunnerOptions } from './options.js'
import type { Proposals, ProposeOptions } from './proposals.js'
import { aborted, busy, proposalRefused, tooLarge } from './refusals.js'

/** Puts proposals before the core, or says why not; who was put waits in `Proposals` for the result. */
export class Proposer {
  readonly #node: RawNode
  readonly #options: ResolvedRunnerOptions
  readonly #proposals: Proposals

  constructor(node: RawNode, options: ResolvedRunnerOptions, proposals: Proposals) {
    this.#node = node
    this.#options = options
    this.#proposals = proposals
  }

  command(data: Uint8Array, o: ProposeOptions): Promise<unknown> {
    const { maxEntryBytes } = this.#options
    if (data.length === 0 || data.length > maxEntryBytes) throw tooLarge(data.length, maxEntryBytes)
    return this.put(() => this.#node.propose(data), o)
  }

  /** `propose` makes the core append exactly one entry. @throws {SkeinBug} the core is broken */
  put(propose: () => void, o: ProposeOptions): Promise<unknown> {
    const { clock, electionTicks, tickMs, maxPendingProposals } = this.#options
    if (o.signal?.aborted) throw aborted('propose')
    if (this.#proposals.size >= maxPendingProposals) throw busy('maxPendingProposals')
    try {
      propose()
    } catch (error) {
      if (error instanceof SkeinBug) throw error
      throw proposalRefused(error, this.#node.basicStatus())
    }
    const { term } = this.#node.basicStatus()
    const deadlineMs = o.deadlineMs ?? electionTicks * tickMs * 5
    return this.#proposals.wait(this.#node.lastIndex(), term, clock.now(), { ...o, deadlineMs })
  }
}
