import { isDeepStrictEqual } from 'node:util'
import { namespaceLabel } from './deploy-plan.js'
import type { StackConfig } from './load.js'

/** What a deploy does with configs before it comes to the services. */
export interface ConfigPlan<Current> {
  readonly create: readonly StackConfig[]
  /** There with the same data and other labels; null takes one away. */
  readonly relabel: readonly { readonly current: Current; readonly labels: Readonly<Record<string, string | null>> }[]
  /** There under the wished name with other data, which never change: nothing may be done until these are resolved. */
  readonly differing: readonly Current[]
  /** There, and not of this stack: as above. */
  readonly taken: readonly Current[]
}

/**
 * Compares what configs there are with those a stack file brings along.
 * @param current Configs of the cluster, at least those with the wished names.
 */
export function configPlan<Current extends StackConfig>(
  current: readonly Current[],
  wished: { readonly name: string; readonly configs: readonly StackConfig[] },
): ConfigPlan<Current> {
  const create: StackConfig[] = []
  const relabel: { current: Current; labels: Readonly<Record<string, string | null>> }[] = []
  const differing: Current[] = []
  const taken: Current[] = []
  const byName = new Map(current.map((config) => [config.name, config]))
  for (const config of wished.configs) {
    const existing = byName.get(config.name)
    if (existing === undefined) create.push(config)
    else if (existing.labels[namespaceLabel] !== wished.name) taken.push(existing)
    else if (Buffer.compare(existing.data, config.data) !== 0) differing.push(existing)
    else if (!isDeepStrictEqual({ ...existing.labels }, { ...config.labels })) {
      const gone = Object.keys(existing.labels).filter((key) => !Object.hasOwn(config.labels, key))
      relabel.push({ current: existing, labels: { ...Object.fromEntries(gone.map((key) => [key, null])), ...config.labels } })
    }
  }
  return { create, relabel, differing, taken }
}
