/** `networks:` of a stack file: names of networks that the cluster has, and of those that the stack brings along. */
import { definitionsOf } from './definitions.js'
import { namespaceLabel } from './deploy-plan.js'
import { type Field, readMap, readPairs, readText, readTexts, wrong } from './fields.js'
import { knownNetworkKeys, knownNetworkUseKeys } from './keys.js'
import { type Findings, pathTo } from './notes.js'
import type { Source } from './source.js'

/** A network the stack brings along: made when the cluster does not have it yet. */
export interface StackNetwork {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
}

/** Name in the file → the network's name in the cluster, and what to make it with unless the cluster is to have it. */
export type StackNetworks = ReadonlyMap<string, { readonly name: string; readonly brought: StackNetwork | undefined }>

/** The one network every cluster has: a service may name it, and a file need not. */
const always = 'default'

/** The top-level key, wherever in the file it stands: services before it may refer to it. */
export function readStackNetworks(root: Source, stack: string, findings: Findings): StackNetworks {
  const networks = new Map([[always, { name: always, brought: undefined as StackNetwork | undefined }]])
  for (const field of definitionsOf(root, 'networks', findings)) {
    networks.set(field.key, readNetwork(field, stack, findings))
  }
  return networks
}

function readNetwork(
  field: Field & { readonly key: string },
  stack: string,
  findings: Findings,
): { readonly name: string; readonly brought: StackNetwork | undefined } {
  let given: string | undefined
  let isExternal = false
  let labels: Readonly<Record<string, string>> = {}
  const readers = {
    external: (child: Field) => {
      if (child.source.kind === 'scalar' && typeof child.source.value === 'boolean') isExternal = child.source.value
      else wrong(child, 'true or false', findings)
    },
    name: (child: Field) => {
      given = readText(child, findings)
    },
    labels: (child: Field) => {
      labels = readPairs(child, () => '', findings) ?? {}
    },
  }
  const isEmpty = field.source.kind === 'scalar' && field.source.value === null // as the specification allows
  if (!isEmpty) readMap(field, readers, knownNetworkKeys, findings)
  if (isExternal) return { name: given ?? field.key, brought: undefined }
  const name = given ?? `${stack}_${field.key}`
  return { name, brought: { name, labels: { ...labels, [namespaceLabel]: stack } } }
}

/** `networks:` of a service: names from the top level, as a list or as the keys of a map. */
export function readNetworkUses(field: Field, networks: StackNetworks, findings: Findings): readonly string[] {
  return namesOf(field, findings).flatMap(({ name, path, line }) => {
    const network = networks.get(name)
    if (network !== undefined) return [network.name]
    const why = `no network ${name} at the top level; add \`networks: {${name}: {}}\`, or \`{external: true}\` if the cluster has it`
    findings.problems.push({ path, line, why })
    return []
  })
}

interface Use {
  readonly name: string
  readonly path: string
  readonly line: number
}

function namesOf(field: Field, findings: Findings): readonly Use[] {
  const { source, path } = field
  if (source.kind === 'list') {
    const names = readTexts(field, findings) ?? []
    return names.map((name, index) => ({ name, path: pathTo(path, index), line: source.items[index]?.line ?? field.line }))
  }
  if (source.kind !== 'map') {
    wrong(field, 'a list or a map of networks', findings)
    return []
  }
  return source.entries.map(({ key, line, value }) => {
    const child = { path: pathTo(path, key), line, source: value }
    const isEmpty = value.kind === 'scalar' && value.value === null
    if (!isEmpty) readMap(child, {}, knownNetworkUseKeys, findings)
    return { name: key, path: child.path, line }
  })
}
