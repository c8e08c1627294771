import type { NodeId } from '../../base/ids.js'
import type { Local } from './local.js'

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
  #announced: readonly NodeId[] = []
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
    const isSame = peers.length === this.#announced.length && peers.every(({ id }, at) => id === this.#announced[at])
    if (isSame) return
    this.#announced = peers.map(({ id }) => id)
    this.#local.emit({ type: 'neighbours', peers })
  }

  /** Somebody came who was never here. Who goes, or comes back, changes the ring at once: after a partition links are what heals it. */
  arrived(): void {
    this.#hasArrivals = true
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
