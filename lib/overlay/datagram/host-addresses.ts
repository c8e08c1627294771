/** Of a name, one address; rejects when it has none. */
export type LookupHost = (host: string) => Promise<string>

interface Entry {
  address: string | undefined
  askedMs: number
  /** Under way. */
  isAsking: boolean
}

/** How long an answer counts, and how long it counts that there was none. */
const knownMs = 15_000
const unknownMs = 5_000
/** Lookups at once: the system answers some four at a time, and disk writes wait in the same line. */
const lookupsMax = 2
/** Names are what others say of themselves; past this many the one asked for longest ago is forgotten. */
const namesMax = 16_384

/**
 * Addresses of names for those who will not wait: a packet to a name that is not known yet is lost, and the next one finds it. A name
 * service that hangs, or a thousand members that died with their names, hold nothing up.
 */
export class HostAddresses {
  readonly #lookup: LookupHost
  readonly #nowMs: () => number
  readonly #entries = new Map<string, Entry>()
  #underWay = 0

  constructor(lookup: LookupHost, nowMs: () => number) {
    this.#lookup = lookup
    this.#nowMs = nowMs
  }

  /** As last heard; undefined while nothing is known. */
  find(host: string): string | undefined {
    const entry = this.#entries.get(host)
    const ageMs = entry === undefined ? Number.POSITIVE_INFINITY : this.#nowMs() - entry.askedMs
    const isStale = ageMs > (entry?.address === undefined ? unknownMs : knownMs)
    if (isStale && entry?.isAsking !== true && this.#underWay < lookupsMax) void this.#ask(host, entry?.address)
    return entry?.address
  }

  /** Never rejects. */
  async #ask(host: string, known: string | undefined): Promise<void> {
    const entry: Entry = { address: known, askedMs: this.#nowMs(), isAsking: true }
    this.#entries.delete(host)
    this.#entries.set(host, entry)
    const [oldest] = this.#entries.keys()
    if (this.#entries.size > namesMax && oldest !== undefined) this.#entries.delete(oldest)
    this.#underWay++
    try {
      entry.address = await this.#lookup(host)
    } catch {
      // No address now: what was known stays, as a name service that fails for a while says nothing of its names.
    }
    this.#underWay--
    entry.isAsking = false
  }
}
