/** `configs:` of a stack file: what the cluster has already, and what a deploy brings in from files beside it or from the file itself. */
import { resolve } from 'node:path'
import { isSkeinError } from '../base/errors.js'
import { checkLabels } from '../model/check-node.js'
import { checkPayloadName } from '../model/payload.js'
import type { ConfigUse } from '../model/service.js'
import { definitionsOf } from './definitions.js'
import { namespaceLabel } from './deploy-plan.js'
import { type Field, type Readers, readPairs, readText } from './fields.js'
import type { Environment } from './interpolate.js'
import { type Findings, type Note, pathTo } from './notes.js'
import { type Definition, type PayloadNames, readDefinition, readUses } from './payloads.js'
import type { Source } from './source.js'

/** A config that a deploy creates, before its data are read. */
export interface WishedConfig {
  /** In the cluster: `STACK_KEY`, or what `name` says. */
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly from: { readonly type: 'file'; readonly path: string } | { readonly type: 'text'; readonly text: string }
  /** Where its data are spoken of, for what is wrong with them. */
  readonly at: Omit<Note, 'why'>
}

export interface StackConfigs {
  readonly names: PayloadNames
  readonly wished: readonly WishedConfig[]
}

interface Context {
  readonly stack: string
  /** Absolute; relative files start here. */
  readonly dir: string
  readonly env: Environment
}

type Origin = Pick<WishedConfig, 'from' | 'at'>
type Place = Pick<Field, 'path' | 'line'>

export function readStackConfigs(root: Source, context: Context, findings: Findings): StackConfigs {
  const names = new Map<string, string>()
  const wished = new Map<string, WishedConfig>()
  for (const field of definitionsOf(root, 'configs', findings)) {
    const { name, config } = readConfig(field, context, findings)
    names.set(field.key, name)
    if (config === undefined) continue
    if (wished.has(name))
      refuse(field, `another config of this file is called ${name} in the cluster; give one another \`name\``, findings)
    wished.set(name, config)
  }
  return { names, wished: [...wished.values()] }
}

function readConfig(
  field: Field & { readonly key: string },
  context: Context,
  findings: Findings,
): { readonly name: string; readonly config: WishedConfig | undefined } {
  const { stack } = context
  const origins: Origin[] = []
  let labels: Readonly<Record<string, string>> = {}
  let labelsAt: Place = field
  const before = findings.problems.length
  const definition = readDefinition(
    field,
    {
      ...originReaders(context, (origin) => origins.push(origin), findings),
      labels: (child) => {
        labelsAt = child
        labels = readPairs(child, () => '', findings) ?? {}
      },
      template_driver: (child) =>
        refuse(child, 'configs are given to tasks as they are; write what the template would become', findings),
    },
    findings,
  )
  const name = definition.name ?? (definition.isExternal ? field.key : `${stack}_${field.key}`)
  if (findings.problems.length > before) return { name, config: undefined }
  askModel({ path: pathTo(field.path, 'name'), line: field.line }, () => checkPayloadName(name, ''), findings)
  askModel(labelsAt, () => checkLabels(labels, ''), findings)
  const origin = onlyOrigin(field, origins, definition, findings)
  return { name, config: origin && { name, labels: { ...labels, [namespaceLabel]: stack }, ...origin } }
}

/** Of the keys that say where data are. */
function originReaders({ dir, env }: Context, take: (origin: Origin) => void, findings: Findings): Readers {
  const reader =
    (originOf: (text: string, at: Place) => Origin['from'] | undefined) =>
    ({ path, line, source }: Field): void => {
      const text = readText({ path, line, source }, findings)
      const from = text === undefined ? undefined : originOf(text, { path, line })
      if (from !== undefined) take({ from, at: { path, line } })
    }
  return {
    file: reader((file) => ({ type: 'file', path: resolve(dir, file) })),
    content: reader((text) => ({ type: 'text', text })),
    environment: reader((variable, at) => {
      const text = env[variable]
      return text === undefined ? refuse(at, `the variable ${variable} is not set`, findings) : { type: 'text', text }
    }),
  }
}

/** Undefined for what is external, and after a problem was noted. */
function onlyOrigin(
  field: Place,
  [origin, second]: readonly Origin[],
  { isExternal }: Definition,
  findings: Findings,
): Origin | undefined {
  if (second !== undefined)
    return refuse(second.at, 'its data come from one place; keep one of `file`, `content` and `environment`', findings)
  if (origin !== undefined && isExternal)
    return refuse(origin.at, 'the cluster has an external config already; keep one of the two', findings)
  if (origin === undefined && !isExternal)
    return refuse(field, 'nothing says where its data are; give `file`, `content` or `external: true`', findings)
  return origin
}

function refuse({ path, line }: Place, why: string, findings: Findings): undefined {
  findings.problems.push({ path, line, why })
}

/** `configs:` of a service. */
export function readConfigUses(field: Field, names: PayloadNames, findings: Findings): readonly (string | ConfigUse)[] {
  return readUses(field, 'configs', names, findings).map(({ payload, target }) =>
    target === payload ? payload : { config: payload, target },
  )
}

/** What the cluster would refuse, refused here, where the file is at hand. */
export function askModel(place: Place, check: () => unknown, findings: Findings): void {
  try {
    check()
  } catch (error) {
    if (!isSkeinError(error, 'ERR_SKEIN_INVALID_SPEC') && !isSkeinError(error, 'ERR_SKEIN_TOO_LARGE')) throw error
    refuse(place, error.message, findings)
  }
}
