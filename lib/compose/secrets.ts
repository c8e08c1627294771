/** `secrets:` of a stack file: names of secrets that the cluster has. Values never come from the file. */
import type { SecretUse } from '../model/service.js'
import { type Field, readMap, readText, wrong } from './fields.js'
import { knownNowhere, knownSecretUseKeys } from './keys.js'
import { type Findings, pathTo } from './notes.js'
import type { Source } from './source.js'

/** Name in the file → the secret's name in the cluster. */
export type StackSecrets = ReadonlyMap<string, string>

/** Where Compose would take a value from. */
const carriers = ['file', 'environment', 'content', 'driver', 'driver_opts', 'template_driver', 'labels'] as const

/** The top-level key, wherever in the file it stands: services before it may refer to it. */
export function readStackSecrets(root: Source, findings: Findings): StackSecrets {
  const secrets = new Map<string, string>()
  const entry = root.kind === 'map' ? root.entries.find(({ key }) => key === 'secrets') : undefined
  if (entry === undefined) return secrets
  if (entry.value.kind !== 'map') {
    wrong({ path: 'secrets', line: entry.line, source: entry.value }, 'a map of secrets', findings)
    return secrets
  }
  for (const { key, line, value } of entry.value.entries) {
    secrets.set(key, readSecret(key, { path: pathTo('secrets', key), line, source: value }, findings))
  }
  return secrets
}

function readSecret(key: string, field: Field, findings: Findings): string {
  let name = key
  let isExternal = false
  let carrier: Field | undefined
  const refused = Object.fromEntries(
    carriers.map((each) => [
      each,
      (child: Field) => {
        carrier ??= child
      },
    ]),
  )
  readMap(
    field,
    {
      ...refused,
      external: (child) => {
        isExternal = child.source.kind === 'scalar' && child.source.value === true
        if (!isExternal) wrong(child, 'true', findings)
      },
      name: (child) => {
        name = readText(child, findings) ?? name
      },
    },
    knownNowhere,
    findings,
  )
  const remedy = `create it with \`skein secret create ${name} FILE\` and write \`external: true\``
  if (carrier !== undefined) {
    const why = `a stack file carries no secret into the cluster; ${remedy}`
    findings.problems.push({ path: carrier.path, line: carrier.line, why })
  } else if (!isExternal && field.source.kind === 'map') {
    findings.problems.push({ path: pathTo(field.path, 'external'), line: field.line, why: `missing; ${remedy}` })
  }
  return name
}

/** `secrets:` of a service: names from the top level, or maps with `source` and `target`. */
export function readSecretUses(field: Field, secrets: StackSecrets, findings: Findings): readonly (string | SecretUse)[] {
  const uses: (string | SecretUse)[] = []
  if (field.source.kind !== 'list') {
    wrong(field, 'a list of secrets', findings)
    return uses
  }
  for (const [index, source] of field.source.items.entries()) {
    const item = { path: pathTo(field.path, index), line: source.line, source }
    let given: Field | undefined = item
    let target: string | undefined
    if (source.kind === 'map') {
      given = undefined
      const readers = {
        source: (child: Field) => {
          given = child
        },
        target: (child: Field) => {
          target = readText(child, findings)
        },
      }
      readMap(item, readers, knownSecretUseKeys, findings)
    }
    const use = useOf(given, target, item, secrets, findings)
    if (use !== undefined) uses.push(use)
  }
  return uses
}

function useOf(
  given: Field | undefined,
  target: string | undefined,
  item: Field,
  secrets: StackSecrets,
  findings: Findings,
): string | SecretUse | undefined {
  if (given === undefined) {
    findings.problems.push({ path: pathTo(item.path, 'source'), line: item.line, why: 'missing; name a secret of the top level' })
    return undefined
  }
  const name = readText(given, findings)
  if (name === undefined) return undefined
  const secret = secrets.get(name)
  if (secret === undefined) {
    const why = `no secret ${name} at the top level; add \`secrets: {${name}: {external: true}}\``
    findings.problems.push({ path: given.path, line: given.line, why })
    return undefined
  }
  const found = target ?? name
  return found === secret ? secret : { secret, target: found }
}
