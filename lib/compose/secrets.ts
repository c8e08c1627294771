/** `secrets:` of a stack file: names of secrets that the cluster has. Values never come from the file. */
import type { SecretUse } from '../model/service.js'
import { definitionsOf } from './definitions.js'
import type { Field } from './fields.js'
import { type Findings, pathTo } from './notes.js'
import { type PayloadNames, readDefinition, readUses } from './payloads.js'
import type { Source } from './source.js'

/** Where Compose would take a value from. */
const carriers = ['file', 'environment', 'content', 'driver', 'driver_opts', 'template_driver', 'labels'] as const

export function readStackSecrets(root: Source, findings: Findings): PayloadNames {
  return new Map(definitionsOf(root, 'secrets', findings).map((field) => [field.key, readSecret(field, findings)]))
}

/** Its name in the cluster. */
function readSecret(field: Field & { readonly key: string }, findings: Findings): string {
  let carrier: Field | undefined
  const refuse = (child: Field): void => {
    carrier ??= child
  }
  const { name = field.key, isExternal } = readDefinition(
    field,
    Object.fromEntries(carriers.map((each) => [each, refuse])),
    findings,
  )
  const remedy = `create it with \`skein secret create ${name} FILE\` and write \`external: true\``
  if (carrier !== undefined) {
    const why = `a stack file carries no secret into the cluster; ${remedy}`
    findings.problems.push({ path: carrier.path, line: carrier.line, why })
  } else if (!isExternal && field.source.kind === 'map') {
    findings.problems.push({ path: pathTo(field.path, 'external'), line: field.line, why: `must be true; ${remedy}` })
  }
  return name
}

/** `secrets:` of a service. */
export function readSecretUses(field: Field, names: PayloadNames, findings: Findings): readonly (string | SecretUse)[] {
  return readUses(field, 'secrets', names, findings).map(({ payload, target }) =>
    target === payload ? payload : { secret: payload, target },
  )
}
