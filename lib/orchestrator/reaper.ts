/**
 * Which old tasks may be forgotten: those to be removed, once they are over, and of every slot all but its latest history.
 * What the restart policy still needs to count is kept. Source: SwarmKit's task reaper and its 24-hour orphan rule.
 */
import { defaultClusterSettings } from '../model/cluster.js'
import type { ResolvedServiceSpec } from '../model/service.js'
import { isTerminal, type Task } from '../model/task.js'
import type { View } from '../store/view.js'
import { fencedInMs, noSilence, type Silence } from './fencing.js'
import { earlier, type PlanStep } from './plan.js'
import { countsAsAttempt } from './restart.js'
import { type Slot, slotsOf } from './slots.js'
import { isOver, isWished } from './task-facts.js'

/** Tasks on a node that has been down for so long are given up. Source: SwarmKit's defaultNodeDownPeriod. */
export const orphanAfterMs = 24 * 60 * 60_000
const tasksPerStep = 2_000

/** Plans every service, then tasks of removed services, then nodes that are long down. */
export function* planReaping(view: View, nowMs: number, silence: Silence = noSilence): Generator<PlanStep, void> {
  const history = view.cluster?.settings.taskHistory ?? defaultClusterSettings.taskHistory
  for (const id of Array.from(view.services(), (service) => service.id)) {
    const service = view.service(id)
    const spec = service && view.spec(id, service.specVersion)
    if (spec === undefined) continue
    const gone = slotsOf(view, id).flatMap((slot) => forgettable(view, slot, spec, history))
    // What may still run where nobody hears us is remembered: whatever takes its place waits for it.
    yield removal(gone.filter((task) => fencedInMs(view, task, silence) === 0))
  }
  yield* planLeftovers(view)
  for (const { id } of [...view.nodes()]) yield planOrphans(view, id, nowMs)
}

function removal(tasks: readonly Task[]): PlanStep {
  const ops: PlanStep['ops'] = tasks.length > 0 ? [{ op: 'tasks.remove', tasks: tasks.map(({ handle }) => handle) }] : []
  return { ops, wakeAtMs: undefined }
}

/** A task to be removed can go once nothing of it runs, or nobody is left who could say. */
function mayGo(view: View, task: Task): boolean {
  return isOver(task) || (task.node !== undefined && view.node(task.node) === undefined)
}

function forgettable(view: View, { tasks }: Slot, { restart }: ResolvedServiceSpec, history: number): Task[] {
  const kept = tasks.filter((task) => task.desired !== 'remove')
  const gone = tasks.filter((task) => task.desired === 'remove' && mayGo(view, task))
  // The last attempt says what the slot needs next: it stays, whatever the history.
  const last = kept.at(-1)
  const past = kept.filter((task) => task !== last && !isWished(task) && isOver(task)).reverse()
  const ended = past.filter((task) => isTerminal(task.observed))
  let room = history - (last !== undefined && isTerminal(last.observed) ? 1 : 0)
  // While the slot waits for a node, what it had before shows a rolling update that this slot is down.
  if (last !== undefined && last.node === undefined) room = history < 0 ? history : Math.max(room, 1)
  let attempts = restart.attemptsMax
  for (const task of ended) {
    const counts = task.specVersion === last?.specVersion && countsAsAttempt(tasks, task)
    const needed = counts && attempts-- > 0
    const remembered = history < 0 || room-- > 0
    if (!needed && !remembered) gone.push(task)
  }
  // What never ran is no history.
  return [...gone, ...past.filter((task) => !isTerminal(task.observed))]
}

function* planLeftovers(view: View): Generator<PlanStep, void> {
  let looked = 0
  let tasks: Task[] = []
  for (const task of view.tasks()) {
    if (task.desired === 'remove' && view.service(task.service) === undefined && mayGo(view, task)) tasks.push(task)
    if (++looked % tasksPerStep === 0) {
      yield removal(tasks)
      tasks = []
    }
  }
  yield removal(tasks)
}

/** Until then the node may return and report what became of them. */
function planOrphans(view: View, id: string, nowMs: number): PlanStep {
  const node = view.node(id)
  if (node === undefined || node.state !== 'down') return { ops: [], wakeAtMs: undefined }
  const tasks = [...view.tasksOfNode(id)].filter((task) => !isTerminal(task.observed))
  if (tasks.length === 0) return { ops: [], wakeAtMs: undefined }
  const dueMs = node.stateAtMs + orphanAfterMs
  if (nowMs < dueMs) return { ops: [], wakeAtMs: earlier(dueMs, undefined) }
  const message = `node ${node.name} has been down for 24 hours`
  return {
    ops: [{ op: 'tasks.observe', updates: tasks.map(({ handle }) => ({ task: handle, state: 'orphaned', message })) }],
    wakeAtMs: undefined,
  }
}
