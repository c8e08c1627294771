/** What keeps an object that services may use from being removed, and what is said where there is none. Pure. */
import { SkeinError } from '../base/errors.js'
import type { NamedHead } from '../model/head.js'
import type { PayloadKind } from '../model/payload.js'
import type { Service } from '../model/service.js'
import { servicesUsing } from './queries.js'
import type { View } from './view.js'

type UsedKind = PayloadKind | 'network'

/** Services that a refusal names at most. */
const namedMax = 10

/** @throws {SkeinError} ERR_SKEIN_PRECONDITION */
export function refuseUsed(view: View, kind: UsedKind, { id, name }: NamedHead): void {
  const users = servicesUsing(view, kind, id)
  if (users.length === 0) return
  const words = `${kind} ${name} is used by ${named(users)}; update or remove those services first`
  throw new SkeinError('ERR_SKEIN_PRECONDITION', words, { what: `${kind} is used` })
}

/** @throws {SkeinError} ERR_SKEIN_NOT_FOUND */
export function missing(kind: UsedKind, id: string): never {
  throw new SkeinError('ERR_SKEIN_NOT_FOUND', `${kind} ${id}: there is none; see the list of ${kind}s`, { kind, ref: id })
}

/** By name, and how many more. */
function named(services: readonly Service[]): string {
  const more = services.length > namedMax ? ` and ${services.length - namedMax} more` : ''
  const names = services.slice(0, namedMax).map(({ spec }) => spec.name)
  return `${names.join(', ')}${more}`
}
