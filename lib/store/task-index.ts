/** Tasks by handle, by place (service, slot, generation) and by node. Pure. */
import { parseTaskId, type Task } from '../model/task.js'
import { SortedTable } from './sorted-table.js'

interface Slot {
  /** Survives its tasks, so that a generation is never given twice. */
  lastGeneration: number
  /** Generation ascending. */
  readonly tasks: Task[]
}

interface Places {
  /** Index is slot - 1. */
  readonly slots: (Slot | undefined)[]
  used: number
  tasks: number
}

interface NodeTasks {
  readonly handles: Set<number>
  /** In order of place; undefined after a task came or went. */
  ordered: number[] | undefined
}

export class TaskIndex {
  readonly #byHandle = new Map<number, Task>()
  readonly #byService = new SortedTable<Places>()
  readonly #byNode = new Map<string, NodeTasks>()

  get size(): number {
    return this.#byHandle.size
  }

  get(handle: number): Task | undefined {
    return this.#byHandle.get(handle)
  }

  byId(id: string): Task | undefined {
    const parts = parseTaskId(id)
    if (parts === undefined) return undefined
    return this.#byService.get(parts.service)?.slots[parts.slot - 1]?.tasks.find((task) => task.generation === parts.generation)
  }

  set(task: Task): void {
    const was = this.#byHandle.get(task.handle)
    this.#byHandle.set(task.handle, task)
    const places = this.#places(task.service)
    const { tasks } = this.#slot(places, task.slot)
    if (was === undefined) {
      const after = tasks.findIndex((other) => other.generation > task.generation)
      tasks.splice(after === -1 ? tasks.length : after, 0, task)
      places.tasks++
    } else {
      tasks[tasks.indexOf(was)] = task
    }
    if (was?.node !== task.node) {
      this.#leaveNode(was)
      this.#enterNode(task)
    }
  }

  delete(handle: number): void {
    const task = this.#byHandle.get(handle)
    if (task === undefined) return
    this.#byHandle.delete(handle)
    const places = this.#places(task.service)
    const { tasks } = this.#slot(places, task.slot)
    tasks.splice(tasks.indexOf(task), 1)
    places.tasks--
    this.#leaveNode(task)
    this.#dropIfEmpty(task.service, places, task.slot)
  }

  lastGeneration(service: string, slot: number): number | undefined {
    const generation = this.#byService.get(service)?.slots[slot - 1]?.lastGeneration
    return generation === 0 ? undefined : generation
  }

  /** undefined forgets the slot's count. */
  setLastGeneration(service: string, slot: number, generation: number | undefined): void {
    const places = this.#places(service)
    this.#slot(places, slot).lastGeneration = generation ?? 0
    this.#dropIfEmpty(service, places, slot)
  }

  /** Ids of services with a slot, ascending; also of removed ones whose tasks linger. */
  *services(): Generator<string> {
    yield* this.#byService.keys()
  }

  /** Every slot of the service with a last generation, ascending. */
  *slots(service: string): Generator<{ readonly slot: number; readonly lastGeneration: number }> {
    const slots = this.#byService.get(service)?.slots ?? []
    for (const [index, slot] of slots.entries()) {
      if (slot !== undefined && slot.lastGeneration > 0) yield { slot: index + 1, lastGeneration: slot.lastGeneration }
    }
  }

  countOfService(service: string): number {
    return this.#byService.get(service)?.tasks ?? 0
  }

  *all(): Generator<Task> {
    for (const places of this.#byService.values()) yield* tasksOf(places)
  }

  *ofService(service: string): Generator<Task> {
    const places = this.#byService.get(service)
    if (places !== undefined) yield* tasksOf(places)
  }

  *ofSlot(service: string, slot: number): Generator<Task> {
    yield* this.#byService.get(service)?.slots[slot - 1]?.tasks ?? []
  }

  *ofNode(node: string): Generator<Task> {
    const here = this.#byNode.get(node)
    if (here === undefined) return
    here.ordered ??= [...here.handles].sort((a, b) => byPlace(this.#at(a), this.#at(b)))
    for (const handle of here.ordered) yield this.#at(handle)
  }

  #at(handle: number): Task {
    return this.#byHandle.get(handle) as Task
  }

  #places(service: string): Places {
    const known = this.#byService.get(service)
    if (known !== undefined) return known
    const places: Places = { slots: [], used: 0, tasks: 0 }
    this.#byService.set(service, places)
    return places
  }

  #slot(places: Places, number: number): Slot {
    const known = places.slots[number - 1]
    if (known !== undefined) return known
    // Filled, not left sparse: an array with holes turns into a slow dictionary.
    while (places.slots.length < number) places.slots.push(undefined)
    const slot: Slot = { lastGeneration: 0, tasks: [] }
    places.slots[number - 1] = slot
    places.used++
    return slot
  }

  #dropIfEmpty(service: string, places: Places, number: number): void {
    const slot = places.slots[number - 1]
    if (slot === undefined || slot.lastGeneration > 0 || slot.tasks.length > 0) return
    places.slots[number - 1] = undefined
    places.used--
    if (places.used === 0) this.#byService.delete(service)
  }

  #enterNode(task: Task): void {
    if (task.node === undefined) return
    const here = this.#byNode.get(task.node) ?? { handles: new Set(), ordered: undefined }
    here.handles.add(task.handle)
    here.ordered = undefined
    this.#byNode.set(task.node, here)
  }

  #leaveNode(task: Task | undefined): void {
    if (task?.node === undefined) return
    const here = this.#byNode.get(task.node)
    if (here === undefined) return
    here.handles.delete(task.handle)
    here.ordered = undefined
    if (here.handles.size === 0) this.#byNode.delete(task.node)
  }
}

function* tasksOf(places: Places): Generator<Task> {
  for (const slot of places.slots) {
    if (slot !== undefined) yield* slot.tasks
  }
}

function byPlace(a: Task, b: Task): number {
  if (a.service !== b.service) return a.service < b.service ? -1 : 1
  return a.slot - b.slot || a.generation - b.generation
}
