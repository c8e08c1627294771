/** Many spaces of one scope and the network between them, in virtual time; every message goes through its bytes. */
import { type Random, seededRandom } from '../../../lib/base/random.js'
import { decodeGossip, encodeGossip, type GossipMessage } from '../../../lib/overlay/gossip/messages.js'
import { type Send, Space, type SpaceTiming } from '../../../lib/overlay/gossip/space.js'

export interface NetNode {
  readonly id: string
  readonly space: Space
  readonly epoch: number
  /** What the changes told so far amount to. */
  readonly watched: Map<string, string>
}

const stepMs = 100

export class GossipNet {
  readonly random: Random
  readonly nodes = new Map<string, NetNode>()
  readonly #timing: Partial<SpaceTiming>
  readonly #side = new Map<string, number>()
  /** The largest message so far, encoded. */
  largestBytes = 0
  messages = 0
  bytes = 0
  nowMs = 0
  /** Messages this answers true for are lost. */
  loses: (from: string, to: string, message: GossipMessage) => boolean = () => false

  constructor(seed: number, timing: Partial<SpaceTiming> = {}) {
    this.random = seededRandom(seed)
    this.#timing = timing
  }

  start(id: string, epoch = 1): NetNode {
    const space = new Space({
      scope: 'test',
      self: id,
      epoch,
      part: 'holder',
      random: this.random,
      accepts: () => true,
      timing: this.#timing,
    })
    const node: NetNode = { id, space, epoch, watched: new Map() }
    this.nodes.set(id, node)
    this.#meet()
    return node
  }

  stop(id: string): void {
    this.nodes.delete(id)
    this.#meet()
  }

  node(id: string): NetNode {
    const node = this.nodes.get(id)
    if (node === undefined) throw new Error(`no node ${id}`)
    return node
  }

  write(id: string, key: string, value: string): void {
    this.node(id).space.write('table', key, Buffer.from(value))
    this.#watch(this.node(id))
  }

  remove(id: string, key: string): void {
    this.node(id).space.remove('table', key, this.nowMs)
    this.#watch(this.node(id))
  }

  /** Nodes of different sides do not hear each other. */
  split(sides: ReadonlyMap<string, number>): void {
    this.#side.clear()
    for (const [id, side] of sides) this.#side.set(id, side)
  }

  heal(): void {
    this.#side.clear()
  }

  run(forMs: number): void {
    const endMs = this.nowMs + forMs
    while (this.nowMs < endMs) {
      this.nowMs += stepMs
      for (const node of [...this.nodes.values()]) {
        this.#deliver(node.id, node.space.tick(this.nowMs))
        this.#watch(node)
      }
    }
  }

  /** What a node shows, as one text; equal texts are equal states. */
  shown(id: string): string {
    const rows = [...this.node(id).space.rows('table')].map(
      ({ owner, key, value }) => `${owner}/${key}=${Buffer.from(value).toString()}`,
    )
    return rows.sort().join(' ')
  }

  /** True when all nodes show the same. */
  get agrees(): boolean {
    return new Set([...this.nodes.keys()].map((id) => this.shown(id))).size <= 1
  }

  #meet(): void {
    const ids = [...this.nodes.keys()]
    for (const { space } of this.nodes.values()) space.partners(ids)
  }

  #deliver(from: string, sends: readonly Send[]): void {
    const queue = sends.map((send) => ({ from, ...send }))
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const { from: sender, to, message } = next
      const data = encodeGossip(message)
      this.largestBytes = Math.max(this.largestBytes, data.length)
      this.messages++
      this.bytes += data.length
      const target = this.nodes.get(to)
      if (target === undefined || this.#side.get(sender) !== this.#side.get(to) || this.loses(sender, to, message)) continue
      for (const answer of target.space.receive(sender, decodeGossip(data))) queue.push({ from: to, ...answer })
      this.#watch(target)
    }
  }

  /** Fails loudly when a change does not begin where the last one ended. */
  #watch({ id, space, watched }: NetNode): void {
    for (const { owner, key, prev, next } of space.takeChanges()) {
      const name = `${owner}/${key}`
      const was = prev === undefined ? undefined : Buffer.from(prev).toString()
      if (watched.get(name) !== was)
        throw new Error(`${id} was told ${name} changes from ${was}, but it was ${watched.get(name)}`)
      if (next === undefined) watched.delete(name)
      else watched.set(name, Buffer.from(next).toString())
    }
  }

  /** What the watchers of a node were told, as `shown` writes it. */
  told(id: string): string {
    const rows = [...this.node(id).watched].map(([name, value]) => `${name}=${value}`)
    return rows.sort().join(' ')
  }
}
