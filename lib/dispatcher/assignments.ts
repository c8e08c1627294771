/**
 * What one worker has been told, and what to tell it next: everything once, then differences. Pure.
 * An ended task stays assigned until the cluster forgets it: the worker keeps its lines as long as people can ask for them.
 */

import type { AssignedPayload, AssignedTask, Assignments, ManagerAddress } from '../api/session.js'
import { assert } from '../base/assert.js'
import type { PayloadKind } from '../model/payload.js'
import { type DesiredState, isTerminal, type Task, taskId } from '../model/task.js'
import type { View } from '../store/view.js'
import { PayloadFeed } from './payload-feed.js'

/** Finds a secret and opens it; undefined when that cannot be done. */
export type OpenSecret = (id: string) => Uint8Array | undefined

/** Once a message holds so much of payloads, the next ones follow in another: a message never holds more than this and one payload. */
const payloadsPerMessageBytes = 512 * 1024

type PayloadNews = Pick<Assignments, 'secrets' | 'dropSecrets' | 'configs' | 'dropConfigs'>

export class AssignmentFeed {
  readonly #node: string
  readonly #open: OpenSecret
  /** Task id → the desired state the worker knows; nothing else it cares about ever changes. */
  readonly #told = new Map<string, DesiredState>()
  readonly #secrets = new PayloadFeed()
  readonly #configs = new PayloadFeed()
  #managersTold = ''
  #sequence = 0

  constructor(node: string, open: OpenSecret = () => undefined) {
    this.#node = node
    this.#open = open
  }

  /** The whole truth; what the worker runs besides, it stops and forgets. */
  complete(view: View, managers: readonly ManagerAddress[]): Assignments {
    this.#told.clear()
    this.#secrets.beginAnew()
    this.#configs.beginAnew()
    this.#managersTold = JSON.stringify(managers)
    this.#sequence = 1
    const set = [...view.tasksOfNode(this.#node)].map((task) => this.#tell(view, task))
    return { type: 'complete', appliesTo: 0, resultsIn: this.#sequence, set, remove: [], ...this.#payloadNews(view), managers }
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
    const news = this.#payloadNews(view)
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

  /** The next secrets and configs to send, and those to forget. More may be left: ask again until there is nothing new. */
  #payloadNews(view: View): PayloadNews {
    const needed = payloadsNeeded(view, this.#node)
    const dropSecrets = this.#secrets.dropped(needed.secret)
    const dropConfigs = this.#configs.dropped(needed.config)
    const secrets = this.#secrets.next(needed.secret, payloadsPerMessageBytes, this.#open)
    const roomBytes = payloadsPerMessageBytes - sizeOf(secrets)
    const configs = this.#configs.next(needed.config, roomBytes, (id) => view.config(id)?.data)
    return {
      ...(secrets.length > 0 && { secrets }),
      ...(dropSecrets.length > 0 && { dropSecrets }),
      ...(configs.length > 0 && { configs }),
      ...(dropConfigs.length > 0 && { dropConfigs }),
    }
  }

  #newManagers(managers: readonly ManagerAddress[]): readonly ManagerAddress[] | undefined {
    const text = JSON.stringify(managers)
    if (text === this.#managersTold) return undefined
    this.#managersTold = text
    return managers
  }
}

/** Ids of what tasks on this node need that run or are still to: nobody else's, and none for what is over or on its way out. */
function payloadsNeeded(view: View, node: string): Readonly<Record<PayloadKind, ReadonlySet<string>>> {
  const needed = { secret: new Set<string>(), config: new Set<string>() }
  for (const task of view.tasksOfNode(node)) {
    if (isTerminal(task.observed) || isStopWished(task)) continue
    const spec = view.spec(task.service, task.specVersion)
    for (const { id } of spec?.task.secrets ?? []) needed.secret.add(id)
    for (const { id } of spec?.task.configs ?? []) needed.config.add(id)
  }
  return needed
}

function sizeOf(payloads: readonly AssignedPayload[]): number {
  return payloads.reduce((sum, { data }) => sum + (data?.length ?? 0), 0)
}

function isStopWished({ desired }: Task): boolean {
  return desired === 'shutdown' || desired === 'remove'
}
