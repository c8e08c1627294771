import type { NodeId } from '../../base/ids.js'
import type { Local } from './local.js'
import { addressOf, type MemberRecord } from './member.js'

/** The ring is told of when nobody came for this long ... */
const settleMs = 1_000
/** ... and in a group that never rests after this long. */
const settleMaxMs = 30_000

/**
 * Whom we hold links to: our successors on the ring. While a group forms nearly every neighbour is displaced by the next
 * member to come, and a link costs two handshakes; so links wait until arrivals cease.
 */
export class Neighbours {
  readonly #local: Local
  /** In the order of the ring, with the address at which each was to be reached. */
  #announced: ReadonlyMap<NodeId, string | undefined> = new Map()
  /** Somebody came by the message at hand. */
  #hasArrivals = false
  #arrivedMs = 0
  /** When the change that is not announced yet was first seen. */
  #unsettledMs: number | undefined

  constructor(local: Local) {
    this.#local = local
  }

  /** Tells of the ring as it is, if that is news. */
  announce(): void {
    this.#hasArrivals = false
    this.#unsettledMs = undefined
    const peers = this.#local.table.successors(this.#local.id, this.#local.options.observers)
    const before = [...this.#announced]
    const isSame =
      peers.length === before.length &&
      peers.every((peer, at) => peer.id === before[at]?.[0] && addressOf(peer) === before[at]?.[1])
    if (isSame) return
    this.#announced = new Map(peers.map((peer) => [peer.id, addressOf(peer)]))
    this.#local.emit({ type: 'neighbours', peers })
  }

  /** Somebody came who was never here. Who goes, or comes back, changes the ring at once: after a partition links are what heals it. */
  arrived(): void {
    this.#hasArrivals = true
  }

  /** One of them may be at another address than it was, or its address may be known now: started anew elsewhere before anybody missed it. */
  moved(before: MemberRecord, now: MemberRecord): void {
    if (this.#announced.has(now.id) && addressOf(before) !== addressOf(now)) this.announce()
  }

  /** To be called when a message is dealt with: a newcomer hears of all others by one, and those it reads first are hardly its neighbours. */
  settle(): void {
    if (!this.#hasArrivals) return
    this.#hasArrivals = false
    const { table, options, nowMs } = this.#local
    // Everybody is everybody's neighbour: nobody is displaced, and a crash is seen from the first moment.
    if (table.hereCount <= options.observers + 1) {
      this.announce()
      return
    }
    this.#arrivedMs = nowMs
    if (this.#unsettledMs !== undefined) return
    this.#unsettledMs = this.#arrivedMs
    this.#look()
  }

  #look(): void {
    const { nowMs, timers } = this.#local
    if (this.#unsettledMs === undefined) return // announced meanwhile
    const dueMs = Math.min(this.#arrivedMs + settleMs, this.#unsettledMs + settleMaxMs)
    if (nowMs >= dueMs) this.announce()
    else timers.at(dueMs, () => this.#look())
  }
}
