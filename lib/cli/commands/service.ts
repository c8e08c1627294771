import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { Endpoint, Node, Service } from '../../api/types.js'
import { messageOf, SkeinError } from '../../base/errors.js'
import { formatHostPort } from '../../base/host-port.js'
import { makeId } from '../../base/ids.js'
import { parseEnvFile } from '../../compose/env-file.js'
import { parseTaskId } from '../../model/task.js'
import { type Act, addSharedOptions } from '../command.js'
import { type ExitCode, exitCodes } from '../exit-codes.js'
import type { Column } from '../print.js'
import { convergedText, followService } from '../progress.js'
import { fileReader } from '../read-file.js'
import type { Session } from '../session.js'
import { addLogOptions, type LogFlags, logOptions, printLogs } from './logs.js'
import { removeEach } from './remove-each.js'
import { addSpecOptions, type CreateOptions, specFrom } from './service-spec.js'
import { inSlotOrder, taskColumns } from './task.js'

export function addServiceCommands(program: Command, act: Act): void {
  const service = program.command('service').description('what the cluster keeps running')
  const add = (usage: string, words: string): Command => addSharedOptions(service.command(usage).description(words))
  const create = service
    .command('create')
    .description('create a service and wait until it runs')
    .argument('<command...>', 'what to run, after --')
  addSharedOptions(addSpecOptions(create).option('--detach', 'do not wait until it runs'))
    .passThroughOptions()
    .action(act(createService))
  add('ls', 'list the services').action(act(list))
  add('ps <service>', 'list its tasks, newest attempt first').action(act(ps))
  add('inspect <service>', 'everything about one service, as JSON').action(act(inspect))
  add('endpoints <service>', 'where its running tasks answer').action(act(endpoints))
  add('scale <service=n...>', 'change how many tasks run, and wait').option('--detach', 'do not wait').action(act(scale))
  add('rm <service...>', 'remove services and stop their tasks').action(act(remove))
  addLogOptions(add('logs <service>', 'what its tasks have written')).action(act(logs))
}

export const serviceColumns: readonly Column<Service>[] = [
  { head: 'ID', text: ({ id }) => id },
  { head: 'NAME', text: ({ name }) => name },
  {
    head: 'REPLICAS',
    text: ({ running, desired }) => `${running === desired ? '✔' : '○'} ${running}/${desired}`,
    tone: ({ running, desired }) => (running === desired ? 'good' : 'waiting'),
  },
  { head: 'DRIVER', text: ({ spec }) => spec.task.driver ?? 'process' },
  { head: 'COMMAND', text: ({ spec }) => (spec.task.command ?? []).join(' ') },
]

async function createService(
  session: Session,
  command: readonly string[],
  options: CreateOptions & WaitOptions & EnvFileOptions,
): Promise<ExitCode> {
  const { world } = session
  const fileEnv = await readEnvFiles(options.envFile ?? [], session)
  const ending = makeId(world.random).slice(0, 5)
  const spec = specFrom(command, options, { cwd: world.cwd, env: world.env, fileEnv, ending })
  // Checked here as well as by the cluster, so that a mistake is named without one. Imported late: it brings the validation library.
  const { resolveServiceSpec } = await import('../../model/resolve-service.js')
  resolveServiceSpec(spec)
  const cluster = await session.cluster()
  const service = await cluster.services.create(spec, session.call)
  return waitFor(session, [service], options)
}

async function list(session: Session): Promise<ExitCode> {
  const services = await (await session.cluster()).services.list({}, session.call)
  session.output.list(services, serviceColumns, ({ id }) => id)
  return exitCodes.done
}

async function ps(session: Session, ref: string): Promise<ExitCode> {
  const cluster = await session.cluster()
  const { id } = await cluster.services.get(ref, session.call)
  const tasks = await cluster.tasks.list({ service: id }, session.call)
  session.output.list({ ...tasks, items: inSlotOrder(tasks.items) }, taskColumns(session.world.clock.wallMs()), (task) => task.id)
  return exitCodes.done
}

async function inspect(session: Session, ref: string): Promise<ExitCode> {
  session.output.whole(await (await session.cluster()).services.get(ref, session.call))
  return exitCodes.done
}

function endpointColumns(nodes: readonly Node[]): readonly Column<Endpoint>[] {
  const nodeNames = new Map(nodes.map(({ id, name }) => [id, name]))
  return [
    { head: 'NAME', text: ({ name }) => name },
    { head: 'NODE', text: ({ node }) => nodeNames.get(node) ?? node },
    {
      head: 'ADDRESS',
      text: ({ host, ports: [port] }) => (port === undefined ? host : formatHostPort({ host, port })),
    },
    { head: 'NETWORKS', text: ({ networks }) => networks.join(' ') },
    {
      head: 'STATE',
      text: ({ state, eligible }) => (eligible ? '✔ ready' : `○ ${state === 'ready' ? 'away' : state}`),
      tone: ({ eligible }) => (eligible ? 'good' : 'waiting'),
    },
  ]
}

async function endpoints(session: Session, ref: string): Promise<ExitCode> {
  const cluster = await session.cluster()
  const found = await cluster.services.endpoints(ref, session.call)
  const nodes = await cluster.nodes.list(session.call)
  session.output.list(found, endpointColumns(nodes.items), ({ task }) => task)
  return exitCodes.done
}

async function scale(session: Session, wishes: readonly string[], options: WaitOptions): Promise<ExitCode> {
  const parsed = wishes.map((wish) => {
    const found = /^([^=]+)=(\d{1,9})$/.exec(wish)
    if (found !== null) return { ref: found[1] as string, replicas: Number(found[2]) }
    throw new SkeinError('ERR_SKEIN_INVALID_OPTION', `scale: expected SERVICE=N with a whole number from 0, got "${wish}"`, {
      option: 'scale',
      got: wish,
    })
  })
  const { services } = await session.cluster()
  const scaled: Service[] = []
  for (const { ref, replicas } of parsed) scaled.push(await services.scale(ref, replicas, session.call))
  return waitFor(session, scaled, options)
}

async function remove(session: Session, refs: readonly string[]): Promise<ExitCode> {
  const { services } = await session.cluster()
  return removeEach(session, refs, (ref) => services.remove(ref, session.call))
}

async function logs(session: Session, ref: string, flags: LogFlags): Promise<ExitCode> {
  const options = logOptions(session, flags)
  const { services } = await session.cluster()
  const { id, name } = await services.get(ref, session.call)
  const nameOf = (task: string): string => {
    const parts = parseTaskId(task)
    return parts === undefined ? task : `${name}.${parts.slot}`
  }
  return printLogs(session, flags, services.logs(id, options), nameOf)
}

interface WaitOptions {
  readonly detach?: boolean
}

interface EnvFileOptions {
  readonly envFile?: readonly string[]
}

/** Follows each service unless told not to, then prints them: one as an object, several as a list. */
async function waitFor(session: Session, services: readonly Service[], { detach = false }: WaitOptions): Promise<ExitCode> {
  const texts: string[] = []
  const values: object[] = []
  for (const service of services) {
    if (detach) {
      texts.push(`${service.name} is to run ${service.desired}`)
      values.push({ ...service, converged: false })
      continue
    }
    const convergence = await followService(session, service)
    texts.push(convergedText(service.name, convergence))
    values.push({ ...service, ...convergence, converged: true })
  }
  const ids = services.map(({ id }) => id).join('\n')
  const value = values.length === 1 ? (values[0] as object) : { items: values }
  session.output.value(value, texts.join('\n'), ids)
  return exitCodes.done
}

/** Far more than the environment of a process may be. */
const envFileMaxBytes = 4 * 1024 * 1024

async function readEnvFiles(files: readonly string[], session: Session): Promise<Readonly<Record<string, string>>> {
  const { world } = session
  let all: Readonly<Record<string, string>> = {}
  for (const file of files) {
    const refuse = (why: string): SkeinError =>
      new SkeinError('ERR_SKEIN_INVALID_OPTION', `--env-file ${file}: ${why}`, { option: 'env-file', got: file })
    const bytes = await fileReader(session)(resolve(world.cwd, file), envFileMaxBytes + 1).catch((error: unknown) => {
      throw refuse(messageOf(error))
    })
    if (bytes.length > envFileMaxBytes) throw refuse(`larger than ${envFileMaxBytes} bytes`)
    const { vars, problems } = parseEnvFile(new TextDecoder().decode(bytes), world.env)
    const [problem] = problems
    if (problem !== undefined) throw refuse(`line ${problem.line}: ${problem.why}`)
    all = { ...all, ...vars }
  }
  return all
}
