/**
 * What one worker has been told, and what to tell it next: everything once, then differences. Pure.
 * An ended task stays assigned until the cluster forgets it: the worker keeps its lines as long as people can ask for them.
 */

import type { AssignedSecret, AssignedTask, Assignments, ManagerAddress } from '../api/session.js'
import { assert } from '../base/assert.js'
import { type DesiredState, isTerminal, type Task, taskId } from '../model/task.js'
import type { View } from '../store/view.js'

/** Finds a secret and opens it; undefined when that cannot be done. */
export type OpenSecret = (id: string) => Uint8Array | undefined

/** Once a message holds so much of secrets, the next ones follow in another: a message never holds more than this and one secret. */
const secretsPerMessageBytes = 512 * 1024

interface SecretNews {
  readonly secrets?: readonly AssignedSecret[]
  readonly dropSecrets?: readonly string[]
}

export class AssignmentFeed {
  readonly #node: string
  readonly #open: OpenSecret
  /** Task id → the desired state the worker knows; nothing else it cares about ever changes. */
  readonly #told = new Map<string, DesiredState>()
  /** Ids of secrets the worker holds by our word. */
  readonly #secretsTold = new Set<string>()
  #managersTold = ''
  #sequence = 0

  constructor(node: string, open: OpenSecret = () => undefined) {
    this.#node = node
    this.#open = open
  }

  /** The whole truth; what the worker runs besides, it stops and forgets. */
  complete(view: View, managers: readonly ManagerAddress[]): Assignments {
    this.#told.clear()
    this.#secretsTold.clear()
    this.#managersTold = JSON.stringify(managers)
    this.#sequence = 1
    const set = [...view.tasksOfNode(this.#node)].map((task) => this.#tell(view, task))
    return { type: 'complete', appliesTo: 0, resultsIn: this.#sequence, set, remove: [], ...this.#secretNews(view), managers }
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
    const news = this.#secretNews(view)
    const isQuiet = set.length === 0 && remove.length === 0 && Object.keys(news).length === 0
    if (isQuiet && newManagers === undefined) return undefined
    const appliesTo = this.#sequence++
    return {
      type: 'incremental',
      appliesTo,
      resultsIn: this.#sequence,
      set,
      remove,
      ...news,
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

  /** The next secrets to send, and those to forget. More may be left: ask again until there is nothing new. */
  #secretNews(view: View): SecretNews {
    const needed = secretsNeeded(view, this.#node)
    const dropSecrets = [...this.#secretsTold].filter((id) => !needed.has(id))
    for (const id of dropSecrets) this.#secretsTold.delete(id)
    const secrets: AssignedSecret[] = []
    let sizeBytes = 0
    for (const id of needed) {
      if (sizeBytes >= secretsPerMessageBytes) break
      if (this.#secretsTold.has(id)) continue
      this.#secretsTold.add(id)
      const data = this.#open(id)
      sizeBytes += data?.length ?? 0
      secrets.push(data === undefined ? { id } : { id, data })
    }
    return { ...(secrets.length > 0 && { secrets }), ...(dropSecrets.length > 0 && { dropSecrets }) }
  }

  #newManagers(managers: readonly ManagerAddress[]): readonly ManagerAddress[] | undefined {
    const text = JSON.stringify(managers)
    if (text === this.#managersTold) return undefined
    this.#managersTold = text
    return managers
  }
}

/** Ids of the secrets of tasks on this node that run or are still to: nobody else's, and none for what is over or on its way out. */
function secretsNeeded(view: View, node: string): ReadonlySet<string> {
  const needed = new Set<string>()
  for (const task of view.tasksOfNode(node)) {
    if (isTerminal(task.observed) || isStopWished(task)) continue
    for (const { id } of view.spec(task.service, task.specVersion)?.task.secrets ?? []) needed.add(id)
  }
  return needed
}

function isStopWished({ desired }: Task): boolean {
  return desired === 'shutdown' || desired === 'remove'
}
