/**
 * How two processes find out what each of them lacks in one scope, and what is told then. Pure.
 *
 * 1. The first sends a fingerprint of all it holds. Where it is the other's too, that was all: 8 bytes, however many owners there are.
 * 2. The other sends back a digest: where it stands with each owner. Of many owners it sends bucket hashes, and gets a digest of those that differ.
 * 3. A digest is answered with the rows its sender lacks, and with a list of the owners of whom the sender has more; the list with their rows.
 *
 * An author begins with a digest, of itself, and holds nothing else.
 * Source: van Renesse et al. 2008 (Scuttlebutt); fingerprint and buckets are two levels of a Merkle tree.
 */
import { type Random, shuffle } from '../../base/random.js'
import { differing } from './buckets.js'
import type { Holdings } from './holdings.js'
import { type Delta, deltaBytes, nothing, type Summary } from './keyspace.js'
import { chunkBytes, deltaMessages, fittingCount, type GossipMessage, type OwnerSummary, type Range } from './messages.js'
import type { Rights } from './rights.js'

/** Past so many owners a digest of all of them is preceded by buckets: they cost 2 KB, and the digest what differs. */
export const ownersPerDigest = 500
/** Bytes of rows in one answer, in chunks; the other asks again when it has them. */
export const answerBytes = 256 * 1024

export interface ComparisonWorld {
  readonly scope: string
  readonly holdings: Holdings
  readonly rights: Rights
  readonly random: Random
}

type Digest = Extract<GossipMessage, { readonly type: 'digest' }>

export class Comparison {
  readonly #world: ComparisonWorld

  constructor(world: ComparisonWorld) {
    this.#world = world
  }

  /** How a comparison with this node begins. */
  opening(to: string): GossipMessage {
    const { scope, holdings, rights } = this.#world
    if (rights.part === 'author') return this.#digest(to, { of: 'listed' }, 'wants-answer')
    return { type: 'fingerprint', scope, hash: holdings.fingerprint() }
  }

  onFingerprint(from: string, hash: Uint8Array): readonly GossipMessage[] {
    const { holdings, rights } = this.#world
    if (rights.part === 'author' || Buffer.compare(hash, holdings.fingerprint()) === 0) return []
    return [this.#isCrowded ? this.#buckets() : this.#digest(from, { of: 'all' }, 'wants-answer')]
  }

  onBuckets(from: string, hashes: Uint8Array): readonly GossipMessage[] {
    const { holdings, rights, random } = this.#world
    if (rights.part === 'author') return []
    const wrong = differing(hashes, holdings.bucketHashes())
    if (wrong.length === 0) return []
    // As many as one digest holds, and at least one; in any order, so that every bucket has its turn.
    const sizes = holdings.bucketSizes()
    let room = 2 * ownersPerDigest
    const chosen = shuffle(random, wrong).filter((bucket, index) => {
      const size = sizes[bucket] ?? 0
      if (index > 0 && size > room) return false
      room -= size
      return true
    })
    return [this.#digest(from, { of: 'buckets', buckets: chosen }, 'wants-answer')]
  }

  onDigest(from: string, { range, answer, owners }: Digest): readonly GossipMessage[] {
    const { holdings, rights } = this.#world
    const theirs = new Map(owners.map((summary) => [summary.owner, summary]))
    const rows = this.#rowsFor(from, range, theirs)
    if (answer === 'is-answer') return rows
    const behind = [...theirs.values()]
      .filter((summary) => rights.mayHear(from, summary) && isAhead(summary, holdings.standOf(summary.owner)))
      .map(({ owner }) => owner)
    if (rights.part === 'reader' && range.of !== 'listed') behind.push(...this.#unknownTo(theirs, range))
    return behind.length === 0 ? rows : [...rows, this.asking(behind)]
  }

  /** Asks for all that follows on where this process stands with these owners. */
  asking(owners: Iterable<string>): GossipMessage {
    const { holdings } = this.#world
    const stands = [...new Set(owners)].map((owner) => ({ owner, ...holdings.standOf(owner) }))
    return this.#digestOf({ of: 'listed' }, 'is-answer', stands)
  }

  /** An answer was cut: asks for more. Of a listed range only of those it told of; the rest of the list comes with the next comparison. */
  askingMore(to: string, range: Range, told: readonly string[]): GossipMessage {
    if (range.of === 'listed') return this.asking(told)
    return this.#isCrowded ? this.#buckets() : this.#digest(to, range, 'is-answer')
  }

  /** What a reader holds and the holder did not list. It cannot tell the rows, which are not its own; that it has them it can. */
  #unknownTo(theirs: ReadonlyMap<string, Summary>, range: Range): readonly string[] {
    const { holdings } = this.#world
    const mine = [...holdings.inRange(range, theirs)].map(({ owner }) => owner)
    return mine.filter((owner) => owner !== holdings.own.owner && !theirs.has(owner)).slice(0, ownersPerDigest)
  }

  #rowsFor(to: string, range: Range, theirs: ReadonlyMap<string, Summary>): readonly GossipMessage[] {
    const { scope, holdings, rights } = this.#world
    const deltas: Delta[] = []
    let bytes = 0
    let isCut = false
    for (const keyspace of holdings.inRange(range, theirs)) {
      if (!rights.mayTell(to, keyspace.owner)) continue
      let peer = theirs.get(keyspace.owner) ?? nothing
      for (;;) {
        const delta = keyspace.deltaFor(peer, chunkBytes)
        if (delta === undefined) break
        deltas.push(delta)
        bytes += deltaBytes(delta)
        isCut = delta.to < delta.max
        if (!isCut || bytes >= answerBytes) break
        peer = { epoch: delta.epoch, gc: delta.gc, max: delta.to }
      }
      if (bytes < answerBytes) continue
      isCut = true
      break
    }
    return deltaMessages(scope, deltas, { push: false, ...(isCut && { more: range }) })
  }

  /** More owners than one digest holds. */
  get #isCrowded(): boolean {
    return this.#world.holdings.size > ownersPerDigest
  }

  #buckets(): GossipMessage {
    const { scope, holdings } = this.#world
    return { type: 'buckets', scope, hashes: holdings.bucketHashes() }
  }

  /** Of owners the other may not hear of it does not learn that they are there. */
  #digest(to: string, range: Range, answer: Digest['answer']): Digest {
    const { holdings, rights } = this.#world
    const owners = [...holdings.summaries(range)].filter(({ owner }) => rights.mayName(to, owner))
    return this.#digestOf(range, answer, owners)
  }

  /** What does not fit is left for the next comparison: others have their turn then, and a list says nothing of those who are not on it. */
  #digestOf(range: Range, answer: Digest['answer'], owners: readonly OwnerSummary[]): Digest {
    const { scope, random } = this.#world
    if (fittingCount(owners) === owners.length) return { type: 'digest', scope, range, answer, owners }
    const some = shuffle(random, owners)
    return { type: 'digest', scope, range: { of: 'listed' }, answer, owners: some.slice(0, fittingCount(some)) }
  }
}

function isAhead(theirs: Summary, mine: Summary): boolean {
  if (theirs.epoch !== mine.epoch) return theirs.epoch > mine.epoch
  return theirs.max > mine.max || (theirs.gc > mine.gc && theirs.max >= mine.max)
}
