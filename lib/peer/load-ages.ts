/** How old each node's last statement of load is, by our own clock: other news of the node, of its tasks, says nothing of its meter. Pure. */
import type { LoadRow } from '../api/worker-rows.js'

interface Rise {
  readonly count: number
  readonly atMs: number
}

/** Bounded by the nodes that said something and were not forgotten. */
export class LoadAges {
  readonly #rises = new Map<string, Rise>()

  /**
   * The node's row as it is now; the same count again is no statement. A lower one is: the node started anew, and rows of before its
   * start never follow those after it. Undefined: it is hidden, and comes back as old as it went.
   */
  saw(node: string, row: Pick<LoadRow, 'count'> | undefined, nowMs: number): void {
    if (row === undefined || this.#rises.get(node)?.count === row.count) return
    this.#rises.set(node, { count: row.count, atMs: nowMs })
  }

  /** Milliseconds; undefined: it never said anything. */
  ageMs(node: string, nowMs: number): number | undefined {
    const rise = this.#rises.get(node)
    return rise && nowMs - rise.atMs
  }

  forget(node: string): void {
    this.#rises.delete(node)
  }
}
