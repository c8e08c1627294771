/** What `secrets:` and `configs:` of a stack file have in common: what a definition says, and their uses in services. */
import { type Field, type Readers, readMap, readText, wrong } from './fields.js'
import { knownNowhere, knownPayloadUseKeys } from './keys.js'
import { type Findings, pathTo } from './notes.js'

export type PayloadsKey = 'secrets' | 'configs'

/** Name in the file → name in the cluster. */
export type PayloadNames = ReadonlyMap<string, string>

/** What a definition says of the cluster: whether it is there already, and under which name. */
export interface Definition {
  readonly name: string | undefined
  readonly isExternal: boolean
}

/** Reads a definition, other keys than `external` and `name` by `more`. `external: {name: NAME}` is the older way to write both. */
export function readDefinition(field: Field, more: Readers, findings: Findings): Definition {
  let name: string | undefined
  let isExternal = false
  const readName = (child: Field): void => {
    name = readText(child, findings) ?? name
  }
  const readers: Readers = {
    ...more,
    external: (child) => {
      isExternal = true
      if (child.source.kind === 'map') readMap(child, { name: readName }, knownNowhere, findings)
      else if (child.source.kind !== 'scalar' || typeof child.source.value !== 'boolean') wrong(child, 'true', findings)
      else isExternal = child.source.value
    },
    name: readName,
  }
  readMap(field, readers, knownNowhere, findings)
  return { name, isExternal }
}

/** One use in a service: `payload` is its name in the cluster; a task finds it under `target`. */
export interface PayloadUse {
  readonly payload: string
  readonly target: string
}

/** The list of a service: names from the top level, or maps with `source` and `target`. */
export function readUses(field: Field, key: PayloadsKey, names: PayloadNames, findings: Findings): readonly PayloadUse[] {
  if (field.source.kind !== 'list') {
    wrong(field, `a list of ${key}`, findings)
    return []
  }
  return field.source.items.flatMap((source, index) => {
    const item = { path: pathTo(field.path, index), line: source.line, source }
    const { given, target } = source.kind === 'map' ? readLongForm(item, key, findings) : { given: item, target: undefined }
    const use = given && useOf(given, target, { key, names }, findings)
    return use === undefined ? [] : [use]
  })
}

function readLongForm(
  item: Field,
  key: PayloadsKey,
  findings: Findings,
): { readonly given: Field | undefined; readonly target: string | undefined } {
  let given: Field | undefined
  let target: string | undefined
  const readers = {
    source: (child: Field) => {
      given = child
    },
    target: (child: Field) => {
      target = readText(child, findings)
    },
  }
  readMap(item, readers, knownPayloadUseKeys, findings)
  if (given === undefined) {
    const why = `missing; name one of the ${key} of the top level`
    findings.problems.push({ path: pathTo(item.path, 'source'), line: item.line, why })
  }
  return { given, target }
}

function useOf(
  given: Field,
  target: string | undefined,
  { key, names }: { readonly key: PayloadsKey; readonly names: PayloadNames },
  findings: Findings,
): PayloadUse | undefined {
  const name = readText(given, findings)
  if (name === undefined) return undefined
  const payload = names.get(name)
  if (payload !== undefined) return { payload, target: target ?? name }
  const why = `no ${key.slice(0, -1)} ${name} at the top level; add \`${key}: {${name}: {external: true}}\``
  findings.problems.push({ path: given.path, line: given.line, why })
  return undefined
}
