/** One scope's rows as one process holds them, and what it says about them to others. Pure: time and chance are parameters. */
import { assert } from '../../base/assert.js'
import { pick, type Random, shuffle } from '../../base/random.js'
import { bucketHashes, bucketOf, differing } from './buckets.js'
import { type Delta, Keyspace, nothing, type RowChange, rowBytes, type Summary } from './keyspace.js'
import { chunkBytes, type GossipMessage, nameForm, type OwnerSummary, type Range, rowMaxBytes } from './messages.js'

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

/**
 * `holder`: keeps everybody's rows and passes them on. `reader`: keeps everybody's rows and tells its own, to holders.
 * `author`: only tells its own, to holders.
 */
export type Part = 'holder' | 'reader' | 'author'

export interface SpaceOptions {
  readonly scope: string
  /** Own node id. */
  readonly self: string
  /** Number of this start of the process: higher each time. */
  readonly epoch: number
  readonly part: Part
  readonly random: Random
  /** Whether this node may speak of this owner; a worker only of itself. */
  readonly accepts: (from: string, owner: string) => boolean
  /** Whether this node may be told of this owner. Default: as `accepts`. */
  readonly tells?: (to: string, owner: string) => boolean
  readonly timing?: Partial<SpaceTiming>
}

export interface Send {
  readonly to: string
  readonly message: GossipMessage
}

/** What others conclude of an owner: `failed` hides its rows, `left` drops them until it starts again, `removed` for ever. */
export type Standing = 'alive' | 'failed' | 'left' | 'removed'

/** Past so many owners a comparison begins with buckets: one round then costs 2 KB and what differs. */
export const ownersPerDigest = 500
/** A reader of more owners than this compares itself that much more seldom: pushes go over links and are hardly ever lost. */
const ownersPerReaderSync = 50
/** Bytes of rows in one answer, in chunks; the other asks again when it has them. */
export const answerBytes = 256 * 1024
/** News of others passed on in one flush; own news goes first and is not counted. */
const relayBytes = 64 * 1024
/** So many rows learned by comparison are passed on as news; more is one who catches up. */
const newsRowsMax = 64
/** What the rows of one owner may weigh here, ... */
export const ownerMaxBytes = 16 * 1024 * 1024
/** ... and how many there may be: however small one is, some 350 bytes go with it. */
export const ownerMaxRows = 128 * 1024
/** Epoch of one who may never come back. */
const never = Number.MAX_SAFE_INTEGER
/** Past so many owners that only readers hold, the next are heard of later. */
const claimsMax = 1_024
/** The latest life an owner may claim for itself: it leaves room for those that others begin by retracting, and far from `never`. */
export const claimedEpochMax = 2 ** 52

interface Hot {
  /** What is new begins after this version. */
  from: number
  pushesLeft: number
}

export class Space {
  readonly #o: SpaceOptions
  readonly #timing: SpaceTiming
  readonly #own: Keyspace
  readonly #owners = new Map<string, Keyspace>()
  /** Owners dropped, with the last epoch that is refused. */
  readonly #gone = new Map<string, number>()
  readonly #hiddenSinceMs = new Map<string, number>()
  readonly #hot = new Map<string, Hot>()
  /** Owners whose rows weighed too much. */
  overfull = 0
  #changes: RowChange[] = []
  #part: Part
  #partners: readonly string[] = []
  #readers: ReadonlySet<string> = new Set()
  /** Asked for everything while they were no readers: told at once when they have become some. */
  readonly #knocked = new Set<string>()
  readonly #greeted = new Set<string>()
  /** Owners that readers hold and this holder does not, with the latest epoch named. */
  #claims = new Map<string, number>()
  #dueMs = Number.NEGATIVE_INFINITY

  constructor(options: SpaceOptions) {
    this.#o = options
    this.#timing = { ...defaultSpaceTiming, ...options.timing }
    this.#part = options.part
    this.#own = this.#open(options.self, options.epoch)
  }

  get scope(): string {
    return this.#o.scope
  }

  get ownEpoch(): number {
    return this.#own.summary.epoch
  }

  /** Owners whose rows are shown. */
  *owners(): Generator<string, void> {
    for (const owner of this.#owners.keys()) if (!this.#hiddenSinceMs.has(owner)) yield owner
  }

  get(owner: string, table: string, key: string): Uint8Array | undefined {
    return this.#hiddenSinceMs.has(owner) ? undefined : this.#owners.get(owner)?.get(table, key)
  }

  /** Live rows of a table, of owners that are not hidden. */
  *rows(table: string): Generator<{ readonly owner: string; readonly key: string; readonly value: Uint8Array }, void> {
    for (const owner of this.owners()) {
      for (const { table: of, key, value } of this.#owners.get(owner)?.rows() ?? []) {
        if (of === table && value !== undefined) yield { owner, key, value }
      }
    }
  }

  /** Where this process stands with an owner; hidden ones too. */
  summary(owner: string): Summary | undefined {
    return this.#owners.get(owner)?.summary
  }

  /** Writes one of the own rows. */
  write(table: string, key: string, value: Uint8Array): void {
    assert(nameForm.test(table) && nameForm.test(key), 'names are short and plain')
    assert(value.length <= rowMaxBytes, 'a row is small')
    const { max } = this.#own.summary
    this.#own.write(table, key, value)
    this.#heat(this.#own, max)
  }

  /** Removes one of the own rows. */
  remove(table: string, key: string, nowMs: number): void {
    const { max } = this.#own.summary
    this.#own.remove(table, key, nowMs)
    this.#heat(this.#own, max)
  }

  /** Holders to talk to from now on; a new partner is compared with at once. */
  partners(nodes: readonly string[]): void {
    const isNew = nodes.some((node) => !this.#partners.includes(node))
    this.#partners = nodes.filter((node) => node !== this.#o.self)
    if (isNew) this.#dueMs = Number.NEGATIVE_INFINITY
  }

  /** Readers that a holder tells what is new from now on. They compare themselves with it; one that did so too early is answered now. */
  readers(nodes: readonly string[]): void {
    for (const node of nodes) if (!this.#readers.has(node) && this.#knocked.delete(node)) this.#greeted.add(node)
    this.#readers = new Set(nodes)
  }

  /** Takes another part from now on. Who is no holder passes nothing on any more; an author forgets what others wrote. */
  become(part: Part): void {
    if (part === this.#part) return
    this.#part = part
    if (part !== 'holder') {
      this.#readers = new Set()
      for (const owner of [...this.#hot.keys()]) if (owner !== this.#o.self) this.#hot.delete(owner)
    }
    if (part === 'author') for (const owner of [...this.#owners.keys()]) if (owner !== this.#o.self) this.#forget(owner)
    this.#dueMs = Number.NEGATIVE_INFINITY
  }

  /** Owners of whom there are rows, shown or hidden. */
  *holdings(): Generator<string, void> {
    for (const [owner, { isEmpty }] of this.#owners) if (!isEmpty) yield owner
  }

  /** Whether rows of this owner are held, shown or hidden. */
  holds(owner: string): boolean {
    return this.#owners.get(owner)?.isEmpty === false
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
    const held = this.#owners.get(owner)
    if (owner === this.#o.self || this.#gone.has(owner)) return
    if (epoch === undefined && (held === undefined || held.isEmpty)) return
    const keyspace = held ?? this.#open(owner, epoch ?? nothing.epoch)
    if (keyspace.summary.epoch >= never - 1)
      this.#drop(owner, never) // no life is left above it
    else {
      keyspace.retract()
      this.#heat(keyspace, 0)
    }
  }

  standing(owner: string, standing: Standing, nowMs: number): void {
    if (owner === this.#o.self) return
    const keyspace = this.#owners.get(owner)
    if (standing === 'alive') {
      if (this.#gone.get(owner) !== never) this.#gone.delete(owner)
      this.#reveal(owner)
    }
    if (standing === 'failed') this.#hide(owner, nowMs)
    else if (standing === 'removed') this.#drop(owner, never)
    else if (standing === 'left' && keyspace !== undefined) this.#drop(owner, keyspace.summary.epoch)
  }

  /** Visible changes since the last call, in order. */
  takeChanges(): readonly RowChange[] {
    const changes = this.#changes
    this.#changes = []
    return changes
  }

  /** To be called every `flushMs`. */
  tick(nowMs: number): Send[] {
    this.#own.purge(nowMs, this.#timing.tombstoneMs)
    for (const [owner, sinceMs] of this.#hiddenSinceMs) {
      if (nowMs - sinceMs >= this.#timing.hideMs) this.#drop(owner, this.#owners.get(owner)?.summary.epoch ?? 0)
    }
    const sends = this.#flush()
    if (nowMs >= this.#dueMs) sends.push(...this.#compare(nowMs))
    for (const to of this.#greeted) sends.push({ to, message: this.#whereIStand(to) })
    this.#greeted.clear()
    return sends
  }

  /** What to answer. A message that speaks of owners its sender may not speak of is heard without them. */
  receive(from: string, message: GossipMessage): Send[] {
    assert(message.scope === this.#o.scope, 'messages are sorted by scope')
    switch (message.type) {
      case 'digest':
        if (message.range.of === 'all') this.#noteKnock(from)
        return this.#onDigest(from, message)
      case 'buckets':
        this.#noteKnock(from)
        return this.#onBuckets(from, message.hashes)
      default:
        return this.#onDeltas(from, message)
    }
  }

  #noteClaims(from: string, owners: readonly OwnerSummary[]): void {
    if (this.#part !== 'holder' || !this.#readers.has(from)) return
    for (const { owner, epoch, max } of owners) {
      if (max === 0 || epoch > claimedEpochMax || this.#owners.has(owner) || this.#claims.size >= claimsMax) continue
      this.#claims.set(owner, Math.max(epoch, this.#claims.get(owner) ?? 0))
    }
  }

  #noteKnock(from: string): void {
    if (this.#part === 'holder' && !this.#readers.has(from) && !this.#partners.includes(from)) this.#knocked.add(from)
  }

  /** Own news first, so that relaying much never delays it (moby#50193); then others' as far as the budget goes. */
  #flush(): Send[] {
    const own = this.#hot.get(this.#o.self)
    const relayed = [...this.#hot].filter(([owner]) => owner !== this.#o.self)
    if (this.#hot.size === 0 || this.#partners.length + this.#readers.size === 0) return []
    const isHolder = this.#part === 'holder'
    const to = isHolder ? shuffle(this.#o.random, this.#partners).slice(0, this.#timing.fanout) : this.#partners
    const deltas: Delta[] = []
    /** Of these, what is told for the first time. */
    const firsts: Delta[] = []
    let bytes = 0
    for (const [owner, hot] of own === undefined ? relayed : [[this.#o.self, own] as const, ...relayed]) {
      if (bytes >= relayBytes) break
      const keyspace = this.#owners.get(owner)
      const delta = keyspace?.isWhole ? keyspace.deltaSince(hot.from, chunkBytes) : undefined
      const isFirst = hot.pushesLeft === this.#timing.pushes
      if (delta === undefined || --hot.pushesLeft <= 0) this.#hot.delete(owner)
      if (delta === undefined || delta.to === delta.from) continue
      deltas.push(delta)
      if (isFirst) firsts.push(delta)
      if (owner !== this.#o.self) bytes += bytesOf(delta)
    }
    const messages = this.#messages(deltas, { push: true })
    return [...to.flatMap((node) => messages.map((message) => ({ to: node, message }))), ...this.#tellReaders(firsts)]
  }

  /** Each once, since there is nobody to tell it twice; all the same, so that it is encoded once, but not to whom it is no news at all. */
  #tellReaders(deltas: readonly Delta[]): Send[] {
    if (deltas.length === 0) return []
    const messages = this.#messages(deltas, { push: true })
    const readers = [...this.#readers].filter((reader) => deltas.some(({ owner }) => owner !== reader))
    return readers.flatMap((to) => messages.map((message) => ({ to, message })))
  }

  #compare(nowMs: number): Send[] {
    const { syncMs } = this.#timing
    // Many readers that each list many owners would cost the holders the square of both.
    const crowd = this.#part === 'reader' ? Math.max(1, this.#owners.size / ownersPerReaderSync) : 1
    this.#dueMs = nowMs + crowd * syncMs * (0.75 + this.#o.random() / 2)
    const to = pick(this.#o.random, this.#partners)
    return to === undefined ? [] : [{ to, message: this.#whereIStand(to) }]
  }

  #whereIStand(to: string): GossipMessage {
    if (this.#isCrowded) return this.#buckets()
    return this.#digest(to, this.#part === 'author' ? { of: 'listed' } : { of: 'all' }, 'wants-answer')
  }

  #onBuckets(from: string, hashes: Uint8Array): Send[] {
    if (this.#part === 'author') return []
    const wrong = differing(hashes, bucketHashes(this.#summaries({ of: 'all' })))
    if (wrong.length === 0) return []
    // As many as one digest holds, beginning anywhere, so that every bucket has its turn.
    const perBucket = Math.max(1, this.#owners.size / 256)
    const chosen = shuffle(this.#o.random, wrong).slice(0, Math.max(1, Math.floor((2 * ownersPerDigest) / perBucket)))
    return [{ to: from, message: this.#digest(from, { of: 'buckets', buckets: chosen }, 'wants-answer') }]
  }

  #onDigest(from: string, { range, answer, owners }: Extract<GossipMessage, { type: 'digest' }>): Send[] {
    const theirs = new Map(owners.map((summary) => [summary.owner, summary]))
    this.#noteClaims(from, owners)
    const sends = this.#answerWithRows(from, range, theirs)
    if (answer === 'is-answer') return sends
    const behind: OwnerSummary[] = []
    for (const summary of owners) {
      if (summary.owner === this.#o.self) this.#meetOwnPast(from, summary)
      if (!this.#mayHear(from, summary)) continue
      const mine = this.#standOf(summary.owner)
      if (isAhead(summary, mine)) behind.push({ owner: summary.owner, ...mine })
    }
    if (this.#part === 'reader' && range.of !== 'listed') behind.push(...this.#unknownTo(theirs, range))
    if (behind.length > 0) sends.push({ to: from, message: this.#listed(behind) })
    return sends
  }

  /** What a reader holds and the holder did not list. It cannot tell the rows, which are not its own; that it has them it can. */
  #unknownTo(theirs: ReadonlyMap<string, Summary>, range: Range): readonly OwnerSummary[] {
    const mine = [...this.#inRange(range, theirs)].filter(({ owner }) => owner !== this.#o.self && !theirs.has(owner))
    return mine.slice(0, ownersPerDigest).map(({ owner, summary }) => ({ owner, ...summary }))
  }

  #answerWithRows(to: string, range: Range, theirs: ReadonlyMap<string, Summary>): Send[] {
    const deltas: Delta[] = []
    let bytes = 0
    let isCut = false
    for (const keyspace of this.#inRange(range, theirs)) {
      if (!this.#mayTell(to, keyspace.owner)) continue
      let peer = theirs.get(keyspace.owner) ?? nothing
      for (;;) {
        const delta = keyspace.deltaFor(peer, chunkBytes)
        if (delta === undefined) break
        deltas.push(delta)
        bytes += bytesOf(delta)
        isCut = delta.to < delta.max
        if (!isCut || bytes >= answerBytes) break
        peer = { epoch: delta.epoch, gc: delta.gc, max: delta.to }
      }
      if (bytes < answerBytes) continue
      isCut = true
      break
    }
    return this.#messages(deltas, { push: false, ...(isCut && { more: range }) }).map((message) => ({ to, message }))
  }

  #onDeltas(from: string, { deltas, push, more }: Extract<GossipMessage, { type: 'deltas' }>): Send[] {
    const gaps: OwnerSummary[] = []
    const news: { readonly keyspace: Keyspace; readonly before: number }[] = []
    let rows = 0
    for (const delta of deltas) {
      if (delta.owner === this.#o.self) this.#meetOwnPast(from, delta)
      if (!this.#mayHear(from, delta)) continue
      if (delta.epoch <= (this.#gone.get(delta.owner) ?? -1)) continue
      this.#gone.delete(delta.owner)
      const keyspace = this.#owners.get(delta.owner) ?? this.#open(delta.owner, nothing.epoch)
      const before = keyspace.summary
      const applied = keyspace.apply(delta)
      // Versions of a former life mean nothing in this one.
      if (keyspace.summary.epoch !== before.epoch) this.#hot.delete(delta.owner)
      if (keyspace.sizeBytes > ownerMaxBytes || keyspace.size > ownerMaxRows) {
        this.#refuse(keyspace)
        continue
      }
      const isCut = push && delta.to < delta.max && keyspace.summary.max < delta.max
      if (applied === 'gap' || isCut) gaps.push({ owner: delta.owner, ...keyspace.summary })
      if (applied !== 'news') continue
      rows += delta.rows.length
      news.push({ keyspace, before: before.epoch === delta.epoch ? before.max : 0 })
    }
    // Whoever catches up need not tell everybody what everybody else knows.
    const passesOn = this.#part === 'holder' && (push || rows <= newsRowsMax)
    if (passesOn) for (const { keyspace, before } of news) this.#heat(keyspace, before)
    const sends: Send[] = gaps.length === 0 ? [] : [{ to: from, message: this.#listed(gaps) }]
    if (more !== undefined) sends.push({ to: from, message: this.#askAgain(from, more, deltas) })
    return sends
  }

  /** Of a listed range, what was sent last is asked for again; the rest of the list comes with the next comparison. */
  #askAgain(to: string, range: Range, deltas: readonly Delta[]): GossipMessage {
    if (range.of === 'listed') return this.#listed(deltas.map(({ owner }) => ({ owner, ...this.#standOf(owner) })))
    return this.#isCrowded ? this.#buckets() : this.#digest(to, range, 'is-answer')
  }

  /** More owners than one digest holds. */
  get #isCrowded(): boolean {
    return this.#owners.size + this.#gone.size > ownersPerDigest
  }

  #buckets(): GossipMessage {
    return { type: 'buckets', scope: this.#o.scope, hashes: bucketHashes(this.#summaries({ of: 'all' })) }
  }

  /** One who may speak of this owner knows a later life of it: its epoch was lost, and it must begin above that one. */
  #meetOwnPast(from: string, { epoch, max }: Summary): void {
    const own = this.#own.summary
    if (!this.#o.accepts(from, this.#o.self)) return
    if (epoch >= claimedEpochMax) return // removed, or nonsense: nothing it says counts any more
    if (epoch < own.epoch || (epoch === own.epoch && max <= own.max)) return
    this.#own.beginAgain(epoch + 1)
    this.#heat(this.#own, 0)
  }

  #mayHear(from: string, { owner, epoch }: Pick<OwnerSummary, 'owner' | 'epoch'>): boolean {
    if (this.#part === 'author' || owner === this.#o.self) return false
    return (from !== owner || epoch <= claimedEpochMax) && this.#o.accepts(from, owner)
  }

  #mayTell(to: string, owner: string): boolean {
    const { self, accepts, tells = accepts } = this.#o
    return (this.#part === 'holder' || owner === self) && tells(to, owner)
  }

  /** `gone` owners are known to the end, so that nobody sends them again. */
  #standOf(owner: string): Summary {
    const epoch = this.#gone.get(owner)
    if (epoch !== undefined) return { epoch, gc: never, max: never }
    return this.#owners.get(owner)?.summary ?? nothing
  }

  *#summaries(range: Range): Generator<OwnerSummary, void> {
    for (const { owner, summary } of this.#inRange(range, new Map([[this.#o.self, nothing]]))) yield { owner, ...summary }
    if (range.of === 'listed') return
    for (const owner of this.#gone.keys()) if (isIn(range, owner)) yield { owner, ...this.#standOf(owner) }
  }

  /** Own first. */
  *#inRange(range: Range, listed: ReadonlyMap<string, Summary>): Generator<Keyspace, void> {
    for (const [owner, keyspace] of this.#owners) {
      if (range.of === 'listed' ? listed.has(owner) : isIn(range, owner)) yield keyspace
    }
  }

  /** Of owners the other may not hear of it does not learn that they are there. */
  #digest(to: string, range: Range, answer: 'wants-answer' | 'is-answer'): GossipMessage {
    const { self, accepts, tells = accepts } = this.#o
    const owners = [...this.#summaries(range)].filter(({ owner }) => owner === self || tells(to, owner))
    return { type: 'digest', scope: this.#o.scope, range, answer, owners }
  }

  #listed(owners: readonly OwnerSummary[]): GossipMessage {
    return { type: 'digest', scope: this.#o.scope, range: { of: 'listed' }, answer: 'is-answer', owners }
  }

  /** Packed into messages that fit; `more` goes with the last. */
  #messages(deltas: readonly Delta[], { push, more }: { readonly push: boolean; readonly more?: Range }): GossipMessage[] {
    const parcels: Delta[][] = []
    let bytes = 0
    for (const delta of deltas) {
      const size = bytesOf(delta)
      const last = parcels.at(-1)
      if (last === undefined || bytes + size > chunkBytes) {
        parcels.push([delta])
        bytes = size
      } else {
        last.push(delta)
        bytes += size
      }
    }
    return parcels.map((each, index) => ({
      type: 'deltas',
      scope: this.#o.scope,
      deltas: each,
      push,
      ...(more !== undefined && index === parcels.length - 1 && { more }),
    }))
  }

  #heat(keyspace: Keyspace, before: number): void {
    const { owner, summary } = keyspace
    if (summary.max <= before) return
    const hot = this.#hot.get(owner)
    const from = Math.min(before, hot?.from ?? before)
    this.#hot.set(owner, { from, pushesLeft: this.#timing.pushes })
  }

  #open(owner: string, epoch: number): Keyspace {
    const keyspace = new Keyspace(owner, epoch, (change) => {
      if (!this.#hiddenSinceMs.has(owner)) this.#changes.push(change)
    })
    this.#owners.set(owner, keyspace)
    return keyspace
  }

  #hide(owner: string, nowMs: number): void {
    if (this.#hiddenSinceMs.has(owner)) return
    for (const { table, key, value } of this.#owners.get(owner)?.rows() ?? [])
      this.#changes.push({ owner, table, key, prev: value, next: undefined })
    this.#hiddenSinceMs.set(owner, nowMs)
  }

  #reveal(owner: string): void {
    if (!this.#hiddenSinceMs.delete(owner)) return
    for (const { table, key, value } of this.#owners.get(owner)?.rows() ?? [])
      this.#changes.push({ owner, table, key, prev: undefined, next: value })
  }

  /** It writes without end. Nothing more of this life of it is held here, or asked for; what its next one says is heard. */
  #refuse({ owner, summary }: Keyspace): void {
    this.overfull++
    this.#drop(owner, summary.epoch)
  }

  #forget(owner: string): void {
    this.#owners.get(owner)?.clear()
    this.#owners.delete(owner)
    this.#hiddenSinceMs.delete(owner)
    this.#hot.delete(owner)
  }

  #drop(owner: string, refusedEpoch: number): void {
    this.#forget(owner)
    this.#gone.set(owner, Math.max(refusedEpoch, this.#gone.get(owner) ?? 0))
  }
}

function isIn(range: Range, owner: string): boolean {
  return range.of === 'all' || (range.of === 'buckets' && range.buckets.includes(bucketOf(owner)))
}

function isAhead(theirs: Summary, mine: Summary): boolean {
  if (theirs.epoch !== mine.epoch) return theirs.epoch > mine.epoch
  return theirs.max > mine.max || (theirs.gc > mine.gc && theirs.max >= mine.max)
}

function bytesOf(delta: Delta): number {
  return delta.rows.reduce((sum, row) => sum + rowBytes(row), 80)
}
