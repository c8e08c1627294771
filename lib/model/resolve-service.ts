/** A wish as a user writes it becomes a spec that is stored, and its form with every default filled in. */

import { defaultNetwork, type NetworkRef, networkNamesSchema } from './network.js'
import { type PayloadKind, type PayloadRef, payloadNameSchema } from './payload.js'
import { cpuNanosOf } from './resources.js'
import type { ResolvedServiceSpec, ServiceSpec } from './service.js'
import {
  anything,
  check,
  invalid,
  listOf,
  number,
  object,
  oneOf,
  optional,
  plainData,
  text,
  textMap,
  textOr,
  wholeNumber,
} from './validate.js'

/** Most replicas, and highest slot number, of one service. */
export const replicasMax = 100_000
const memoryLimitMinBytes = 4 * 1024 * 1024
const dayMs = 86_400_000
/** Five heartbeats, and longer than it takes to elect a leader and register with it: a cluster that loses one leader stops no task. */
const selfFenceLeastMs = 5_000
const selfFenceMostMs = 3_600_000

// Same language as Swarm's name form, written so that it never backtracks.
const nameForm = /^(?=.{1,63}$)[A-Za-z0-9](?:[-_A-Za-z0-9]*[A-Za-z0-9])?$/
const nameWords = '1 to 63 letters, digits, - and _, first and last a letter or digit'
const noNul = /^[^\0]*$/
const labelKeyForm = /^[A-Za-z0-9_][A-Za-z0-9_.\-/]{0,127}$/
const labelKeyWords = 'a label name of 1 to 128 letters, digits, _ . - and /'
const labelValueForm = /^[^\0]{0,4096}$/
const labelValueWords = 'text of at most 4096 characters (quote numbers and booleans)'

// Swarm's constraint language; which keys exist and what they match is the scheduler's knowledge.
const constraintForm =
  /^\s*[A-Za-z_][A-Za-z0-9\-_.]+\s*(?:==|!=)\s*[A-Za-z0-9:\-_.*()?+[\]\\^$|/][A-Za-z0-9:\-_\s.*()?+[\]\\^$|/]*$/
const constraintWords = 'a constraint like "node.labels.zone == eu" or "node.role != manager"'
const spreadForm = /^\s*[A-Za-z_][A-Za-z0-9\-_.]+\s*$/

const fileForm = /^(?=.{1,128}$)[A-Za-z0-9_][-_.A-Za-z0-9]*$/
const fileWords = 'a file name of 1 to 128 letters, digits, - _ and ., not beginning with - or .'
// No part is `.` or `..`, so it leads nowhere but down; none is longer than a file's name may be.
const pathForm = /^(?=.{1,255}$)\/?(?:\.{0,2}[-_A-Za-z0-9][-_.A-Za-z0-9]*\/)*\.{0,2}[-_A-Za-z0-9][-_.A-Za-z0-9]*$/
const pathWords =
  'a path like nginx.conf or /etc/app/app.conf, of at most 255 letters, digits, - _ . and /, without . or .. as a part'
const payloadUsesMax = 64

// The operating system's own list differs between machines; what replicas decide may not.
const signalNames =
  'HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS'
const signalForm = new RegExp(`^SIG(?:${signalNames.replaceAll(' ', '|')})$`)

/** Labels of services and nodes alike. */
export const labelsSchema = textMap(labelKeyForm, labelKeyWords, labelValueForm, labelValueWords)
export const nameSchema = text(nameForm, nameWords)

const amounts = (memoryMinBytes: number) =>
  object({
    cpus: optional(number(0.001, 65_536, 'CPUs, 1 is one core')),
    memoryBytes: optional(wholeNumber(memoryMinBytes, Number.MAX_SAFE_INTEGER, 'bytes')),
  })

const taskSchema = object({
  driver: optional(nameSchema),
  command: optional(listOf(text(noNul, 'text without NUL'), 1024, 'command words')),
  env: optional(textMap(/^[^=\0]{1,256}$/, 'a variable name without "="', noNul, 'text (quote numbers and booleans)')),
  workingDir: optional(text(/^(?:\/|[A-Za-z]:[\\/])[^\0]*$/, 'an absolute path')),
  stopSignal: optional(text(signalForm, 'a signal name such as SIGTERM or SIGINT')),
  stopGraceMs: optional(wholeNumber(0, dayMs, 'milliseconds')),
  selfFenceAfterMs: optional(
    wholeNumber(selfFenceLeastMs, selfFenceMostMs, 'milliseconds without a manager; leave it out for a task that runs on'),
  ),
  secrets: optional(
    listOf(
      textOr(payloadNameSchema, object({ secret: payloadNameSchema, target: optional(text(fileForm, fileWords)) })),
      payloadUsesMax,
      'secrets, each a name or { secret, target }',
    ),
  ),
  configs: optional(
    listOf(
      textOr(payloadNameSchema, object({ config: payloadNameSchema, target: optional(text(pathForm, pathWords)) })),
      payloadUsesMax,
      'configs, each a name or { config, target }',
    ),
  ),
  networks: optional(networkNamesSchema),
  resources: optional(object({ reserve: optional(amounts(0)), limit: optional(amounts(memoryLimitMinBytes)) })),
  options: optional(anything()),
})

const specSchema = object({
  name: nameSchema,
  labels: optional(labelsSchema),
  task: taskSchema,
  mode: optional(object({ replicas: wholeNumber(0, replicasMax, 'tasks to keep running') })),
  placement: optional(
    object({
      constraints: optional(listOf(text(constraintForm, constraintWords), 64, 'constraints')),
      spread: optional(listOf(text(spreadForm, 'a node attribute like node.labels.zone'), 16, 'node attributes')),
      maxPerNode: optional(wholeNumber(0, replicasMax, 'tasks on one node, 0 for no bound')),
    }),
  ),
  restart: optional(
    object({
      when: optional(oneOf(['any', 'on-failure', 'none'])),
      delayMs: optional(wholeNumber(0, dayMs, 'milliseconds')),
      attemptsMax: optional(wholeNumber(0, 1_000_000, 'restarts, 0 for no bound')),
      windowMs: optional(wholeNumber(0, 365 * dayMs, 'milliseconds, 0 for all time')),
    }),
  ),
})

/** Finds the id of what a spec names, or throws. */
export type IdFinder = (kind: PayloadKind | 'network', name: string) => string

/**
 * Checks a service spec and fills in its defaults. `spec` is what was given, cleaned of undefined keys; both are new objects.
 * @param idOf Finds the id of a secret, config or network by its name, or throws; where no tables are at hand a name stands for itself.
 * @throws {SkeinError} ERR_SKEIN_INVALID_SPEC with the key path, and what `idOf` throws
 * @see Docker Swarm's service spec and its limits
 */
export function resolveServiceSpec(
  value: unknown,
  idOf: IdFinder = (_kind, name) => name,
): { readonly spec: ServiceSpec; readonly resolved: ResolvedServiceSpec } {
  const plain = plainData(value, '')
  check(specSchema, plain, '')
  // Checked key by key above; the cast only drops valibot's "or undefined", which plainData has removed.
  const spec = plain as ServiceSpec
  const resolved = fillDefaults(spec, idOf)
  refuseWithoutCommand(resolved)
  refuseLimitBelowReserve(resolved)
  return { spec, resolved }
}

/** Names of services. @throws {SkeinError} ERR_SKEIN_INVALID_SPEC */
export function checkName(value: unknown, path = 'name'): string {
  return check(nameSchema, value, path)
}

function fillDefaults(
  { name, labels = {}, task, mode, placement = {}, restart = {} }: ServiceSpec,
  idOf: IdFinder,
): ResolvedServiceSpec {
  const { reserve = {}, limit = {} } = task.resources ?? {}
  const secrets = (task.secrets ?? []).map((use) => (typeof use === 'string' ? { name: use } : { ...use, name: use.secret }))
  const configs = (task.configs ?? []).map((use) => (typeof use === 'string' ? { name: use } : { ...use, name: use.config }))
  return {
    name,
    labels,
    task: {
      driver: task.driver ?? 'process',
      command: task.command ?? [],
      env: task.env ?? {},
      workingDir: task.workingDir,
      stopSignal: task.stopSignal ?? 'SIGTERM',
      stopGraceMs: task.stopGraceMs ?? 10_000,
      selfFenceAfterMs: task.selfFenceAfterMs,
      reserve: { cpuNanos: cpuNanosOf(reserve.cpus ?? 0), memoryBytes: reserve.memoryBytes ?? 0 },
      limit: { cpuNanos: limit.cpus === undefined ? undefined : cpuNanosOf(limit.cpus), memoryBytes: limit.memoryBytes },
      options: task.options,
      secrets: payloadRefs('secret', secrets, idOf),
      configs: payloadRefs('config', configs, idOf),
      networks: networkRefs(task.networks ?? [], idOf),
    },
    mode: { replicas: mode?.replicas ?? 1 },
    placement: {
      constraints: placement.constraints ?? [],
      spread: placement.spread ?? [],
      maxPerNode: placement.maxPerNode ?? 0,
    },
    restart: {
      when: restart.when ?? 'any',
      delayMs: restart.delayMs ?? 5_000,
      attemptsMax: restart.attemptsMax ?? 0,
      windowMs: restart.windowMs ?? 0,
    },
  }
}

function payloadRefs(
  kind: PayloadKind,
  uses: readonly { readonly name: string; readonly target?: string }[],
  idOf: IdFinder,
): readonly PayloadRef[] {
  const taken = new Set<string>()
  return uses.map(({ name, target: given = name }, index) => {
    const target = given.replace(/^\//, '')
    const inTheWay = [...taken].find((each) => each === target || each.startsWith(`${target}/`) || target.startsWith(`${each}/`))
    if (inTheWay !== undefined) {
      const words = `another ${kind} is found under ${inTheWay} already; give this one a target of its own`
      throw invalid(`task.${kind}s[${index}]`, words, target)
    }
    taken.add(target)
    return { id: idOf(kind, name), target }
  })
}

function networkRefs(names: readonly string[], idOf: IdFinder): readonly NetworkRef[] {
  if (names.length === 0) return [{ id: defaultNetwork.id, name: defaultNetwork.name }]
  return names.map((name, index) => {
    if (names.indexOf(name) < index) throw invalid(`task.networks[${index}]`, 'is named twice; name it once', name)
    return { id: idOf('network', name), name }
  })
}

/** Our own drivers run a command; another driver may find what to run in `options`. */
function refuseWithoutCommand({ task }: ResolvedServiceSpec): void {
  const needsCommand = task.driver === 'process' || task.driver === 'inline'
  if (task.command.length === 0 && needsCommand) {
    throw invalid(
      'task.command',
      `is missing; name what the ${task.driver} driver shall run, as a list: ["node", "server.js"]`,
      undefined,
    )
  }
  if (task.command[0]?.trim() === '')
    throw invalid('task.command[0]', 'expected a file or function to run, got an empty text', '')
}

function refuseLimitBelowReserve({ task: { reserve, limit } }: ResolvedServiceSpec): void {
  if (limit.cpuNanos !== undefined && limit.cpuNanos < reserve.cpuNanos) {
    throw invalid(
      'task.resources.limit.cpus',
      'is below resources.reserve.cpus; raise the limit or lower the reserve',
      limit.cpuNanos / 1e9,
    )
  }
  if (limit.memoryBytes !== undefined && limit.memoryBytes < reserve.memoryBytes) {
    const words = 'is below resources.reserve.memoryBytes; raise the limit or lower the reserve'
    throw invalid('task.resources.limit.memoryBytes', words, limit.memoryBytes)
  }
}
