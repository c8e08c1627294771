/**
 * Replicated services: as many slots as wished, one task each. One pure function per service covers filling, scaling, replacing
 * what ended or lost its node, and rolling updates, since they compete for the same slots.
 * Source: SwarmKit's replicated orchestrator.
 */
import type { Service } from '../model/service.js'
import type { Task } from '../model/task.js'
import type { View } from '../store/view.js'
import { fencedUntilMs, noSilence, type Silence } from './fencing.js'
import { earlier, type PlanStep, TaskChanges } from './plan.js'
import { startsAtMs } from './restart.js'
import { type Occupancy, occupancyOf, type Slot, slotsOf } from './slots.js'
import { isAway, isWished } from './task-facts.js'
import { Freshness, nextReplacements, type Place } from './update.js'

/** Tasks looked at between two steps while searching for tasks of removed services. */
const tasksPerStep = 2_000

/** Plans every service, one per step, and the end of tasks whose service is gone. */
export function* planServices(view: View, nowMs: number, silence: Silence = noSilence): Generator<PlanStep, void> {
  // Read at once: the view may change between two steps, and no service may be planned twice.
  const ids = Array.from(view.services(), ({ id }) => id)
  for (const id of ids) {
    const service = view.service(id)
    if (service !== undefined) yield planService(view, service, nowMs, silence)
  }
  yield* planLeftovers(view)
}

/** Plans one service. */
export function planService(view: View, service: Service, nowMs: number, silence: Silence): PlanStep {
  const spec = view.spec(service.id, service.specVersion)
  if (spec === undefined) return { ops: [], wakeAtMs: undefined }
  const changes = new TaskChanges()
  const all = slotsOf(view, service.id).map((slot): Place => ({ slot, occupancy: occupancyOf(view, slot, service, spec, nowMs) }))
  const places = shrink(all, spec.mode.replicas, changes)
  const freshness = new Freshness(view, service, spec)
  const replaced = new Set(nextReplacements(places, freshness))
  let wakeAtMs: number | undefined

  const startsAtOf = (predecessors: readonly Task[], startAfterMs: number | undefined, createdAtMs: number): number =>
    Math.max(startsAtMs(view, predecessors, startAfterMs, createdAtMs), fencedUntilMs(view, predecessors, silence, nowMs))
  const fill = (slot: Slot, startAfterMs: number | undefined): void => {
    const startsAt = startsAtOf(slot.tasks, startAfterMs, nowMs)
    changes.create(slot.number, startsAt <= nowMs ? 'running' : 'ready', startAfterMs)
    if (startsAt > nowMs) wakeAtMs = earlier(wakeAtMs, startsAt)
  }
  for (const { slot, occupancy } of withNewPlaces(places, all, spec.mode.replicas)) {
    const keeps = occupancy.state === 'filled' && !replaced.has(occupancy.task) ? occupancy.task : undefined
    for (const task of slot.tasks) {
      if (task === keeps || !isWished(task)) continue
      // Its node came back with the task it was to replace: it leaves no trace, the slot goes on as if nothing had been.
      if (keeps !== undefined && task.generation > keeps.generation) changes.remove(task)
      else if (!(isAway(view, task) && mayComeBack(occupancy) && freshness.isCurrent(task))) changes.shutdown(task)
    }
    if (occupancy.state === 'ended') continue
    if (occupancy.state === 'empty' && occupancy.createAfterMs !== undefined) {
      wakeAtMs = earlier(wakeAtMs, occupancy.createAfterMs)
      continue
    }
    if (keeps === undefined) fill(slot, occupancy.state === 'empty' ? occupancy.startAfterMs : undefined)
    else if (keeps.desired === 'ready') {
      const startsAt = startsAtOf(predecessorsOf(keeps, slot), keeps.startAfterMs, keeps.createdAtMs)
      if (startsAt <= nowMs) changes.run(keeps)
      else wakeAtMs = earlier(wakeAtMs, startsAt)
    }
  }
  return { ops: changes.ops(service.id, service.specVersion), wakeAtMs }
}

/** A task whose node is down keeps its wish until another runs in its place, or the slot needs none. */
function mayComeBack(occupancy: Occupancy): boolean {
  return occupancy.state === 'empty' || (occupancy.state === 'filled' && occupancy.task.observed !== 'running')
}

function predecessorsOf(task: Task, { tasks }: Slot): readonly Task[] {
  return tasks.filter(({ generation }) => generation < task.generation)
}

/**
 * The places that stay; all tasks of the others are wished removed. From the most crowded nodes first; places that do not run,
 * then high numbers, before others; places on no node before all. Source: SwarmKit's replicated/slot.go.
 */
function shrink(all: readonly Place[], replicas: number, changes: TaskChanges): readonly Place[] {
  const taken = all.filter(({ occupancy }) => occupancy.state !== 'vacant')
  if (taken.length <= replicas) return taken
  const kept = new Set(inOrderOfKeeping(taken).slice(0, replicas))
  for (const place of taken) {
    if (kept.has(place)) continue
    for (const task of place.slot.tasks) if (task.desired !== 'remove') changes.remove(task)
  }
  return taken.filter((place) => kept.has(place))
}

function inOrderOfKeeping(places: readonly Place[]): readonly Place[] {
  const runningFirst = [...places].sort((a, b) => Number(runs(b)) - Number(runs(a)) || a.slot.number - b.slot.number)
  const onNode = new Map<string, number>()
  const nthOnNode = runningFirst.map(({ occupancy }) => {
    const node = occupancy.state === 'filled' ? occupancy.task.node : undefined
    if (node === undefined) return Number.POSITIVE_INFINITY
    const nth = onNode.get(node) ?? 0
    onNode.set(node, nth + 1)
    return nth
  })
  return runningFirst
    .map((place, index) => ({ place, nth: nthOnNode[index] as number }))
    .sort((a, b) => (a.nth === b.nth ? 0 : a.nth - b.nth))
    .map(({ place }) => place)
}

function runs({ occupancy }: Place): boolean {
  return occupancy.state === 'filled' && occupancy.task.observed === 'running'
}

/** The places that stay and, if there are too few, the lowest free numbers, all by number. */
function withNewPlaces(places: readonly Place[], all: readonly Place[], replicas: number): readonly Place[] {
  if (places.length >= replicas) return places
  const byNumber = new Map(all.map((place) => [place.slot.number, place]))
  const result = [...places]
  for (let number = 1; result.length < replicas; number++) {
    const known = byNumber.get(number)
    if (known !== undefined && known.occupancy.state !== 'vacant') continue
    result.push(known ?? { slot: { number, tasks: [] }, occupancy: { state: 'vacant' } })
  }
  return result.sort((a, b) => a.slot.number - b.slot.number)
}

/** The store wishes a removed service's tasks removed; this is for any that slipped in with an older plan. */
function* planLeftovers(view: View): Generator<PlanStep, void> {
  let looked = 0
  let tasks: number[] = []
  const step = (): PlanStep => ({
    ops: tasks.length > 0 ? [{ op: 'tasks.desire', tasks, desired: 'remove' }] : [],
    wakeAtMs: undefined,
  })
  for (const task of view.tasks()) {
    if (task.desired !== 'remove' && view.service(task.service) === undefined) tasks.push(task.handle)
    if (++looked % tasksPerStep === 0) {
      yield step()
      tasks = []
    }
  }
  yield step()
}
