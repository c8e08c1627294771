/** Peers' gossip of networks in virtual time: real spaces, scopes and rules, with links, raft and membership as the test says. */
import { endpointTable, networkOf, scopeOf } from '../../lib/api/endpoint-rows.js'
import type { AssignedTask, TaskReport } from '../../lib/api/session.js'
import { seededRandom } from '../../lib/base/random.js'
import type { Op } from '../../lib/model/command.js'
import type { NetworkRef } from '../../lib/model/network.js'
import { type DesiredState, type TaskState, taskId } from '../../lib/model/task.js'
import { decodeGossip, encodeGossip, type GossipMessage } from '../../lib/overlay/gossip/messages.js'
import type { LinkEvent } from '../../lib/overlay/transport/index.js'
import { PeerGossip, type PeerGossipOptions } from '../../lib/peer/peer-gossip.js'
import type { PeerMembership } from '../../lib/peer/peer-membership.js'
import { ManualClock } from '../../lib/testing/manual-clock.js'
import { aTask } from '../agent/fakes.js'
import { found, type Harness, node as nodeOps, openHarness } from '../store/harness.js'

type Pool = PeerGossipOptions['pool']
type Members = Pick<PeerMembership, 'member' | 'observe' | 'members'>
type MemberState = 'alive' | 'degraded' | 'suspect' | 'failed' | 'left'

interface Running {
  readonly task: AssignedTask
  readonly node: string
  readonly handle: number
}

interface Process {
  readonly id: string
  readonly gossip: PeerGossip
  readonly observers: Set<(event: LinkEvent) => void>
  receive: ((from: { node: string; role: string }, bytes: Uint8Array) => void) | undefined
}

export interface Sent {
  readonly from: string
  readonly to: string
  readonly message: GossipMessage
  readonly sizeBytes: number
}

export const networkA: NetworkRef = { id: 'network0000a', name: 'a' }
export const networkB: NetworkRef = { id: 'network0000b', name: 'b' }
export const serviceA = 'service0000a'
export const serviceB = 'service0000b'

const isManager = (id: string): boolean => id.startsWith('m')

export class NetworkTown {
  readonly clock: ManualClock
  readonly random
  readonly #harness: Harness
  readonly #processes = new Map<string, Process>()
  readonly #epochs = new Map<string, number>()
  readonly #members = new Map<string, MemberState>()
  readonly #memberObservers = new Map<string, Set<(node: string) => void>>()
  readonly #running = new Map<string, Running>()
  readonly #cut = new Set<string>()
  #handles = 0
  /** Every message that was sent, lost ones too. */
  sent: Sent[] = []
  /** Messages this answers true for are lost. */
  loses: (sent: Sent) => boolean = () => false

  /** Managers m1… hold one state of raft; m1 leads, or the first that is up. Services A and B stand on the networks a and b. */
  static async open(nodes: readonly string[], seed = 1, clock = new ManualClock()): Promise<NetworkTown> {
    const harness = await openHarness()
    const town = new NetworkTown(harness, seed, clock)
    const service = (id: string, name: string, network: NetworkRef): Op[] => [
      { op: 'network.create', ...network, labels: {} },
      { op: 'service.create', id, spec: { name, task: { command: ['x'], networks: [network.name] } } },
    ]
    await harness.submit(found, ...nodes.flatMap((id) => nodeOps(id)))
    await harness.submit(...service(serviceA, 'a-service', networkA), ...service(serviceB, 'b-service', networkB))
    for (const id of nodes) town.start(id)
    town.run(1_000)
    return town
  }

  private constructor(harness: Harness, seed: number, clock: ManualClock) {
    this.#harness = harness
    this.clock = clock
    this.random = seededRandom(seed)
  }

  get nodes(): readonly string[] {
    return [...this.#processes.keys()]
  }

  submit(...ops: Op[]): Promise<number> {
    return this.#harness.submit(...ops)
  }

  process(id: string): PeerGossip {
    const found = this.#processes.get(id)
    if (found === undefined) throw new Error(`${id} is not up`)
    return found.gossip
  }

  start(id: string): void {
    const epoch = (this.#epochs.get(id) ?? 0) + 1
    this.#epochs.set(id, epoch)
    const process: Process = {
      id,
      observers: new Set(),
      receive: undefined,
      gossip: new PeerGossip({
        node: id,
        role: isManager(id) ? 'manager' : 'worker',
        epoch,
        address: `10.0.0.1:${7_000 + Number(id.slice(1))}`,
        pool: this.#pool(id),
        clock: this.clock,
        random: this.random,
        managers: () => this.nodes.filter(isManager),
      }),
    }
    this.#processes.set(id, process)
    process.gossip.start()
    process.gossip.networks.followMembers(this.#membersFor(id))
    if (isManager(id)) {
      const { store } = this.#harness
      process.gossip.followStore(store, () => this.nodes.filter(isManager).sort()[0] === id)
    }
    this.member(id, 'alive')
    this.#linksChanged()
  }

  /** The process ends, and says nothing. */
  async crash(id: string): Promise<void> {
    const process = this.#processes.get(id)
    this.#processes.delete(id)
    this.#memberObservers.delete(id)
    await process?.gossip.stop()
    this.#linksChanged()
  }

  /** What members hold of a node from now on. */
  member(id: string, state: MemberState): void {
    this.#members.set(id, state)
    for (const observers of this.#memberObservers.values()) for (const observer of observers) observer(id)
  }

  /** No links to or from these. */
  cutOff(...ids: readonly string[]): void {
    for (const id of ids) this.#cut.add(id)
    this.#linksChanged()
  }

  heal(): void {
    this.#cut.clear()
    this.#linksChanged()
  }

  /** A new attempt in a slot, given to a node and running there; answers with its id. */
  async runTask(service: string, slot: number, node: string): Promise<string> {
    const network = service === serviceA ? networkA : networkB
    const handle = ++this.#handles
    await this.submit(
      { op: 'tasks.create', service, specVersion: 1, slotFrom: slot, slotTo: slot, desired: 'running' },
      { op: 'tasks.assign', tasks: [handle], nodes: [node] },
    )
    const record = this.#harness.store.view().task(handle)
    if (record === undefined) throw new Error('no such task')
    const id = taskId(record)
    const named = { service, serviceName: service === serviceA ? 'a-service' : 'b-service', slot }
    const template = aTask(id)
    const task: AssignedTask = { ...template, ...named, spec: { ...template.spec, networks: [network] } }
    this.#running.set(id, { task, node, handle })
    await this.report(id, 'running')
    return id
  }

  /** The node observes it, and raft hears of it. */
  async report(id: string, state: TaskState, desired: DesiredState = 'running'): Promise<void> {
    const running = this.#running.get(id)
    if (running === undefined) throw new Error(`no task ${id}`)
    const { task, node, handle } = running
    const report: TaskReport = { id, state, message: state }
    if (this.#processes.has(node)) this.process(node).ownEndpoints.saw({ ...task, desired }, report)
    if (state !== 'running') this.#running.delete(id)
    await this.submit({ op: 'tasks.observe', updates: [{ task: handle, state, message: state }] })
  }

  /** The wish alone. */
  async desire(id: string, desired: DesiredState): Promise<void> {
    const { task, node, handle } = this.#running.get(id) as Running
    await this.submit({ op: 'tasks.desire', tasks: [handle], desired })
    this.process(node).ownEndpoints.saw({ ...task, desired }, { id, state: 'running', message: '' })
  }

  /** The first of them. */
  taskOf(node: string): Running {
    const [first] = this.tasksOf(node)
    if (first === undefined) throw new Error(`${node} runs nothing`)
    return first
  }

  /** What raft says that a node runs: for a process that starts again. */
  tasksOf(node: string): readonly Running[] {
    return [...this.#running.values()].filter((each) => each.node === node)
  }

  run(forMs: number): void {
    this.clock.advance(forMs)
  }

  /** Virtual milliseconds until it holds, in steps of 50. */
  until(limitMs: number, holds: () => boolean): number {
    const fromMs = this.clock.now()
    while (!holds()) {
      if (this.clock.now() - fromMs > limitMs) return Number.POSITIVE_INFINITY
      this.run(50)
    }
    return this.clock.now() - fromMs
  }

  /** Task ids a node shows of a service, in order. */
  shown(id: string, service?: string): readonly string[] {
    const filter = service === undefined ? {} : { service }
    return this.process(id)
      .endpoints.list(filter)
      .map(({ task }) => task)
  }

  /** Of the sent messages, those of the scope of a network to a node that carry rows of others. */
  rowsTo(node: string, network: NetworkRef): readonly Sent[] {
    return this.sent.filter(
      ({ to, message }) =>
        to === node &&
        message.scope === scopeOf(network) &&
        message.type === 'deltas' &&
        message.deltas.some(({ owner, rows }) => owner !== node && rows.some(({ table }) => table === endpointTable)),
    )
  }

  /** A message that nobody's program says. */
  forge(from: string, to: string, message: GossipMessage): void {
    this.#deliver(from, to, encodeGossip(message))
  }

  #membersFor(id: string): Members {
    const observers = new Set<(node: string) => void>()
    this.#memberObservers.set(id, observers)
    return {
      member: (node) => {
        const state = this.#members.get(node)
        return state === undefined ? undefined : { state, accusers: 0, isRefused: false, sinceMs: 0, heardMs: 0 }
      },
      observe: (changed) => {
        observers.add(changed)
        return () => observers.delete(changed)
      },
      members: () => [],
    }
  }

  /** Managers are linked with everybody, workers with managers alone. */
  #isLinked(a: string, b: string): boolean {
    if (a === b || !this.#processes.has(a) || !this.#processes.has(b)) return false
    return (isManager(a) || isManager(b)) && !this.#cut.has(a) && !this.#cut.has(b)
  }

  #pool(self: string): Pool {
    const identityOf = (node: string) => ({ node, role: isManager(node) ? 'manager' : 'worker' })
    const pool = {
      link: (node: string) => (this.#isLinked(self, node) ? { identity: identityOf(node) } : undefined),
      send: (to: string, _channel: string, bytes: Uint8Array) => {
        if (!this.#isLinked(self, to)) return false
        const sent = { from: self, to, message: decodeGossip(bytes), sizeBytes: bytes.length }
        this.sent.push(sent)
        if (!this.loses(sent)) this.clock.after(1, () => this.#deliver(self, to, bytes))
        return true
      },
      onMessage: (_channel: string, receive: NonNullable<Process['receive']>) => {
        ;(this.#processes.get(self) as Process).receive = receive
      },
      observe: (observer: (event: LinkEvent) => void) => {
        const { observers } = this.#processes.get(self) as Process
        observers.add(observer)
        return () => observers.delete(observer)
      },
    }
    return pool as unknown as Pool // of a pool, what gossip uses
  }

  #deliver(from: string, to: string, bytes: Uint8Array): void {
    if (!this.#isLinked(from, to)) return
    this.#processes.get(to)?.receive?.({ node: from, role: isManager(from) ? 'manager' : 'worker' }, bytes)
  }

  #linksChanged(): void {
    for (const { observers } of this.#processes.values())
      for (const observer of observers) observer({ type: 'missed' } as unknown as LinkEvent)
  }
}

/** Endpoint messages alone: the scope of managers goes on beside. */
export function isOfNetworks({ message }: Pick<Sent, 'message'>): boolean {
  return networkOf(message.scope) !== undefined
}
