import type { Random } from '../base/random.js'
import { below, shuffle } from '../base/random.js'
import type { Message } from '../raft/core/messages.js'
import type { RaftId } from '../raft/core/state.js'
import type { NetworkPlan } from './sim-plan.js'

/** Between the nodes: delay (and so reordering), loss, duplication, and cuts that may hold in one direction only. */
export class SimNetwork {
  readonly #random: Random
  readonly #cut = new Set<number>()
  #plan: NetworkPlan

  constructor(plan: NetworkPlan, random: Random) {
    this.#plan = plan
    this.#random = random
  }

  /** Hands every copy of the message that is under way to `carry` with its delay; false when none is. */
  send(sender: RaftId, message: Message, carry: (delay: number, message: Message) => void): boolean {
    const { lossRate, duplicateRate } = this.#plan
    if (!this.isOpen(sender, message.to)) return false
    if (lossRate > 0 && this.#random() < lossRate) return false
    carry(this.#delay(), message)
    if (duplicateRate > 0 && this.#random() < duplicateRate) carry(this.#delay(), message)
    return true
  }

  isOpen(from: RaftId, to: RaftId): boolean {
    return this.#cut.size === 0 || !this.#cut.has(linkOf(from, to))
  }

  /** True when the sender of a lost message finds out. */
  isLossNoticed(): boolean {
    return this.#random() < this.#plan.noticeRate
  }

  /** Cuts the nodes into two sides, both directions. Returns one side. */
  split(nodes: readonly RaftId[]): readonly RaftId[] {
    const { near, far } = this.#sides(nodes)
    this.#sever(near, far)
    this.#sever(far, near)
    return near
  }

  /** Cuts one direction between two sides. Returns the side whose messages no longer leave. */
  splitOneWay(nodes: readonly RaftId[]): readonly RaftId[] {
    const { near, far } = this.#sides(nodes)
    this.#sever(near, far)
    return near
  }

  /** Cuts one node off from all others. */
  isolate(node: RaftId, nodes: readonly RaftId[]): void {
    this.#sever([node], nodes)
    this.#sever(nodes, [node])
  }

  heal(): void {
    this.#cut.clear()
  }

  calm(plan: NetworkPlan): void {
    this.#cut.clear()
    this.#plan = plan
  }

  #sides(nodes: readonly RaftId[]): { near: RaftId[]; far: RaftId[] } {
    const order = shuffle(this.#random, nodes)
    const size = 1 + below(this.#random, Math.max(1, order.length - 1))
    return { near: order.slice(0, size), far: order.slice(size) }
  }

  #sever(from: readonly RaftId[], to: readonly RaftId[]): void {
    for (const a of from) for (const b of to) if (a !== b) this.#cut.add(linkOf(a, b))
  }

  #delay(): number {
    const { delayMin, delayMean, strayRate } = this.#plan
    const delay = delayMin - Math.log(1 - this.#random()) * delayMean
    return strayRate > 0 && this.#random() < strayRate ? delay * 10 : delay
  }
}

/** Simulated raft ids are small. */
function linkOf(from: RaftId, to: RaftId): number {
  return from * 1024 + to
}
