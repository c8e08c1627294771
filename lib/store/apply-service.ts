/** What operations on services do. Pure. */
import { isDeepStrictEqual } from 'node:util'
import { SkeinError } from '../base/errors.js'
import type { Op } from '../model/command.js'
import { type IdFinder, resolveServiceSpec } from '../model/resolve-service.js'
import type { ResolvedServiceSpec, Service } from '../model/service.js'
import { rank } from '../model/task.js'
import type { Draft } from './draft.js'
import { slotKey, specKey } from './rows.js'

type OpOf<Name extends Op['op']> = Extract<Op, { op: Name }>

export function createService(draft: Draft, { id, spec: given }: OpOf<'service.create'>): void {
  const { spec, resolved } = resolveServiceSpec(given, idsIn(draft))
  // A removed service's id is taken for as long as its tasks remain.
  if (draft.tables.service(id) !== undefined || draft.tables.taskCountOfService(id) > 0) {
    throw new SkeinError('ERR_SKEIN_ALREADY_EXISTS', `service id ${id} exists already`, { kind: 'service', name: id })
  }
  if (draft.tables.serviceByName(spec.name) !== undefined) {
    const words = `service ${spec.name} exists already; update it, or choose another name`
    throw new SkeinError('ERR_SKEIN_ALREADY_EXISTS', words, { kind: 'service', name: spec.name })
  }
  const record: Service = {
    id,
    spec,
    previous: undefined,
    specVersion: 1,
    createdAtMs: draft.atMs,
    updatedAtMs: draft.atMs,
    version: draft.version,
  }
  draft.write({ kind: 'service', key: id, record })
  draft.write({ kind: 'spec', key: specKey(id, 1), record: resolved })
}

/** Only a changed task, placement or restart policy is a new spec version; scaling and labels are not. */
export function updateService(draft: Draft, { id, spec: given, ifVersion }: OpOf<'service.update'>): void {
  const was = serviceOf(draft, id)
  if (ifVersion !== undefined && ifVersion !== was.version) {
    const words = `service ${was.spec.name}: changed since version ${ifVersion}, now at ${was.version}; read it again`
    throw new SkeinError('ERR_SKEIN_VERSION_CONFLICT', words, { expected: ifVersion, current: { id, version: was.version } })
  }
  const { spec, resolved } = resolveServiceSpec(given, idsIn(draft))
  if (spec.name !== was.spec.name) {
    const words = `service ${was.spec.name} cannot be renamed to ${spec.name}; create a new one and remove this one`
    throw new SkeinError('ERR_SKEIN_PRECONDITION', words, { what: 'rename' })
  }
  if (isDeepStrictEqual(spec, was.spec)) return
  const old = draft.tables.spec(id, was.specVersion)
  const specVersion = old !== undefined && makesSameTasks(old, resolved) ? was.specVersion : was.specVersion + 1
  const record: Service = { ...was, spec, previous: was.spec, specVersion, updatedAtMs: draft.atMs, version: draft.version }
  draft.write({ kind: 'service', key: id, record })
  draft.write({ kind: 'spec', key: specKey(id, specVersion), record: resolved })
  forgetSpecIfUnused(draft, id, was.specVersion)
}

export function removeService(draft: Draft, { id }: OpOf<'service.remove'>): void {
  const { specVersion } = serviceOf(draft, id)
  draft.write({ kind: 'service', key: id, record: undefined })
  for (const task of [...draft.tables.tasksOfService(id)]) {
    if (rank(task.desired) >= rank('remove')) continue
    draft.write({ kind: 'task', key: task.handle, record: { ...task, desired: 'remove', version: draft.version } })
  }
  forgetSpecIfUnused(draft, id, specVersion)
  forgetSlotsIfUnused(draft, id)
}

/** A spec is kept while it is the service's own or a task was made from it. */
export function forgetSpecIfUnused(draft: Draft, service: string, specVersion: number): void {
  const { tables } = draft
  if (tables.service(service)?.specVersion === specVersion || tables.taskCountOfSpec(service, specVersion) > 0) return
  if (tables.spec(service, specVersion) === undefined) return
  draft.write({ kind: 'spec', key: specKey(service, specVersion), record: undefined })
}

/** The generations of slots are kept until service and tasks are gone. */
export function forgetSlotsIfUnused(draft: Draft, service: string): void {
  const { tables } = draft
  if (tables.service(service) !== undefined || tables.taskCountOfService(service) > 0) return
  for (const { slot } of [...tables.slotsOfService(service)]) {
    draft.write({ kind: 'slot', key: slotKey(service, slot), record: undefined })
  }
}

function serviceOf(draft: Draft, id: string): Service {
  const service = draft.tables.service(id)
  if (service !== undefined) return service
  throw new SkeinError('ERR_SKEIN_NOT_FOUND', `service ${id}: there is none; see the list of services`, {
    kind: 'service',
    ref: id,
  })
}

/** What a spec names must be there when it is applied. */
function idsIn({ tables }: Draft): IdFinder {
  return (kind, name) => {
    const found = kind === 'network' ? tables.networkByName(name) : tables.payloadByName(kind, name)
    if (found !== undefined) return found.id
    const words = `${kind} ${name}: there is none; create it before the service that uses it`
    throw new SkeinError('ERR_SKEIN_NOT_FOUND', words, { kind, ref: name })
  }
}

function makesSameTasks(a: ResolvedServiceSpec, b: ResolvedServiceSpec): boolean {
  return isDeepStrictEqual([a.task, a.placement, a.restart], [b.task, b.placement, b.restart])
}
