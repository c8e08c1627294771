/** While a term lasts: what workers say in their rows becomes decisions, as far as the rules allow. */
import type { Rows, TaskRow } from '../api/worker-rows.js'
import type { Clock } from '../base/clock.js'
import { pause } from '../base/pause.js'
import type { TaskObservation } from '../model/command.js'
import type { View } from '../store/view.js'
import { findInRows } from './observed-rows.js'

export interface RowFollowerWorld {
  readonly rows: Rows<TaskRow>
  readonly clock: Clock
  view(): View
  /** Resolves when they are recorded. */
  record(updates: readonly TaskObservation[]): Promise<void>
}

/** After a proposal that failed: everything is looked at again. */
const retryMs = 1_000

/**
 * First every row there is, so that a new leader knows at once what happened while there was none; then what changes. A worker says
 * the same over its session: whichever comes first is recorded, and the other changes nothing.
 */
export async function followRows({ rows, clock, view, record }: RowFollowerWorld, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      const changes = rows.watch(signal)[Symbol.asyncIterator]()
      // From here on nothing is missed; what changes while the whole is recorded comes again, and does no harm.
      const first = changes.next()
      await record(findInRows(rows.rows(), view()))
      for (let next = await first; next.done !== true; next = await changes.next()) {
        const present = next.value.flatMap(({ owner, key, next }) => (next === undefined ? [] : [{ owner, key, value: next }]))
        await record(findInRows(present, view()))
      }
    } catch {
      // No quorum, or too much at once: the rows are still there, and are looked at again.
      await pause(clock, retryMs, signal)
    }
  }
}
