/** May a task of this group run on this node, how many of them, and if none: why not. */
import type { Group } from './groups.js'
import { type NodeTable, standing } from './node-table.js'

/** First reason, in the order they are asked, why a node takes no (further) task of a group; `none`: it takes some. */
export const refusal = {
  none: standing.open,
  down: standing.down,
  unknown: standing.unknown,
  drained: standing.drained,
  paused: standing.paused,
  degraded: standing.degraded,
  driver: 6,
  constraint: 7,
  cpu: 8,
  memory: 9,
  maxPerNode: 10,
} as const

/** The filters of one group, compiled against the table: masks once, then one look per node. */
export class Filters {
  readonly #table: NodeTable
  readonly #group: Group
  readonly #drivers: Uint8Array
  readonly #constraints: Uint8Array

  constructor(table: NodeTable, group: Group) {
    this.#table = table
    this.#group = group
    this.#drivers = table.driverMask(group.spec.task.driver)
    this.#constraints = table.constraintMask(group.spec.placement.constraints)
  }

  /** Fills `table.room` with how many tasks of the group each node can take, at most the group's size; answers their sum. */
  fillRoom(): number {
    const { standing: standings, freeCpuNanos, freeMemoryBytes, ofService, room } = this.#table
    const { reserve } = this.#group.spec.task
    const { maxPerNode } = this.#group.spec.placement
    const size = this.#group.tasks.length
    let sum = 0
    for (let row = 0; row < room.length; row++) {
      room[row] = 0
      if (standings[row] !== standing.open || this.#drivers[row] === 0 || this.#constraints[row] !== 0) continue
      let most = size
      if (reserve.cpuNanos > 0) most = Math.min(most, Math.floor(freeCpuNanos[row]! / reserve.cpuNanos))
      if (reserve.memoryBytes > 0) most = Math.min(most, Math.floor(freeMemoryBytes[row]! / reserve.memoryBytes))
      if (maxPerNode > 0) most = Math.min(most, maxPerNode - ofService[row]!)
      if (most <= 0) continue
      room[row] = most
      sum += most
    }
    return sum
  }

  /** Why a node takes no further task of the group. */
  refusalOf(row: number): number {
    const table = this.#table
    const { reserve } = this.#group.spec.task
    const { maxPerNode } = this.#group.spec.placement
    if (table.standing[row] !== standing.open) return table.standing[row]!
    if (this.#drivers[row] === 0) return refusal.driver
    if (this.#constraints[row] !== 0) return refusal.constraint
    if (reserve.cpuNanos > table.freeCpuNanos[row]!) return refusal.cpu
    if (reserve.memoryBytes > table.freeMemoryBytes[row]!) return refusal.memory
    if (maxPerNode > 0 && table.ofService[row]! >= maxPerNode) return refusal.maxPerNode
    return refusal.none
  }

  /** Text of the first constraint a node does not meet. */
  unmetConstraint(row: number): string {
    return this.#group.spec.placement.constraints[this.#constraints[row]! - 1] ?? ''
  }
}
