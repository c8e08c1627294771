/** What a task and its node tell, in the words the planners share. */
import { isTerminal, rank, type Task } from '../model/task.js'
import type { View } from '../store/view.js'

/** Observed message of a task the enforcer rejected; by it the restart policy knows that the task did not fail by itself. */
export const displacedMessage = 'assigned node no longer meets constraints'

/** Wished to run, now or when its time comes. */
export function isWished(task: Task): boolean {
  return rank(task.desired) <= rank('running')
}

/** Has ended, or was never placed and will not be: nothing of it can run anywhere. */
export function isOver(task: Task): boolean {
  return isTerminal(task.observed) || (task.node === undefined && !isWished(task))
}

/** Removed, down or drained: its tasks go elsewhere. Paused or not heard of yet: they stay, as in Swarm. */
export function nodeIsLost(view: View, task: Task): boolean {
  return nodeIsGone(view, task) || (task.node !== undefined && view.node(task.node)?.availability === 'drain')
}

/** Its node is down, and may come back with it: it goes on then, if nothing took its place by that time. */
export function isAway(view: View, task: Task): boolean {
  if (task.node === undefined || isTerminal(task.observed)) return false
  const node = view.node(task.node)
  return node !== undefined && node.state === 'down' && node.availability !== 'drain'
}

/** Nothing can be heard from the task's node: waiting for the task to end there has no end. */
export function nodeIsGone(view: View, task: Task): boolean {
  if (task.node === undefined) return false
  const node = view.node(task.node)
  return node === undefined || node.state === 'down'
}
