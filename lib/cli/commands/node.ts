import type { Command } from 'commander'
import type { Node } from '../../api/types.js'
import { SkeinError } from '../../base/errors.js'
import { type Act, addSharedOptions } from '../command.js'
import { type ExitCode, exitCodes } from '../exit-codes.js'
import { gathered } from '../flags.js'
import { type Column, labelTexts, memory } from '../print.js'
import type { Session } from '../session.js'
import { removeEach } from './remove-each.js'

export function addNodeCommands(program: Command, act: Act): void {
  const node = program.command('node').description('machines of the cluster')
  const add = (usage: string, words: string): Command => addSharedOptions(node.command(usage).description(words))
  add('ls', 'list the nodes').action(act(list))
  add('inspect <node>', 'everything about one node, as JSON').action(act(inspect))
  add('drain <node>', 'move its tasks elsewhere and give it no new ones').action(act(setAvailability('drain')))
  add('pause <node>', 'give it no new tasks; those that run stay').action(act(setAvailability('pause')))
  add('activate <node>', 'give it tasks again').action(act(setAvailability('activate')))
  add('promote <node>', 'make a manager of a worker; what runs there goes on').action(act(setRole('promote')))
  add('demote <node>', 'make a worker of a manager; what runs there goes on').action(act(setRole('demote')))
  add('label <node> [key=value...]', 'set labels, remove them with --remove')
    .option('--remove <key>', 'label to remove; may be repeated', gathered)
    .action(act(label))
  add('rm <node...>', 'forget nodes for ever; they must be down')
    .option('--force', 'also when the node is not down')
    .action(act(remove))
}

export const nodeColumns: readonly Column<Node>[] = [
  { head: 'ID', text: ({ id }) => id },
  { head: 'NAME', text: ({ name }) => name },
  { head: 'ROLE', text: ({ role, becoming }) => (becoming === undefined ? role : `${role} → ${becoming}`) },
  { head: 'RAFT', text: ({ leader, raft }) => (leader ? '★ leader' : (raft ?? '-')) },
  { head: 'STATE', text: ({ state }) => `${stateSigns[state]} ${state}`, tone: ({ state }) => stateTones[state] },
  { head: 'AVAIL', text: ({ availability }) => availability },
  {
    head: 'CPU',
    text: ({ reserved, description }) =>
      `${reserved.cpus}/${description === undefined ? '?' : description.resources.cpuNanos / 1e9}`,
  },
  {
    head: 'MEMORY',
    text: ({ reserved, description }) =>
      `${memory(reserved.memoryBytes)} / ${description === undefined ? '?' : memory(description.resources.memoryBytes)}`,
  },
  { head: 'TASKS', text: ({ tasks }) => String(tasks) },
  { head: 'ADDRESS', text: ({ address }) => address },
  { head: 'WHY', text: ({ why, state }) => (state === 'ready' ? '' : why) },
]

const stateSigns = { ready: '✔', down: '✖', degraded: '◐', unknown: '○' } as const
const stateTones = { ready: 'good', down: 'bad', degraded: 'waiting', unknown: 'waiting' } as const

async function list(session: Session): Promise<ExitCode> {
  const nodes = await (await session.cluster()).nodes.list(session.call)
  session.output.list(nodes, nodeColumns, ({ id }) => id)
  return exitCodes.done
}

async function inspect(session: Session, ref: string): Promise<ExitCode> {
  session.output.whole(await (await session.cluster()).nodes.get(ref, session.call))
  return exitCodes.done
}

function setAvailability(verb: 'drain' | 'pause' | 'activate'): (session: Session, ref: string) => Promise<ExitCode> {
  return async (session, ref) => {
    const { nodes } = await session.cluster()
    const node = await nodes[verb](ref, session.call)
    session.output.value(node, `${node.name} is set to ${node.availability}`, node.id)
    return exitCodes.done
  }
}

function setRole(verb: 'promote' | 'demote'): (session: Session, ref: string) => Promise<ExitCode> {
  return async (session, ref) => {
    const { nodes } = await session.cluster()
    const node = await nodes[verb](ref, session.call)
    const words = node.becoming === undefined ? `is a ${node.role}` : `is to become a ${node.becoming}`
    session.output.value(node, `${node.name} ${words}`, node.id)
    return exitCodes.done
  }
}

async function label(
  session: Session,
  ref: string,
  pairs: readonly string[],
  options: { readonly remove?: readonly string[] },
): Promise<ExitCode> {
  // Whatever the keys are called, they are its own.
  const labels = Object.create(null) as Record<string, string | null>
  for (const key of options.remove ?? []) labels[key] = null
  for (const pair of pairs) {
    const equals = pair.indexOf('=')
    if (equals <= 0) {
      throw new SkeinError('ERR_SKEIN_INVALID_OPTION', `label: expected KEY=VALUE, got "${pair}"`, { option: 'label', got: pair })
    }
    labels[pair.slice(0, equals)] = pair.slice(equals + 1)
  }
  if (Object.keys(labels).length === 0) {
    throw new SkeinError('ERR_SKEIN_INVALID_OPTION', 'label: give at least one KEY=VALUE or --remove KEY', { option: 'label' })
  }
  const node = await (await session.cluster()).nodes.label(ref, { ...labels }, session.call)
  const shown = labelTexts(node.labels)
  session.output.value(node, `${node.name}: ${shown.length === 0 ? 'no labels' : shown.join(' ')}`, node.id)
  return exitCodes.done
}

async function remove(session: Session, refs: readonly string[], options: { readonly force?: boolean }): Promise<ExitCode> {
  const { nodes } = await session.cluster()
  return removeEach(session, refs, (ref) =>
    nodes.remove(ref, { ...session.call, ...(options.force === undefined ? {} : { force: options.force }) }),
  )
}
