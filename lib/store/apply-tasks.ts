/** What operations on tasks do. Tasks that are gone meanwhile are skipped: plans are made a moment before they commit. Pure. */
import { SkeinError } from '../base/errors.js'
import type { Op, TaskObservation } from '../model/command.js'
import { replicasMax } from '../model/resolve-service.js'
import { canAdvance, isTerminal, rank, type Task } from '../model/task.js'
import { forgetSlotsIfUnused, forgetSpecIfUnused } from './apply-service.js'
import type { Draft } from './draft.js'
import { slotKey } from './rows.js'

type OpOf<Name extends Op['op']> = Extract<Op, { op: Name }>

export function createTasks(draft: Draft, op: OpOf<'tasks.create'>): void {
  const { service, specVersion, slotFrom, slotTo, desired, startAfterMs } = op
  if (!Number.isInteger(slotFrom) || !Number.isInteger(slotTo) || slotFrom < 1 || slotTo < slotFrom || slotTo > replicasMax) {
    throw badOption('slotFrom', `slots ${slotFrom}..${slotTo}: expected a range within 1..${replicasMax}`, slotFrom)
  }
  if (desired !== 'ready' && desired !== 'running') {
    throw badOption('desired', `desired ${desired}: expected ready or running for a new task`, desired)
  }
  if (draft.tables.service(service) === undefined) {
    throw new SkeinError('ERR_SKEIN_NOT_FOUND', `service ${service}: was removed`, { kind: 'service', ref: service })
  }
  if (draft.tables.spec(service, specVersion) === undefined) {
    const current = draft.tables.service(service)?.specVersion
    const words = `service ${service}: spec version ${specVersion} is no longer kept, now at ${current}; plan again`
    throw new SkeinError('ERR_SKEIN_VERSION_CONFLICT', words, { expected: specVersion, current })
  }
  let { nextHandle } = draft.tables.counters
  for (let slot = slotFrom; slot <= slotTo; slot++) {
    const generation = draft.tables.lastGeneration(service, slot) + 1
    const handle = nextHandle++
    const record: Task = {
      handle,
      service,
      slot,
      generation,
      specVersion,
      node: undefined,
      desired,
      observed: 'pending',
      message: 'waiting for a node',
      exitCode: undefined,
      startAfterMs,
      createdAtMs: draft.atMs,
      observedAtMs: draft.atMs,
      version: draft.version,
    }
    draft.write({ kind: 'slot', key: slotKey(service, slot), record: generation })
    draft.write({ kind: 'task', key: handle, record })
  }
  draft.write({ kind: 'counters', key: '', record: { ...draft.tables.counters, nextHandle } })
}

/** The node is looked at again here: it may have gone or been drained since the plan. */
export function assignTasks(draft: Draft, { tasks, nodes }: OpOf<'tasks.assign'>): void {
  if (tasks.length !== nodes.length) {
    throw badOption('nodes', `assign: expected one node for each of ${tasks.length} tasks, got ${nodes.length}`, nodes.length)
  }
  for (const [index, handle] of tasks.entries()) {
    const task = draft.tables.task(handle)
    const node = draft.tables.node(nodes[index] as string)
    if (task === undefined || task.observed !== 'pending' || rank(task.desired) > rank('running')) continue
    if (node === undefined || node.state !== 'ready' || node.availability !== 'active') continue
    observed(draft, { ...task, node: node.id }, { state: 'assigned', message: `placed on ${node.name}` })
  }
}

export function desireTasks(draft: Draft, { tasks, desired }: OpOf<'tasks.desire'>): void {
  for (const handle of tasks) {
    const task = draft.tables.task(handle)
    if (task === undefined || rank(desired) <= rank(task.desired)) continue
    draft.write({ kind: 'task', key: handle, record: { ...task, desired, version: draft.version } })
  }
}

export function observeTasks(draft: Draft, { updates }: OpOf<'tasks.observe'>): void {
  for (const update of updates) {
    if (update.state === 'remove') throw badOption('state', 'remove can be desired, never observed', update.state)
    const task = draft.tables.task(update.task)
    if (task === undefined || !canAdvance(task.observed, update.state)) continue
    // What was never placed cannot run anywhere; it can only end.
    if (task.node === undefined && !isTerminal(update.state)) continue
    observed(draft, task, update)
  }
}

export function removeTasks(draft: Draft, { tasks }: OpOf<'tasks.remove'>): void {
  const services = new Set<string>()
  for (const handle of tasks) {
    const task = draft.tables.task(handle)
    if (task === undefined) continue
    draft.write({ kind: 'task', key: handle, record: undefined })
    forgetSpecIfUnused(draft, task.service, task.specVersion)
    services.add(task.service)
  }
  for (const service of services) forgetSlotsIfUnused(draft, service)
}

function observed(draft: Draft, task: Task, { state, message, exitCode }: Omit<TaskObservation, 'task'>): void {
  const record: Task = {
    ...task,
    observed: state,
    message,
    exitCode: exitCode ?? task.exitCode,
    observedAtMs: draft.atMs,
    version: draft.version,
  }
  draft.write({ kind: 'task', key: task.handle, record })
}

function badOption(option: string, words: string, got: unknown): SkeinError<'ERR_SKEIN_INVALID_OPTION'> {
  return new SkeinError('ERR_SKEIN_INVALID_OPTION', words, { option, got })
}
