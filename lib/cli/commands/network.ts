import type { Command } from 'commander'
import type { Network } from '../../api/types.js'
import { type Act, addSharedOptions } from '../command.js'
import { type ExitCode, exitCodes } from '../exit-codes.js'
import { pair } from '../flags.js'
import { type Column, createdColumn, labelsColumn } from '../print.js'
import type { Session } from '../session.js'
import { removeEach } from './remove-each.js'

export function addNetworkCommands(program: Command, act: Act): void {
  const network = program.command('network').description('names that services share so that their tasks find each other')
  const add = (usage: string, words: string): Command => addSharedOptions(network.command(usage).description(words))
  add('create <name>', 'make a network')
    .option('--label <key=value>', 'label of the network; may be repeated', pair)
    .action(act(create))
  add('ls', 'list the networks').action(act(list))
  add('inspect <network>', 'everything about one network, as JSON').action(act(inspect))
  add('rm <network...>', 'remove networks that no service uses').action(act(remove))
}

async function create(
  session: Session,
  name: string,
  options: { readonly label?: Readonly<Record<string, string>> },
): Promise<ExitCode> {
  const { networks } = await session.cluster()
  const network = await networks.create({ name, ...(options.label && { labels: options.label }) }, session.call)
  session.output.value(network, `${network.name} is made`, network.id)
  return exitCodes.done
}

async function list(session: Session): Promise<ExitCode> {
  const networks = await (await session.cluster()).networks.list({}, session.call)
  const nowMs = session.world.clock.wallMs()
  const columns: readonly Column<Network>[] = [
    { head: 'ID', text: ({ id }) => id },
    { head: 'NAME', text: ({ name }) => name },
    createdColumn(nowMs),
    labelsColumn,
  ]
  session.output.list(networks, columns, ({ id }) => id)
  return exitCodes.done
}

async function inspect(session: Session, ref: string): Promise<ExitCode> {
  session.output.whole(await (await session.cluster()).networks.get(ref, session.call))
  return exitCodes.done
}

async function remove(session: Session, refs: readonly string[]): Promise<ExitCode> {
  const { networks } = await session.cluster()
  return removeEach(session, refs, (ref) => networks.remove(ref, session.call))
}
