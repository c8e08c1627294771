/** Gossip as a peer takes part in it: over the links to the managers, with what the store says of nodes. */
import type { Agent } from '../agent/index.js'
import { networkOf } from '../api/endpoint-rows.js'
import type { TaskReport } from '../api/session.js'
import type { NodeLoad } from '../api/types.js'
import {
  type LoadRow,
  loadTable,
  managersScope,
  type Rows,
  readLoadRow,
  readTaskRow,
  type TaskRow,
  taskRowOf,
  taskTable,
} from '../api/worker-rows.js'
import type { Clock } from '../base/clock.js'
import type { Random } from '../base/random.js'
import { freshLoad } from '../dispatcher/index.js'
import type { NodeRole } from '../model/node.js'
import { Gossip, type Table } from '../overlay/gossip/index.js'
import type { LinkPool } from '../overlay/transport/index.js'
import type { Store } from '../store/index.js'
import { PeerEndpoints } from './endpoints.js'
import { LoadAges } from './load-ages.js'
import { LoadMeter } from './load-meter.js'
import { NetworkGossip } from './network-gossip.js'
import { OwnEndpoints } from './own-endpoints.js'
import { thisMachine, thisMachinesCpuTimes, thisMachinesFreeMemory } from './system-world.js'

export interface PeerGossipOptions {
  readonly node: string
  readonly role: NodeRole
  readonly epoch: number
  /** host:port that this peer advertises. */
  readonly address: string
  readonly pool: Pick<LinkPool, 'link' | 'send' | 'onMessage' | 'observe'>
  readonly clock: Clock
  readonly random: Random
  /** Managers as last heard of. */
  managers(): readonly string[]
}

/** Room between the epochs of two starts of a process. */
const livesPerStart = 2 ** 16

/** How often it is looked whether managers came or went without a link that said so. */
const lookMs = 1_000

/** Managers hold everybody's rows, workers tell their own to every manager they are linked to. */
export class PeerGossip implements AsyncDisposable {
  readonly networks: NetworkGossip
  readonly endpoints: PeerEndpoints
  /** To be told of the tasks here. */
  readonly ownEndpoints: OwnEndpoints
  readonly #o: PeerGossipOptions
  readonly #gossip: Gossip
  readonly #tasks: Table<TaskRow>
  readonly #load: Table<LoadRow>
  readonly #loadAges = new LoadAges()
  #role: NodeRole
  #undo: (() => void)[] = []

  /** Says and hears nothing until `start`. */
  constructor(options: PeerGossipOptions) {
    const { node, role, epoch, pool, clock, random } = options
    this.#o = options
    this.#role = role
    this.#gossip = new Gossip({
      self: node,
      epoch: epoch * livesPerStart,
      clock,
      random,
      send: (to, bytes) => pool.send(to, 'gossip', bytes),
      // A manager passes on what others wrote; a worker speaks for itself, and hears of nobody.
      accepts: (scope, from, owner) =>
        networkOf(scope) === undefined
          ? this.#role === 'worker' || from === owner || pool.link(from)?.identity.role === 'manager'
          : this.networks.accepts(scope, from, owner),
      tells: (scope, to, owner) =>
        networkOf(scope) === undefined
          ? this.#role === 'worker' || to === owner || pool.link(to)?.identity.role === 'manager'
          : this.networks.tells(scope, to, owner),
    })
    this.networks = new NetworkGossip({ node, role, gossip: this.#gossip, pool, clock, managers: options.managers })
    this.endpoints = new PeerEndpoints(this.networks)
    this.ownEndpoints = new OwnEndpoints(options.address, this.networks)
    this.#gossip.join(managersScope, { part: partOf(role) })
    this.#tasks = this.#gossip.table(managersScope, taskTable, readTaskRow)
    this.#load = this.#gossip.table(managersScope, loadTable, readLoadRow)
    this.#load.observe(({ owner, key }) => {
      if (key === '') this.#loadAges.saw(owner, this.#load.get(owner, ''), clock.now())
    })
  }

  start(): void {
    const { pool, clock } = this.#o
    pool.onMessage('gossip', (from, message) => {
      // To a worker only managers speak.
      if (this.#role === 'manager' || from.role === 'manager') this.#gossip.receive(from.node, message)
    })
    this.#undo.push(
      pool.observe(() => {
        this.#meet()
        this.networks.meetSoon()
      }),
      clock.every(lookMs, () => {
        this.#meet()
        this.networks.look()
      }),
    )
    this.#meet()
    this.#gossip.start()
  }

  /** A manager begins to hold everybody's rows; a worker forgets them. */
  become(role: NodeRole): void {
    this.#role = role
    this.#gossip.become(managersScope, partOf(role))
    this.networks.become(role)
    this.#meet()
  }

  async stop(): Promise<void> {
    for (const undo of this.#undo.splice(0)) undo()
    this.endpoints.stop()
    this.networks.stop()
    await this.#gossip.stop()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  /** Where this node's agent keeps the latest of each task. */
  get ownTasks(): { set(report: TaskReport): void; delete(id: string): void } {
    return {
      set: (report) => this.#tasks.set(report.id, taskRowOf(report)),
      delete: (id) => this.#tasks.delete(id),
    }
  }

  /** Tells how busy this node is from now on. */
  meterLoad(agent: Pick<Agent, 'reserved'>): void {
    const { cpus, memoryBytes } = thisMachine()
    const meter = new LoadMeter({
      clock: this.#o.clock,
      cpuTimes: thisMachinesCpuTimes,
      memoryFreeBytes: thisMachinesFreeMemory,
      unreserved: () => {
        const reserved = agent.reserved()
        return {
          unreservedCpuNanos: cpus * 1e9 - reserved.cpuNanos,
          unreservedMemoryBytes: memoryBytes - reserved.memoryBytes,
          tasks: reserved.tasks,
        }
      },
      tell: (load) => this.#load.set('', load),
    })
    meter.start()
    this.#undo.push(() => meter.stop())
  }

  metrics(): Readonly<Record<string, number>> {
    const { sent, sentBytes, received, unsent, malformed, strange, overasked, overfull, unreadable } = this.#gossip.counters
    return {
      skein_gossip_sent_total: sent,
      skein_gossip_sent_bytes_total: sentBytes,
      skein_gossip_received_total: received,
      skein_gossip_unsent_total: unsent,
      skein_gossip_malformed_total: malformed,
      skein_gossip_strange_total: strange,
      skein_gossip_overasked_total: overasked,
      skein_gossip_overfull_total: overfull,
      skein_gossip_unreadable_total: unreadable,
    }
  }

  /** Everybody's tasks; on a worker its own. */
  get tasks(): Rows<TaskRow> {
    return this.#rowsOf(this.#tasks)
  }

  /** How busy a node says it is; undefined: its meter did not speak lately, whatever else of the node did. */
  loadOf(node: string): NodeLoad | undefined {
    const said = freshLoad(this.#load.get(node, ''), this.#loadAges.ageMs(node, this.#o.clock.now()))
    return said && { cpu: said.cpu, memoryFreeBytes: said.memoryFreeBytes, lagMs: said.lagMs }
  }

  /**
   * A manager goes by raft: who is down is hidden, who was removed is refused. `isLeading`: its tables are those that count.
   * Returns how to end it.
   */
  followStore(store: Pick<Store, 'view' | 'onChange'>, isLeading: () => boolean): () => void {
    const unfollow = this.networks.followStore(store, isLeading)
    const states = new Map<string, 'alive' | 'failed'>()
    let removed = 0
    const look = (): void => {
      for (const { id, state } of store.view().nodes()) {
        const standing = state === 'down' ? 'failed' : 'alive'
        if ((states.get(id) ?? 'alive') === standing) continue
        states.set(id, standing)
        this.#gossip.standing(id, standing, managersScope)
      }
      const gone = store.view().cluster?.removedNodes ?? []
      for (const id of gone.slice(removed)) {
        states.delete(id)
        this.#loadAges.forget(id)
        this.#gossip.standing(id, 'removed', managersScope)
      }
      removed = gone.length
    }
    look()
    const unlisten = store.onChange((changes) => {
      // None at all: a snapshot replaced everything.
      if (changes.length === 0 || changes.some(({ kind }) => kind === 'node' || kind === 'cluster')) look()
    })
    return () => {
      unlisten()
      unfollow()
    }
  }

  #meet(): void {
    const { pool, node, managers } = this.#o
    const linked = managers().filter((each) => each !== node && pool.link(each) !== undefined)
    this.#gossip.partners(managersScope, linked)
  }

  #rowsOf<T>(table: Table<T>): Rows<T> {
    return {
      rows: () => table.rows(),
      watch: (signal) => table.watch(signal),
      ageMs: (owner) => this.#gossip.ageMs(owner),
    }
  }
}

function partOf(role: NodeRole): 'holder' | 'author' {
  return role === 'manager' ? 'holder' : 'author'
}
