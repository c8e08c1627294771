import { isDeepStrictEqual } from 'node:util'
import { resolveServiceSpec } from '../model/resolve-service.js'
import type { ServiceSpec } from '../model/service.js'

/** The label that says which stack a service belongs to; Docker's, so that tools that know it keep working. */
export const namespaceLabel = 'com.docker.stack.namespace'

/** What a deploy does, in the order it is to be done. */
export interface DeployPlan<Current> {
  readonly create: readonly ServiceSpec[]
  readonly update: readonly { readonly current: Current; readonly spec: ServiceSpec }[]
  readonly unchanged: readonly Current[]
  /** Services of the stack its file no longer names; empty without `prune`. */
  readonly remove: readonly Current[]
  /** Names the file wants that a service outside the stack holds: nothing may be done until these are resolved. */
  readonly taken: readonly Current[]
}

/**
 * Compares what a stack is with what its file wishes. Two specs are equal when they resolve to the same, so defaults written out change nothing.
 * @param current Services of the cluster, at least those of the stack.
 */
export function deployPlan<Current extends { readonly name: string; readonly spec: ServiceSpec }>(
  current: readonly Current[],
  wished: { readonly name: string; readonly services: readonly ServiceSpec[] },
  { prune = false }: { readonly prune?: boolean } = {},
): DeployPlan<Current> {
  const create: ServiceSpec[] = []
  const update: { current: Current; spec: ServiceSpec }[] = []
  const unchanged: Current[] = []
  const taken: Current[] = []
  const byName = new Map(current.map((service) => [service.name, service]))
  for (const spec of wished.services) {
    const existing = byName.get(spec.name)
    if (existing === undefined) create.push(spec)
    else if (!belongsTo(existing, wished.name)) taken.push(existing)
    else if (isDeepStrictEqual(resolveServiceSpec(existing.spec).resolved, resolveServiceSpec(spec).resolved))
      unchanged.push(existing)
    else update.push({ current: existing, spec })
  }
  const names = new Set(wished.services.map(({ name }) => name))
  const orphans = current.filter((service) => belongsTo(service, wished.name) && !names.has(service.name))
  return { create, update, unchanged, remove: prune ? orphans : [], taken }
}

function belongsTo(service: { readonly spec: ServiceSpec }, stack: string): boolean {
  return service.spec.labels?.[namespaceLabel] === stack
}
