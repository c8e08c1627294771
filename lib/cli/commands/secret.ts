import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { Secret } from '../../api/types.js'
import { messageOf, SkeinError } from '../../base/errors.js'
import { type Act, addSharedOptions } from '../command.js'
import { type ExitCode, exitCodes } from '../exit-codes.js'
import { pair } from '../flags.js'
import { age, type Column } from '../print.js'
import type { Session } from '../session.js'
import { removeEach } from './remove-each.js'

export function addSecretCommands(program: Command, act: Act): void {
  const secret = program.command('secret').description('values that only the tasks they are given to can read')
  const add = (usage: string, words: string): Command => addSharedOptions(secret.command(usage).description(words))
  // A value on the command line would stand in the shell's history and in the list of processes.
  add('create <name> [file]', 'keep what is in the file as a secret; no file, or -, reads stdin')
    .option('--label <key=value>', 'label of the secret; may be repeated', pair)
    .action(act(create))
  add('ls', 'list the secrets; their values are never shown').action(act(list))
  add('inspect <secret>', 'everything about one secret but its value, as JSON').action(act(inspect))
  add('rm <secret...>', 'remove secrets that no service uses').action(act(remove))
}

async function create(
  session: Session,
  name: string,
  file: string | undefined,
  options: { readonly label?: Readonly<Record<string, string>> },
): Promise<ExitCode> {
  const data = file === undefined || file === '-' ? await session.world.readStdin() : await contentOf(session, file)
  const { secrets } = await session.cluster()
  const secret = await secrets.create({ name, data, ...(options.label && { labels: options.label }) }, session.call)
  session.output.value(secret, `${secret.name} is kept`, secret.id)
  return exitCodes.done
}

async function contentOf({ world }: Session, file: string): Promise<Uint8Array> {
  try {
    return await readFile(resolve(world.cwd, file))
  } catch (error) {
    throw new SkeinError('ERR_SKEIN_INVALID_OPTION', `file: ${messageOf(error)}`, { option: 'file', got: file })
  }
}

async function list(session: Session): Promise<ExitCode> {
  const secrets = await (await session.cluster()).secrets.list({}, session.call)
  const nowMs = session.world.clock.wallMs()
  const columns: readonly Column<Secret>[] = [
    { head: 'ID', text: ({ id }) => id },
    { head: 'NAME', text: ({ name }) => name },
    { head: 'CREATED', text: ({ createdAt }) => `${age(createdAt, nowMs)} ago` },
    {
      head: 'LABELS',
      text: ({ labels }) =>
        Object.entries(labels)
          .map(([key, value]) => `${key}=${value}`)
          .join(' '),
    },
  ]
  session.output.list(secrets, columns, ({ id }) => id)
  return exitCodes.done
}

async function inspect(session: Session, ref: string): Promise<ExitCode> {
  session.output.whole(await (await session.cluster()).secrets.get(ref, session.call))
  return exitCodes.done
}

async function remove(session: Session, refs: readonly string[]): Promise<ExitCode> {
  const { secrets } = await session.cluster()
  return removeEach(session, refs, (ref) => secrets.remove(ref, session.call))
}
