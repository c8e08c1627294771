/**
 * Gives pending tasks nodes, group by group, and explains what it could not place. Pure: whole view in, assignments out;
 * the store checks each assignment again when it applies it.
 */
import type { Op } from '../model/command.js'
import type { Task } from '../model/task.js'
import type { View } from '../store/view.js'
import { readSpread } from './constraints.js'
import { explain, type PlacementReport } from './explain.js'
import { Filters } from './filters.js'
import { awaitsPlacement, countsForSpread, type Group, GroupCollector, specReader } from './groups.js'
import { NodeTable } from './node-table.js'
import { fillPenalty } from './rank.js'
import { spread } from './spread.js'

export interface PlacementOptions {
  /** Asked between groups; true ends the plan with `more`. Default: never. */
  readonly shouldYield?: () => boolean
}

export interface PlacementPlan {
  readonly ops: readonly Op[]
  /** By group key (`groupKeyOf(task)`): only groups of which something stays without a node. */
  readonly explanations: ReadonlyMap<string, PlacementReport>
  /** True when it stopped early: apply `ops` and plan again. */
  readonly more: boolean
}

/** A bit of a placement: between two of them the caller may let others run. */
export interface PlacementStep {
  readonly ops: readonly Op[]
  readonly report: PlacementReport | undefined
}

/** Plans everything that is pending, or as much as `shouldYield` allows. */
export function planPlacement(view: View, nowMs: number, { shouldYield = () => false }: PlacementOptions = {}): PlacementPlan {
  const ops: Op[] = []
  const explanations = new Map<string, PlacementReport>()
  for (const step of placementSteps(view, nowMs)) {
    ops.push(...step.ops)
    if (step.report !== undefined) explanations.set(step.report.group, step.report)
    if (shouldYield()) return { ops, explanations, more: true }
  }
  return { ops, explanations, more: false }
}

/** Rows looked at between two steps while reading the view: well under a millisecond. */
const rowsPerStep = 2_000
const nothing: PlacementStep = { ops: [], report: undefined }

/**
 * The plan in steps: some that only read, then one per group. Nodes and free resources are as of the first step, kept up with
 * what the steps themselves gave away; what changes meanwhile the store notices (a node gone) or the next plan (room freed).
 */
export function* placementSteps(view: View, nowMs: number): Generator<PlacementStep, void> {
  const waiting = new GroupCollector(view)
  let rows = 0
  for (const task of view.tasks()) {
    if (awaitsPlacement(task)) waiting.add(task)
    if (++rows > rowsPerStep) {
      rows = 0
      yield nothing
    }
  }
  const groups = waiting.groups()
  if (groups.length === 0) return

  const table = new NodeTable(view)
  const specOf = specReader(view)
  for (const { id } of table.nodes) {
    // A node is counted in one go: what it has left must be right, whatever happens between two steps.
    for (const task of view.tasksOfNode(id)) {
      table.count(task, specOf(task))
      rows++
    }
    if (++rows > rowsPerStep) {
      rows = 0
      yield nothing
    }
  }
  let service: string | undefined
  for (const group of groups) {
    if (group.service !== service) countService(table, view.tasksOfService(group.service))
    service = group.service
    yield place(table, group, view, nowMs)
  }
}

function countService(table: NodeTable, tasks: Iterable<Task>): void {
  table.ofService.fill(0)
  for (const task of tasks) {
    const row = task.node !== undefined && countsForSpread(task) ? table.row(task.node) : undefined
    if (row !== undefined && !table.isDown(row)) table.ofService[row]! += 1
  }
}

function place(table: NodeTable, group: Group, view: View, nowMs: number): PlacementStep {
  const filters = new Filters(table, group)
  const placeable = Math.min(group.tasks.length, filters.fillRoom())
  if (placeable > 0) {
    fillPenalty(table, group, view.tasksOfService(group.service), nowMs)
    const preferences = readSpread(group.spec.placement.spread).map((attribute) => table.valueColumn(attribute))
    spread(table, preferences, placeable)
  }
  const nodes = placeable > 0 ? handOut(table, group) : []
  const op: Op = { op: 'tasks.assign', tasks: group.tasks.slice(0, nodes.length), nodes }
  return {
    ops: nodes.length > 0 ? [op] : [],
    report: nodes.length < group.tasks.length ? explain(table, filters, group, nodes.length, nowMs) : undefined,
  }
}

/** Books `table.given` and answers the node of each task in turn: neighbouring slots go to different nodes. */
function handOut(table: NodeTable, group: Group): string[] {
  const ids: string[] = []
  let open: { readonly row: number; left: number }[] = []
  for (let row = 0; row < table.given.length; row++) {
    const left = table.given[row]!
    if (left === 0) continue
    open.push({ row, left })
    table.give(row, group.spec, left)
  }
  while (open.length > 0) {
    for (const entry of open) {
      ids.push(table.nodes[entry.row]!.id)
      entry.left--
    }
    open = open.filter(({ left }) => left > 0)
  }
  return ids
}
