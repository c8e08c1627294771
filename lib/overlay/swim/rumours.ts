import type { NodeId } from '../../base/ids.js'
import type { MemberRecord } from './member.js'
import { briefBytes, recordBytes } from './record-bytes.js'

interface Rumour {
  record: MemberRecord
  kind: number
  sizeBytes: number
  sent: number
  before: Rumour | undefined
  after: Rumour | undefined
}

/** Rumours in the order they came, linked through themselves: each is moved some twenty times, and a move must leave nothing behind. */
class Shelf {
  #last: Rumour | undefined
  first: Rumour | undefined

  add(rumour: Rumour): void {
    rumour.before = this.#last
    if (this.#last === undefined) this.first = rumour
    else this.#last.after = rumour
    this.#last = rumour
  }

  delete(rumour: Rumour): void {
    const { before, after } = rumour
    if (before === undefined) this.first = after
    else before.after = after
    if (after === undefined) this.#last = before
    else after.before = before
    rumour.before = undefined
    rumour.after = undefined
  }
}

/** What we say of ourselves; then who lives and who left; then who is suspected and who died. */
const kinds = 3
/** Rumours kept at once; at this many the most told makes room: whoever missed it sees by digests that it is behind. */
const rumoursMax = 2048
/** Rumours that went round, kept for whom they missed. */
const toldMax = 16
/** Rumours too long for the rest of a packet that are passed over before it goes as it is. */
const missesMax = 4

/**
 * What to pass on, and how many more times. One rumour per member: a newer one replaces it. The least-told go first, and among
 * those our own, then the living: a flood of deaths must not hold up a join or a leave.
 * @see SWIM §4.1; memberlist#159 and moby PR#50193 for the order
 */
export class Rumours {
  readonly #own: NodeId
  readonly #byMember = new Map<NodeId, Rumour>()
  /** [times sent × kinds + kind] → rumours, oldest first. */
  readonly #shelves: Shelf[] = []
  #told: readonly MemberRecord[] = []
  /** When the last of these was told for the last time. */
  toldMs = Number.NEGATIVE_INFINITY

  constructor(own: NodeId) {
    this.#own = own
  }

  get size(): number {
    return this.#byMember.size
  }

  /** The last that were told as often as they should be. */
  get told(): readonly MemberRecord[] {
    return this.#told
  }

  add(record: MemberRecord): void {
    const kind = record.id === this.#own ? 0 : record.state === 'alive' || record.state === 'left' ? 1 : 2
    const known = this.#byMember.get(record.id)
    if (known !== undefined) {
      // Most words on a member follow others: the rumour is used again, and leaves nothing behind.
      this.#shelf(known).delete(known)
      known.record = record
      known.kind = kind
      known.sizeBytes = recordBytes(record)
      known.sent = 0
      this.#shelf(known).add(known)
      return
    }
    if (this.size >= rumoursMax) this.#dropMostTold()
    const rumour: Rumour = { record, kind, sizeBytes: recordBytes(record), sent: 0, before: undefined, after: undefined }
    this.#byMember.set(record.id, rumour)
    this.#shelf(rumour).add(rumour)
  }

  drop(id: NodeId): void {
    const rumour = this.#byMember.get(id)
    if (rumour === undefined) return
    this.#shelf(rumour).delete(rumour)
    this.#byMember.delete(id)
  }

  clear(): void {
    this.#byMember.clear()
    this.#shelves.length = 0
  }

  /** What fits into `roomBytes`, each counted as sent once more and forgotten after `transmissions`. */
  take(nowMs: number, roomBytes: number, transmissions: number): MemberRecord[] {
    const taken = this.#choose(roomBytes)
    for (const rumour of taken) {
      this.#shelf(rumour).delete(rumour)
      rumour.sent++
      if (rumour.sent >= transmissions) this.#forget(rumour, nowMs)
      else this.#shelf(rumour).add(rumour)
    }
    return taken.map(({ record }) => record)
  }

  #forget({ record }: Rumour, nowMs: number): void {
    this.#byMember.delete(record.id)
    // What is suspected is no news later: it ends by itself.
    if (record.state === 'suspect') return
    this.#told = [record, ...this.#told.slice(0, toldMax - 1)]
    this.toldMs = nowMs
  }

  #dropMostTold(): void {
    for (let at = this.#shelves.length - 1; at >= 0; at--) {
      const rumour = this.#shelves[at]?.first
      if (rumour === undefined) continue
      this.drop(rumour.record.id)
      return
    }
  }

  #choose(roomBytes: number): Rumour[] {
    const chosen: Rumour[] = []
    let [room, misses] = [roomBytes, 0]
    for (const { first } of this.#shelves) {
      for (let rumour = first; rumour !== undefined; rumour = rumour.after) {
        if (rumour.sizeBytes <= room) {
          room -= rumour.sizeBytes
          chosen.push(rumour)
        } else if (++misses >= missesMax) return chosen
        if (room < briefBytes) return chosen
      }
    }
    return chosen
  }

  #shelf({ sent, kind }: Rumour): Shelf {
    const at = sent * kinds + kind
    while (this.#shelves.length <= at) this.#shelves.push(new Shelf())
    return this.#shelves[at] as Shelf
  }
}
