/** How slots came to rest: what `converge`, `service ps` and `task why` ask. Pure, read from the retained tasks alone. */
import { isTerminal, type Task } from '../model/task.js'
import type { View } from '../store/view.js'
import { occupancyOf } from './slots.js'

/** The last task of a slot that gets no other. */
export interface SlotEnd {
  readonly task: Task
  /** `finished`: it completed and need not run again. `exhausted`: it failed and may not try again. */
  readonly kind: 'finished' | 'exhausted'
  /** For people: `3 of 3 restarts used up`. */
  readonly why: string
}

/** How a slot came to rest; undefined while it has a task, or gets another. @param service Service id. */
export function slotEnd(view: View, service: string, slot: number): SlotEnd | undefined {
  const record = view.service(service)
  const spec = record && view.spec(service, record.specVersion)
  if (record === undefined || spec === undefined) return undefined
  const tasks = [...view.tasksOfSlot(service, slot)]
  // The time only moves when a next task may start, never whether there is one.
  const occupancy = occupancyOf(view, { number: slot, tasks }, record, spec, 0)
  if (occupancy.state !== 'ended') return undefined
  return { task: occupancy.last, kind: occupancy.verdict.kind, why: occupancy.verdict.why }
}

/** The failing task of a slot whose restarts are used up, for ERR_SKEIN_TASKS_EXHAUSTED. @param service Service id. */
export function exhausted(view: View, service: string, slot: number): Task | undefined {
  const end = slotEnd(view, service, slot)
  return end?.kind === 'exhausted' ? end.task : undefined
}

/** True for the failing task of an exhausted slot. */
export function isExhausted(view: View, task: Task): boolean {
  return isTerminal(task.observed) && exhausted(view, task.service, task.slot)?.handle === task.handle
}
