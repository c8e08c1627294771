/** What people call things (a name, an id, the beginning of an id) becomes the object meant. Pure. */
import { SkeinError } from '../base/errors.js'
import type { Config } from '../model/config.js'
import type { Network } from '../model/network.js'
import type { Node } from '../model/node.js'
import type { PayloadKind } from '../model/payload.js'
import type { Secret } from '../model/secret.js'
import type { Service } from '../model/service.js'
import { type Task, taskId } from '../model/task.js'
import type { View } from './view.js'

/** Candidates an ambiguous reference names at most. */
const candidatesMax = 10

/** By id, name or unique id prefix. @throws {SkeinError} ERR_SKEIN_NOT_FOUND, ERR_SKEIN_AMBIGUOUS with the candidates */
export function resolveNode(view: View, ref: string): Node {
  const exact = view.node(ref) ?? view.nodeByName(ref)
  return exact ?? onlyOne('node', ref, startingWith(view.nodes(), ref, idOf), idOf)
}

/** By id, name or unique id prefix. @throws {SkeinError} ERR_SKEIN_NOT_FOUND, ERR_SKEIN_AMBIGUOUS */
export function resolveService(view: View, ref: string): Service {
  const exact = view.service(ref) ?? view.serviceByName(ref)
  return exact ?? onlyOne('service', ref, startingWith(view.services(), ref, idOf), idOf)
}

/** By id, name or unique id prefix. @throws {SkeinError} ERR_SKEIN_NOT_FOUND, ERR_SKEIN_AMBIGUOUS */
export function resolveSecret(view: View, ref: string): Secret {
  const exact = view.secret(ref) ?? view.secretByName(ref)
  return exact ?? onlyOne('secret', ref, startingWith(view.secrets(), ref, idOf), idOf)
}

/** By id, name or unique id prefix. @throws {SkeinError} ERR_SKEIN_NOT_FOUND, ERR_SKEIN_AMBIGUOUS */
export function resolveConfig(view: View, ref: string): Config {
  const exact = view.config(ref) ?? view.configByName(ref)
  return exact ?? onlyOne('config', ref, startingWith(view.configs(), ref, idOf), idOf)
}

/** Services whose present spec gives this secret or config to its tasks, or puts them on this network. */
export function servicesUsing(view: View, kind: PayloadKind | 'network', id: string): readonly Service[] {
  return [...view.services()].filter((service) =>
    view.spec(service.id, service.specVersion)?.task[`${kind}s`].some((used) => used.id === id),
  )
}

/** By id, name or unique id prefix. @throws {SkeinError} ERR_SKEIN_NOT_FOUND, ERR_SKEIN_AMBIGUOUS */
export function resolveNetwork(view: View, ref: string): Network {
  const exact = view.network(ref) ?? view.networkByName(ref)
  return exact ?? onlyOne('network', ref, startingWith(view.networks(), ref, idOf), idOf)
}

/**
 * By id, by `service.slot` (the newest attempt there; the service by name or id), or by unique id prefix.
 * @throws {SkeinError} ERR_SKEIN_NOT_FOUND, ERR_SKEIN_AMBIGUOUS
 */
export function resolveTask(view: View, ref: string): Task {
  const exact = view.taskById(ref) ?? taskByName(view, ref)
  return exact ?? onlyOne('task', ref, startingWith(view.tasks(), ref, taskId), taskId)
}

/** The newest attempt in a slot. */
export function newestTask(view: View, service: string, slot: number): Task | undefined {
  let newest: Task | undefined
  for (const task of view.tasksOfService(service)) {
    if (task.slot > slot) break
    if (task.slot === slot) newest = task
  }
  return newest
}

/** `web.1`; a removed service's tasks keep its name while they end. */
export function taskName(view: View, task: Task): string {
  const name = view.service(task.service)?.spec.name ?? view.spec(task.service, task.specVersion)?.name ?? task.service
  return `${name}.${task.slot}`
}

/** Every manager, ids ascending. */
export function managersOf(view: View): readonly Node[] {
  return [...view.nodes()].filter((node) => node.role === 'manager')
}

function taskByName(view: View, ref: string): Task | undefined {
  const parts = /^(.+)\.(\d{1,9})$/.exec(ref)
  if (parts === null) return undefined
  const service = view.serviceByName(parts[1] as string) ?? view.service(parts[1] as string)
  return service && newestTask(view, service.id, Number(parts[2]))
}

function startingWith<T>(items: Iterable<T>, ref: string, idOf: (item: T) => string): readonly T[] {
  // An empty reference would mean everything.
  return ref === '' ? [] : [...items].filter((item) => idOf(item).startsWith(ref))
}

function onlyOne<T>(kind: string, ref: string, found: readonly T[], idOf: (item: T) => string): T {
  const [first] = found
  if (first === undefined) {
    throw new SkeinError(
      'ERR_SKEIN_NOT_FOUND',
      `${kind} ${JSON.stringify(ref)}: no name, id or id prefix like this; list the ${kind}s`,
      { kind, ref },
    )
  }
  if (found.length === 1) return first
  const candidates = found.slice(0, candidatesMax).map(idOf)
  const more = found.length > candidates.length ? `, and ${found.length - candidates.length} more` : ''
  const words = `${kind} ${JSON.stringify(ref)}: may be any of ${candidates.join(', ')}${more}; give more of the id`
  throw new SkeinError('ERR_SKEIN_AMBIGUOUS', words, { kind, ref, candidates })
}

function idOf(item: { readonly id: string }): string {
  return item.id
}
