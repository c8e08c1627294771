/** Which nodes belong to which networks by what raft says: a manager's own tables, followed change by change. */
import { isTerminal, type Task } from '../model/task.js'
import type { Change } from '../store/changes.js'
import type { View } from '../store/view.js'

interface Attachment {
  readonly node: string
  readonly networks: readonly string[]
}

/** By which clock a parting was a short while ago, and how long that is. */
export interface Lately {
  nowMs(): number
  readonly forMs: number
}

/** A node belongs to a network exactly while a task of it is given to the node and has not ended. */
export class Attachments {
  /** By task handle. */
  readonly #byTask = new Map<number, Attachment>()
  /** Network → node → its tasks there. */
  readonly #counts = new Map<string, Map<string, number>>()
  /** Network and node → when it left, the latest last; of those that left within `lately`. */
  readonly #partings = new Map<string, number>()
  readonly #lately: Lately

  constructor(lately: Lately) {
    this.#lately = lately
  }

  has(network: string, node: string): boolean {
    return this.#counts.get(network)?.has(node) ?? false
  }

  /** Whether a node was seen to leave a network a short while ago. */
  hasLeftLately(network: string, node: string): boolean {
    const { nowMs, forMs } = this.#lately
    const leftAtMs = this.#partings.get(partingOf(network, node))
    return leftAtMs !== undefined && nowMs() - leftAtMs < forMs
  }

  /** Nodes of a network. */
  nodes(network: string): Iterable<string> {
    return this.#counts.get(network)?.keys() ?? []
  }

  /** Everything anew. */
  reset(view: View): void {
    this.#byTask.clear()
    this.#counts.clear()
    this.#partings.clear()
    for (const task of view.tasks()) this.#put(view, task.handle, task)
  }

  /** Says whether a node came to a network or left one. */
  follow(view: View, changes: readonly Change[]): boolean {
    let isNews = false
    for (const change of changes) {
      if (change.kind !== 'task') continue
      const { handle } = change.type === 'set' ? change.object : change.was
      if (this.#put(view, handle, change.type === 'set' ? change.object : undefined)) isNews = true
    }
    return isNews
  }

  #put(view: View, handle: number, task: Task | undefined): boolean {
    const was = this.#byTask.get(handle)
    const now = task && attachmentOf(view, task)
    // A task keeps its node and its spec: only whether it counts can change.
    if ((was === undefined) === (now === undefined)) return false
    if (now === undefined) this.#byTask.delete(handle)
    else this.#byTask.set(handle, now)
    const { node, networks } = (now ?? was) as Attachment
    const by = now === undefined ? -1 : 1
    return networks.map((network) => this.#count(network, node, by)).includes(true)
  }

  #count(network: string, node: string, by: 1 | -1): boolean {
    const nodes = this.#counts.get(network) ?? new Map<string, number>()
    const before = nodes.get(node) ?? 0
    const now = before + by
    if (now === 0) {
      nodes.delete(node)
      this.#part(network, node)
    } else nodes.set(node, now)
    if (nodes.size === 0) this.#counts.delete(network)
    else this.#counts.set(network, nodes)
    return before === 0 || now === 0
  }

  #part(network: string, node: string): void {
    const { nowMs, forMs } = this.#lately
    const atMs = nowMs()
    for (const [parting, leftAtMs] of this.#partings) {
      if (atMs - leftAtMs < forMs) break
      this.#partings.delete(parting)
    }
    const parting = partingOf(network, node)
    this.#partings.delete(parting)
    this.#partings.set(parting, atMs)
  }
}

function partingOf(network: string, node: string): string {
  return `${network} ${node}`
}

function attachmentOf(view: View, { node, observed, service, specVersion }: Task): Attachment | undefined {
  if (node === undefined || isTerminal(observed)) return undefined
  const networks = view.spec(service, specVersion)?.task.networks.map(({ id }) => id) ?? []
  return { node, networks }
}
