import { resolve } from 'node:path'
import type { Placement, RestartPolicy, ServiceSpec, TaskTemplate } from '../model/service.js'
import { readConfigUses } from './configs.js'
import { namespaceLabel } from './deploy-plan.js'
import {
  type Field,
  readChoice,
  readCount,
  readCpus,
  readDuration,
  readMap,
  readMemory,
  readPairs,
  readText,
  readTexts,
  wrong,
} from './fields.js'
import type { Environment } from './interpolate.js'
import { knownDeployKeys, knownLimitKeys, knownNowhere, knownReservationKeys, knownServiceKeys } from './keys.js'
import { readNetworkUses, type StackNetworks } from './networks.js'
import { type Findings, pathTo } from './notes.js'
import type { PayloadNames, PayloadsKey } from './payloads.js'
import { readSecretUses } from './secrets.js'
import { splitWords } from './words.js'

export interface ServiceContext {
  /** The stack's name: services become `STACK_name` and carry it as a label. */
  readonly stack: string
  /** Absolute; a relative `working_dir` starts here. */
  readonly dir: string
  /** Where `environment` keys without a value are looked up. */
  readonly env: Environment
}

/** The same, with what stands at the top level of the file. */
export interface FileContext extends ServiceContext, Readonly<Record<PayloadsKey, PayloadNames>> {
  readonly networks: StackNetworks
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] }
type Amounts = { cpus?: number; memoryBytes?: number }
type Deploy = {
  labels?: Readonly<Record<string, string>>
  replicas?: number
  restart?: Mutable<RestartPolicy>
  placement?: Mutable<Placement>
  reserve?: Amounts
  limit?: Amounts
}

/** Drivers that can run nothing without a command. */
const commandDrivers = ['process', 'inline']

/** One entry of `services:` as a spec. What is wrong with it is in `findings.problems`; the spec is complete only when nothing was added there. */
export function readService(
  name: string,
  field: Field,
  { stack, dir, env, secrets, configs, networks }: FileContext,
  findings: Findings,
): ServiceSpec {
  const task: Mutable<TaskTemplate> = {}
  let deploy: Deploy = {}
  let hasCommand = false
  readMap(
    field,
    {
      command: (child) => {
        hasCommand = true
        set(task, 'command', readCommand(child, findings))
      },
      environment: (child) =>
        set(
          task,
          'env',
          readPairs(child, (key) => env[key], findings),
        ),
      working_dir: (child) => {
        const given = readText(child, findings)
        if (given !== undefined) task.workingDir = resolve(dir, given)
      },
      secrets: (child) => {
        task.secrets = readSecretUses(child, secrets, findings)
      },
      configs: (child) => {
        task.configs = readConfigUses(child, configs, findings)
      },
      networks: (child) => {
        task.networks = readNetworkUses(child, networks, findings)
      },
      stop_signal: (child) => set(task, 'stopSignal', readSignal(child, findings)),
      stop_grace_period: (child) => set(task, 'stopGraceMs', readDuration(child, findings)),
      'x-skein-driver': (child) => set(task, 'driver', readText(child, findings)),
      'x-skein-self-fence-after': (child) => set(task, 'selfFenceAfterMs', readDuration(child, findings)),
      deploy: (child) => {
        const empty = child.source.kind === 'scalar' && child.source.value === null // as the specification allows
        if (!empty) deploy = readDeploy(child, findings)
      },
    },
    knownServiceKeys,
    findings,
  )
  const driver = task.driver ?? 'process'
  if (!hasCommand && field.source.kind === 'map' && commandDrivers.includes(driver)) {
    const image = field.source.entries.some(({ key }) => key === 'image')
    const because = image ? `\`image\` alone cannot run with the ${driver} driver` : `the ${driver} driver has nothing to run`
    const example = driver === 'process' ? 'command: node server.mjs' : 'command: NAME-OF-THE-FUNCTION'
    findings.problems.push({
      path: pathTo(field.path, 'command'),
      line: field.line,
      why: `missing: ${because}; give \`command\`, as \`${example}\``,
    })
  }
  if (deploy.reserve !== undefined || deploy.limit !== undefined) {
    task.resources = {
      ...(deploy.reserve === undefined ? {} : { reserve: deploy.reserve }),
      ...(deploy.limit === undefined ? {} : { limit: deploy.limit }),
    }
  }
  if (deploy.limit !== undefined && driver === 'process') {
    const line = lineOf(field, ['deploy', 'resources', 'limits'])
    const why = 'recorded, but the process driver does not enforce limits'
    findings.warnings.push({ path: pathTo(field.path, 'deploy.resources.limits'), line, why })
  }
  return {
    name: `${stack}_${name}`,
    labels: { ...deploy.labels, [namespaceLabel]: stack },
    task,
    ...(deploy.replicas === undefined ? {} : { mode: { replicas: deploy.replicas } }),
    ...(deploy.placement === undefined ? {} : { placement: deploy.placement }),
    ...(deploy.restart === undefined ? {} : { restart: deploy.restart }),
  }
}

/** `TERM` is SIGTERM, as for Docker. */
function readSignal(field: Field, findings: Findings): string | undefined {
  const name = readText(field, findings)
  return name !== undefined && /^[A-Z][A-Z0-9]*$/.test(name) && !name.startsWith('SIG') ? `SIG${name}` : name
}

/** A list is kept; a text is split by the shell's quoting rules, but no shell runs it. */
function readCommand(field: Field, findings: Findings): readonly string[] | undefined {
  const { source, path, line } = field
  if (source.kind === 'list' && source.items.length > 0) return readTexts(field, findings)
  if (source.kind !== 'scalar' || typeof source.value !== 'string')
    return wrong(field, 'a command line or a list of its words', findings)
  const split = splitWords(source.value)
  if (!split.ok) {
    findings.problems.push({ path, line, why: split.why })
    return undefined
  }
  if (split.words.length === 0) return wrong(field, 'a command line or a list of its words', findings)
  for (const operator of split.operators) {
    const why = `no shell runs this: \`${operator}\` is passed as an argument; for a shell write ["sh", "-c", "…"]`
    findings.warnings.push({ path, line, why })
  }
  return split.words
}

function readDeploy(field: Field, findings: Findings): Deploy {
  const deploy: Deploy = {}
  readMap(
    field,
    {
      mode: (child) => readMode(child, findings),
      replicas: (child) => set(deploy, 'replicas', readCount(child, findings)),
      labels: (child) =>
        set(
          deploy,
          'labels',
          readPairs(child, () => '', findings),
        ),
      restart_policy: (child) => {
        deploy.restart = readRestart(child, findings)
      },
      placement: (child) => {
        deploy.placement = readPlacement(child, findings)
      },
      resources: (child) => {
        const readers = {
          limits: (limits: Field) => {
            deploy.limit = readAmounts(limits, knownLimitKeys, findings)
          },
          reservations: (reservations: Field) => {
            deploy.reserve = readAmounts(reservations, knownReservationKeys, findings)
          },
        }
        readMap(child, readers, knownNowhere, findings)
      },
    },
    knownDeployKeys,
    findings,
  )
  return deploy
}

/** Another mode would run another number of tasks than asked for, so it refuses the file instead of being reported. */
function readMode(field: Field, findings: Findings): void {
  const modes = ['replicated', 'global', 'replicated-job', 'global-job'] as const
  const mode = readChoice(field, modes, findings)
  if (mode === undefined || mode === 'replicated') return
  findings.problems.push({ path: field.path, line: field.line, why: `mode ${mode} is not in this version; use replicated` })
}

function readRestart(field: Field, findings: Findings): Mutable<RestartPolicy> {
  const restart: Mutable<RestartPolicy> = {}
  readMap(
    field,
    {
      condition: (child) => set(restart, 'when', readChoice(child, ['any', 'on-failure', 'none'], findings)),
      delay: (child) => set(restart, 'delayMs', readDuration(child, findings)),
      max_attempts: (child) => set(restart, 'attemptsMax', readCount(child, findings)),
      window: (child) => set(restart, 'windowMs', readDuration(child, findings)),
    },
    knownNowhere,
    findings,
  )
  return restart
}

function readPlacement(field: Field, findings: Findings): Mutable<Placement> {
  const placement: Mutable<Placement> = {}
  readMap(
    field,
    {
      constraints: (child) => set(placement, 'constraints', readTexts(child, findings)),
      preferences: (child) => {
        placement.spread = readPreferences(child, findings)
      },
      max_replicas_per_node: (child) => set(placement, 'maxPerNode', readCount(child, findings)),
    },
    knownNowhere,
    findings,
  )
  return placement
}

function readPreferences(field: Field, findings: Findings): readonly string[] {
  const spread: string[] = []
  if (field.source.kind !== 'list') {
    wrong(field, 'a list of `spread: node.labels.NAME`', findings)
    return spread
  }
  for (const [index, source] of field.source.items.entries()) {
    const item = { path: pathTo(field.path, index), line: source.line, source }
    const readers = {
      spread: (child: Field) => {
        const over = readText(child, findings)
        if (over !== undefined) spread.push(over)
      },
    }
    readMap(item, readers, knownNowhere, findings)
  }
  return spread
}

function readAmounts(field: Field, known: Readonly<Record<string, string>>, findings: Findings): Amounts {
  const amounts: Amounts = {}
  const readers = {
    cpus: (child: Field) => set(amounts, 'cpus', readCpus(child, findings)),
    memory: (child: Field) => set(amounts, 'memoryBytes', readMemory(child, findings)),
  }
  readMap(field, readers, known, findings)
  return amounts
}

function set<Target, Key extends keyof Target>(target: Target, key: Key, value: Target[Key] | undefined): void {
  if (value !== undefined) target[key] = value
}

function lineOf(field: Field, keys: readonly string[]): number {
  let { source, line } = field
  for (const key of keys) {
    const entry = source.kind === 'map' ? source.entries.find((each) => each.key === key) : undefined
    if (entry === undefined) return line
    source = entry.value
    line = entry.line
  }
  return line
}
