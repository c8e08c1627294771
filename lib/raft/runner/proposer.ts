import { SkeinBug } from '../../base/assert.js'
import type { RawNode } from '../core/index.js'
import type { ResolvedRunnerOptions } from './options.js'
import { Proposal, type Proposals, type ProposeOptions } from './proposals.js'
import { aborted, busy, proposalRefused, tooLarge } from './refusals.js'

/** Commands that go before the core together, so that one append message carries them, and one frame of a link the message. */
const togetherMaxBytes = 48 * 1024
const togetherMax = 512

interface Command {
  readonly data: Uint8Array
  readonly proposal: Proposal
}

/**
 * Puts proposals before the core, or says why not; who was put waits in `Proposals` for the result. Commands wait for the end of
 * the turn and go together: the core sends for each proposal it is given, and this way it is given few.
 */
export class Proposer {
  readonly #node: RawNode
  readonly #options: ResolvedRunnerOptions
  readonly #proposals: Proposals
  #commands: Command[] = []

  constructor(node: RawNode, options: ResolvedRunnerOptions, proposals: Proposals) {
    this.#node = node
    this.#options = options
    this.#proposals = proposals
  }

  /** Takes a command; `flush` puts it before the core. */
  command(data: Uint8Array, o: ProposeOptions): Promise<unknown> {
    const { maxEntryBytes } = this.#options
    if (data.length === 0 || data.length > maxEntryBytes) throw tooLarge(data.length, maxEntryBytes)
    const proposal = this.#admit(o)
    if (proposal.isAbortable) proposal.onAbort(() => this.#reject(proposal, aborted('propose')))
    this.#commands.push({ data, proposal })
    return proposal.promise
  }

  /** Behind all commands taken so far, what makes the core append exactly one entry. @throws {SkeinBug} the core is broken */
  put(propose: () => void, o: ProposeOptions): Promise<unknown> {
    this.flush()
    const proposal = this.#admit(o)
    const refusal = this.#refusalOf(propose)
    if (refusal !== undefined) throw refusal
    this.#wait(proposal, this.#node.lastIndex())
    return proposal.promise
  }

  /** Puts all commands before the core. @throws {SkeinBug} the core is broken */
  flush(): void {
    if (this.#commands.length === 0) return
    const commands = this.#commands.filter(({ proposal }) => !proposal.isSettled)
    this.#commands = []
    for (const together of batchesOf(commands)) {
      if (this.#propose(together) === undefined || together.length === 1) continue
      // Some may fit where all do not; and whoever is refused hears why.
      for (const command of together) this.#propose([command])
    }
  }

  /** What waits for the next flush will not be proposed. */
  refuse(error: unknown): void {
    for (const { proposal } of this.#commands.splice(0)) if (!proposal.isSettled) this.#reject(proposal, error)
  }

  /** A single command that is refused is told so; several are left to the caller. */
  #propose(commands: readonly Command[]): unknown {
    const refusal = this.#refusalOf(() => this.#node.proposeAll(commands.map(({ data }) => data)))
    const firstIndex = this.#node.lastIndex() + 1 - commands.length
    if (refusal === undefined) for (let at = 0; at < commands.length; at++) this.#wait(commands[at]!.proposal, firstIndex + at)
    else if (commands.length === 1) this.#reject(commands[0]!.proposal, refusal)
    return refusal
  }

  #admit(o: ProposeOptions): Proposal {
    const { clock, electionTicks, tickMs, maxPendingProposals } = this.#options
    if (o.signal?.aborted) throw aborted('propose')
    if (this.#proposals.size + this.#commands.length >= maxPendingProposals) throw busy('maxPendingProposals')
    return new Proposal(clock.now(), o.deadlineMs ?? electionTicks * tickMs * 5, o)
  }

  #refusalOf(propose: () => void): unknown {
    try {
      propose()
      return undefined
    } catch (error) {
      if (error instanceof SkeinBug) throw error
      return proposalRefused(error, this.#node.basicStatus())
    }
  }

  #reject(proposal: Proposal, error: unknown): void {
    this.#proposals.refused++
    proposal.reject(error)
  }

  #wait(proposal: Proposal, index: number): void {
    this.#proposals.wait(index, this.#node.basicStatus().term, proposal)
  }
}

function* batchesOf(commands: readonly Command[]): Iterable<readonly Command[]> {
  let [from, sizeBytes] = [0, 0]
  for (let at = 0; at < commands.length; at++) {
    const { length } = commands[at]!.data
    if (at > from && (sizeBytes + length > togetherMaxBytes || at - from >= togetherMax)) {
      yield commands.slice(from, at)
      ;[from, sizeBytes] = [at, 0]
    }
    sizeBytes += length
  }
  if (from < commands.length) yield from === 0 ? commands : commands.slice(from)
}
