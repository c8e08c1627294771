/**
 * Order of candidates: nodes where this group failed often lately come last (fewer failures first), then fewest tasks of the
 * service, then fewest tasks in all, then lowest row, that is node id. Only filters look at resources, as in Swarm.
 */
import type { Task } from '../model/task.js'
import type { Group } from './groups.js'
import type { NodeTable } from './node-table.js'

/** So many failures within so long make a node come last. Source: SwarmKit's scheduler. */
export const failuresMany = 5
export const failuresWithinMs = 5 * 60_000

/** Fills `table.penalty` for a group from its service's tasks: failures per node, 0 below `failuresMany`. */
export function fillPenalty(table: NodeTable, group: Group, tasksOfService: Iterable<Task>, nowMs: number): void {
  const { penalty } = table
  penalty.fill(0)
  for (const task of tasksOfService) {
    if (task.specVersion !== group.specVersion || task.node === undefined) continue
    if (task.observed !== 'failed' && task.observed !== 'rejected') continue
    if (nowMs - task.observedAtMs > failuresWithinMs) continue
    const row = table.row(task.node)
    if (row !== undefined) penalty[row]! += 1
  }
  for (let row = 0; row < penalty.length; row++) if (penalty[row]! < failuresMany) penalty[row] = 0
}

/** Places sharing what is handed out: where they stand, how much each can still take, and who goes first among equals. */
export interface Candidates {
  /** Tasks of the service already there. */
  readonly level: Int32Array
  readonly room: Int32Array
  /** Lower goes first among equal levels, before the position. */
  readonly tie: Int32Array
}

/** Of the positions that stand at the water line, the `count` that go first by (tie + given, position). */
export function firstInLine(line: readonly number[], { tie }: Candidates, given: Int32Array, count: number): number[] {
  const keys = new Int32Array(line.length)
  for (let index = 0; index < line.length; index++) keys[index] = tie[line[index]!]! + given[line[index]!]!
  const bound = keyOf(keys, count)
  const first: number[] = []
  const atBound: number[] = []
  for (let index = 0; index < line.length; index++) {
    if (keys[index]! < bound) first.push(line[index]!)
    else if (keys[index] === bound) atBound.push(line[index]!)
  }
  return [...first, ...atBound.slice(0, count - first.length)]
}

/** The count-th smallest key, by halving the range of keys: no sorting of what is mostly equal. */
function keyOf(keys: Int32Array, count: number): number {
  let low = Number.POSITIVE_INFINITY
  let high = 0
  for (let index = 0; index < keys.length; index++) {
    low = Math.min(low, keys[index]!)
    high = Math.max(high, keys[index]!)
  }
  while (low < high) {
    const middle = low + Math.floor((high - low) / 2)
    let within = 0
    for (let index = 0; index < keys.length; index++) if (keys[index]! <= middle) within++
    if (within >= count) high = middle
    else low = middle + 1
  }
  return low
}
