/**
 * Rolling update: what is the next safe move. Stop-first, one running slot at a time, and the next only when every replacement so
 * far runs; slots that do not run lose nothing and are replaced at once. Progress is nothing but the tasks themselves.
 */
import { isDeepStrictEqual } from 'node:util'
import type { ResolvedServiceSpec, Service } from '../model/service.js'
import { isTerminal, type Task } from '../model/task.js'
import { meetsConstraints } from '../scheduler/index.js'
import type { View } from '../store/view.js'
import type { Occupancy, Slot } from './slots.js'
import { isWished } from './task-facts.js'

/** A slot with what it is like. */
export interface Place {
  readonly slot: Slot
  readonly occupancy: Occupancy
}

/** Tells tasks that must be replaced from those that may stay; remembers its comparisons for one plan. */
export class Freshness {
  readonly #view: View
  readonly #service: Service
  readonly #spec: ResolvedServiceSpec
  readonly #sameTemplate = new Map<number, boolean>()

  constructor(view: View, service: Service, spec: ResolvedServiceSpec) {
    this.#view = view
    this.#service = service
    this.#spec = spec
  }

  /**
   * True when the task is what the service's current spec asks for: of the current version, or the same program at a place that
   * the current placement allows. A changed restart policy alone restarts nothing: the policy is always read from the current spec.
   */
  isCurrent(task: Task): boolean {
    if (task.specVersion === this.#service.specVersion) return true
    const node = task.node === undefined ? undefined : this.#view.node(task.node)
    if (node === undefined || !this.#isSameTemplate(task.specVersion)) return false
    const { constraints, maxPerNode } = this.#spec.placement
    if (maxPerNode > 0 && this.#tasksOn(node.id) > maxPerNode) return false
    return meetsConstraints(node, constraints)
  }

  #tasksOn(node: string): number {
    let count = 0
    for (const task of this.#view.tasksOfNode(node)) {
      if (task.service === this.#service.id && isWished(task) && !isTerminal(task.observed)) count++
    }
    return count
  }

  #isSameTemplate(specVersion: number): boolean {
    let same = this.#sameTemplate.get(specVersion)
    if (same === undefined) {
      const spec = this.#view.spec(this.#service.id, specVersion)
      same = spec !== undefined && isDeepStrictEqual(spec.task, this.#spec.task)
      this.#sameTemplate.set(specVersion, same)
    }
    return same
  }
}

/** True when the task is what its service asks for now (see Freshness.isCurrent); false when its service is gone. */
export function isCurrent(view: View, task: Task): boolean {
  const service = view.service(task.service)
  const spec = service && view.spec(service.id, service.specVersion)
  return service !== undefined && spec !== undefined && new Freshness(view, service, spec).isCurrent(task)
}

/** Tasks to replace now. */
export function nextReplacements(places: readonly Place[], freshness: Freshness): Task[] {
  const idle: Task[] = []
  let running: Task | undefined
  let underWay = false
  for (const { slot, occupancy } of places) {
    // A slot that never had a node holds nobody up: it may wait for long, and replaces nothing.
    if (isDown(occupancy) && slot.tasks.some(({ node }) => node !== undefined)) underWay = true
    if (occupancy.state !== 'filled' || freshness.isCurrent(occupancy.task)) continue
    if (isDown(occupancy)) idle.push(occupancy.task)
    else running ??= occupancy.task
  }
  return running === undefined || underWay ? idle : [...idle, running]
}

/** It should run and does not: a rolling update waits for it. */
function isDown(occupancy: Occupancy): boolean {
  if (occupancy.state === 'filled') return occupancy.task.observed !== 'running' || occupancy.task.desired !== 'running'
  return occupancy.state === 'empty' || (occupancy.state === 'ended' && occupancy.verdict.kind === 'exhausted')
}
