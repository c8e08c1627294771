/** `skein secret` and `skein config`: the same commands, but that a config's data are shown. */
import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { Call, Cluster, Config, Filter, List, PayloadSpec, Secret } from '../../api/types.js'
import { messageOf, SkeinError } from '../../base/errors.js'
import { type Act, addSharedOptions } from '../command.js'
import { type ExitCode, exitCodes } from '../exit-codes.js'
import { pair } from '../flags.js'
import { type Column, createdColumn, labelsColumn } from '../print.js'
import { fileReader } from '../read-file.js'
import type { Session } from '../session.js'
import { removeEach } from './remove-each.js'

/** What the commands of a noun work on. */
interface Payloads<Shown> {
  create(spec: PayloadSpec, o?: Call): Promise<Shown>
  get(ref: string, o?: Call): Promise<object>
  list(filter?: Filter, o?: Call): Promise<List<Shown>>
  remove(ref: string, o?: Call): Promise<void>
}

interface Noun<Shown> {
  readonly noun: string
  readonly words: string
  readonly listWords: string
  readonly inspectWords: string
  readonly of: (cluster: Cluster) => Payloads<Shown>
  /** Columns that the other noun has not. */
  readonly columns: readonly Column<Shown>[]
}

const secretNoun: Noun<Secret> = {
  noun: 'secret',
  words: 'values that only the tasks they are given to can read',
  listWords: 'list the secrets; their values are never shown',
  inspectWords: 'everything about one secret but its value, as JSON',
  of: ({ secrets }) => secrets,
  columns: [],
}

const configNoun: Noun<Config> = {
  noun: 'config',
  words: 'files that tasks are given; they lie open to whoever operates the cluster',
  listWords: 'list the configs',
  inspectWords: 'everything about one config with its data, as JSON',
  of: ({ configs }) => configs,
  columns: [{ head: 'BYTES', text: ({ sizeBytes }) => String(sizeBytes) }],
}

export function addPayloadCommands(program: Command, act: Act): void {
  addNoun(program, act, secretNoun)
  addNoun(program, act, configNoun)
}

function addNoun<Shown extends Secret | Config>(program: Command, act: Act, noun: Noun<Shown>): void {
  const command = program.command(noun.noun).description(noun.words)
  const add = (usage: string, words: string): Command => addSharedOptions(command.command(usage).description(words))
  // A value on the command line would stand in the shell's history and in the list of processes.
  add('create <name> [file]', `keep what is in the file as a ${noun.noun}; no file, or -, reads stdin`)
    .option('--label <key=value>', `label of the ${noun.noun}; may be repeated`, pair)
    .action(
      act((session: Session, name: string, file: string | undefined, options: CreateOptions) =>
        create(session, noun, { name, file, ...options }),
      ),
    )
  add('ls', noun.listWords).action(act((session: Session) => list(session, noun)))
  add(`inspect <${noun.noun}>`, noun.inspectWords).action(act((session: Session, ref: string) => inspect(session, noun, ref)))
  add(`rm <${noun.noun}...>`, `remove ${noun.noun}s that no service uses`).action(
    act((session: Session, refs: readonly string[]) => remove(session, noun, refs)),
  )
}

interface CreateOptions {
  readonly label?: Readonly<Record<string, string>>
}

async function create<Shown extends Secret | Config>(
  session: Session,
  { of }: Noun<Shown>,
  { name, file, label }: CreateOptions & { readonly name: string; readonly file: string | undefined },
): Promise<ExitCode> {
  const data = file === undefined || file === '-' ? await session.world.readStdin() : await contentOf(session, file)
  const payloads = of(await session.cluster())
  const payload = await payloads.create({ name, data, ...(label && { labels: label }) }, session.call)
  session.output.value(payload, `${payload.name} is kept`, payload.id)
  return exitCodes.done
}

/** More than any payload may have: a device without an end is not read for ever, and of most files the refusal knows the size. */
const readMaxBytes = 16 * 1024 * 1024

async function contentOf(session: Session, file: string): Promise<Uint8Array> {
  try {
    return await fileReader(session)(resolve(session.world.cwd, file), readMaxBytes)
  } catch (error) {
    throw new SkeinError('ERR_SKEIN_INVALID_OPTION', `file: ${messageOf(error)}`, { option: 'file', got: file })
  }
}

async function list<Shown extends Secret | Config>(session: Session, { of, columns }: Noun<Shown>): Promise<ExitCode> {
  const payloads = await of(await session.cluster()).list({}, session.call)
  const nowMs = session.world.clock.wallMs()
  const shown: readonly Column<Shown>[] = [
    { head: 'ID', text: ({ id }) => id },
    { head: 'NAME', text: ({ name }) => name },
    ...columns,
    createdColumn(nowMs),
    labelsColumn,
  ]
  session.output.list(payloads, shown, ({ id }) => id)
  return exitCodes.done
}

async function inspect<Shown>(session: Session, { of }: Noun<Shown>, ref: string): Promise<ExitCode> {
  session.output.whole(await of(await session.cluster()).get(ref, session.call))
  return exitCodes.done
}

async function remove<Shown>(session: Session, { of }: Noun<Shown>, refs: readonly string[]): Promise<ExitCode> {
  const payloads = of(await session.cluster())
  return removeEach(session, refs, (ref) => payloads.remove(ref, session.call))
}
