import { assert } from '../../base/assert.js'
import type { Clock } from '../../base/clock.js'
import { isSkeinError } from '../../base/errors.js'
import type { Random } from '../../base/random.js'
import type { Reader } from '../../wire/decode.js'
import { AnswerBudget } from './answer-budget.js'
import { decodeGossip, encodeGossip, type GossipMessage, gossipMessageMaxBytes } from './messages.js'
import type { Part } from './rights.js'
import { defaultSpaceTiming, type Send, Space, type SpaceTiming, type Standing } from './space.js'
import { Table } from './table.js'

export interface GossipOptions {
  /** Own node id. */
  readonly self: string
  /**
   * Number of this start of the process: higher each time, by more than the few lives that one start may come to begin in a scope (when it
   * joins it again, finds a later life of itself, or is outbid).
   */
  readonly epoch: number
  readonly clock: Clock
  readonly random: Random
  /** Sends if there is a link and it has room: what is lost now is made up for by the next comparison. */
  readonly send: (to: string, bytes: Uint8Array) => boolean
  /** Whether this node may speak of this owner in this scope. */
  readonly accepts: (scope: string, from: string, owner: string) => boolean
  /** Whether this node may be told of this owner in this scope. Default: as `accepts`. */
  readonly tells?: (scope: string, to: string, owner: string) => boolean
  readonly timing?: Partial<SpaceTiming>
}

export interface GossipCounters {
  readonly sent: number
  readonly sentBytes: number
  readonly received: number
  /** Sends that found no link, or a congested one. */
  readonly unsent: number
  /** Messages that did not decode. */
  readonly malformed: number
  /** Messages of scopes this process does not hold. */
  readonly strange: number
  /** Messages not heard because their sender had asked for too much within a second. */
  readonly overasked: number
  /** Owners dropped because their rows weighed too much. */
  readonly overfull: number
  /** Values of rows that did not read: of another version, or nonsense. */
  readonly unreadable: number
}

/** What this process does in one scope. */
export interface ScopeOptions {
  readonly part: Part
}

interface Scope {
  readonly space: Space
  readonly tables: Map<string, Table<never>>
}

/**
 * Carries out what the spaces of one process decide: sends, times, decodes, and tells tables of their changes. It wakes when one of them
 * has something to do, at full `flushMs` since its start: what is new within one of them goes together.
 */
export class Gossip implements AsyncDisposable {
  readonly #o: GossipOptions
  readonly #scopes = new Map<string, Scope>()
  /** Own epochs for scopes that were left: versions count anew in a new life, and never within one. */
  readonly #nextLife = new Map<string, number>()
  /** When an owner last said something new, by this process's clock. */
  readonly #heardMs = new Map<string, number>()
  /** Undefined while stopped. */
  #startedMs: number | undefined
  #timer: { readonly atMs: number; readonly cancel: () => void } | undefined
  #sent = 0
  #sentBytes = 0
  #received = 0
  #unsent = 0
  #malformed = 0
  #strange = 0
  #overasked = 0
  readonly #budget = new AnswerBudget()
  #unreadable = 0
  /** Of scopes that were left. */
  #overfull = 0

  /** Does nothing until `start`. */
  constructor(options: GossipOptions) {
    this.#o = options
  }

  get counters(): GossipCounters {
    return {
      sent: this.#sent,
      sentBytes: this.#sentBytes,
      received: this.#received,
      unsent: this.#unsent,
      malformed: this.#malformed,
      strange: this.#strange,
      overasked: this.#overasked,
      overfull: [...this.#scopes.values()].reduce((sum, { space }) => sum + space.overfull, this.#overfull),
      unreadable: this.#unreadable,
    }
  }

  start(): void {
    this.#startedMs ??= this.#o.clock.now()
    this.#arm()
  }

  async stop(): Promise<void> {
    this.#startedMs = undefined
    this.#timer?.cancel()
    this.#timer = undefined
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  /** Takes part in a scope. */
  join(scope: string, { part }: ScopeOptions): void {
    assert(!this.#scopes.has(scope), 'a scope is joined once')
    const { self, epoch, random, accepts, tells, timing } = this.#o
    const space = new Space({
      scope,
      self,
      epoch: this.#nextLife.get(scope) ?? epoch,
      part,
      random,
      accepts: (from, owner) => accepts(scope, from, owner),
      ...(tells !== undefined && { tells: (to, owner) => tells(scope, to, owner) }),
      ...(timing !== undefined && { timing }),
    })
    this.#scopes.set(scope, { space, tables: new Map() })
    this.#arm()
  }

  /** Takes another part in a scope joined before. */
  become(scope: string, part: Part): void {
    this.#change(scope, (space) => space.become(part))
  }

  /** No longer; its rows are forgotten here. */
  leave(scope: string): void {
    const space = this.#scopes.get(scope)?.space
    if (space === undefined) return
    this.#nextLife.set(scope, space.ownEpoch + 1)
    this.#overfull += space.overfull
    this.#scopes.delete(scope)
  }

  /** With whom to hold a scope from now on: nodes with a link. */
  partners(scope: string, nodes: readonly string[]): void {
    this.#change(scope, (space) => space.partners(nodes))
  }

  /** Readers that a holder tells what is new in a scope from now on: nodes with a link. */
  readers(scope: string, nodes: readonly string[]): void {
    this.#change(scope, (space) => space.readers(nodes))
  }

  /** Owners whose rows are held in a scope, shown or hidden. */
  owners(scope: string): readonly string[] {
    return [...(this.#scopes.get(scope)?.space.holdings() ?? [])]
  }

  /** Whether rows of this owner are held in a scope, shown or hidden. */
  holds(scope: string, owner: string): boolean {
    return this.#scopes.get(scope)?.space.holds(owner) ?? false
  }

  /** Whether rows of this owner would not be shown in a scope: it failed, less than a day ago. */
  hides(scope: string, owner: string): boolean {
    return this.#scopes.get(scope)?.space.hides(owner) ?? false
  }

  /** Owners that readers of a scope held since the last call and this holder does not, with the epoch of the life they hold. */
  takeClaims(scope: string): ReadonlyMap<string, number> {
    return this.#scopes.get(scope)?.space.takeClaims() ?? new Map<string, number>()
  }

  /** For a holder with the authority to say so: this owner has nothing in this scope any more, and everybody shall know. `epoch`: as claimed. */
  retract(scope: string, owner: string, epoch?: number): void {
    this.#change(scope, (space) => space.retract(owner, epoch))
  }

  /** What is concluded of an owner, in one scope or in every one. */
  standing(owner: string, standing: Standing, scope?: string): void {
    const nowMs = this.#o.clock.now()
    const scopes = scope === undefined ? [...this.#scopes.keys()] : [scope]
    for (const each of scopes) this.#change(each, (space) => space.standing(owner, standing, nowMs))
    if (standing === 'left' || standing === 'removed') this.#heardMs.delete(owner)
  }

  /** A table of a scope joined before; the same one for the same name. */
  table<T>(scope: string, name: string, reader: Reader<T>): Table<T> {
    const joined = this.#scopes.get(scope)
    assert(joined !== undefined, 'the scope is joined first')
    const known = joined.tables.get(name)
    if (known !== undefined) return known as unknown as Table<T>
    const { space, tables } = joined
    const world = {
      space,
      nowMs: () => this.#o.clock.now(),
      written: () => this.#settle(joined),
      unread: () => {
        this.#unreadable++
      },
    }
    const table = new Table<T>(name, world, reader)
    tables.set(name, table as unknown as Table<never>)
    return table
  }

  /** Milliseconds since the owner last said something new here; undefined: it never did. Never judged by the owner's own clock. */
  ageMs(owner: string): number | undefined {
    const heardMs = this.#heardMs.get(owner)
    return heardMs === undefined ? undefined : this.#o.clock.now() - heardMs
  }

  /** A message from a linked node. Never throws. */
  receive(from: string, bytes: Uint8Array): void {
    try {
      const message = decodeGossip(bytes)
      const scope = this.#scopes.get(message.scope)
      if (scope === undefined) {
        this.#strange++
        return
      }
      // Managers ask each other for everything there is, and are believed in more than that.
      const isBounded = !scope.space.isPartner(from)
      if (isBounded && this.#budget.isSpent(from, this.#o.clock.now())) {
        this.#overasked++
        return
      }
      this.#received++
      const answers = scope.space.receive(from, message)
      const bytesSaid = this.#send(scope.space, answers)
      if (isBounded && (message.type !== 'deltas' || answers.length > 0)) this.#budget.spend(from, bytesSaid)
      this.#settle(scope)
    } catch (error) {
      if (!isSkeinError(error, 'ERR_SKEIN_BAD_MESSAGE')) throw error
      this.#malformed++
    }
  }

  #change(scope: string, change: (space: Space) => void): void {
    const joined = this.#scopes.get(scope)
    if (joined === undefined) return
    change(joined.space)
    this.#settle(joined)
  }

  /** After whatever was done to a scope. */
  #settle(scope: Scope): void {
    this.#tell(scope)
    this.#armFor(scope.space.wakeAtMs)
  }

  #arm(): void {
    let wakeAtMs = Number.POSITIVE_INFINITY
    for (const { space } of this.#scopes.values()) wakeAtMs = Math.min(wakeAtMs, space.wakeAtMs)
    if (wakeAtMs < Number.POSITIVE_INFINITY) this.#armFor(wakeAtMs)
  }

  /** Never in the same turn, nor twice in one `flushMs`. */
  #armFor(wakeAtMs: number): void {
    const { clock, timing } = this.#o
    if (this.#startedMs === undefined || (this.#timer !== undefined && this.#timer.atMs <= wakeAtMs)) return
    const flushMs = timing?.flushMs ?? defaultSpaceTiming.flushMs
    const nowMs = clock.now()
    const flushes = Math.max(
      Math.floor((nowMs - this.#startedMs) / flushMs) + 1,
      Math.ceil((wakeAtMs - this.#startedMs) / flushMs),
    )
    const atMs = this.#startedMs + flushes * flushMs
    if (this.#timer !== undefined && this.#timer.atMs <= atMs) return
    this.#timer?.cancel()
    this.#timer = { atMs, cancel: clock.after(atMs - nowMs, () => this.#tick()) }
  }

  #tick(): void {
    this.#timer = undefined
    for (const scope of this.#scopes.values()) {
      const nowMs = this.#o.clock.now()
      if (scope.space.wakeAtMs > nowMs) continue
      this.#send(scope.space, scope.space.tick(nowMs))
      this.#tell(scope)
    }
    this.#arm()
  }

  /** Answers with how many bytes that were, those that found no link too. */
  #send(space: Space, sends: readonly Send[]): number {
    let saidBytes = 0
    // What goes to many is encoded once.
    const encoded = new Map<GossipMessage, Uint8Array>()
    for (const { to, message } of sends) {
      const bytes = encoded.get(message) ?? encodeGossip(message)
      encoded.set(message, bytes)
      assert(bytes.length <= gossipMessageMaxBytes, 'a gossip message fits its channel')
      saidBytes += bytes.length
      if (this.#o.send(to, bytes)) {
        this.#sent++
        this.#sentBytes += bytes.length
      } else {
        this.#unsent++
        space.unsent(to)
      }
    }
    return saidBytes
  }

  #tell({ space, tables }: Scope): void {
    for (const change of space.takeChanges()) {
      if (change.next !== undefined) this.#heardMs.set(change.owner, this.#o.clock.now())
      tables.get(change.table)?.changed(change)
    }
  }
}
