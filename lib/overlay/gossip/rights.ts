/** What one process may tell others in one scope, and what it hears from them. Pure. */

/**
 * `holder`: keeps everybody's rows and passes them on. `reader`: keeps everybody's rows and tells its own, to holders.
 * `author`: only tells its own, to holders.
 */
export type Part = 'holder' | 'reader' | 'author'

export interface RightsOptions {
  /** Own node id. */
  readonly self: string
  readonly part: Part
  /** Whether this node may speak of this owner; a worker only of itself. */
  readonly accepts: (from: string, owner: string) => boolean
  /** Whether this node may be told of this owner. Default: as `accepts`. */
  readonly tells?: (to: string, owner: string) => boolean
}

/** The latest life an owner may claim for itself: it leaves room for those that others begin by retracting, and far from the last. */
export const claimedEpochMax = 2 ** 52

/**
 * The latest life of another that a holder of nothing acts on because a reader claims to hold it: should that be a lie, the other has room to
 * outbid what is retracted then, as often as it takes.
 */
export const claimedForOthersMax = 2 ** 51

export class Rights {
  part: Part
  readonly #o: RightsOptions

  constructor(options: RightsOptions) {
    this.part = options.part
    this.#o = options
  }

  /** Rows of this owner, to this node. */
  mayTell(to: string, owner: string): boolean {
    return (this.part === 'holder' || owner === this.#o.self) && this.#tells(to, owner)
  }

  /** That this owner is there, to this node. */
  mayName(to: string, owner: string): boolean {
    return owner === this.#o.self || this.#tells(to, owner)
  }

  /** Of another's life, by this node. */
  mayHear(from: string, { owner, epoch }: { readonly owner: string; readonly epoch: number }): boolean {
    const { self, accepts } = this.#o
    if (this.part === 'author' || owner === self) return false
    return (from !== owner || epoch <= claimedEpochMax) && accepts(from, owner)
  }

  /** Of one's own former life, by this node. */
  mayHearOfSelf(from: string): boolean {
    return this.#o.accepts(from, this.#o.self)
  }

  #tells(to: string, owner: string): boolean {
    const { accepts, tells = accepts } = this.#o
    return tells(to, owner)
  }
}
