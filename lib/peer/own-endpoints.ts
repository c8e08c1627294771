/** What this node's own tasks mean for networks: to which it belongs, and what it says in each. */
import type { TaskWitness } from '../agent/index.js'
import { type EndpointRow, endpointRowOf } from '../api/endpoint-rows.js'
import type { AssignedTask, TaskReport } from '../api/session.js'
import type { NetworkRef } from '../model/network.js'
import { isTerminal } from '../model/task.js'

/** Carries it out. */
export interface EndpointSink {
  /** The first task of this network is here. */
  attach(network: NetworkRef): void
  /** The last one has ended; rows that are left were deleted before. Said too of a network whose task a restart found ended. */
  detach(network: NetworkRef): void
  set(network: NetworkRef, task: string, row: EndpointRow): void
  delete(network: NetworkRef, task: string): void
}

/** A node belongs to a network exactly while a task of it is here that has not ended. */
export class OwnEndpoints implements TaskWitness {
  readonly #sink: EndpointSink
  /** host:port that this peer advertises. */
  readonly #address: string
  /** Tasks that have not ended, with their networks. */
  readonly #live = new Map<string, readonly NetworkRef[]>()
  /** Tasks that have ended and are not forgotten. */
  readonly #over = new Set<string>()
  readonly #tasksOn = new Map<string, number>()

  constructor(address: string, sink: EndpointSink) {
    this.#address = address
    this.#sink = sink
  }

  saw(task: AssignedTask, report: TaskReport): void {
    const { networks } = task.spec
    if (isTerminal(report.state)) {
      if (this.#over.has(task.id)) return
      this.#over.add(task.id)
      if (this.#live.has(task.id)) this.#end(task.id)
      // Never seen alive: an earlier run of this process may have said that it is.
      else for (const network of networks) if (!this.#tasksOn.has(network.id)) this.#sink.detach(network)
      return
    }
    if (!this.#live.has(task.id)) {
      this.#live.set(task.id, networks)
      for (const network of networks) this.#count(network, 1)
    }
    const row = endpointRowOf(task, report, this.#address)
    if (row !== undefined) for (const network of networks) this.#sink.set(network, task.id, row)
  }

  gone(id: string): void {
    this.#over.delete(id)
    this.#end(id)
  }

  #end(id: string): void {
    const networks = this.#live.get(id) ?? []
    this.#live.delete(id)
    for (const network of networks) {
      this.#sink.delete(network, id)
      this.#count(network, -1)
    }
  }

  #count(network: NetworkRef, by: 1 | -1): void {
    const before = this.#tasksOn.get(network.id) ?? 0
    const now = before + by
    if (now === 0) this.#tasksOn.delete(network.id)
    else this.#tasksOn.set(network.id, now)
    if (before === 0) this.#sink.attach(network)
    if (now === 0) this.#sink.detach(network)
  }
}
