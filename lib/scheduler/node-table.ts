/** Nodes as columns: what is left on each and what runs there. Built once for a pass, then kept up with the pass's own choices. */
import type { Node } from '../model/node.js'
import type { ResolvedServiceSpec } from '../model/service.js'
import type { Task } from '../model/task.js'
import type { View } from '../store/view.js'
import { type Attribute, attributeOf, meets, readConstraints } from './constraints.js'
import { countsForSpread, holdsResources } from './groups.js'

/** May a node take tasks at all? */
export const standing = { open: 0, down: 1, unknown: 2, drained: 3, paused: 4, degraded: 5 } as const

/** Row i of every column is `nodes[i]`; rows are in the order of node ids. Amounts are whole numbers, so sums are exact. */
export class NodeTable {
  readonly nodes: readonly Node[]
  /** Every row number, ascending. */
  readonly rows: Int32Array
  readonly standing: Uint8Array
  readonly freeCpuNanos: Float64Array
  readonly freeMemoryBytes: Float64Array
  /** Tasks of all services that count for spreading. */
  readonly total: Int32Array
  /** Scratch for the service being placed: its tasks per node. */
  readonly ofService: Int32Array
  /** Scratch for the group being placed: failures there lately, 0 unless many. */
  readonly penalty: Int32Array
  /** Scratch for the group being placed: how many of its tasks still fit. */
  readonly room: Int32Array
  /** Scratch of the kernel: how many of the group's tasks each node gets. */
  readonly given: Int32Array

  readonly #rows = new Map<string, number>()
  readonly #constraintMasks = new Map<string, Uint8Array>()
  readonly #driverMasks = new Map<string, Uint8Array>()
  readonly #values = new Map<string, Int32Array>()

  constructor(view: View) {
    this.nodes = [...view.nodes()]
    const rows = this.nodes.length
    this.rows = Int32Array.from(this.nodes.keys())
    this.standing = new Uint8Array(rows)
    this.freeCpuNanos = new Float64Array(rows)
    this.freeMemoryBytes = new Float64Array(rows)
    this.total = new Int32Array(rows)
    this.ofService = new Int32Array(rows)
    this.penalty = new Int32Array(rows)
    this.room = new Int32Array(rows)
    this.given = new Int32Array(rows)
    for (const [row, node] of this.nodes.entries()) {
      this.#rows.set(node.id, row)
      this.standing[row] = standingOf(node)
      this.freeCpuNanos[row] = node.description?.resources.cpuNanos ?? 0
      this.freeMemoryBytes[row] = node.description?.resources.memoryBytes ?? 0
    }
  }

  row(node: string): number | undefined {
    return this.#rows.get(node)
  }

  /** Takes a task that is on a node into account. */
  count(task: Task, spec: ResolvedServiceSpec | undefined): void {
    const row = task.node === undefined ? undefined : this.row(task.node)
    if (row === undefined || !holdsResources(task)) return
    if (spec !== undefined) this.#take(row, spec, 1)
    if (countsForSpread(task) && !this.isDown(row)) this.total[row]! += 1
  }

  /** What was on such a node is placed anew, whether or not it may come back. */
  isDown(row: number): boolean {
    return this.standing[row] === standing.down
  }

  /** Gives `count` tasks of the group to a node. */
  give(row: number, spec: ResolvedServiceSpec, count: number): void {
    this.#take(row, spec, count)
    this.total[row]! += count
    this.ofService[row]! += count
  }

  #take(row: number, { task: { reserve } }: ResolvedServiceSpec, count: number): void {
    this.freeCpuNanos[row]! -= reserve.cpuNanos * count
    this.freeMemoryBytes[row]! -= reserve.memoryBytes * count
  }

  /** Per node 0, or 1 + the index of the first constraint it does not meet. Remembered for the pass. */
  constraintMask(texts: readonly string[]): Uint8Array {
    const signature = JSON.stringify(texts)
    let mask = this.#constraintMasks.get(signature)
    if (mask === undefined) {
      mask = this.#evaluate(texts)
      this.#constraintMasks.set(signature, mask)
    }
    return mask
  }

  #evaluate(texts: readonly string[]): Uint8Array {
    const mask = new Uint8Array(this.nodes.length)
    // From the last to the first, so that the first one that is not met stays. Beyond 255 constraints the names blur, not the verdict.
    for (const [index, constraint] of [...readConstraints(texts).entries()].reverse()) {
      for (const [row, node] of this.nodes.entries()) {
        if (typeof constraint === 'string' || !meets(node, constraint)) mask[row] = Math.min(index + 1, 255)
      }
    }
    return mask
  }

  /** Per node 1 when it offers the driver. Remembered for the pass. */
  driverMask(driver: string): Uint8Array {
    let mask = this.#driverMasks.get(driver)
    if (mask === undefined) {
      mask = Uint8Array.from(this.nodes, (node) => (node.description?.drivers.includes(driver) ? 1 : 0))
      this.#driverMasks.set(driver, mask)
    }
    return mask
  }

  /** Per node the rank of its value of an attribute among all values, in their order. Remembered for the pass. */
  valueColumn(attribute: Attribute): Int32Array {
    const key = attribute.name === 'label' ? `label ${attribute.label}` : attribute.name
    let column = this.#values.get(key)
    if (column === undefined) {
      const values = this.nodes.map((node) => attributeOf(node, attribute))
      const ranks = new Map([...new Set(values)].sort().map((value, rank) => [value, rank]))
      column = Int32Array.from(values, (value) => ranks.get(value) ?? 0)
      this.#values.set(key, column)
    }
    return column
  }
}

function standingOf(node: Node): number {
  if (node.state === 'down') return standing.down
  if (node.availability === 'drain') return standing.drained
  if (node.availability === 'pause') return standing.paused
  if (node.state === 'degraded') return standing.degraded
  return node.state === 'unknown' ? standing.unknown : standing.open
}
