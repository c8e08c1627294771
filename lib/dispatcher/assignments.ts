/**
 * What one worker has been told, and what to tell it next: everything once, then differences. Pure.
 * An ended task stays assigned until the cluster forgets it: the worker keeps its lines as long as people can ask for them.
 */

import type { AssignedTask, Assignments, ManagerAddress } from '../api/session.js'
import { assert } from '../base/assert.js'
import { type DesiredState, isTerminal, type Task, taskId } from '../model/task.js'
import type { View } from '../store/view.js'

export class AssignmentFeed {
  readonly #node: string
  /** Task id → the desired state the worker knows; nothing else it cares about ever changes. */
  readonly #told = new Map<string, DesiredState>()
  #managersTold = ''
  #sequence = 0

  constructor(node: string) {
    this.#node = node
  }

  /** The whole truth; what the worker runs besides, it stops and forgets. */
  complete(view: View, managers: readonly ManagerAddress[]): Assignments {
    this.#told.clear()
    this.#managersTold = JSON.stringify(managers)
    this.#sequence = 1
    const set = [...view.tasksOfNode(this.#node)].map((task) => this.#tell(view, task))
    return { type: 'complete', appliesTo: 0, resultsIn: this.#sequence, set, remove: [], managers }
  }

  /** What changed for the worker since the last message; undefined when nothing did. */
  difference(view: View, managers: readonly ManagerAddress[]): Assignments | undefined {
    assert(this.#sequence > 0, 'a difference applies to something told before')
    const current = new Set<string>()
    const set: AssignedTask[] = []
    for (const task of view.tasksOfNode(this.#node)) {
      const id = taskId(task)
      current.add(id)
      if (this.#told.get(id) !== task.desired) set.push(this.#tell(view, task))
    }
    const remove = [...this.#told.keys()].filter((id) => !current.has(id))
    for (const id of remove) this.#told.delete(id)
    const newManagers = this.#newManagers(managers)
    if (set.length === 0 && remove.length === 0 && newManagers === undefined) return undefined
    const appliesTo = this.#sequence++
    return {
      type: 'incremental',
      appliesTo,
      resultsIn: this.#sequence,
      set,
      remove,
      ...(newManagers && { managers: newManagers }),
    }
  }

  #tell(view: View, task: Task): AssignedTask {
    const spec = view.spec(task.service, task.specVersion)
    assert(spec !== undefined, 'a spec is kept while a task refers to it')
    const id = taskId(task)
    this.#told.set(id, task.desired)
    return {
      id,
      service: task.service,
      serviceName: spec.name,
      slot: task.slot,
      desired: task.desired,
      ...(isTerminal(task.observed) && { ended: task.observed }),
      spec: spec.task,
    }
  }

  #newManagers(managers: readonly ManagerAddress[]): readonly ManagerAddress[] | undefined {
    const text = JSON.stringify(managers)
    if (text === this.#managersTold) return undefined
    this.#managersTold = text
    return managers
  }
}
