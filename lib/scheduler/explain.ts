/** Why tasks found no node: counts per reason that sum to the nodes looked at, as data (`task why`) and as one line (`service ps`). */
import { assert } from '../base/assert.js'
import type { Resources } from '../model/resources.js'
import { type Filters, refusal } from './filters.js'
import type { Group } from './groups.js'
import type { NodeTable } from './node-table.js'

/** One reason why nodes take no task of a group. `nodes` is their number, `names` the first three. */
export type PlacementReason = { readonly nodes: number; readonly names: readonly string[] } & (
  | { readonly kind: 'down' | 'unknown' | 'drained' | 'paused' | 'degraded' }
  | { readonly kind: 'driver'; readonly driver: string }
  | { readonly kind: 'constraint'; readonly constraint: string }
  /** Need of one task, and what the best of these nodes has left; CPU in cpuNanos, memory in bytes. */
  | { readonly kind: 'cpu' | 'memory'; readonly need: number; readonly mostFree: number }
  | { readonly kind: 'maxPerNode'; readonly limit: number }
)

/** What became of a group in the last pass that could not place all of it. Kept in memory only, never in the log. */
export interface PlacementReport {
  /** `service.specVersion` */
  readonly group: string
  /** Tasks placed in that pass, and tasks still without a node. */
  readonly placed: number
  readonly unplaced: number
  /** Nodes looked at: the sum over `reasons`. */
  readonly evaluated: number
  readonly reasons: readonly PlacementReason[]
  readonly need: Resources
  /** Leader's wall clock. */
  readonly atMs: number
}

const namesMax = 3

/** Asks every node why it takes no more of the group; to be called when none does. */
export function explain(table: NodeTable, filters: Filters, group: Group, placed: number, nowMs: number): PlacementReport {
  const reasons = new Map<string, Tally>()
  for (const [row, node] of table.nodes.entries()) {
    const code = filters.refusalOf(row)
    assert(code !== refusal.none, 'a group with tasks left has filled every node that takes them')
    const constraint = code === refusal.constraint ? filters.unmetConstraint(row) : ''
    const key = `${code} ${constraint}`
    let tally = reasons.get(key)
    if (tally === undefined) {
      tally = { code, constraint, nodes: 0, names: [], mostFree: 0 }
      reasons.set(key, tally)
    }
    tally.nodes++
    if (tally.names.length < namesMax) tally.names.push(node.name)
    if (code === refusal.cpu) tally.mostFree = Math.max(tally.mostFree, table.freeCpuNanos[row]!)
    if (code === refusal.memory) tally.mostFree = Math.max(tally.mostFree, table.freeMemoryBytes[row]!)
  }
  const { reserve } = group.spec.task
  return {
    group: group.key,
    placed,
    unplaced: group.tasks.length - placed,
    evaluated: table.nodes.length,
    // What most nodes lack comes first; equals in the order the filters ask.
    reasons: [...reasons.values()].sort((a, b) => b.nodes - a.nodes || a.code - b.code).map((tally) => reasonOf(tally, group)),
    need: { cpuNanos: reserve.cpuNanos, memoryBytes: reserve.memoryBytes },
    atMs: nowMs,
  }
}

interface Tally {
  readonly code: number
  readonly constraint: string
  nodes: number
  readonly names: string[]
  mostFree: number
}

function reasonOf({ code, constraint, nodes, names, mostFree }: Tally, { spec }: Group): PlacementReason {
  const some = { nodes, names }
  switch (code) {
    case refusal.unknown:
      return { kind: 'unknown', ...some }
    case refusal.drained:
      return { kind: 'drained', ...some }
    case refusal.paused:
      return { kind: 'paused', ...some }
    case refusal.degraded:
      return { kind: 'degraded', ...some }
    case refusal.driver:
      return { kind: 'driver', driver: spec.task.driver, ...some }
    case refusal.constraint:
      return { kind: 'constraint', constraint, ...some }
    case refusal.cpu:
      return { kind: 'cpu', need: spec.task.reserve.cpuNanos, mostFree, ...some }
    case refusal.memory:
      return { kind: 'memory', need: spec.task.reserve.memoryBytes, mostFree, ...some }
    case refusal.maxPerNode:
      return { kind: 'maxPerNode', limit: spec.placement.maxPerNode, ...some }
    default:
      return { kind: 'down', ...some }
  }
}

/** One line for people: `no suitable node: 3 nodes lack memory (need 64 MiB, most free 12 MiB); 1 node drained`. */
export function summaryOf({ evaluated, reasons }: Pick<PlacementReport, 'evaluated' | 'reasons'>): string {
  if (evaluated === 0) return 'no suitable node: the cluster has no nodes'
  return `no suitable node: ${reasons.map(describeReason).join('; ')}`
}

/** One reason in words, with its count. */
export function describeReason(reason: PlacementReason): string {
  const nodes = reason.nodes === 1 ? '1 node' : `${reason.nodes} nodes`
  const lack = reason.nodes === 1 ? 'lacks' : 'lack'
  switch (reason.kind) {
    case 'down':
    case 'drained':
    case 'paused':
      return `${nodes} ${reason.kind}`
    case 'degraded':
      return `${nodes} silent or stopped`
    case 'unknown':
      return `${nodes} not heard of yet`
    case 'driver':
      return `${nodes} ${lack} the driver '${reason.driver}'`
    case 'constraint':
      return `constraint ${reason.constraint} not met by ${nodes}`
    case 'cpu':
      return `${nodes} ${lack} CPU (need ${cpus(reason.need)}, most free ${cpus(reason.mostFree)})`
    case 'memory':
      return `${nodes} ${lack} memory (need ${bytes(reason.need)}, most free ${bytes(reason.mostFree)})`
    case 'maxPerNode':
      return `${nodes} ${reason.nodes === 1 ? 'has' : 'have'} the most tasks allowed per node (${reason.limit})`
  }
}

function cpus(nanos: number): string {
  return String(Math.round(nanos / 1e6) / 1e3)
}

function bytes(amount: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let value = amount
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${Math.round(value * 10) / 10} ${units[unit]}`
}
