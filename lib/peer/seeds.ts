/** The addresses of a join string, as they are now: every name is looked up again and again, and stands for all that it names. */
import type { Clock } from '../base/clock.js'
import { deferred } from '../base/deferred.js'
import { messageOf } from '../base/errors.js'
import { formatHostPort, parseHostPort } from '../base/host-port.js'

/** Every address of a host; rejects when it has none. */
export type Lookup = (host: string) => Promise<readonly string[]>

/** How long an answer of the name service counts: pods and machines move. */
const lookupMs = 15_000
/** A name service that is slow does not keep the other addresses waiting. */
const waitMs = 2_000
/** A name service that names everything is not asked to be dialled whole. */
const perNameMax = 32

interface Entry {
  readonly said: string
  found: readonly string[]
  atMs: number
  /** Why the last lookup failed. */
  why: string | undefined
  /** Under way. */
  lookup: Promise<void> | undefined
}

export class Seeds {
  readonly #clock: Clock
  readonly #lookup: Lookup
  readonly #entries: readonly Entry[]

  /** @param said `host:port`, at least one. */
  constructor(said: readonly string[], lookup: Lookup, clock: Clock) {
    this.#lookup = lookup
    this.#clock = clock
    this.#entries = said.map((each) => ({
      said: each,
      found: [],
      atMs: Number.NEGATIVE_INFINITY,
      why: undefined,
      lookup: undefined,
    }))
  }

  /** `host:port` of everybody to ask, each once. A name that cannot be looked up keeps what it last named; it never rejects. */
  async list(): Promise<readonly string[]> {
    const late = deferred()
    const cancel = this.#clock.after(waitMs, late.resolve)
    await Promise.race([Promise.all(this.#entries.map((entry) => this.#refresh(entry))), late.promise])
    cancel()
    return [...new Set(this.#entries.flatMap(({ found }) => found))]
  }

  /** Names that name nobody, and why. */
  get unknown(): readonly { readonly said: string; readonly why: string }[] {
    return this.#entries.flatMap(({ said, found, why }) => (found.length === 0 && why !== undefined ? [{ said, why }] : []))
  }

  async #refresh(entry: Entry): Promise<void> {
    // What named nobody is asked for again at once: the caller waits between its tries.
    if (entry.found.length > 0 && this.#clock.now() - entry.atMs < lookupMs) return
    entry.lookup ??= this.#look(entry).finally(() => {
      entry.lookup = undefined
    })
    await entry.lookup
  }

  async #look(entry: Entry): Promise<void> {
    const address = parseHostPort(entry.said)
    if (address === undefined) return
    try {
      const hosts = await this.#lookup(address.host)
      entry.found = hosts.slice(0, perNameMax).map((host) => formatHostPort({ host, port: address.port }))
      entry.why = undefined
    } catch (error) {
      entry.why = messageOf(error)
    }
    entry.atMs = this.#clock.now()
  }
}
