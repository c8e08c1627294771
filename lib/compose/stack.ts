import { isSkeinError, type SkeinError } from '../base/errors.js'
import { resolveServiceSpec } from '../model/resolve-service.js'
import type { ServiceSpec } from '../model/service.js'
import { readStackConfigs, type WishedConfig } from './configs.js'
import { type Field, readMap, readText, wrong } from './fields.js'
import { knownTopLevelKeys } from './keys.js'
import { readStackNetworks, type StackNetwork } from './networks.js'
import { type Findings, noFindings, pathTo } from './notes.js'
import { readStackSecrets } from './secrets.js'
import { type FileContext, readService, type ServiceContext } from './service.js'
import { interpolateSource, parseSource, type Source, type SourceEntry } from './source.js'

/**
 * The text of a stack file as service specs, with everything found on the way. Pure.
 * The services may be carried out only when `findings.problems` is empty.
 */
export function parseStack(
  text: string,
  context: ServiceContext,
): {
  readonly services: readonly ServiceSpec[]
  readonly configs: readonly WishedConfig[]
  readonly networks: readonly StackNetwork[]
  readonly findings: Findings
} {
  const findings = noFindings()
  const services: ServiceSpec[] = []
  const parsed = parseSource(text, findings)
  if (parsed === undefined) {
    if (findings.problems.length === 0)
      findings.problems.push({ path: 'services', line: 1, why: 'the file is empty; it needs `services`' })
    return { services, configs: [], networks: [], findings }
  }
  const root = { path: '', line: 1, source: interpolateSource(parsed, context.env, findings) }
  const secrets = readStackSecrets(root.source, findings)
  const { names: configs, wished } = readStackConfigs(root.source, context, findings)
  const networks = readStackNetworks(root.source, context.stack, findings)
  let hasServices = false
  readMap(
    root,
    {
      version: (field) => {
        if (field.source.kind !== 'scalar') wrong(field, 'a text', findings)
      },
      name: (field) => noteName(readText(field, findings), field, context, findings),
      services: (field) => {
        hasServices = true
        services.push(...readServices(field, { ...context, secrets, configs, networks }, findings))
      },
      secrets: () => undefined, // read already
      configs: () => undefined, // read already
      networks: () => undefined,
    },
    knownTopLevelKeys,
    findings,
  )
  if (!hasServices && root.source.kind === 'map') {
    findings.problems.push({ path: 'services', line: 1, why: 'missing; a stack file names at least one service' })
  }
  const used = new Set(services.flatMap(({ task }) => task.networks ?? []))
  const brought = [...networks.values()].flatMap((each) =>
    each.brought !== undefined && used.has(each.name) ? [each.brought] : [],
  )
  return { services, configs: wished, networks: brought, findings }
}

function noteName(name: string | undefined, { path, line }: Field, { stack }: ServiceContext, findings: Findings): void {
  if (name === undefined || name === stack) return
  findings.warnings.push({ path, line, why: `the stack is deployed as ${stack}; this name is not used` })
}

function readServices(field: Field, context: FileContext, findings: Findings): readonly ServiceSpec[] {
  if (field.source.kind !== 'map' || field.source.entries.length === 0) {
    wrong(field, 'a map of services', findings)
    return []
  }
  return field.source.entries.map(({ key, line, value }) => {
    const service = { path: pathTo(field.path, key), line, source: value }
    const before = findings.problems.length
    const spec = readService(key, service, context, findings)
    // Values of a wrong type are already named; the model's own rules are asked only about what could be read.
    if (findings.problems.length === before) checkSpec(spec, service, findings)
    return spec
  })
}

/** Where a part of a spec came from, by the longest beginning. */
const keyOfSpecPath: readonly (readonly [string, string])[] = [
  ['task.resources.reserve.cpus', 'deploy.resources.reservations.cpus'],
  ['task.resources.reserve.memoryBytes', 'deploy.resources.reservations.memory'],
  ['task.resources.limit.cpus', 'deploy.resources.limits.cpus'],
  ['task.resources.limit.memoryBytes', 'deploy.resources.limits.memory'],
  ['task.command', 'command'],
  ['task.driver', 'x-skein-driver'],
  ['task.env', 'environment'],
  ['task.secrets', 'secrets'],
  ['task.configs', 'configs'],
  ['task.networks', 'networks'],
  ['task.selfFenceAfterMs', 'x-skein-self-fence-after'],
  ['task.stopGraceMs', 'stop_grace_period'],
  ['task.stopSignal', 'stop_signal'],
  ['task.workingDir', 'working_dir'],
  ['mode.replicas', 'deploy.replicas'],
  ['labels', 'deploy.labels'],
  ['placement.constraints', 'deploy.placement.constraints'],
  ['placement.maxPerNode', 'deploy.placement.max_replicas_per_node'],
  ['placement.spread', 'deploy.placement.preferences'],
  ['restart.attemptsMax', 'deploy.restart_policy.max_attempts'],
  ['restart.delayMs', 'deploy.restart_policy.delay'],
  ['restart.when', 'deploy.restart_policy.condition'],
  ['restart.windowMs', 'deploy.restart_policy.window'],
]

/** The model names one mistake at a time: leave out the part it names and ask again, until it names nothing new. */
function checkSpec(spec: ServiceSpec, service: Field, findings: Findings): void {
  const leftOut = new Set<string>()
  let rest: ServiceSpec = spec
  for (;;) {
    const error = refusalOf(rest)
    if (error === undefined) return
    const specPath = error.detail.path
    const [part = '', key = ''] = specPath.split(/[.[]/)
    if (leftOut.has(`${part}.${key}`)) return
    leftOut.add(`${part}.${key}`)
    rest = without(rest, part, key)
    const [prefix, keyPath] = keyOfSpecPath.find(([beginning]) => specPath.startsWith(beginning)) ?? [specPath, '']
    const path = keyPath === '' ? service.path : `${pathTo(service.path, keyPath)}${specPath.slice(prefix.length)}`
    const why = error.message.startsWith(`${specPath}: `) ? error.message.slice(specPath.length + 2) : error.message
    findings.problems.push({ path, line: lineAt(service.source, keyPath) ?? service.line, why })
  }
}

function refusalOf(spec: ServiceSpec): SkeinError<'ERR_SKEIN_INVALID_SPEC'> | undefined {
  try {
    resolveServiceSpec(spec)
    return undefined
  } catch (error) {
    if (isSkeinError(error, 'ERR_SKEIN_INVALID_SPEC')) return error
    throw error
  }
}

function without(spec: ServiceSpec, part: string, key: string): ServiceSpec {
  const parts: Record<string, unknown> = { ...spec }
  const inner = parts[part]
  if (part === 'name') parts[part] = 'name'
  else if (typeof inner === 'object' && inner !== null) parts[part] = { ...inner, [key]: undefined }
  return parts as unknown as ServiceSpec // the same object but for one part left out
}

function lineAt(source: Source, path: string): number | undefined {
  let line: number | undefined
  let here: Source | undefined = source
  for (const key of path.split('.')) {
    const entry: SourceEntry | undefined = here?.kind === 'map' ? here.entries.find((each) => each.key === key) : undefined
    if (entry === undefined) return line
    line = entry.line
    here = entry.value
  }
  return line
}
