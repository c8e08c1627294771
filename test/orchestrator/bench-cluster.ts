/** A cluster of tables only: planners plan, operations are applied for real, and the test plays nodes and time. */
import { isSkeinError } from '../../lib/base/errors.js'
import { defaultClusterSettings } from '../../lib/model/cluster.js'
import type { Op } from '../../lib/model/command.js'
import type { Node } from '../../lib/model/node.js'
import type { ServiceSpec } from '../../lib/model/service.js'
import { rank, type Task, type TaskState } from '../../lib/model/task.js'
import {
  isAway,
  type Planner,
  planEnforcement,
  planReaping,
  planServices,
  runPlanner,
  type Silence,
} from '../../lib/orchestrator/index.js'
import { planPlacement } from '../../lib/scheduler/index.js'
import { applyCommand } from '../../lib/store/apply.js'
import { Tables } from '../../lib/store/tables.js'
import { someAccess } from '../store/access.js'

export interface NodeShape {
  readonly cpus?: number
  readonly memoryBytes?: number
  readonly labels?: Readonly<Record<string, string>>
  readonly drivers?: readonly string[]
  readonly role?: Node['role']
  readonly hostname?: string
  readonly os?: string
  readonly arch?: string
}

export type ServiceShape = Omit<ServiceSpec, 'task' | 'name'> &
  Partial<Pick<ServiceSpec, 'task' | 'name'>> & { readonly replicas?: number }

export class BenchCluster {
  readonly tables = new Tables()
  nowMs = 1_000_000
  /** How long the leader has not answered a node. */
  silence: Silence = () => 0
  readonly #services: Planner = (view, nowMs) => planServices(view, nowMs, this.silence)
  readonly #reaping: Planner = (view, nowMs) => planReaping(view, nowMs, this.silence)
  #index = 0

  constructor({ taskHistory = defaultClusterSettings.taskHistory } = {}) {
    const settings = { ...defaultClusterSettings, taskHistory }
    this.apply({ op: 'cluster.found', id: 'cluster00000', access: someAccess, settings })
  }

  /** Applies operations as one command; a refusal is an error. */
  apply(...ops: readonly Op[]): void {
    this.#index++
    const command = { requestId: `r${this.#index}`, atMs: this.nowMs, by: 'test', ops }
    const { outcome } = applyCommand(this.tables, command, this.#index)
    if (!outcome.ok) throw new Error(`${outcome.code}: ${outcome.message}`)
  }

  /** Adds a ready node; its id is the name, filled up to 12 characters. */
  node(name: string, { cpus = 8, memoryBytes = 8 * 2 ** 30, labels = {}, role = 'worker', ...rest }: NodeShape = {}): string {
    const id = name.padEnd(12, '0')
    this.apply({ op: 'node.create', id, name, role, availability: 'active', labels, address: `${name}:1`, raftId: undefined })
    const description = {
      hostname: rest.hostname ?? `host-${name}`,
      os: rest.os ?? 'linux',
      arch: rest.arch ?? 'x64',
      pid: 1,
      resources: { cpuNanos: cpus * 1e9, memoryBytes },
      drivers: [...(rest.drivers ?? ['process'])],
    }
    this.apply({ op: 'node.status', id, state: 'ready', message: 'registered', description })
    return id
  }

  nodes(count: number, shape: NodeShape = {}): string[] {
    return Array.from({ length: count }, (_, index) => this.node(`n${index}`, shape))
  }

  nodeState(id: string, state: Node['state']): void {
    this.apply({ op: 'node.status', id, state, message: `now ${state}` })
  }

  /** Adds a service; its id is the name, filled up to 12 characters. */
  service(name: string, shape: ServiceShape = {}): string {
    const id = name.padEnd(12, '0')
    this.apply({ op: 'service.create', id, spec: specOf(name, shape) })
    return id
  }

  update(id: string, shape: ServiceShape): void {
    this.apply({ op: 'service.update', id, spec: specOf(this.tables.service(id)?.spec.name ?? id, shape) })
  }

  observe(task: Task, state: TaskState, message = `now ${state}`): void {
    this.apply({ op: 'tasks.observe', updates: [{ task: task.handle, state, message }] })
  }

  tasks(service: string): Task[] {
    return [...this.tables.tasksOfService(service)]
  }

  /** Tasks wished to run, by slot; without those that would go on if their node came back. */
  wished(service: string): Task[] {
    return this.tasks(service).filter((task) => rank(task.desired) <= rank('running') && !isAway(this.tables, task))
  }

  /** Tasks on down nodes that go on when their node returns. */
  mayComeBack(service: string): Task[] {
    return this.tasks(service).filter((task) => rank(task.desired) <= rank('running') && isAway(this.tables, task))
  }

  running(service: string): Task[] {
    return this.wished(service).filter((task) => task.observed === 'running')
  }

  inSlot(service: string, slot: number): Task[] {
    return [...this.tables.tasksOfSlot(service, slot)]
  }

  /** `slot.generation desired observed` of every task, for tables of expectations. */
  picture(service: string): string[] {
    return this.tasks(service).map(({ slot, generation, desired, observed }) => `${slot}.${generation} ${desired} ${observed}`)
  }

  /** Plans services once and applies it; answers the operations. */
  planServices(): readonly Op[] {
    const { ops } = runPlanner(this.#services, this.tables, this.nowMs)
    if (ops.length > 0) this.apply(...ops)
    return ops
  }

  /** What all planners plan now, in the order of the reconciler; applied as it goes. */
  pass(): readonly Op[] {
    const done: Op[] = []
    const carryOut = (ops: readonly Op[]): void => {
      if (ops.length > 0) this.apply(...ops)
      done.push(...ops)
    }
    carryOut(runPlanner(planEnforcement, this.tables, this.nowMs).ops)
    carryOut(runPlanner(this.#services, this.tables, this.nowMs).ops)
    carryOut(planPlacement(this.tables, this.nowMs).ops)
    carryOut(runPlanner(this.#reaping, this.tables, this.nowMs).ops)
    return done
  }

  /** Plans until nothing is left to do; more than `passesMax` passes are a bug. */
  plan(passesMax = 10): void {
    for (let pass = 0; this.pass().length > 0; pass++) {
      if (pass >= passesMax) throw new Error(`still planning after ${passesMax} passes`)
    }
  }

  /** Plans, and lets every live node carry out what it is wished to, until all is quiet at this moment. */
  settle(roundsMax = 50): void {
    for (let round = 0; ; round++) {
      this.plan()
      if (!this.obey()) return
      if (round >= roundsMax) throw new Error(`not quiet after ${roundsMax} rounds`)
    }
  }

  /** One round of obedient nodes, for the tasks that `does` picks; false when they had nothing to do. */
  obey(does: (task: Task) => boolean = () => true): boolean {
    let acted = false
    for (const task of [...this.tables.tasks()]) {
      if (!does(task)) continue
      const next = this.#nextState(task)
      if (next === undefined) continue
      this.observe(task, next)
      acted = true
    }
    return acted
  }

  #nextState(task: Task): TaskState | undefined {
    const node = task.node === undefined ? undefined : this.tables.node(task.node)
    if (node === undefined || node.state === 'down') return undefined
    if (rank(task.observed) > rank('running')) return undefined
    if (rank(task.desired) >= rank('shutdown')) return 'shutdown'
    if (task.desired === 'ready') return rank(task.observed) < rank('ready') ? 'ready' : undefined
    return task.observed === 'running' ? undefined : 'running'
  }

  /** Earliest time a planner wants to look again. */
  wakeAtMs(): number | undefined {
    const times = [this.#services, this.#reaping].map((planner) => runPlanner(planner, this.tables, this.nowMs).wakeAtMs)
    const known = times.filter((time) => time !== undefined)
    return known.length === 0 ? undefined : Math.min(...known)
  }
}

export function specOf(name: string, { replicas = 1, task = { command: ['true'] }, ...rest }: ServiceShape): ServiceSpec {
  return { name, mode: { replicas }, task, ...rest }
}

/** Calls `act` and answers the code of the SkeinError it throws. */
export function codeOf(act: () => unknown): string | undefined {
  try {
    act()
    return undefined
  } catch (error) {
    if (isSkeinError(error, 'ERR_SKEIN_INVALID_SPEC')) return error.code
    throw error
  }
}
