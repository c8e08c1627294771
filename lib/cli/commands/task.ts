import type { Command } from 'commander'
import type { Task, Why } from '../../api/types.js'
import type { TaskState } from '../../model/task.js'
import { type Act, addSharedOptions } from '../command.js'
import { type ExitCode, exitCodes } from '../exit-codes.js'
import { age, type Column, printable, type Tone } from '../print.js'
import type { Session } from '../session.js'
import { addLogOptions, type LogFlags, logOptions, printLogs } from './logs.js'

export function addTaskCommands(program: Command, act: Act): void {
  const task = program.command('task').description('attempts to fill the places of services')
  const add = (usage: string, words: string): Command => addSharedOptions(task.command(usage).description(words))
  add('ls', 'list the tasks')
    .option('--service <service>', 'only of this service')
    .option('--node <node>', 'only on this node')
    .action(act(list))
  add('why <task>', 'why a task is where it is').action(act(why))
  add('inspect <task>', 'everything about one task, as JSON').action(act(inspect))
  addLogOptions(add('logs <task>', 'what it has written')).action(act(logs))
}

const failed: ReadonlySet<TaskState> = new Set(['failed', 'rejected', 'orphaned'])

export function taskColumns(nowMs: number): readonly Column<Task>[] {
  return [
    { head: 'ID', text: ({ id }) => id },
    { head: 'NAME', text: ({ name }) => name },
    { head: 'NODE', text: ({ nodeName, node }) => nodeName ?? node ?? '-' },
    { head: 'DESIRED', text: ({ desired }) => desired },
    { head: 'STATE', text: ({ observed }) => `${signOf(observed)} ${observed}`, tone: ({ observed }) => toneOf(observed) },
    { head: 'SINCE', text: ({ updatedAt }) => age(updatedAt, nowMs) },
    { head: 'EXIT', text: ({ exitCode }) => (exitCode === undefined ? '-' : String(exitCode)) },
    { head: 'WHY', text: whyOf },
  ]
}

function whyOf({ why: reason, observed, away }: Task): string {
  if (away) return 'its node is down'
  return observed === 'running' ? '' : reason
}

/** By service, then slot, the newest attempt first. */
export function inSlotOrder(tasks: readonly Task[]): readonly Task[] {
  return [...tasks].sort((a, b) => compare(a.serviceName, b.serviceName) || a.slot - b.slot || b.generation - a.generation)
}

/** By code units: the same order on every machine. */
export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function signOf(state: TaskState): string {
  if (state === 'running' || state === 'complete') return '✔'
  return failed.has(state) ? '✖' : '○'
}

function toneOf(state: TaskState): Tone {
  if (state === 'running' || state === 'complete') return 'good'
  return failed.has(state) ? 'bad' : 'waiting'
}

async function list(session: Session, options: { readonly service?: string; readonly node?: string }): Promise<ExitCode> {
  const cluster = await session.cluster()
  const filter = {
    ...(options.service === undefined ? {} : { service: (await cluster.services.get(options.service, session.call)).id }),
    ...(options.node === undefined ? {} : { node: (await cluster.nodes.get(options.node, session.call)).id }),
  }
  const tasks = await cluster.tasks.list(filter, session.call)
  session.output.list({ ...tasks, items: inSlotOrder(tasks.items) }, taskColumns(session.world.clock.wallMs()), ({ id }) => id)
  return exitCodes.done
}

async function why(session: Session, ref: string): Promise<ExitCode> {
  const answer = await (await session.cluster()).tasks.why(ref, session.call)
  session.output.value(answer, whyText(answer, session.world.clock.wallMs()), answer.text)
  return exitCodes.done
}

function whyText({ task, text, placement, history }: Why, nowMs: number): string {
  const exit = task.exitCode === undefined ? '' : `, exit code ${task.exitCode}`
  const lines = [
    `${signOf(task.observed)} ${printable(text)}`,
    `  task ${task.id}, ${task.observed} for ${age(task.updatedAt, nowMs)}${exit}`,
  ]
  if (placement !== undefined) {
    lines.push(`${placement.evaluated} nodes looked at:`)
    for (const { nodes, reason } of placement.reasons) lines.push(`  ${String(nodes).padStart(4)}  ${printable(reason)}`)
  }
  if (history.length > 0) lines.push('earlier attempts, newest first:')
  for (const before of history) {
    lines.push(
      `  ${before.id}  ${signOf(before.observed)} ${before.observed} on ${before.nodeName ?? '-'}  ${printable(before.why)}`,
    )
  }
  return lines.join('\n')
}

async function inspect(session: Session, ref: string): Promise<ExitCode> {
  session.output.whole(await (await session.cluster()).tasks.get(ref, session.call))
  return exitCodes.done
}

async function logs(session: Session, ref: string, flags: LogFlags): Promise<ExitCode> {
  const options = logOptions(session, flags)
  const { tasks } = await session.cluster()
  return printLogs(session, flags, tasks.logs(ref, options), (id) => id)
}
