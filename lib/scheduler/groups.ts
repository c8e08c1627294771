/** Identical tasks are placed together: a group is the pending tasks of one (service, spec version). */
import type { ResolvedServiceSpec } from '../model/service.js'
import { isTerminal, rank, type Task } from '../model/task.js'
import type { View } from '../store/view.js'

export interface Group {
  readonly key: string
  readonly service: string
  readonly specVersion: number
  readonly spec: ResolvedServiceSpec
  /** Handles in slot order. */
  readonly tasks: readonly number[]
}

/** Name of a task's group: what placement reports are filed under. */
export function groupKeyOf(task: Pick<Task, 'service' | 'specVersion'>): string {
  return `${task.service}.${task.specVersion}`
}

/** Waits for a node; one wished `ready` too, so that it can prepare while its predecessor ends. */
export function awaitsPlacement(task: Task): boolean {
  return task.observed === 'pending' && task.node === undefined && isWished(task)
}

/** Takes up room on its node until it has ended, wished or not. */
export function holdsResources(task: Task): boolean {
  return task.node !== undefined && !isTerminal(task.observed)
}

/** Counts for spreading and for maxPerNode; a task on its way out does not, else stop-first could never replace in place. */
export function countsForSpread(task: Task): boolean {
  return holdsResources(task) && isWished(task)
}

function isWished(task: Task): boolean {
  return rank(task.desired) <= rank('running')
}

/**
 * Collects groups from waiting tasks. Order: the service whose oldest waiting task was created first (lowest handle), then
 * spec version; so nothing starves behind a newer service and equal views give equal plans.
 */
export class GroupCollector {
  readonly #view: View
  readonly #services = new Map<string, { oldest: number; readonly versions: Map<number, Set<number>> }>()

  constructor(view: View) {
    this.#view = view
  }

  add(task: Task): void {
    let service = this.#services.get(task.service)
    if (service === undefined) {
      service = { oldest: task.handle, versions: new Map() }
      this.#services.set(task.service, service)
    }
    service.oldest = Math.min(service.oldest, task.handle)
    // A set: a table that changes between two steps of the reader may show a task twice.
    const handles = service.versions.get(task.specVersion)
    if (handles === undefined) service.versions.set(task.specVersion, new Set([task.handle]))
    else handles.add(task.handle)
  }

  /** Groups of one service are neighbours. A task without a spec (its service is just being forgotten) belongs to none. */
  groups(): readonly Group[] {
    const services = [...this.#services].sort(([, a], [, b]) => a.oldest - b.oldest)
    return services.flatMap(([service, { versions }]) =>
      [...versions]
        .sort(([a], [b]) => a - b)
        .flatMap(([specVersion, tasks]) => {
          const spec = this.#view.spec(service, specVersion)
          return spec === undefined
            ? []
            : [{ key: groupKeyOf({ service, specVersion }), service, specVersion, spec, tasks: [...tasks] }]
        }),
    )
  }
}

/** A reader of specs for a pass over many tasks: looks each spec up once. */
export function specReader(view: View): (task: Pick<Task, 'service' | 'specVersion'>) => ResolvedServiceSpec | undefined {
  const known = new Map<string, Map<number, ResolvedServiceSpec | undefined>>()
  return ({ service, specVersion }) => {
    let versions = known.get(service)
    if (versions === undefined) {
      versions = new Map()
      known.set(service, versions)
    }
    let spec = versions.get(specVersion)
    if (spec === undefined) {
      spec = view.spec(service, specVersion)
      versions.set(specVersion, spec)
    }
    return spec
  }
}
