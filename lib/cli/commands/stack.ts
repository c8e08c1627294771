import { relative, resolve } from 'node:path'
import type { Command } from 'commander'
import type { Cluster, Config, ConfigWithData, List, Service, Task } from '../../api/types.js'
import { isSkeinError, messageOf, SkeinError } from '../../base/errors.js'
import type { ConfigPlan, Note, Stack } from '../../compose/index.js'
import type { ServiceSpec } from '../../model/service.js'
import { type Act, addSharedOptions } from '../command.js'
import { type ExitCode, exitCodes } from '../exit-codes.js'
import type { Column } from '../print.js'
import { convergedText, followService } from '../progress.js'
import { fileReader } from '../read-file.js'
import type { Session } from '../session.js'
import { serviceColumns } from './service.js'
import { compare, inSlotOrder, taskColumns } from './task.js'

export function addStackCommands(program: Command, act: Act): void {
  const stack = program.command('stack').description('services that belong together, from one file')
  const add = (usage: string, words: string): Command => addSharedOptions(stack.command(usage).description(words))
  add('deploy <stack>', 'create or update the networks, configs and services of a stack file, and wait until they run')
    .requiredOption('-c, --compose-file <file>', 'the stack file')
    .option('--prune', 'remove services of the stack the file no longer names')
    .option('--detach', 'do not wait until they run')
    .action(act(deploy))
  add('ls', 'list the stacks').action(act(list))
  add('ps <stack>', 'list the tasks of a stack').action(act(ps))
  add('services <stack>', 'list the services of a stack').action(act(services))
  add('rm <stack...>', 'remove all services, configs and networks of stacks').action(act(remove))
}

interface StackRow {
  readonly name: string
  readonly services: number
  readonly running: number
  readonly desired: number
}

interface Done {
  readonly networksCreated: string[]
  readonly configsCreated: string[]
  readonly configsUpdated: string[]
  readonly created: string[]
  readonly updated: string[]
  readonly unchanged: string[]
  readonly removed: string[]
}

const stackColumns: readonly Column<StackRow>[] = [
  { head: 'NAME', text: ({ name }) => name },
  { head: 'SERVICES', text: ({ services: number }) => String(number) },
  { head: 'RUNNING', text: ({ running, desired }) => `${running === desired ? '✔' : '○'} ${running}/${desired}` },
]

/** Docker's label, written here too so that listing stacks does not load the YAML reader; a test holds the two equal. */
export const stackLabel = 'com.docker.stack.namespace'

async function deploy(
  session: Session,
  name: string,
  options: { readonly composeFile: string; readonly prune?: boolean; readonly detach?: boolean },
): Promise<ExitCode> {
  const { configPlan, deployPlan, loadStack } = await import('../../compose/index.js')
  const file = resolve(session.world.cwd, options.composeFile)
  const shownFile = relative(session.world.cwd, file) || file
  const stack = await loadStack(file, { stack: name, env: session.world.env, read: fileReader(session) })
  sayNotes(session, shownFile, stack)
  const cluster = await session.cluster()
  const current = await cluster.services.list({}, session.call)
  if (current.stale) session.output.sayStale()
  const plan = deployPlan(current.items, stack, { prune: options.prune ?? false })
  const [taken] = plan.taken
  if (taken !== undefined) {
    const words = `${taken.name}: a service outside the stack has this name; remove it or deploy under another stack name; nothing was changed`
    throw new SkeinError('ERR_SKEIN_ALREADY_EXISTS', words, { kind: 'service', name: taken.name })
  }
  const configs = configPlan(await presentConfigs(session, cluster, stack), stack)
  refuseStandingInTheWay(configs)
  const wished = [...plan.create, ...plan.update.map(({ spec }) => spec)]
  await refuseUnknown(session, cluster, { specs: wished, stack })
  const networks = await networksToMake(session, cluster, { specs: wished, stack })
  const unchanged = plan.unchanged.map((service) => service.name)
  const none = { networksCreated: [], configsCreated: [], configsUpdated: [], created: [], updated: [], removed: [] }
  const done: Done = { ...none, unchanged }
  const changed = await carryOut(session, cluster, { ...plan, networks, configs }, done)
  const lines = doneLines(done)
  if (!(options.detach ?? false)) {
    for (const service of [...changed, ...plan.unchanged])
      lines.push(convergedText(service.name, await followService(session, service)))
  }
  const { notHonoured, warnings } = stack
  session.output.value(
    { stack: name, ...done, notHonoured, warnings, converged: !(options.detach ?? false) },
    lines.join('\n'),
    name,
  )
  return exitCodes.done
}

/** Those configs of the cluster that have the names of the stack's own. */
async function presentConfigs({ call }: Session, cluster: Cluster, { configs }: Stack): Promise<readonly ConfigWithData[]> {
  if (configs.length === 0) return []
  const wished = new Set(configs.map(({ name }) => name))
  const { items } = await cluster.configs.list({}, call)
  return await Promise.all(items.filter(({ name }) => wished.has(name)).map(({ id }) => cluster.configs.get(id, call)))
}

function refuseStandingInTheWay({ taken, differing }: ConfigPlan<ConfigWithData>): void {
  const [foreign] = taken
  if (foreign !== undefined) {
    const words = `config ${foreign.name} is there, and not of this stack; use it by \`external: true\`, or give yours another \`name\`; nothing was changed`
    throw new SkeinError('ERR_SKEIN_ALREADY_EXISTS', words, { kind: 'config', name: foreign.name })
  }
  const [other] = differing
  if (other !== undefined) {
    const words = `config ${other.name} is there with other data, and those never change; give the new ones another \`name\`, as ${other.name}-2; nothing was changed`
    throw new SkeinError('ERR_SKEIN_ALREADY_EXISTS', words, { kind: 'config', name: other.name })
  }
}

/** Looked for before anything is written, so that a secret or config that was forgotten does not stop the deploy half way. */
async function refuseUnknown(
  { call }: Session,
  cluster: Cluster,
  { specs, stack }: { readonly specs: readonly ServiceSpec[]; readonly stack: Stack },
): Promise<void> {
  const own = new Set(stack.configs.map(({ name }) => name))
  const used = specs.flatMap(({ name: service, task: { secrets = [], configs = [] } }) => [
    ...secrets.map((use) => ({ service, kind: 'secret' as const, name: typeof use === 'string' ? use : use.secret })),
    ...configs.map((use) => ({ service, kind: 'config' as const, name: typeof use === 'string' ? use : use.config })),
  ])
  for (const kind of ['secret', 'config'] as const) {
    const named = used.filter((use) => use.kind === kind && !(kind === 'config' && own.has(use.name)))
    if (named.length === 0) continue
    const known = new Set((await cluster[`${kind}s`].list({}, call)).items.map(({ name }) => name))
    const missing = named.find(({ name }) => !known.has(name))
    if (missing === undefined) continue
    const words = `${missing.service}: the cluster has no ${kind} ${missing.name}; create it with \`skein ${kind} create ${missing.name} FILE\`; nothing was changed`
    throw new SkeinError('ERR_SKEIN_NOT_FOUND', words, { kind, ref: missing.name })
  }
}

/** Those the stack brings and the cluster lacks; the others are looked for before anything is written. */
async function networksToMake(
  { call }: Session,
  cluster: Cluster,
  { specs, stack }: { readonly specs: readonly ServiceSpec[]; readonly stack: Pick<Stack, 'networks'> },
): Promise<Stack['networks']> {
  if (specs.every(({ task }) => task.networks === undefined)) return []
  const known = new Set((await cluster.networks.list({}, call)).items.map(({ name }) => name))
  const lacking = stack.networks.filter(({ name }) => !known.has(name))
  for (const { name } of lacking) known.add(name)
  for (const { name, task } of specs) {
    const missing = (task.networks ?? []).find((network) => !known.has(network))
    if (missing === undefined) continue
    const words = `${name}: the cluster has no network ${missing}; create it with \`skein network create ${missing}\`; nothing was changed`
    throw new SkeinError('ERR_SKEIN_NOT_FOUND', words, { kind: 'network', ref: missing })
  }
  return lacking
}

type Plan = ReturnType<typeof import('../../compose/index.js').deployPlan<Service>> & {
  readonly networks: Stack['networks']
  readonly configs: ConfigPlan<ConfigWithData>
}

async function carryOut(session: Session, cluster: Cluster, plan: Plan, done: Done): Promise<readonly Service[]> {
  const changed: Service[] = []
  try {
    for (const network of plan.networks) {
      await cluster.networks.create(network, session.call)
      done.networksCreated.push(network.name)
    }
    for (const config of plan.configs.create) {
      await cluster.configs.create(config, session.call)
      done.configsCreated.push(config.name)
    }
    for (const { current, labels } of plan.configs.relabel) {
      await cluster.configs.update(current.id, { labels }, session.call)
      done.configsUpdated.push(current.name)
    }
    for (const spec of plan.create) {
      changed.push(await cluster.services.create(spec, session.call))
      done.created.push(spec.name)
    }
    for (const { current, spec } of plan.update) {
      changed.push(await cluster.services.replace(current.id, spec, current.version, session.call))
      done.updated.push(spec.name)
    }
    for (const service of plan.remove) {
      await cluster.services.remove(service.id, session.call)
      done.removed.push(service.name)
    }
  } catch (error) {
    const sofar = doneLines(done)
      .filter((line) => !line.startsWith('='))
      .join(', ')
    session.output.say(
      `the deploy stopped half way; confirmed so far: ${sofar === '' ? 'nothing' : sofar}; the same command goes on from here`,
    )
    throw error
  }
  return changed
}

function doneLines({ networksCreated, configsCreated, configsUpdated, created, updated, unchanged, removed }: Done): string[] {
  return [
    ...networksCreated.map((name) => `+ network ${name} created`),
    ...configsCreated.map((name) => `+ config ${name} created`),
    ...configsUpdated.map((name) => `~ config ${name} updated`),
    ...created.map((name) => `+ ${name} created`),
    ...updated.map((name) => `~ ${name} updated`),
    ...unchanged.map((name) => `= ${name} unchanged`),
    ...removed.map((name) => `- ${name} removed`),
  ]
}

function sayNotes(session: Session, file: string, { notHonoured, warnings }: Stack): void {
  const say = ({ path, line, why }: Note): void => session.output.say(`${file}:${line}  ${path}: ${why}`)
  for (const note of [...notHonoured, ...warnings].sort((a, b) => a.line - b.line)) say(note)
}

async function list(session: Session): Promise<ExitCode> {
  const all = await (await session.cluster()).services.list({}, session.call)
  const rows = new Map<string, StackRow>()
  for (const { spec, running, desired } of all.items) {
    const name = spec.labels?.[stackLabel]
    if (name === undefined) continue
    const row = rows.get(name) ?? { name, services: 0, running: 0, desired: 0 }
    rows.set(name, { name, services: row.services + 1, running: row.running + running, desired: row.desired + desired })
  }
  const items = [...rows.values()].sort((a, b) => compare(a.name, b.name))
  session.output.list({ ...all, items }, stackColumns, ({ name }) => name)
  return exitCodes.done
}

async function services(session: Session, stack: string): Promise<ExitCode> {
  session.output.list(await servicesOf(session, await session.cluster(), stack), serviceColumns, ({ id }) => id)
  return exitCodes.done
}

async function ps(session: Session, stack: string): Promise<ExitCode> {
  const cluster = await session.cluster()
  const found = await servicesOf(session, cluster, stack)
  const items: Task[] = []
  let { version, stale } = found
  for (const { id } of found.items) {
    const tasks = await cluster.tasks.list({ service: id }, session.call)
    items.push(...tasks.items)
    version = Math.max(version, tasks.version)
    stale ||= tasks.stale
  }
  session.output.list({ items: inSlotOrder(items), version, stale }, taskColumns(session.world.clock.wallMs()), ({ id }) => id)
  return exitCodes.done
}

async function remove(session: Session, stacks: readonly string[]): Promise<ExitCode> {
  const cluster = await session.cluster()
  // All are looked up before the first is removed: a typing error removes nothing.
  const found = await Promise.all(stacks.map((stack) => partsOf(session, cluster, stack)))
  const services = found.flatMap((parts) => parts.services).map(({ id, name }) => ({ kind: 'services' as const, id, name }))
  const configs = found.flatMap((parts) => parts.configs).map(({ id, name }) => ({ kind: 'configs' as const, id, name }))
  const networksRemoved: string[] = []
  const removed: { readonly services: string[]; readonly configs: string[] } = { services: [], configs: [] }
  const names = (): string[] => [...removed.services, ...removed.configs, ...networksRemoved]
  // Services first: a config that one uses stays.
  for (const { kind, id, name } of [...services, ...configs]) {
    await cluster[kind].remove(id, session.call).catch((error: unknown) => {
      session.output.say(`removed so far: ${names().join(', ') || 'nothing'}; ${name} failed: ${messageOf(error)}`)
      throw error
    })
    removed[kind].push(name)
  }
  // What the stack brought along and nobody else has come to use goes with it.
  for (const stack of stacks) networksRemoved.push(...(await removeNetworks(session, cluster, stack)))
  const lines = [
    ...removed.services.map((name) => `- ${name} removed`),
    ...removed.configs.map((name) => `- config ${name} removed`),
    ...networksRemoved.map((name) => `- network ${name} removed`),
  ]
  const value = { removed: removed.services, configsRemoved: removed.configs, networksRemoved }
  session.output.value(value, lines.join('\n'), names().join('\n'))
  return exitCodes.done
}

/** What a deploy of the stack has made; of one that stopped half way configs or networks alone are left. */
async function partsOf(
  { call }: Session,
  cluster: Cluster,
  stack: string,
): Promise<{ readonly services: readonly Service[]; readonly configs: readonly Config[] }> {
  const filter = { labels: { [stackLabel]: stack } }
  const [services, configs] = [await cluster.services.list(filter, call), await cluster.configs.list(filter, call)]
  const isEmpty = services.items.length === 0 && configs.items.length === 0
  if (isEmpty && (await cluster.networks.list(filter, call)).items.length === 0) throw noSuchStack(stack)
  const sorted = [...services.items].sort((a, b) => compare(a.name, b.name))
  return { services: sorted, configs: [...configs.items].sort((a, b) => compare(a.name, b.name)) }
}

/** Their names; one that a service of another stack uses stays. */
async function removeNetworks({ output, call }: Session, cluster: Cluster, stack: string): Promise<readonly string[]> {
  const removed: string[] = []
  const { items } = await cluster.networks.list({ labels: { [stackLabel]: stack } }, call)
  for (const { id, name } of items) {
    try {
      await cluster.networks.remove(id, call)
      removed.push(name)
    } catch (error) {
      if (!isSkeinError(error, 'ERR_SKEIN_PRECONDITION')) throw error
      output.say(`network ${name} stays: ${messageOf(error)}`)
    }
  }
  return removed
}

async function servicesOf(session: Session, cluster: Cluster, stack: string): Promise<List<Service>> {
  const found = await cluster.services.list({ labels: { [stackLabel]: stack } }, session.call)
  if (found.items.length > 0) return { ...found, items: [...found.items].sort((a, b) => compare(a.name, b.name)) }
  throw noSuchStack(stack)
}

function noSuchStack(stack: string): SkeinError<'ERR_SKEIN_NOT_FOUND'> {
  const words = `no stack "${stack}"; skein stack ls lists what there is`
  return new SkeinError('ERR_SKEIN_NOT_FOUND', words, { kind: 'stack', ref: stack })
}
