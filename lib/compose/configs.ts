/** `configs:` of a stack file: what the cluster has already, and what a deploy brings in from files beside it or from the file itself. */
import { resolve } from 'node:path'
import { isSkeinError } from '../base/errors.js'
import { checkLabels } from '../model/check-node.js'
import { checkPayloadName } from '../model/payload.js'
import type { ConfigUse } from '../model/service.js'
import { namespaceLabel } from './deploy-plan.js'
import { type Field, readPairs, readText } from './fields.js'
import type { Environment } from './interpolate.js'
import { type Findings, type Note, pathTo } from './notes.js'
import { definitionsOf, type PayloadNames, readDefinition, readUses } from './payloads.js'
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

export function readStackConfigs(root: Source, context: Context, findings: Findings): StackConfigs {
  const names = new Map<string, string>()
  const wished: WishedConfig[] = []
  for (const field of definitionsOf(root, 'configs', findings)) {
    const { name, config } = readConfig(field, context, findings)
    names.set(field.key, name)
    if (config !== undefined) wished.push(config)
  }
  return { names, wished }
}

function readConfig(
  field: Field & { readonly key: string },
  { stack, dir, env }: Context,
  findings: Findings,
): { readonly name: string; readonly config: WishedConfig | undefined } {
  const origins: Origin[] = []
  let labels: Readonly<Record<string, string>> | undefined
  const take = ({ path, line }: Field, from: Origin['from'] | undefined): void => {
    if (from !== undefined) origins.push({ from, at: { path, line } })
  }
  const problem = ({ path, line }: Pick<Field, 'path' | 'line'>, why: string): undefined => {
    findings.problems.push({ path, line, why })
  }
  const refuse = (why: string) => (child: Field) => problem(child, why)
  const before = findings.problems.length
  let labelsAt: Field = field
  const { name: given, isExternal } = readDefinition(
    field,
    {
      file: (child) => {
        const file = readText(child, findings)
        take(child, file === undefined ? undefined : { type: 'file', path: resolve(dir, file) })
      },
      content: (child) => {
        const text = readText(child, findings)
        take(child, text === undefined ? undefined : { type: 'text', text })
      },
      environment: (child) => {
        const variable = readText(child, findings)
        const text = variable === undefined ? undefined : env[variable]
        if (variable !== undefined && text === undefined) problem(child, `the variable ${variable} is not set`)
        take(child, text === undefined ? undefined : { type: 'text', text })
      },
      labels: (child) => {
        labelsAt = child
        labels = readPairs(child, () => '', findings)
      },
      template_driver: refuse('configs are given to tasks as they are; write what the template would become'),
    },
    findings,
  )
  const name = given ?? (isExternal ? field.key : `${stack}_${field.key}`)
  if (findings.problems.length > before) return { name, config: undefined }
  askModel({ path: pathTo(field.path, 'name'), line: field.line }, () => checkPayloadName(name, ''), findings)
  askModel(labelsAt, () => checkLabels(labels ?? {}, ''), findings)
  const [origin, second] = origins
  if (second !== undefined) problem(second.at, 'its data come from one place; keep one of `file`, `content` and `environment`')
  else if (origin !== undefined && isExternal)
    problem(origin.at, 'the cluster has an external config already; keep one of the two')
  else if (origin === undefined && !isExternal)
    problem({ path: field.path, line: field.line }, 'nothing says where its data are; give `file`, `content` or `external: true`')
  const config = origin && { name, labels: { ...labels, [namespaceLabel]: stack }, ...origin }
  return { name, config }
}

/** `configs:` of a service. */
export function readConfigUses(field: Field, names: PayloadNames, findings: Findings): readonly (string | ConfigUse)[] {
  return readUses(field, 'configs', names, findings).map(({ payload, target }) =>
    target === payload ? payload : { config: payload, target },
  )
}

/** What the cluster would refuse, refused here, where the file is at hand. */
export function askModel({ path, line }: Pick<Field, 'path' | 'line'>, check: () => unknown, findings: Findings): void {
  try {
    check()
  } catch (error) {
    if (!isSkeinError(error, 'ERR_SKEIN_INVALID_SPEC') && !isSkeinError(error, 'ERR_SKEIN_TOO_LARGE')) throw error
    findings.problems.push({ path, line, why: error.message })
  }
}
