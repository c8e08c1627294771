import { basename, resolve } from 'node:path'
import type { Command } from 'commander'
import { Option } from 'commander'
import { SkeinError } from '../../base/errors.js'
import type { Environment } from '../../compose/interpolate.js'
import type { ConfigUse, RestartPolicy, SecretUse, ServiceSpec } from '../../model/service.js'
import { count, cpus, duration, gathered, memoryBytes, pair, spread } from '../flags.js'

/** Flags of `service create`, as commander gives them. */
export interface CreateOptions {
  readonly name?: string
  readonly replicas?: number
  readonly env?: readonly string[]
  readonly workdir?: string
  readonly stopSignal?: string
  readonly stopGracePeriod?: number
  readonly selfFenceAfter?: number
  readonly restartCondition?: RestartPolicy['when']
  readonly restartDelay?: number
  readonly restartMaxAttempts?: number
  readonly restartWindow?: number
  readonly constraint?: readonly string[]
  readonly placementPref?: readonly string[]
  readonly replicasMaxPerNode?: number
  readonly reserveCpu?: number
  readonly reserveMemory?: number
  readonly limitCpu?: number
  readonly limitMemory?: number
  readonly secret?: readonly string[]
  readonly config?: readonly string[]
  readonly network?: readonly string[]
  readonly label?: Readonly<Record<string, string>>
  readonly driver?: string
}

export function addSpecOptions(command: Command): Command {
  return command
    .option('--name <name>', 'name of the service (default: the command with a random ending)')
    .option('--replicas <n>', 'how many tasks to keep running (default 1)', count)
    .option('-e, --env <key=value>', 'environment variable; KEY alone takes the value of this shell; may be repeated', gathered)
    .option('--env-file <file>', 'file of KEY=VALUE lines; -e wins; may be repeated', gathered)
    .option(
      '--secret <name[=target]>',
      'give the tasks this secret, as a file named target; also source=NAME,target=FILE; may be repeated',
      gathered,
    )
    .option(
      '--config <name[=target]>',
      'give the tasks this config, as a file at path target; also source=NAME,target=PATH; may be repeated',
      gathered,
    )
    .option('--network <name>', 'network the tasks belong to (default: default); may be repeated', gathered)
    .option('--workdir <dir>', 'working directory on the nodes; relative to this directory')
    .option('--stop-signal <signal>', 'asks a task to stop (default SIGTERM)')
    .option('--stop-grace-period <duration>', 'between the stop signal and SIGKILL (default 10s)', duration)
    .option(
      '--self-fence-after <duration>',
      'stop a task whose node heard no manager for so long (default: it runs on)',
      duration,
    )
    .addOption(
      new Option('--restart-condition <when>', 'when to replace a task that ended (default any)').choices([
        'any',
        'on-failure',
        'none',
      ]),
    )
    .option('--restart-delay <duration>', 'before a replacement starts (default 5s)', duration)
    .option('--restart-max-attempts <n>', 'restarts per slot, 0 for no bound (default 0)', count)
    .option('--restart-window <duration>', 'count only restarts within it (default all)', duration)
    .option('--constraint <expression>', 'as node.labels.zone==eu; all must hold; may be repeated', gathered)
    .option('--placement-pref <spread=attribute>', 'as spread=node.labels.zone; may be repeated', spread)
    .option('--replicas-max-per-node <n>', 'at most so many tasks on one node, 0 for no bound (default 0)', count)
    .option('--reserve-cpu <cpus>', 'CPUs set aside for each task, as 0.5', cpus)
    .option('--reserve-memory <amount>', 'memory set aside for each task, as 64M', memoryBytes)
    .option('--limit-cpu <cpus>', 'recorded; the process driver does not enforce it', cpus)
    .option('--limit-memory <amount>', 'recorded; the process driver does not enforce it', memoryBytes)
    .option('--label <key=value>', 'label of the service; may be repeated', pair)
    .option('--driver <name>', 'what runs the tasks (default process)')
}

/** The spec the flags and the command line wish for. `ending` names a service without a name; `fileEnv` comes from --env-file. */
export function specFrom(
  command: readonly string[],
  options: CreateOptions,
  {
    cwd,
    env,
    fileEnv,
    ending,
  }: { readonly cwd: string; readonly env: Environment; readonly fileEnv: Environment; readonly ending: string },
): ServiceSpec {
  const { constraint, placementPref, replicasMaxPerNode } = options
  return clean({
    name:
      options.name ??
      `${
        basename(command[0] ?? '')
          .replace(/[^A-Za-z0-9]+/g, '-')
          .replace(/^-+|-+$/g, '')
          .slice(0, 50) || 'service'
      }-${ending}`,
    labels: options.label,
    task: clean({
      driver: options.driver,
      command,
      env: filled({ ...fileEnv, ...flagEnv(options.env ?? [], env) }),
      secrets: options.secret?.map(secretUse),
      configs: options.config?.map(configUse),
      networks: options.network,
      workingDir: options.workdir === undefined ? undefined : resolve(cwd, options.workdir),
      stopSignal: options.stopSignal,
      stopGraceMs: options.stopGracePeriod,
      selfFenceAfterMs: options.selfFenceAfter,
      resources: filled({
        reserve: filled({ cpus: options.reserveCpu, memoryBytes: options.reserveMemory }),
        limit: filled({ cpus: options.limitCpu, memoryBytes: options.limitMemory }),
      }),
    }),
    mode: options.replicas === undefined ? undefined : { replicas: options.replicas },
    placement: filled({ constraints: constraint, spread: placementPref, maxPerNode: replicasMaxPerNode }),
    restart: filled({
      when: options.restartCondition,
      delayMs: options.restartDelay,
      attemptsMax: options.restartMaxAttempts,
      windowMs: options.restartWindow,
    }),
  }) as unknown as ServiceSpec // the same keys without the undefined ones
}

function secretUse(flag: string): string | SecretUse {
  const [secret, target] = nameAndTarget('secret', flag)
  return target === undefined ? secret : { secret, target }
}

function configUse(flag: string): string | ConfigUse {
  const [config, target] = nameAndTarget('config', flag)
  return target === undefined ? config : { config, target }
}

function nameAndTarget(option: 'secret' | 'config', flag: string): readonly [name: string, target: string | undefined] {
  if (longForm.test(flag)) return readLongForm(option, flag)
  const equals = flag.indexOf('=')
  return equals < 0 ? [flag, undefined] : [flag.slice(0, equals), flag.slice(equals + 1)]
}

/** As Docker writes it at length: `source=NAME,target=PATH`. */
const longForm = /^(?:source|src|target|uid|gid|mode)=/
const fileModes = { secret: '0400', config: '0444' } as const

/** @throws {SkeinError} ERR_SKEIN_INVALID_OPTION */
function readLongForm(option: 'secret' | 'config', flag: string): readonly [name: string, target: string | undefined] {
  const refuse = (why: string): SkeinError =>
    new SkeinError('ERR_SKEIN_INVALID_OPTION', `--${option} ${flag}: ${why}`, { option, got: flag })
  let [source, target]: (string | undefined)[] = []
  for (const part of flag.split(',')) {
    const equals = part.indexOf('=')
    const [key, value] = [part.slice(0, Math.max(0, equals)), part.slice(equals + 1)]
    if (value === '') throw refuse(`expected a value in ${part}`)
    if (key === 'source' || key === 'src') source = value
    else if (key === 'target') target = value
    else if (key === 'uid' || key === 'gid')
      throw refuse(`${key}: files belong to the user that the peer and its tasks run as; leave it out`)
    else if (key !== 'mode') throw refuse(`expected source=NAME,target=PATH,mode=${fileModes[option]}, got ${part}`)
    // Docker reads the digits as octal, with or without the leading 0.
    else if (Number.parseInt(value, 8) !== Number.parseInt(fileModes[option], 8) || !/^0?[0-7]{3}$/.test(value))
      throw refuse(`mode: files of ${option}s have ${fileModes[option]} and no other; leave it out`)
  }
  if (source === undefined) throw refuse(`add source=NAME, the ${option}`)
  return [source, target]
}

/** `KEY=VALUE` as given; `KEY` alone takes what the shell has and is left out when it has nothing. */
function flagEnv(flags: readonly string[], env: Environment): Environment {
  // Whatever the keys are called, they are its own.
  const found = Object.create(null) as Record<string, string | undefined>
  for (const flag of flags) {
    const equals = flag.indexOf('=')
    if (equals < 0) found[flag] = env[flag]
    else found[flag.slice(0, equals)] = flag.slice(equals + 1)
  }
  return found
}

function clean(object: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined))
}

/** Without undefined keys; undefined when nothing is left. */
function filled(object: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> | undefined {
  const kept = clean(object)
  return Object.keys(kept).length === 0 ? undefined : kept
}
