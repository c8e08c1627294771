/** One scope as one process takes part in it: what it writes, what is news and goes round at once, and when it compares itself with whom. Pure: time and chance are parameters. */
import { assert } from '../../base/assert.js'
import { pick, type Random, shuffle } from '../../base/random.js'
import { Comparison } from './comparison.js'
import { Holdings, never } from './holdings.js'
import { type Delta, deltaBytes, type Keyspace, nothing, type RowChange, type Summary } from './keyspace.js'
import { chunkBytes, deltaMessages, type GossipMessage, nameForm, type OwnerSummary, rowMaxBytes } from './messages.js'
import { claimedEpochMax, claimedForOthersMax, type Part, Rights, type RightsOptions } from './rights.js'

/** Milliseconds and bounds of one scope's gossip. */
export interface SpaceTiming {
  /** Between two looks at what is new. Default 100. */
  readonly flushMs: number
  /** Between two comparisons with one partner. Default 1,000. */
  readonly syncMs: number
  /** Partners told at once of what is new. Default 3. */
  readonly fanout: number
  /** How often each piece of news is passed on. Default 2. */
  readonly pushes: number
  /** A tombstone is kept this long. Default 30 min. */
  readonly tombstoneMs: number
  /** A failed owner's rows are kept, hidden, this long. Default 24 h. */
  readonly hideMs: number
}

export const defaultSpaceTiming: SpaceTiming = {
  flushMs: 100,
  syncMs: 1_000,
  fanout: 3,
  pushes: 2,
  tombstoneMs: 30 * 60_000,
  hideMs: 24 * 3_600_000,
}

export interface SpaceOptions extends RightsOptions {
  readonly scope: string
  /** Number of this start of the process: higher each time. */
  readonly epoch: number
  readonly random: Random
  readonly timing?: Partial<SpaceTiming>
}

export interface Send {
  readonly to: string
  readonly message: GossipMessage
}

/** What others conclude of an owner: `failed` hides its rows, `left` drops them until it starts again, `removed` for ever. */
export type Standing = 'alive' | 'failed' | 'left' | 'removed'

/** A reader of more owners than this compares itself that much more seldom: pushes go over links and are hardly ever lost. */
const ownersPerReaderSync = 50
/** Who is no holder waits twice as long after each comparison that nothing happened before, up to so many times `syncMs`. */
const calmMax = 8
/** News of others passed on in one flush; own news goes first and is not counted. */
const relayBytes = 64 * 1024
/** So many rows learned by comparison are passed on as news; more is one who catches up. */
const newsRowsMax = 64
/** What the rows of one owner may weigh here, ... */
export const ownerMaxBytes = 16 * 1024 * 1024
/** ... and how many there may be: however small one is, some 350 bytes go with it. */
export const ownerMaxRows = 128 * 1024
/** Past so many nodes that asked for everything and became no readers since, the first of them have to ask again. */
const knockedMax = 1_024
/** Past so many owners that only readers hold, the next are heard of later. */
const claimsMax = 1_024

interface Hot {
  /** What is new begins after this version. */
  from: number
  pushesLeft: number
}

export class Space {
  readonly #scope: string
  readonly #self: string
  readonly #random: Random
  readonly #timing: SpaceTiming
  readonly #rights: Rights
  readonly #holdings: Holdings
  readonly #comparison: Comparison
  readonly #hot = new Map<string, Hot>()
  /** Owners whose rows weighed too much. */
  overfull = 0
  #partners: readonly string[] = []
  #readers: ReadonlySet<string> = new Set()
  /** Asked for everything while they were no readers: told at once when they have become some. */
  readonly #knocked = new Set<string>()
  /** To be compared with at once. */
  readonly #greeted = new Set<string>()
  /** Owners that readers hold and this holder does not, with the latest epoch named. */
  #claims = new Map<string, number>()
  /** Of the next comparison. */
  #dueMs = Number.NEGATIVE_INFINITY
  /** Something happened since the last tick. */
  #stirred = false
  /** Comparisons since something happened. */
  #calm = 0

  constructor(options: SpaceOptions) {
    const { scope, self, epoch, random, timing } = options
    this.#scope = scope
    this.#self = self
    this.#random = random
    this.#timing = { ...defaultSpaceTiming, ...timing }
    this.#rights = new Rights(options)
    this.#holdings = new Holdings(self, epoch)
    this.#comparison = new Comparison({ scope, holdings: this.#holdings, rights: this.#rights, random })
  }

  get ownEpoch(): number {
    return this.#holdings.own.summary.epoch
  }

  /** When `tick` will have something to do: in the past when it has now. */
  get wakeAtMs(): number {
    const hasNews = this.#hot.size > 0 && this.#hasListeners
    return hasNews || this.#stirred || this.#greeted.size > 0 ? Number.NEGATIVE_INFINITY : this.#dueMs
  }

  /** Owners whose rows are shown. */
  *owners(): Generator<string, void> {
    for (const owner of this.#holdings.owners()) if (!this.#holdings.isHidden(owner)) yield owner
  }

  get(owner: string, table: string, key: string): Uint8Array | undefined {
    return this.#holdings.isHidden(owner) ? undefined : this.#holdings.get(owner)?.get(table, key)
  }

  /** Live rows of a table, of owners that are not hidden. */
  *rows(table: string): Generator<{ readonly owner: string; readonly key: string; readonly value: Uint8Array }, void> {
    for (const owner of this.owners()) {
      for (const { table: of, key, value } of this.#holdings.get(owner)?.rows() ?? []) {
        if (of === table && value !== undefined) yield { owner, key, value }
      }
    }
  }

  /** Where this process stands with an owner; hidden ones too. */
  summary(owner: string): Summary | undefined {
    return this.#holdings.get(owner)?.summary
  }

  /** Writes one of the own rows. */
  write(table: string, key: string, value: Uint8Array): void {
    assert(nameForm.test(table) && nameForm.test(key), 'names are short and plain')
    assert(value.length <= rowMaxBytes, 'a row is small')
    const { own } = this.#holdings
    const { max } = own.summary
    own.write(table, key, value)
    this.#heat(own, max)
  }

  /** Removes one of the own rows. */
  remove(table: string, key: string, nowMs: number): void {
    const { own } = this.#holdings
    const { max } = own.summary
    own.remove(table, key, nowMs)
    this.#heat(own, max)
  }

  /** Holders to talk to from now on; a new partner is compared with at once. */
  partners(nodes: readonly string[]): void {
    const isNew = nodes.some((node) => !this.#partners.includes(node))
    this.#partners = nodes.filter((node) => node !== this.#self)
    if (isNew) this.#compareSoon()
  }

  /** Whether this node is a holder to talk to. */
  isPartner(node: string): boolean {
    return this.#partners.includes(node)
  }

  /** Readers that a holder tells what is new from now on. They compare themselves with it; one that did so too early is answered now. */
  readers(nodes: readonly string[]): void {
    for (const node of nodes) if (!this.#readers.has(node) && this.#knocked.delete(node)) this.#greeted.add(node)
    this.#readers = new Set(nodes)
  }

  /** What was to be sent to this node was not: it is compared with as soon as something can be sent to it. */
  unsent(to: string): void {
    if (this.#readers.has(to) || this.#partners.includes(to)) this.#greeted.add(to)
  }

  /** Takes another part from now on. Who is no holder passes nothing on any more; an author forgets what others wrote. */
  become(part: Part): void {
    if (part === this.#rights.part) return
    this.#rights.part = part
    const others = (owner: string): boolean => owner !== this.#self
    if (part !== 'holder') {
      this.#readers = new Set()
      for (const owner of [...this.#hot.keys()].filter(others)) this.#hot.delete(owner)
    }
    if (part === 'author') for (const owner of this.#holdings.owners().filter(others)) this.#holdings.forget(owner)
    this.#compareSoon()
  }

  /** Owners of whom there are rows, shown or hidden. */
  *holdings(): Generator<string, void> {
    for (const owner of this.#holdings.owners()) if (this.holds(owner)) yield owner
  }

  /** Whether rows of this owner are held, shown or hidden. */
  holds(owner: string): boolean {
    return this.#holdings.get(owner)?.isEmpty === false
  }

  /** Whether rows of this owner would not be shown. */
  hides(owner: string): boolean {
    return this.#holdings.isHidden(owner)
  }

  /** Owners that readers held since the last call and this holder does not: all who could tell them the end may have been lost. */
  takeClaims(): ReadonlyMap<string, number> {
    const claims = this.#claims
    this.#claims = new Map()
    return claims
  }

  /**
   * A holder was told by higher authority that this owner has nothing here any more: its rows go everywhere, whatever it missed to say.
   * @param epoch of the life that readers hold, where this holder holds none
   */
  retract(owner: string, epoch?: number): void {
    const held = this.#holdings.get(owner)
    if (owner === this.#self || this.#holdings.refusedEpoch(owner) !== undefined) return
    if (epoch === undefined && (held === undefined || held.isEmpty)) return
    const keyspace = held ?? this.#holdings.open(owner, epoch ?? nothing.epoch)
    if (keyspace.summary.epoch >= never - 1)
      this.#drop(owner, never) // no life is left above it
    else {
      keyspace.retract()
      this.#heat(keyspace, 0)
    }
  }

  standing(owner: string, standing: Standing, nowMs: number): void {
    if (owner === this.#self) return
    if (standing === 'alive') {
      this.#holdings.readmit(owner)
      this.#holdings.reveal(owner)
    }
    const epoch = this.summary(owner)?.epoch
    if (standing === 'failed') this.#holdings.hide(owner, nowMs)
    else if (standing === 'removed') this.#drop(owner, never)
    else if (standing === 'left' && epoch !== undefined) this.#drop(owner, epoch)
  }

  /** Visible changes since the last call, in order. */
  takeChanges(): readonly RowChange[] {
    return this.#holdings.takeChanges()
  }

  /** To be called every `flushMs`, or as soon after `wakeAtMs`. */
  tick(nowMs: number): Send[] {
    const { tombstoneMs, hideMs } = this.#timing
    this.#holdings.own.purge(nowMs, tombstoneMs)
    for (const owner of this.#holdings.hiddenFor(hideMs, nowMs)) {
      const epoch = this.summary(owner)?.epoch
      // Of one that never said anything here there is nothing to refuse.
      if (epoch === undefined) this.#holdings.forget(owner)
      else this.#drop(owner, epoch)
    }
    if (this.#stirred) this.#dueMs = Math.min(this.#dueMs, nowMs + this.#delayMs())
    this.#stirred = false
    const sends = this.#flush()
    if (nowMs >= this.#dueMs) {
      this.#dueMs = nowMs + this.#delayMs()
      this.#calm++
      const to = pick(this.#random, this.#partners)
      if (to !== undefined) this.#greeted.add(to)
    }
    for (const to of this.#greeted) sends.push({ to, message: this.#comparison.opening(to) })
    this.#greeted.clear()
    return sends
  }

  /** What to answer. A message that speaks of owners its sender may not speak of is heard without them. */
  receive(from: string, message: GossipMessage): Send[] {
    assert(message.scope === this.#scope, 'messages are sorted by scope')
    return this.#answer(from, message).map((answer) => ({ to: from, message: answer }))
  }

  #answer(from: string, message: GossipMessage): readonly GossipMessage[] {
    switch (message.type) {
      case 'fingerprint':
        this.#noteKnock(from)
        return this.#comparison.onFingerprint(from, message.hash)
      case 'buckets':
        this.#noteKnock(from)
        return this.#comparison.onBuckets(from, message.hashes)
      case 'digest': {
        if (message.range.of === 'all') this.#noteKnock(from)
        this.#noteClaims(from, message.owners)
        const answers = this.#comparison.onDigest(from, message)
        const own = message.answer === 'wants-answer' ? message.owners.find(({ owner }) => owner === this.#self) : undefined
        if (own !== undefined) this.#meetOwnPast(from, own)
        return answers
      }
      default:
        return this.#onDeltas(from, message)
    }
  }

  #noteClaims(from: string, owners: readonly OwnerSummary[]): void {
    if (this.#rights.part !== 'holder' || !this.#readers.has(from)) return
    for (const { owner, epoch, max } of owners) {
      const isKnown = this.#holdings.get(owner) !== undefined
      if (max === 0 || epoch > claimedForOthersMax || isKnown || this.#claims.size >= claimsMax) continue
      this.#claims.set(owner, Math.max(epoch, this.#claims.get(owner) ?? 0))
    }
  }

  #noteKnock(from: string): void {
    if (this.#rights.part !== 'holder' || this.#readers.has(from) || this.#partners.includes(from)) return
    this.#knocked.add(from)
    for (const first of this.#knocked) {
      if (this.#knocked.size <= knockedMax) break
      this.#knocked.delete(first)
    }
  }

  get #hasListeners(): boolean {
    return this.#partners.length + this.#readers.size > 0
  }

  /** Own news first, so that relaying much never delays it (moby#50193); then others' as far as the budget goes. */
  #flush(): Send[] {
    const own = this.#hot.get(this.#self)
    const relayed = [...this.#hot].filter(([owner]) => owner !== this.#self)
    if (this.#hot.size === 0 || !this.#hasListeners) return []
    const isHolder = this.#rights.part === 'holder'
    const to = isHolder ? shuffle(this.#random, this.#partners).slice(0, this.#timing.fanout) : this.#partners
    const deltas: Delta[] = []
    /** Of these, what is told for the first time. */
    const firsts: Delta[] = []
    let bytes = 0
    for (const [owner, hot] of own === undefined ? relayed : [[this.#self, own] as const, ...relayed]) {
      if (bytes >= relayBytes) break
      const keyspace = this.#holdings.get(owner)
      const delta = keyspace?.isWhole ? keyspace.deltaSince(hot.from, chunkBytes) : undefined
      const isFirst = hot.pushesLeft === this.#timing.pushes
      if (delta === undefined || --hot.pushesLeft <= 0) this.#hot.delete(owner)
      if (delta === undefined || delta.to === delta.from) continue
      deltas.push(delta)
      if (isFirst) firsts.push(delta)
      if (owner !== this.#self) bytes += deltaBytes(delta)
    }
    const messages = deltaMessages(this.#scope, deltas, { push: true })
    return [...to.flatMap((node) => messages.map((message) => ({ to: node, message }))), ...this.#tellReaders(firsts)]
  }

  /** Each once, since there is nobody to tell it twice; all the same, so that it is encoded once, but not to whom it is no news at all. */
  #tellReaders(deltas: readonly Delta[]): Send[] {
    if (deltas.length === 0) return []
    const messages = deltaMessages(this.#scope, deltas, { push: true })
    const readers = [...this.#readers].filter((reader) => deltas.some(({ owner }) => owner !== reader))
    return readers.flatMap((to) => messages.map((message) => ({ to, message })))
  }

  #compareSoon(): void {
    this.#dueMs = Number.NEGATIVE_INFINITY
    this.#calm = 0
  }

  #delayMs(): number {
    const { part } = this.#rights
    // Many readers that each list many owners would cost the holders the square of both.
    const crowd = part === 'reader' ? this.#holdings.heldCount / ownersPerReaderSync : 1
    const calm = part === 'holder' ? 1 : Math.min(calmMax, 2 ** this.#calm)
    return this.#timing.syncMs * Math.max(1, crowd, calm) * (0.75 + this.#random() / 2)
  }

  #onDeltas(from: string, { deltas, push, more }: Extract<GossipMessage, { type: 'deltas' }>): readonly GossipMessage[] {
    const gaps: string[] = []
    /** Whose rows are taken here. */
    const heard: string[] = []
    const news: { readonly keyspace: Keyspace; readonly before: number }[] = []
    let rows = 0
    for (const delta of deltas) {
      if (delta.owner === this.#self) this.#meetOwnPast(from, delta)
      if (!this.#rights.mayHear(from, delta)) continue
      if (delta.epoch <= (this.#holdings.refusedEpoch(delta.owner) ?? -1)) continue
      heard.push(delta.owner)
      this.#holdings.readmit(delta.owner)
      const keyspace = this.#holdings.get(delta.owner) ?? this.#holdings.open(delta.owner, nothing.epoch)
      const before = keyspace.summary
      const applied = keyspace.apply(delta)
      // Versions of a former life mean nothing in this one.
      if (keyspace.summary.epoch !== before.epoch) this.#hot.delete(delta.owner)
      if (keyspace.sizeBytes > ownerMaxBytes || keyspace.size > ownerMaxRows) {
        this.#refuse(keyspace)
        continue
      }
      const isCut = push && delta.to < delta.max && keyspace.summary.max < delta.max
      if (applied === 'gap' || isCut) gaps.push(delta.owner)
      if (applied !== 'news') continue
      rows += delta.rows.length
      news.push({ keyspace, before: before.epoch === delta.epoch ? before.max : 0 })
    }
    if (news.length > 0) this.#stir()
    // Whoever catches up need not tell everybody what everybody else knows.
    const passesOn = this.#rights.part === 'holder' && (push || rows <= newsRowsMax)
    if (passesOn) for (const { keyspace, before } of news) this.#heat(keyspace, before)
    const answers = gaps.length === 0 ? [] : [this.#comparison.asking(gaps)]
    // Where nothing of it is taken, the same would be told again.
    return more === undefined || heard.length === 0 ? answers : [...answers, this.#comparison.askingMore(from, more, heard)]
  }

  /** One who may speak of this owner knows a later life of it: its epoch was lost, and it must begin above that one. */
  #meetOwnPast(from: string, { epoch, max }: Summary): void {
    const { own } = this.#holdings
    const { epoch: ownEpoch, max: ownMax } = own.summary
    if (!this.#rights.mayHearOfSelf(from)) return
    if (epoch >= claimedEpochMax) return // removed, or nonsense: nothing it says counts any more
    if (epoch < ownEpoch || (epoch === ownEpoch && max <= ownMax)) return
    own.beginAgain(epoch + 1)
    this.#heat(own, 0)
  }

  #heat(keyspace: Keyspace, before: number): void {
    const { owner, summary } = keyspace
    if (summary.max <= before) return
    const hot = this.#hot.get(owner)
    const from = Math.min(before, hot?.from ?? before)
    this.#hot.set(owner, { from, pushesLeft: this.#timing.pushes })
    this.#stir()
  }

  /** What it says may be lost: it compares itself more often for a while. */
  #stir(): void {
    this.#stirred = true
    this.#calm = 0
  }

  /** It writes without end. Nothing more of this life of it is held here, or asked for; what its next one says is heard. */
  #refuse({ owner, summary }: Keyspace): void {
    this.overfull++
    this.#drop(owner, summary.epoch)
  }

  #drop(owner: string, refusedEpoch: number): void {
    this.#holdings.drop(owner, refusedEpoch)
    this.#hot.delete(owner)
  }
}
