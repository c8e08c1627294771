import type { Random } from '../base/random.js'
import { below, shuffle } from '../base/random.js'
import type { Message } from '../raft/core/messages.js'
import type { RaftId } from '../raft/core/state.js'
import type { NetworkPlan } from './sim-plan.js'

/** Between the nodes: delay (and so reordering), loss, duplication, and cuts that may hold in one direction only, paths that are full or clogged. */
export class SimNetwork {
  readonly #random: Random
  readonly #cut = new Set<number>()
  #plan: NetworkPlan
  /** Messages under way, and until when nothing arrives, by path. */
  readonly #underWay = new Map<number, number>()
  readonly #clogged = new Map<number, number>()
  /** Between these nodes the world is good; undefined while it is bad everywhere. */
  #healed: { readonly nodes: ReadonlySet<RaftId>; readonly plan: NetworkPlan } | undefined

  constructor(plan: NetworkPlan, random: Random) {
    this.#plan = plan
    this.#random = random
  }

  /** Hands every copy of the message that is under way to `carry` with its delay; false when none is. */
  send(sender: RaftId, message: Message, now: number, carry: (delay: number, message: Message) => void): boolean {
    const plan = this.#planBetween(sender, message.to)
    const { lossRate, duplicateRate, pathCapacity } = plan
    if (!this.isOpen(sender, message.to)) return false
    if (lossRate > 0 && this.#random() < lossRate) return false
    const path = linkOf(sender, message.to)
    const underWay = this.#underWay.get(path) ?? 0
    if (underWay >= pathCapacity) return false
    const wait = Math.max(0, (this.#clogged.get(path) ?? 0) - now)
    carry(wait + this.#delay(plan), message)
    const isDoubled = duplicateRate > 0 && this.#random() < duplicateRate
    if (isDoubled) carry(wait + this.#delay(plan), message)
    this.#underWay.set(path, underWay + (isDoubled ? 2 : 1))
    return true
  }

  /** A copy has come to the end of its path. */
  arrived(sender: RaftId, to: RaftId): void {
    const path = linkOf(sender, to)
    this.#underWay.set(path, (this.#underWay.get(path) ?? 1) - 1)
  }

  /** Nothing that is sent from now on along one path arrives before `until`. */
  clog(from: RaftId, to: RaftId, until: number): void {
    this.#clogged.set(linkOf(from, to), until)
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

  /** Cuts one direction between two nodes. */
  cut(from: RaftId, to: RaftId): void {
    this.#sever([from], [to])
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
    this.#clogged.clear()
    this.#healed = undefined
    this.#plan = plan
  }

  /** Makes the world good between `nodes` only. */
  calmBetween(nodes: ReadonlySet<RaftId>, plan: NetworkPlan): void {
    this.#healed = { nodes, plan }
    for (const from of nodes) for (const to of nodes) this.#clogged.delete(linkOf(from, to))
  }

  /** Cuts every path from one node to the others. */
  mute(node: RaftId, nodes: readonly RaftId[]): void {
    this.#sever([node], nodes)
  }

  /** Cuts every path from the others to one node. */
  deafen(node: RaftId, nodes: readonly RaftId[]): void {
    this.#sever(nodes, [node])
  }

  #planBetween(from: RaftId, to: RaftId): NetworkPlan {
    const healed = this.#healed
    return healed?.nodes.has(from) && healed.nodes.has(to) ? healed.plan : this.#plan
  }

  #sides(nodes: readonly RaftId[]): { near: RaftId[]; far: RaftId[] } {
    const order = shuffle(this.#random, nodes)
    const size = 1 + below(this.#random, Math.max(1, order.length - 1))
    return { near: order.slice(0, size), far: order.slice(size) }
  }

  #sever(from: readonly RaftId[], to: readonly RaftId[]): void {
    for (const a of from) for (const b of to) if (a !== b) this.#cut.add(linkOf(a, b))
  }

  #delay({ delayMin, delayMean, strayRate }: NetworkPlan): number {
    const delay = delayMin - Math.log(1 - this.#random()) * delayMean
    return strayRate > 0 && this.#random() < strayRate ? delay * 10 : delay
  }
}

/** Simulated raft ids are small. */
function linkOf(from: RaftId, to: RaftId): number {
  return from * 1024 + to
}
