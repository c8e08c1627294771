/**
 * Which tasks a changed node may no longer keep: labels that no longer meet a task's constraints, resources that shrank below what
 * is reserved. They are rejected, and the restart policy moves them; those that stop themselves are stopped first. Source: SwarmKit's constraint enforcer; unlike there the
 * victims are always the same, and a changed service moves by rolling update, not by force.
 */
import type { Op, TaskObservation } from '../model/command.js'
import type { Node } from '../model/node.js'
import { addResources, fits, noResources, type Resources, subtractResources } from '../model/resources.js'
import { isTerminal, type Task } from '../model/task.js'
import { meetsConstraints, specReader } from '../scheduler/index.js'
import type { View } from '../store/view.js'
import { fencesItself } from './fencing.js'
import type { PlanStep } from './plan.js'
import { displacedMessage, isWished } from './task-facts.js'
import { isCurrent } from './update.js'

/** Plans every ready and active node, one per step. */
export function* planEnforcement(view: View): Generator<PlanStep, void> {
  const specOf = specReader(view)
  for (const node of [...view.nodes()]) {
    if (node.state !== 'ready' || node.availability !== 'active') continue
    const out = displaced(view, node, specOf)
    // Of a task that must not run twice only its node says that it is over: what replaces it waits for that.
    const stopped = out.filter((task) => fencesItself(view, task)).map(({ handle }) => handle)
    const updates = out.filter((task) => !fencesItself(view, task)).map(rejection)
    const ops: Op[] = []
    if (updates.length > 0) ops.push({ op: 'tasks.observe', updates })
    if (stopped.length > 0) ops.push({ op: 'tasks.desire', tasks: stopped, desired: 'shutdown' })
    yield { ops, wakeAtMs: undefined }
  }
}

type SpecReader = ReturnType<typeof specReader>

function displaced(view: View, node: Node, specOf: SpecReader): readonly Task[] {
  const tasks = [...view.tasksOfNode(node.id)].filter((task) => isWished(task) && !isTerminal(task.observed))
  const out = new Set(tasks.filter((task) => !meetsItsConstraints(view, node, task, specOf)))
  const rest = tasks.filter((task) => !out.has(task))
  for (const task of tooMany(node, rest, specOf)) out.add(task)
  return [...out]
}

function rejection({ handle }: Task): TaskObservation {
  return { task: handle, state: 'rejected', message: displacedMessage }
}

/** By the spec it was placed with, or, if the service's placement changed and the task was let stay, by that. */
function meetsItsConstraints(view: View, node: Node, task: Task, specOf: SpecReader): boolean {
  const constraints = specOf(task)?.placement.constraints ?? []
  if (constraints.length === 0 || meetsConstraints(node, constraints)) return true
  return view.service(task.service)?.specVersion !== task.specVersion && isCurrent(view, task)
}

/** The youngest of the tasks that reserve what the node has too little of, until the rest fits. */
function tooMany(node: Node, tasks: readonly Task[], specOf: SpecReader): Task[] {
  const capacity = node.description?.resources
  if (capacity === undefined) return []
  const reserveOf = (task: Task): Resources => specOf(task)?.task.reserve ?? noResources
  let reserved = tasks.map(reserveOf).reduce(addResources, noResources)
  const out: Task[] = []
  for (const task of [...tasks].sort((a, b) => b.handle - a.handle)) {
    if (fits(reserved, capacity)) break
    const reserve = reserveOf(task)
    const helps =
      (reserve.cpuNanos > 0 && reserved.cpuNanos > capacity.cpuNanos) ||
      (reserve.memoryBytes > 0 && reserved.memoryBytes > capacity.memoryBytes)
    if (!helps) continue
    reserved = subtractResources(reserved, reserve)
    out.push(task)
  }
  return out
}
